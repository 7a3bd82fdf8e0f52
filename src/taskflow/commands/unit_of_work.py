"""A unit of work: what was read for one decision, and what is to be appended: for one command, or for several
that are decided one after another and stored together.

Every stream that a handler reads is noted with its version and becomes a check of the append: a
guard where the decision only looked, the expected version where it writes. Reading is all it takes.
"""

from __future__ import annotations

import asyncio
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import Struct

from taskflow.commands.hints import UnitHints
from taskflow.commands.unit_history import UnitHistory
from taskflow.errors import (
    NotFound,
    Rejected,
    StaleDecision,
    VersionConflict,
)
from taskflow.ids import new_id
from taskflow.store.append import NewKey
from taskflow.store.committer import all_stored
from taskflow.streams import Event, EventMetadata
from taskflow.streams.project_scope import parent_decided_by
from taskflow.streams.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Collection, MutableMapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from taskflow.commands.hints import Hints
    from taskflow.commands.unit_history import HistoryBounds
    from taskflow.store.append import Append
    from taskflow.store.eventstore import EventStore
    from taskflow.streams import StreamType

S = TypeVar("S")

READS_MAX: Final = 16
"""Streams that one unit reads at once."""


class Staged(Struct, frozen=True):
    """An event that waits for its append, with what its envelope needs."""

    kind: StreamType[Any]
    metadata: EventMetadata
    event_id: UUID
    event: Event
    causation_id: UUID | None = None
    """The event that this one answers."""
    turn: int = 0
    """Which of the commands that were decided on this unit staged it."""
    parent: UUID | None = None
    """As in `NewEvent`."""


class Stream(Struct):
    """A stream as this unit has it: `read_version` in the store, `version` with the staged events."""

    kind: StreamType[Any]
    read_version: int
    version: int
    state: Any


class UnitOfWork:
    """Reads streams and stages events. Lives for one attempt at deciding."""

    def __init__(
        self,
        store: EventStore,
        *,
        actor: UUID | None,
        at: datetime,
        expected_version: int | None = None,
        token_secret: bytes,
        claim_secret: bytes,
        hints: Hints,
        history: HistoryBounds,
        move_tasks_max: int,
    ) -> None:
        self._store = store
        self._bounds = history
        self._hints = hints
        self.token_secret = token_secret
        """The key that derives tokens which somebody can present, such as an invitation's."""
        self.claim_secret = claim_secret
        """The key that derives ids which must never change, such as those of an import."""
        self.actor = actor
        self.at = at
        """When the command arrived, or the past time that an import names."""
        self._expected_version = expected_version
        self.turn = 0
        """Rises with each command that is decided on this unit."""
        self.made: MutableMapping[UUID, UUID] = {}
        """What earlier commands of the bundle made: ids by command id."""
        self.streams: dict[UUID, Stream] = {}
        self.staged: list[Staged] = []
        self.depends_on: list[Append] = []
        self.families: dict[UUID, None] = {}
        """Tasks whose children were all read: see `Append.families`."""
        self.moves_left = move_tasks_max
        """Subtasks that may still go along with a task that moves."""
        self.new_keys: dict[UUID, tuple[bytes, bytes]] = {}
        """Keys of persons and invitations, stored with this append: the key, and the key as it is stored."""
        self._destroyed_keys: list[UUID] = []
        self._previous: Append | None = None
        self._refused_checks: tuple[tuple[UUID, str, int], ...] = ()

    @cached_property
    def history(self) -> UnitHistory:
        """What has happened to the streams that this unit has read."""
        return UnitHistory(self, self._store, self._bounds)

    @cached_property
    def hints(self) -> UnitHints:
        """What views know, for this unit's decisions."""
        return UnitHints(self._hints, self._previous_stored)

    def follow(self, previous: Append | None, refused: UnitOfWork | None) -> None:
        """Makes this the next unit of a chain: it is stored only after `previous`, and only where nothing that the
        `refused` one before it has read has moved since."""
        self._previous = previous
        if previous is not None:
            self.depends_on.append(previous)
        if refused is not None:
            self._refused_checks = refused.checks
            self.depends_on += [append for append in refused.depends_on if append is not previous]
            self.families.update(refused.families)

    async def _previous_stored(self) -> None:
        """Waits until the commands before this one in its chain are stored: what is looked up beside the streams does
        not show pending events. Raises StaleDecision where they are not."""
        if self._previous is not None:
            await self._stored([self._previous])

    async def dependencies_stored(self) -> None:
        """Waits until every pending append that this unit has read is stored. Raises StaleDecision if one is not."""
        await self._stored(self.depends_on)

    @staticmethod
    async def _stored(appends: Sequence[Append]) -> None:
        """Waits until these are stored. Raises StaleDecision where one is not."""
        if not await all_stored(appends):
            raise StaleDecision("what was read as pending was not stored")

    def begin_command(self, *, at: datetime, expected_version: int | None) -> None:
        """The circumstances of the command that is decided next."""
        self.turn += 1
        self.at = at
        self._expected_version = expected_version

    def saved(self) -> tuple[dict[UUID, Stream], int]:
        """What has been read and staged until now, for `restore`."""
        return {stream_id: copy(stream) for stream_id, stream in self.streams.items()}, len(self.staged)

    def restore(self, saved: tuple[dict[UUID, Stream], int]) -> None:
        """Forgets what a command that was refused has read and staged since; what it has read stays among `checks`."""
        self._refused_checks = self.checks
        self.streams, staged = saved
        del self.staged[staged:]

    async def read(self, kind: StreamType[S], stream_id: UUID) -> S | None:
        """A stream's state as it stands, staged events included; None where there is none."""
        stream = self.streams.get(stream_id)
        if stream is None:
            folded = await self._store.state_cache.load(kind, stream_id)
            stream = Stream(kind, folded.version, folded.version, folded.state)
            self.streams[stream_id] = stream
            if folded.pending is not None and folded.pending not in self.depends_on:
                self.depends_on.append(folded.pending)
        # An id of another kind of stream names nothing of this kind.
        if stream.state is not None and not isinstance(stream.state, kind.state):
            return None
        state: S | None = stream.state
        return state

    async def get(self, kind: StreamType[S], stream_id: UUID) -> S:
        """As `read`, for what must exist. Raises NotFound."""
        state = await self.read(kind, stream_id)
        if state is None:
            raise NotFound(kind.name, stream_id)
        return state

    async def read_many(self, kind: StreamType[S], stream_ids: Sequence[UUID]) -> list[S]:
        """The states of those of these streams that there are."""

        async def load(stream_id: UUID) -> None:
            await self.read(kind, stream_id)

        for first in range(0, len(stream_ids), READS_MAX):
            await asyncio.gather(*map(load, stream_ids[first : first + READS_MAX]))
        states: list[S] = []
        for stream_id in stream_ids:
            state = await self.read(kind, stream_id)
            if state is not None:
                states.append(state)
        return states

    async def children(self, parents: Collection[UUID], *, limit: int) -> list[UUID]:
        """The tasks that stand directly below one of these, staged events included; where there are more than
        `limit`, more than that. What is on its way into the store may be missing: see `families`."""
        await self._previous_stored()
        here = {stream_id: s.state for stream_id, s in self.streams.items() if isinstance(s.state, TaskState)}
        stored = await self._store.children(parents, limit=limit + 1 + len(here))
        below = [one for one, task in here.items() if task.parent_id in parents and not task.purged]
        return list(dict.fromkeys([*[one for one in stored if one not in here], *below]))

    async def new(self, kind: StreamType[Any], stream_id: UUID | None = None) -> UUID:
        """Begins a stream, and answers its id: a fresh one, which nobody else has had, or the one that is named.

        Raises Rejected where that is a stream of any kind already.
        """
        if stream_id is None:
            stream_id = new_id()
            self.streams[stream_id] = Stream(kind, 0, 0, None)
            return stream_id
        await self.read(kind, stream_id)
        if self.streams[stream_id].version:
            raise Rejected("exists", f"there is a {self.streams[stream_id].kind.name} {stream_id} already")
        return stream_id

    def expect_version(self, stream_id: UUID) -> None:
        """Compares the command's target with the version its caller expected. Raises VersionConflict.

        Called after access was judged: a stranger learns nothing from a version.
        """
        current = self.streams[stream_id].version
        if self._expected_version is not None and self._expected_version != current:
            raise VersionConflict(stream_id, self._expected_version, current)

    def append(
        self,
        kind: StreamType[S],
        stream_id: UUID,
        *events: Event,
        at: datetime | None = None,
        actor: UUID | None = None,
        causation_id: UUID | None = None,
        onto: S | None = None,
    ) -> None:
        """Stages events on a stream that was read, and folds them: onto its state, or onto `onto` where that is given,
        for an event that annuls another.

        `occurred_at` is the greater of the unit's time (or `at`) and the stream's last. `causation_id` names
        the event that these answer; of an event of the same stream it says that they undo its change.
        """
        stream = self.streams[stream_id]
        last_at = at or self.at
        if stream.state is not None:
            last_at = max(last_at, stream.state.updated_at)
        if onto is not None:
            stream.state = onto
        for event in events:
            metadata = EventMetadata(stream_id, stream.version + 1, last_at, actor or self.actor)
            stream.state = kind.evolve(stream.state, event, metadata)
            stream.version += 1
            parent = parent_decided_by(event, stream.state)
            self.staged.append(Staged(kind, metadata, new_id(), event, causation_id, self.turn, parent))

    @staticmethod
    def fresh_id() -> UUID:
        """An id that nothing has had: of a part of a stream. Another attempt at deciding gets another."""
        return new_id()

    def make_key(self, person: UUID) -> None:
        """Makes the key of a person who registers, or of an invitation: stored with this append and no other."""
        self.new_keys[person] = self._store.keyring.make()

    def destroy_key(self, person: UUID) -> None:
        """With this append, so that what the key sealed is read by nobody any more."""
        self._destroyed_keys.append(person)

    @property
    def checks(self) -> tuple[tuple[UUID, str, int], ...]:
        """(stream, kind, version as read) of everything the decision looked at, and of what the refusals before it
        have looked at."""
        own = ((stream_id, s.kind.name, s.read_version) for stream_id, s in self.streams.items())
        return tuple(dict.fromkeys((*own, *self._refused_checks)) if self._refused_checks else own)

    @property
    def keys(self) -> tuple[NewKey, ...]:
        made = [NewKey(person, wrapped) for person, (_, wrapped) in self.new_keys.items()]
        return (*made, *[NewKey(person, None) for person in self._destroyed_keys])

    async def person_keys(self, persons: Collection[UUID]) -> dict[UUID, bytes]:
        """The keys of persons, without those that are destroyed, and the keys that this unit made. Raises KeyMissing."""
        keys = await self._store.keyring.fetch(persons) if persons else {}
        return keys | {person: key for person, (key, _) in self.new_keys.items()}

    def publish_pending(self, pending: Append) -> None:
        """Leaves the new states for the next command of this process, on the condition of `pending`."""
        for stream_id in dict.fromkeys(staged.metadata.stream_id for staged in self.staged):
            stream = self.streams[stream_id]
            self._store.state_cache.put(stream_id, stream.version, stream.state, pending)
        if self._destroyed_keys:
            pending.done.add_done_callback(lambda _: self._forget_keys())

    def _forget_keys(self) -> None:
        """Those that were destroyed, in this process; any other keeps a key for a bounded time."""
        for person in self._destroyed_keys:
            self._store.keyring.forget(person)
