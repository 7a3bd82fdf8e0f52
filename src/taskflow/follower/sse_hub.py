"""Sends new events to the SSE connections of one process: one task reads the log for all listeners.

    follower moves ─▶ read the new events once ─▶ each to the listeners who are members of its project
                                                      └▶ bounded buffer per listener; dropped on overflow

Nothing is read while there is no listener. Access is judged by the follower's state, which is at least as recent as
the events sent: a removed member receives no event after the removal.
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
"""Events read and sent at a time."""
PAUSE_S: Final = 0.25
"""Pause after the log could not be read."""


class OutboundEvent(Struct, frozen=True):
    """An event in the form in which it is sent."""

    position: int
    project: UUID
    text: bytes


RenderEvents = Callable[[Sequence["RecordedEvent"]], "Awaitable[list[bytes]]"]
"""Renders events, each as the bytes that listeners receive."""


class Listener:
    """One open SSE connection. `drop` closes the connection from the server's side."""

    def __init__(self, user: UUID, session: UUID, projects: frozenset[UUID] | None, drop: Callable[[], None]) -> None:
        self.user = user
        self.session = session
        self.projects = projects
        """The projects whose events the client asked for; None: all projects of the user."""
        self.after = 0
        """Events at or before this position are not sent."""
        self.ended = False
        self._drop = drop
        self._ready = asyncio.Event()
        self._buffer: deque[OutboundEvent] = deque()
        self._bytes = 0
        self._batch = 0

    def offer(self, event: OutboundEvent, batch: int, bytes_max: int) -> bool:
        """Puts an event of a batch into the buffer. Returns False, and drops the listener, if the buffer held more than
        `bytes_max` before the batch. The events of one batch do not count: no client could have read them yet."""
        if event.position <= self.after or (self.projects is not None and event.project not in self.projects):
            return True
        if batch != self._batch:
            self._batch = batch
            if self._bytes > bytes_max:
                self._buffer.clear()
                self._drop()
                return False
        self._buffer.append(event)
        self._bytes += len(event.text)
        self._ready.set()
        return True

    def end(self) -> None:
        """Ends the stream after the events in the buffer are sent."""
        self.ended = True
        self._ready.set()

    async def next(self, within_s: float) -> list[OutboundEvent]:
        """Returns the buffered events, waiting up to `within_s` for the first; empty if none came."""
        if not self._buffer and not self.ended:
            self._ready.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._ready.wait()
            except TimeoutError:
                return []
        events = list(self._buffer)
        self._buffer.clear()
        self._bytes = 0
        return events


class SseHub:
    """The open SSE connections of one process, and the one task that reads for all of them."""

    def __init__(self, follower: Follower, history: History, render: RenderEvents, settings: Settings) -> None:
        self._follower = follower
        self._render = render
        self._history = history
        self._settings = settings
        self._position = 0
        self._listeners: dict[UUID, set[Listener]] = {}
        """Listeners by user."""
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._batches = 0
        self.streams = 0
        self.dropped = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Counts an open stream. Raises Unavailable if the process is stopping."""
        if self._stopping:
            raise Unavailable("this process is stopping; connect again")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def join(self, listener: Listener, after: int) -> bool:
        """Registers the listener for every event after a position. Returns False if the hub has passed the position
        already: the caller must read the events between from the log first."""
        reads = self._task is not None
        if after < (self._position if reads else self._follower.position):
            return False
        listener.after = after
        self._listeners.setdefault(listener.user, set()).add(listener)
        if self._stopping:
            listener.end()
        if not reads:
            self._position = after
            # A fresh context, so that log lines of the task do not carry the first listener's request id.
            self._task = asyncio.create_task(self._read(), name="feed of live streams", context=Context())
        return True

    async def leave(self, listener: Listener) -> None:
        """Removes the listener. After the last one has left, the reading task stops."""
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
        """Ends every stream and refuses new ones, because the process is stopping."""
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
                # The clients reconnect, to a process that can read the log.
                log.exception("live streams are closed", extra={"position": self._position})
                for listener in self._all():
                    listener.end()
                await asyncio.sleep(PAUSE_S)

    async def _batch(self) -> None:
        to = self._follower.position
        found, position = await self._history.live(self._position, to=to, limit=BATCH_MAX)
        self._batches += 1
        shown = [(event, project) for event, project in found if project is not None]
        texts = await self._render([event for event, _ in shown])
        for (event, project), text in zip(shown, texts, strict=True):
            self._deliver(OutboundEvent(event.position, project, text))
        self._position = position
        for listener in self._all():
            self.judge(listener)

    def _deliver(self, event: OutboundEvent) -> None:
        members = self._follower.access_state.members.get(event.project, {})
        # Iterates over whichever is smaller.
        for user in members if len(members) < len(self._listeners) else list(self._listeners):
            if user not in members:
                continue
            for listener in list(self._listeners.get(user, ())):
                if not listener.offer(event, self._batches, self._settings.stream_buffer_bytes_max):
                    self.dropped += 1
                    self._listeners[user].discard(listener)

    def judge(self, listener: Listener) -> None:
        """Ends the stream if its session has ended, if the user is no longer a member of a project that it names, or
        if this process's access state is too old to judge access."""
        follower = self._follower
        named = listener.projects or ()
        if (
            follower.session_ended(listener.session)
            or any(follower.known_role(project, listener.user) is None for project in named)
            or follower.failure is not None
            or follower.age_s > self._settings.auth_stale_max_s
        ):
            listener.end()
