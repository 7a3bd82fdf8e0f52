"""The errors of the client, as one tree. The message of a Problem is the server's.

ClientError
├── Unreachable              no answer after all attempts
├── Unreadable               an answer that this client does not understand
└── Problem                  an error answer: `status`, `slug`, `detail`, `request_id`
    ├── Invalid              400: `errors`, each with pointer, code and detail
    ├── Unauthenticated      401: sign in (again); `otp_required` if a second factor is missing
    ├── Forbidden            403
    ├── NotFound             404
    ├── Conflict
    │   ├── VersionConflict  412: `current_version`, and the `events` since then
    │   ├── Rejected         409: a rule of the domain forbids it; `code` names the rule
    │   ├── NothingToUndo    409
    │   ├── CommandInProgress 409: the first copy of the request still runs
    │   └── KeyReused        422: the idempotency key was used for another request
    ├── Gone                 410: a token or cursor is no longer valid; start without one
    ├── TooLarge             413, 431
    ├── RateLimited          429: `retry_after_s`
    │   └── TooManyAtOnce    429: too many requests of this kind are running for this caller
    ├── Unavailable          503 and 502, 504 of a proxy: `retry_after_s`
    │   └── Behind           503: the view has not reached the requested position
    └── ServerFault          500
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct


class ClientError(Exception):
    """Base of all errors that the client raises for a call."""


class Unreachable(ClientError):
    """The server did not answer any attempt."""


class Unreadable(ClientError):
    """An answer that this client does not understand: another server, or a proxy in between."""


class Fault(Struct, frozen=True):
    """One fault of a request. `pointer` is a JSON pointer into the body, or the name of a parameter."""

    pointer: str = ""
    code: str = ""
    detail: str = ""


class Since(Struct, frozen=True):
    """An event of the resource after the expected version."""

    version: int
    type: str
    actor: str
    occurred_at: datetime


class ProblemBody(Struct, frozen=True):
    """A problem document (RFC 9457), as far as the client reads it."""

    type: str = ""
    title: str = ""
    status: int = 0
    detail: str = ""
    instance: str = ""
    errors: tuple[Fault, ...] = ()
    code: str = ""
    current_version: int = 0
    events: tuple[Since, ...] = ()
    otp_required: bool = False


class Problem(ClientError):
    """An error answer. `body` is the problem document."""

    def __init__(
        self, body: ProblemBody, *, status: int, request_id: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(body.detail or body.title or f"the server answered {status}")
        self.body = body
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    @property
    def slug(self) -> str:
        return self.body.type.rpartition("/")[2]

    @property
    def title(self) -> str:
        return self.body.title

    @property
    def detail(self) -> str:
        return self.body.detail

    @property
    def code(self) -> str:
        return self.body.code


class Invalid(Problem):
    """The request is not valid."""

    @property
    def errors(self) -> tuple[Fault, ...]:
        return self.body.errors


class Unauthenticated(Problem):
    """Nobody is signed in, or no longer."""

    @property
    def otp_required(self) -> bool:
        return self.body.otp_required


class Forbidden(Problem):
    """The caller's role is too low, or the token lacks the scope."""


class NotFound(Problem):
    """There is no such resource, or the caller may not know of it."""


class Conflict(Problem):
    """The current state forbids it."""


class VersionConflict(Conflict):
    """The resource is not at the expected version."""

    @property
    def current_version(self) -> int:
        return self.body.current_version

    @property
    def events(self) -> tuple[Since, ...]:
        return self.body.events


class Rejected(Conflict):
    """A rule of the domain forbids it; `code` names the rule."""


class NothingToUndo(Conflict):
    """There is no change left to undo."""


class CommandInProgress(Conflict):
    """The first copy of this request still runs. The contract allows this answer; today's server waits instead."""


class KeyReused(Conflict):
    """The idempotency key was used for another request."""


class Gone(Problem):
    """The token or cursor is no longer valid: start again without one."""


class TooLarge(Problem):
    """The body or the header of the request is larger than the server accepts."""


class RateLimited(Problem):
    """Too many requests."""


class TooManyAtOnce(RateLimited):
    """Too many requests of this kind are running for this caller."""


class Unavailable(Problem):
    """The server, or one that it depends on, is temporarily unavailable."""


class Behind(Unavailable):
    """The view has not reached the requested position."""


class ServerFault(Problem):
    """An unexpected error on the server."""


_OF_SLUG: Final[dict[str, type[Problem]]] = {
    "validation": Invalid,
    "unauthenticated": Unauthenticated,
    "forbidden": Forbidden,
    "not-found": NotFound,
    "version-conflict": VersionConflict,
    "command-rejected": Rejected,
    "nothing-to-undo": NothingToUndo,
    "command-in-progress": CommandInProgress,
    "idempotency-key-reused": KeyReused,
    "payload-too-large": TooLarge,
    "headers-too-large": TooLarge,
    "gone": Gone,
    "rate-limited": RateLimited,
    "too-many-at-once": TooManyAtOnce,
    "projection-behind": Behind,
    "unavailable": Unavailable,
    "internal": ServerFault,
}
_OF_STATUS: Final[dict[int, type[Problem]]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: VersionConflict,
    413: TooLarge,
    422: KeyReused,
    429: RateLimited,
    431: TooLarge,
    500: ServerFault,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""Used if this client does not know the slug, or the answer has none (a proxy's)."""


def problem_of(response: httpx.Response) -> Problem:
    """The error for an answer whose body has been read."""
    try:
        body = msgspec.json.decode(response.content, type=ProblemBody)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        body = ProblemBody(status=response.status_code, title=f"the server answered {response.status_code}")
    return _kind_of(body, response.status_code)(
        body,
        status=response.status_code,
        request_id=response.headers.get("x-request-id"),
        retry_after_s=retry_after(response.headers.get("retry-after"), datetime.now(UTC)),
    )


def refusal_of(problem: dict[str, Any]) -> Problem:
    """The error that one command of a batch was refused with."""
    body = msgspec.convert(problem, ProblemBody)
    return _kind_of(body, body.status)(body, status=body.status)


def _kind_of(body: ProblemBody, status: int) -> type[Problem]:
    kind = _OF_STATUS.get(status, Problem)
    # 410 has no slug of its own.
    return kind if status == httpx.codes.GONE else _OF_SLUG.get(body.type.rpartition("/")[2], kind)


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds to wait by a `Retry-After` header, a number or a date; None for anything else."""
    if value is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
