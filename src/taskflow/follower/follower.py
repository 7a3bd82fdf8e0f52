"""The log follower of an API process: tails the event log.

The follower polls by position, so it never skips an event. A process that was paused or cut off from the log polls
before it answers a request. If it could not poll for `auth_stale_max_s`, it refuses all requests.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from taskflow.errors import EpochChanged, Unavailable, UnknownEventType
from taskflow.follower.access import Access
from taskflow.follower.access_state import FACT_TYPES, AccessState
from taskflow.follower.recent_positions import RecentPositions
from taskflow.ids import SHARDS
from taskflow.store.log import CHUNK_BYTES_MAX
from taskflow.store.pool import TRANSIENT_ERRORS, abandon_after
from taskflow.streams import STREAM_TYPE_OF_EVENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore
    from taskflow.store.log import Step
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import Event
    from taskflow.streams.project import Role
    from taskflow.streams.user import SystemRole

log = logging.getLogger(__name__)

_SNAPSHOT: Final = "follower-6"
"""The row of the snapshot. The 6 is the version of AccessState's shape: a new shape uses a new row, folded from the
start."""
_READ: Final = "select position, state from progress where name = $1"
_WRITE: Final = """
insert into progress as p (name, position, state) values ($1, $2, $3)
on conflict (name) do update set position = excluded.position, state = excluded.state, updated_at = now()
 where p.position < excluded.position
"""
POLL_AGE_S_MAX: Final = 1.0
"""Maximum age of the last poll for answering a request without another poll."""
HEAD_TIMEOUT_S: Final = 1.0
"""Timeout for reading the head of the log; after it the store counts as unavailable."""
STALL_S: Final = 3.0
"""After this time without a successful poll, everything in this process that waits for the store gives up."""
FAILED_POLL_PAUSE_S: Final = 2.0
"""After a failed poll, polls on behalf of requests fail at once for this time. Meanwhile the background task polls; its
first success ends the pause."""
POLL_INTERVAL_S_MIN: Final = 0.01
"""Minimum time between the starts of two polls: callers that arrive meanwhile share the next poll."""


class Follower:
    """Follows the log and answers access questions as of the last poll. Created by `open_follower`."""

    def __init__(self, store: EventStore, settings: Settings, partitions: int) -> None:
        self._store = store
        self._settings = settings
        self.recent_positions = RecentPositions(partitions, positions_max=settings.follower_ring_max)
        self._access = Access()
        self.epoch = 0
        self.failure: str | None = None
        self._polled_at = 0.0
        self._begun_at = 0.0
        self._paused_until = 0.0
        self._saved_position = 0
        self._bounded_at = 0
        self._asked = 0
        self._served = 0
        self._polling = asyncio.Lock()
        self._advanced = asyncio.Event()

    # --- what it knows

    @property
    def access_state(self) -> AccessState:
        """The state folded up to `position`, without this process's newer commits."""
        return self._access.access_state

    @property
    def position(self) -> int:
        """Every event at or before this position is folded."""
        return self.access_state.position

    @property
    def age_s(self) -> float:
        """Seconds since the last poll that succeeded."""
        return time.monotonic() - self._polled_at

    def session_ended(self, session_id: UUID) -> bool:
        return self._access.session_ended(session_id)

    def system_roles(self, user_id: UUID) -> tuple[SystemRole, ...]:
        return self._access.system_roles(user_id)

    def projects_of(self, user_id: UUID) -> Mapping[UUID, Role]:
        """Returns the user's projects and the user's role in each."""
        return self._access.projects_of(user_id)

    def archived(self) -> AbstractSet[UUID]:
        """Returns all archived projects."""
        return self._access.archived()

    def known_role(self, project_id: UUID, user_id: UUID) -> Role | None:
        return self._access.role(project_id, user_id)

    def consented(self, user_id: UUID) -> set[UUID]:
        """Returns the user's projects that the user created or joined by accepting an invitation."""
        return self._access.consented(user_id)

    async def shared_projects(self, one: UUID, other: UUID, *, fresh: bool) -> list[UUID]:
        """Returns the projects that both users created or joined by accepting an invitation, for
        `commands.acquaintances`. `fresh`: polls first."""
        if fresh:
            await self.poll()
        return sorted(self.consented(one) & self.consented(other))

    def note_commit(self, states: Iterable[Any], position: int) -> None:
        """Makes a commit of this process count at once, before the follower reaches it: the states after the commit,
        and the position of its last event."""
        self._access.note_commit(states, position)

    async def role(self, project_id: UUID, user_id: UUID) -> Role | None:
        """Returns the user's role in a project; None if the user has no role.

        Without a known role it polls the log, so that a newly granted role works at once. Raises one of
        TRANSIENT_ERRORS if the log cannot be read, rather than answering that there is no role.
        """
        role = self.known_role(project_id, user_id)
        if role is None:
            await self.poll()
            role = self.known_role(project_id, user_id)
        return role

    # --- how fresh it is

    async def ready(self) -> None:
        """Makes sure that the state is recent enough to authorise requests. Raises Unavailable if it is not."""
        if self.failure is not None:
            raise Unavailable(self.failure)
        if self.age_s <= POLL_AGE_S_MAX:
            return
        try:
            async with asyncio.timeout(POLL_AGE_S_MAX):
                await self.poll()
        except TRANSIENT_ERRORS as error:
            if self.age_s > self._settings.auth_stale_max_s:
                raise Unavailable(
                    f"this process has not read the log for {self.age_s:.0f} s, so it cannot check access"
                ) from error

    async def past(self, position: int) -> None:
        """Returns once the follower has passed a position."""
        while self.access_state.position <= position:
            self._advanced.clear()
            await self._advanced.wait()

    async def poll(self) -> None:
        """Reads the log to its head. The read starts after this call; concurrent callers share one read.

        Raises one of TRANSIENT_ERRORS (at once if the store just was unavailable), and Unavailable, permanently,
        after an event that could not be folded.
        """
        self._require_not_paused()
        await self._poll()

    def _require_not_paused(self) -> None:
        if time.monotonic() < self._paused_until:
            raise TimeoutError("the last read of the log has just failed")

    async def _poll(self, *, background: bool = False) -> None:
        self._asked += 1
        mine = self._asked
        async with self._polling:
            if self._served >= mine:
                return
            if self.failure is not None:
                raise Unavailable(self.failure)
            await asyncio.sleep(self._begun_at + POLL_INTERVAL_S_MIN - time.monotonic())
            if not background:
                self._require_not_paused()  # the previous poll may have failed meanwhile
            serving = self._asked
            self._begun_at = time.monotonic()
            try:
                await self._read_to_head()
            except TRANSIENT_ERRORS:
                self._paused_until = time.monotonic() + FAILED_POLL_PAUSE_S
                if self.age_s > STALL_S:
                    self._store.give_up()
                raise
            except Exception as error:
                log.exception("the log cannot be followed", extra={"position": self.access_state.position})
                self.failure = f"this process cannot read the log past position {self.access_state.position}: {error}"
                raise Unavailable(self.failure) from error
            self._served = serving
            self._paused_until = 0.0

    # --- how it gets there

    async def start(self) -> None:
        """Loads the snapshot and reads to the head. Raises StoreError if an event cannot be folded."""
        row = await self._store.pool.fetchrow(_READ, _SNAPSHOT)
        if row is not None:
            self._access.access_state = msgspec.json.decode(row["state"], type=AccessState)
            self._saved_position = self.access_state.position
        last = await self._store.log.last_positions(range(SHARDS), to=self.access_state.position)
        self.recent_positions.start(self.access_state.position, last)
        await self._read_to_head()

    async def run(self) -> None:
        """Polls until cancelled. Returns after an event that cannot be folded: the process is then not ready."""
        while True:
            await asyncio.sleep(self._settings.follower_poll_ms / 1000)
            try:
                await self._poll(background=True)
                await self._save_if_due()
            except TRANSIENT_ERRORS as error:
                log.warning("the log cannot be read", extra={"error": repr(error), "age_s": round(self.age_s, 1)})
                await asyncio.sleep(0.25)
            except Unavailable:
                return
            except Exception:
                log.exception("the access state was not saved", extra={"position": self.access_state.position})
                await asyncio.sleep(0.25)

    async def _read_to_head(self) -> None:
        limit = self._settings.follower_batch_max
        while True:
            started = time.monotonic()
            head, steps = await abandon_after(
                HEAD_TIMEOUT_S, self._store.log.tail(self.access_state.position, limit=limit)
            )
            if head.epoch != self.epoch:
                if self.epoch:
                    raise EpochChanged(f"the log is at epoch {head.epoch}, this process began at {self.epoch}")
                self.epoch = head.epoch
            if not head.same_server:
                raise EpochChanged(f"this server is not the one that epoch {head.epoch} of the log belongs to")
            await self._fold(steps)
            if self.access_state.position >= head.position:
                self.recent_positions.head = max(self.recent_positions.head, self.access_state.position)
                self._polled_at = started
                self._advanced.set()
                return

    async def _fold(self, steps: Sequence[Step]) -> None:
        positions = [step.position for step in steps if step.type in FACT_TYPES]
        changes: dict[int, tuple[RecordedEvent, Event]] = {}
        for step in steps:
            kind = STREAM_TYPE_OF_EVENT.get(step.type)
            if kind is None:
                raise UnknownEventType(f"position {step.position} holds {step.type}, unknown to this release")
            if step.type in FACT_TYPES:
                if step.position not in changes:
                    changes = await self._changes(step.position - 1, positions[-1], len(positions))
                self.access_state.apply(*changes[step.position])
            self._store.state_cache.drop_stale(step.stream_id, step.stream_version)
            self.recent_positions.add(step.position, step.shard, kind.name)
            self.access_state.position = step.position
        if self.access_state.position - self._bounded_at >= self._settings.follower_snapshot_every_events:
            self._bounded_at = self.access_state.position
            self.access_state.forget_oldest(self._settings.follower_history_bytes_max)
        self._access.followed()

    async def _changes(self, after: int, to: int, limit: int) -> dict[int, tuple[RecordedEvent, Event]]:
        """Reads and decodes the events in (after, to] whose type is in FACT_TYPES, by position, up to CHUNK_BYTES_MAX.
        Other events are not decoded: only these are needed, and they are few."""
        whole = await self._store.log.read(after, to=to, limit=limit, types=list(FACT_TYPES), bytes_max=CHUNK_BYTES_MAX)
        decoded = await self._store.mapper.decode(whole)
        return {recorded.position: (recorded, event) for recorded, event in zip(whole, decoded, strict=True)}

    async def _save_if_due(self) -> None:
        if self.access_state.position - self._saved_position < self._settings.follower_snapshot_every_events:
            return
        self.access_state.forget_sessions(datetime.now(UTC), self._settings.access_token_ttl_s)
        await self._store.pool.execute(
            _WRITE, _SNAPSHOT, self.access_state.position, msgspec.json.encode(self.access_state)
        )
        self._saved_position = self.access_state.position


@asynccontextmanager
async def open_follower(store: EventStore, settings: Settings, partitions: int) -> AsyncIterator[Follower]:
    """Opens a follower that has reached the head and continues to poll in the background."""
    follower = Follower(store, settings, partitions)
    await follower.start()
    task = asyncio.create_task(follower.run(), name="log follower")
    try:
        yield follower
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
