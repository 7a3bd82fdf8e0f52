"""An append, which is one accepted command with its events, and its outcome: a receipt or a conflict."""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

from msgspec import Struct, field

NOBODY: Final = UUID(int=0)
"""The caller of commands that need no credentials: registration and login."""


class Outcome(IntEnum):
    """Whether an accepted command changed anything; stored in its receipt."""

    APPLIED = 1
    UNCHANGED = 2


class NewEvent(Struct, frozen=True, kw_only=True):
    """An event to be appended: encoded, its personal fields encrypted."""

    stream_id: UUID
    kind: str
    version: int
    type: str
    schema_version: int
    event_id: UUID
    occurred_at: datetime
    actor: UUID | None
    correlation_id: str | None
    causation_id: UUID | None
    data: bytes
    project: UUID | None = None
    """The project that the event puts its stream into; None for most events, which leave it as it is."""
    parent: UUID | None = None
    """The parent task that the event gives its stream; `NO_PARENT`: none. None for most events, which leave it as it is."""


class NewKey(Struct, frozen=True):
    """The wrapped key of a person who registers, or of an invitation that is created, in this append. None: the append
    destroys the key, and with it what the key encrypted."""

    person: UUID
    wrapped: bytes | None


class Append(Struct, frozen=True, kw_only=True, eq=False):
    """One accepted command: its events, the versions that its decision read, and its receipt.

    `checks` holds the version of every stream that the decision read: of streams that it writes, and of streams that it
    only looked at (guards). Version 0 means that the stream must not exist. `depends_on` holds appends of this process
    whose events were read before they were committed: if one of them is not stored, neither is this one.

    `families` holds tasks whose children were all read: a child that is not among `checks` is a conflict.

    `others` makes this append the head of a bundle: commands that were decided together, after this one, and that are
    stored with it or not at all. The head has the checks, families, keys and `depends_on` of the whole bundle; the others
    have none of these, and no `others`.
    """

    caller: UUID
    command_id: UUID
    fingerprint: bytes
    outcome: Outcome
    result_stream: UUID
    result_kind: str
    checks: tuple[tuple[UUID, str, int], ...]
    events: tuple[NewEvent, ...]
    keys: tuple[NewKey, ...] = ()
    depends_on: tuple[Append, ...] = ()
    families: tuple[UUID, ...] = ()
    others: tuple[Append, ...] = ()
    done: asyncio.Future[Receipt | Conflict] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def bundle(self) -> tuple[Append, ...]:
        """The appends that are stored together, in order; for most commands only this one."""
        return (self, *self.others) if self.others else (self,)


class Receipt(Struct, frozen=True, kw_only=True):
    """What is stored for ever about an accepted command. `events` is the number of events that it appended, the last of
    them at `position`. `replayed`: an earlier copy of the command was the one accepted. `own`: the stored events are
    known to be those of this append."""

    fingerprint: bytes
    outcome: Outcome
    stream_id: UUID
    version: int
    position: int
    events: int
    recorded_at: datetime
    replayed: bool
    own: bool


def receipt(row: Any, *, replayed: bool, own: bool) -> Receipt:
    """A row of `receipts` as a Receipt; the row has the columns by name."""
    return Receipt(
        fingerprint=row["fingerprint"],
        outcome=Outcome(row["outcome"]),
        stream_id=UUID(int=row["stream_id"].int),
        version=row["version"],
        position=row["position"],
        events=row["events"],
        recorded_at=row["recorded_at"],
        replayed=replayed,
        own=own,
    )


class Conflict(Struct, frozen=True):
    """A conflict: a stream had another version, and nothing of the append was stored. Decide again on fresh state.

    `stream_id` is None if the append was refused because of another one: one that it depends on, or one of its bundle.
    """

    stream_id: UUID | None
    current_version: int
