"""What happens now, told to whoever listens: one reader a process, however many listeners.

    follower moves ─▶ read the new events once ─▶ each to the listeners who are members of its project
                                                      └▶ a bounded buffer each; one that overflows is dropped

Nothing is read while nobody listens. Access is judged as of the follower, which is at least as far as what is
told: who is removed hears nothing of what comes after.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.errors import Unavailable
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from taskflow.follower.follower import Follower
    from taskflow.settings import Settings
    from taskflow.store.history import History
    from taskflow.store.recorded import RecordedEvent

log = logging.getLogger(__name__)

BATCH_MAX: Final = 200
"""Events read and told at a time."""
PAUSE_S: Final = 0.25
"""After the log could not be read."""


class OutboundEvent(Struct, frozen=True):
    """An event as it is sent."""

    position: int
    project: UUID
    text: bytes


Tell = Callable[[Sequence["RecordedEvent"]], "Awaitable[list[bytes]]"]
"""How events are written, each as listeners get it."""


class Listener:
    """One open stream. `drop` ends it from here, whatever its client does."""

    def __init__(self, user: UUID, session: UUID, projects: frozenset[UUID] | None, drop: Callable[[], None]) -> None:
        self.user = user
        self.session = session
        self.projects = projects
        """Those that it wants to hear of; None: all of its user's."""
        self.after = 0
        """What is at or before this position it has, or does not want."""
        self.ended = False
        self._drop = drop
        self._ready = asyncio.Event()
        self._told: deque[OutboundEvent] = deque()
        self._bytes = 0
        self._batch = 0

    def tell(self, told: OutboundEvent, batch: int, bytes_max: int) -> bool:
        """Puts an event of a batch into the buffer. False where more than the bound was waiting there before the
        batch: the listener is dropped. A batch is read and told at once, so nobody can have been quicker than it."""
        if told.position <= self.after or (self.projects is not None and told.project not in self.projects):
            return True
        if batch != self._batch:
            self._batch = batch
            if self._bytes > bytes_max:
                self._told.clear()
                self._drop()
                return False
        self._told.append(told)
        self._bytes += len(told.text)
        self._ready.set()
        return True

    def end(self) -> None:
        """What is in the buffer is still sent, then the stream ends."""
        self.ended = True
        self._ready.set()

    async def next(self, within_s: float) -> list[OutboundEvent]:
        """What has come, at once or within so long; nothing is no news."""
        if not self._told and not self.ended:
            self._ready.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._ready.wait()
            except TimeoutError:
                return []
        told = list(self._told)
        self._told.clear()
        self._bytes = 0
        return told


class SseHub:
    """The open streams of one process, and the one task that reads for all of them."""

    def __init__(self, follower: Follower, history: History, tell: Tell, settings: Settings) -> None:
        self._follower = follower
        self._tell = tell
        self._history = history
        self._settings = settings
        self._position = 0
        self._listeners: dict[UUID, set[Listener]] = {}
        """By user."""
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._batches = 0
        self.streams = 0
        self.dropped = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Counts an open stream. Raises Unavailable where the process is stopping."""
        if self._stopping:
            raise Unavailable("this process is stopping; connect again")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def join(self, listener: Listener, after: int) -> bool:
        """Tells the listener everything after a position from now on. False where the feed is past it already:
        what is between is to be read from the log first."""
        reads = self._task is not None
        if after < (self._position if reads else self._follower.position):
            return False
        listener.after = after
        self._listeners.setdefault(listener.user, set()).add(listener)
        if self._stopping:
            listener.end()
        if not reads:
            self._position = after
            # Not in the context of whoever listens first: its log lines are nobody's request's.
            self._task = asyncio.create_task(self._read(), name="feed of live streams", context=Context())
        return True

    async def leave(self, listener: Listener) -> None:
        """After the last one nothing is read any more."""
        mine = self._listeners.get(listener.user)
        if mine is not None:
            mine.discard(listener)
            if not mine:
                del self._listeners[listener.user]
        if not self._listeners and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait([task])

    def end(self) -> None:
        """The process stops: every stream ends, and no other begins."""
        self._stopping = True
        for listener in self._all():
            listener.end()

    def _all(self) -> list[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    # --- the reader

    async def _read(self) -> None:
        while True:
            try:
                await self._follower.past(self._position)
                await self._batch()
            except TRANSIENT_ERRORS as error:
                log.warning("the log cannot be read for live streams", extra={"error": repr(error)})
                await asyncio.sleep(PAUSE_S)
            except Exception:
                # Whoever listens comes again, to a process that can.
                log.exception("live streams end", extra={"position": self._position})
                for listener in self._all():
                    listener.end()
                await asyncio.sleep(PAUSE_S)

    async def _batch(self) -> None:
        to = self._follower.position
        found, position = await self._history.live(self._position, to=to, limit=BATCH_MAX)
        self._batches += 1
        shown = [(event, project) for event, project in found if project is not None]
        texts = await self._tell([event for event, _ in shown])
        for (event, project), text in zip(shown, texts, strict=True):
            self._hand_out(OutboundEvent(event.position, project, text))
        self._position = position
        for listener in self._all():
            self.judge(listener)

    def _hand_out(self, told: OutboundEvent) -> None:
        members = self._follower.access_state.members.get(told.project, {})
        # The fewer of the two.
        for user in members if len(members) < len(self._listeners) else list(self._listeners):
            if user not in members:
                continue
            for listener in list(self._listeners.get(user, ())):
                if not listener.tell(told, self._batches, self._settings.stream_buffer_bytes_max):
                    self.dropped += 1
                    self._listeners[user].discard(listener)

    def judge(self, listener: Listener) -> None:
        """Ends a stream whose session has ended, that names a project which is no longer its user's, or whose
        process may not judge access any more."""
        follower = self._follower
        named = listener.projects or ()
        if (
            follower.session_ended(listener.session)
            or any(follower.known_role(project, listener.user) is None for project in named)
            or follower.failure is not None
            or follower.age_s > self._settings.auth_stale_max_s
        ):
            listener.end()
