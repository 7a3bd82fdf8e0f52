"""All errors that taskflow raises on purpose, in one class hierarchy.

    TaskflowError
    ├── Refusal                  the command is well formed and may not happen
    │   ├── NotFound             404: it does not exist, or the caller may not know that it does
    │   ├── Forbidden            403: a member whose role is too low
    │   ├── Rejected             409 with a `code`: a rule of the domain
    │   │   └── Erased           the person whose data it would hold is erased
    │   ├── NothingToUndo        409: no change is left that could be undone, or none is named
    │   ├── VersionConflict      412: the caller expected another version
    │   ├── Invalid              400: a value that only the domain can judge
    │   ├── HistoryTooLarge      400: the request would read more of a stream's history than is allowed
    │   ├── TooManyUnchanged     429: too many commands that change nothing, whose receipts stay for ever
    │   ├── Uncounted            503: a rule needs a count from a view that cannot be read now
    │   └── Unauthenticated      401: no credentials, or credentials that no longer count
    ├── Malformed                400: the request cannot be read; it says where, everywhere at once
    │   ├── Unparsable           400: it is not valid HTTP
    │   └── RequestTimeout       408: it did not arrive in time
    ├── NoSuchPath               404: the path is not in its canonical form
    ├── HeadersTooLarge          431: the request's head is larger than may be sent
    ├── UnsupportedMedia         415: a body of another content type
    ├── PayloadTooLarge          413: the body is larger than may be sent
    ├── KeyReused                422: one command id, two contents
    ├── BatchRefused             the status of the refused command: nothing of the batch is stored
    ├── StaleDecision            what a decision read is outdated: the executor decides again
    ├── Gone                     410: a token cannot be continued from; the client must start again
    ├── RateLimited              429
    ├── TooManyAtOnce            429: the caller has as many of these running as they may
    ├── Behind                   503: a view has not reached the position that was asked for
    ├── Unavailable              503: a server does not answer; the outcome may be unknown
    ├── QueueFull                503: more work than the process may hold
    ├── StoreError               the log is not as this process expects
    │   ├── EpochChanged         the server does not belong to the log's epoch: nothing is appended
    │   ├── UnknownEventType     written by a newer version of taskflow
    │   └── KeyMissing           a person's key is gone and no erasure says why
    ├── LeaseLost                another process leads now
    └── BrokerError              Kafka holds a topic or message that must not be used
        ├── TopicMismatch        the topic has another partition count than its generation
        └── BadMessage           a message that the relay did not write
            └── UnverifiedMessage    a message whose MAC is missing or wrong

`taskflow.api.problems` holds the one table that maps them to HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from msgspec import Struct


class TaskflowError(Exception):
    """Base of every error raised on purpose."""

    command_id: UUID | None = None
    """The id of the refused command, if the error came from an executor."""


class Refusal(TaskflowError):
    """The command was understood and is refused; nothing is stored."""


class NotFound(Refusal):
    """The thing does not exist, or the caller may not know that it exists."""

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"no {what} {key}")
        self.what = what


class Forbidden(Refusal):
    """The caller may see the thing but may not do this to it."""


class Rejected(Refusal):
    """A rule of the domain was broken; `code` names the rule for programs."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class NothingToUndo(Refusal):
    """Every change is undone already, or the given version is not that of a change."""


class VersionConflict(Refusal):
    """The caller expected one version and the stream is at another."""

    def __init__(self, stream_id: UUID, expected: int, current: int) -> None:
        super().__init__(f"expected version {expected}, stream is at {current}")
        self.stream_id = stream_id
        self.expected = expected
        self.current = current
        self.since: tuple[Struct, ...] = ()
        """The events after `expected`, as `{version, type, actor, occurred_at}`; filled in by the API."""


class Invalid(Refusal):
    """A well-formed value that is not valid here; `pointer` is a JSON pointer into the body."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.code = code


class HistoryTooLarge(Refusal):
    """The request would read more of a stream's history than `history_bytes_max`."""

    def __init__(self, what: str, *, found: int, bytes_max: int) -> None:
        super().__init__(
            f"{what} would have to be computed from {found} bytes of events; one request reads at most {bytes_max}"
        )


class Erased(Rejected):
    """A command would write personal data of an erased person, for whom there is no key any more."""

    def __init__(self, person: object, turn: int) -> None:
        super().__init__("erased", f"the personal data of {person} was erased; no new personal data can be stored")
        self.turn = turn
        """The index of the command among those decided together."""


class Uncounted(Refusal):
    """A rule needs a view that cannot be read, or does not catch up in time. Nothing is stored."""


class TooManyUnchanged(Refusal):
    """The caller's commands have changed nothing too often; try again after `retry_after_s`."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unauthenticated(Refusal):
    """No credentials, or credentials that no longer count."""


class Fault(NamedTuple):
    """One fault of a request. `pointer`: a JSON pointer into the body, or the name of a parameter or header."""

    pointer: str
    code: str
    detail: str


class Malformed(TaskflowError):
    """The request cannot be read; `faults` holds at least one fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(
            "; ".join(f"{fault.pointer}: {fault.detail}" if fault.pointer else fault.detail for fault in faults)
        )
        self.faults = tuple(faults)


class Unparsable(Malformed):
    """The bytes received are not a valid HTTP request, or one that could be parsed as two different requests."""

    def __init__(self, detail: str) -> None:
        super().__init__([Fault("", "http", detail)])


class RequestTimeout(Malformed):
    """The rest of the request did not arrive in time."""

    def __init__(self, detail: str) -> None:
        super().__init__([Fault("", "timeout", detail)])


class NoSuchPath(TaskflowError):
    """The path is not in canonical form."""


class HeadersTooLarge(TaskflowError):
    """The request line or the header fields exceed one of the `request_…_max` settings in size or number."""


class UnsupportedMedia(TaskflowError):
    """The body is of a content type that this route does not take."""


class PayloadTooLarge(TaskflowError):
    """The body is larger than `body_bytes_max`."""


class KeyReused(TaskflowError):
    """The command id was accepted before with another content."""


class BatchRefused(TaskflowError):
    """An all-or-nothing batch was refused because one of its commands was refused."""

    def __init__(self, refusal: TaskflowError) -> None:
        super().__init__(f"nothing was stored, because command {refusal.command_id} was refused: {refusal}")
        self.refusal = refusal
        self.command_id = refusal.command_id


class StaleDecision(TaskflowError):
    """What a decision has read is not, or not any more, what the store holds. The executor decides again; no caller
    ever gets this."""


class Gone(TaskflowError):
    """A continuation token is no longer valid: the client must start again without a token."""


class RateLimited(TaskflowError):
    """Too many requests; try again after `retry_after_s`."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class TooManyAtOnce(TaskflowError):
    """The caller has as many requests of this kind running as one caller may; try again after `retry_after_s`."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Behind(TaskflowError):
    """A view is behind the position that the reader asked for."""

    def __init__(self, wanted: int, found: int) -> None:
        super().__init__(f"asked for position {wanted}, the view is at {found}")
        self.wanted = wanted
        self.found = found


class Unavailable(TaskflowError):
    """A server that this request needs does not answer."""


class QueueFull(TaskflowError):
    """A bounded queue is full: `taskflow config` names the bound."""


class StoreError(TaskflowError):
    """The event store is not as this process expects."""


class EpochChanged(StoreError):
    """The server behind the URL does not belong to the epoch of the log."""


class UnknownEventType(StoreError):
    """An event of a type or schema version that this release does not know."""


class KeyMissing(StoreError):
    """A person's key is gone without an erasure on record."""


class LeaseLost(TaskflowError):
    """Another process holds the lease, or may hold it: the receiver of this error stops at once and saves nothing."""


class BrokerError(TaskflowError):
    """Kafka holds a topic or a message that the relay and projectors must not use."""


class TopicMismatch(BrokerError):
    """The topic has another partition count than its generation: shards would map to other partitions."""

    def __init__(self, topic: str, expected: int, found: int) -> None:
        super().__init__(
            f"topic {topic}: expected {expected} partitions, found {found}; "
            f"delete the topic, and the relay creates it again with {expected}"
        )
        self.topic = topic
        self.expected = expected
        self.found = found


class BadMessage(BrokerError):
    """A message on the topic is not one that the relay wrote."""


class UnverifiedMessage(BadMessage):
    """The MAC of a message is missing or wrong, so nothing in the message may be trusted.

    `reason` is one of a few fixed words, for counting; content of the message is not repeated.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the message cannot be verified: {reason}")
        self.reason = reason
