"""What one append is, and what became of it."""

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
    """What an accepted command did; stored in its receipt."""

    APPLIED = 1
    UNCHANGED = 2


class NewEvent(Struct, frozen=True, kw_only=True):
    """An event on its way into the store, sealed and encoded."""

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
    """The project that it puts its stream into, where it is one of the few that decide that."""
    parent: UUID | None = None
    """The task that it puts its stream below, where it decides that; `NO_PARENT`: none."""


class NewKey(Struct, frozen=True):
    """The wrapped key of a person who registers, or of an invitation that is made, in this append; None: the key
    is destroyed with it, and what it sealed is erased."""

    person: UUID
    wrapped: bytes | None


class Append(Struct, frozen=True, kw_only=True, eq=False):
    """One accepted command: its events, what its decision stood on, and its receipt.

    `checks` holds the version of every stream that the decision read: those it writes and those it
    only looked at (guards); 0 means that the stream must not exist. `depends_on` is an append of this
    process whose events were read before they were committed: if it loses, so does this one.

    `families` names streams whose children were all read: one that is not among `checks` is a conflict.

    `others` makes it the head of a bundle: commands that were decided together after this one and are stored
    with it or not at all. The head carries the checks, the families, the keys and the `depends_on` of all of them;
    others have none of these, and no `others`.
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
        """All that is stored together, in order; most commands are alone."""
        return (self, *self.others) if self.others else (self,)


class Receipt(Struct, frozen=True, kw_only=True):
    """What is known for ever about an accepted command. `events` counts those it appended, the last of
    them at `position`. `replayed`: an earlier copy of the command was the one accepted. `own`: the
    stored events are known to be those of this very append."""

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
    """A row of `receipts`, by the names of its columns."""
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
    """A stream had moved: nothing of the append was stored. Decide again on fresh state.

    `stream_id` is None where the append fell with another: one that it stood on, or one of its bundle.
    """

    stream_id: UUID | None
    current_version: int
