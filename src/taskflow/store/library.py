"""The event store under the `eventsourcing` library's interfaces.

Users of the library read taskflow's log with its tools: `ApplicationRecorder` for streams and notifications, `subscribe` to
follow. This is the only module with a synchronous interface: each recorder runs an event loop in a thread of its own, and
calls from any thread are passed to it. Stream versions begin at 1, as those of the library's aggregates.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Subscription,
)

from taskflow.errors import QueueFull, StoreError, Unavailable
from taskflow.ids import new_id
from taskflow.store.append import NOBODY, Append, Conflict, NewEvent, Outcome
from taskflow.store.eventstore import open_event_store
from taskflow.store.log import END

if TYPE_CHECKING:
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore
    from taskflow.store.recorded import RecordedEvent

T = TypeVar("T")

_KIND: Final = "library"
_FINGERPRINT: Final = b"library"
POLL_S: Final = 0.05
PAGE: Final = 500


class LogRecorder(ApplicationRecorder):
    """Appends and reads the library's stored events in taskflow's log. The caller has to close it."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event store", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self._store: EventStore = self._call(self._open(settings))

    async def _open(self, settings: Settings) -> EventStore:
        return await self._stack.enter_async_context(open_event_store(settings, "taskflow library"))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Commits what is queued and ends the thread."""
        self._call(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Appends all or nothing; returns the positions. Raises IntegrityError if a version exists already."""
        if not stored_events:
            return None
        return self._call(self._insert(stored_events))

    async def _insert(self, stored_events: Sequence[StoredEvent]) -> Sequence[int]:
        reached: dict[UUID, int] = {}
        checks: list[tuple[UUID, str, int]] = []
        events: list[NewEvent] = []
        now = datetime.now(UTC)
        for stored in stored_events:
            stream_id = _uuid(stored.originator_id)
            version = stored.originator_version
            if stream_id not in reached:
                checks.append((stream_id, _KIND, version - 1))
            elif version != reached[stream_id] + 1:
                raise IntegrityError(f"expected version {reached[stream_id] + 1} of {stream_id}, found {version}")
            reached[stream_id] = version
            events.append(
                NewEvent(
                    stream_id=stream_id,
                    kind=_KIND,
                    version=version,
                    type=stored.topic,
                    schema_version=1,
                    event_id=new_id(),
                    occurred_at=now,
                    actor=None,
                    correlation_id=None,
                    causation_id=None,
                    data=stored.state,
                )
            )
        append = Append(
            caller=NOBODY,
            command_id=new_id(),
            fingerprint=_FINGERPRINT,
            outcome=Outcome.APPLIED,
            result_stream=events[0].stream_id,
            result_kind=_KIND,
            checks=tuple(checks),
            events=tuple(events),
        )
        try:
            outcome = await self._store.committer.submit(append)
        except (Unavailable, QueueFull) as error:
            raise OperationalError(str(error)) from error
        except StoreError as error:
            raise ProgrammingError(str(error)) from error
        if isinstance(outcome, Conflict):
            raise IntegrityError(f"stream {outcome.stream_id} is at version {outcome.current_version}")
        return list(range(outcome.position - len(events) + 1, outcome.position + 1))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """A stream's events with `gt` < version ≤ `lte`. Reads all of them, also where `limit` or `desc` asks for a few."""
        recorded = self._call(self._store.log.stream(_uuid(originator_id), after=gt or 0, to=lte))
        chosen = recorded[::-1] if desc else recorded
        return [StoredEvent(event.stream_id, event.stream_version, event.type, event.data) for event in chosen[:limit]]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Events in the order of positions; `start` and `stop` are positions, `stop` included."""
        after = 0 if start is None else start - inclusive_of_start
        to = END if stop is None else stop
        return [
            _notification(event)
            for event in self._call(self._store.log.read(after, limit=limit, to=to, types=topics or None))
        ]

    def max_notification_id(self) -> int | None:
        """The last position of the log; None while it is empty."""
        return self._call(self._store.log.head()).position or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> LogSubscription:
        """Follows the log by polling; `stop()` ends an iteration that waits within POLL_S."""
        return LogSubscription(self, gt, topics)


class LogSubscription(Subscription[LogRecorder]):
    """Iterates over events after a position, for ever or until stopped."""

    def __init__(self, recorder: LogRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._position = gt or 0
        self._page: list[Notification] = []
        self._stopped = threading.Event()

    def stop(self) -> None:
        super().stop()
        self._stopped.set()

    def __next__(self) -> Notification:
        while not self._stopped.is_set():
            if self._page:
                notification = self._page.pop()
                self._position = notification.id
                return notification
            page = self._recorder.select_notifications(
                self._position, PAGE, topics=self._topics, inclusive_of_start=False
            )
            self._page = list(reversed(page))
            if not self._page:
                self._stopped.wait(POLL_S)
        raise StopIteration


def _uuid(originator_id: UUID | str) -> UUID:
    return originator_id if isinstance(originator_id, UUID) else UUID(originator_id)


def _notification(event: RecordedEvent) -> Notification:
    return Notification(
        originator_id=event.stream_id,
        originator_version=event.stream_version,
        topic=event.type,
        state=event.data,
        id=event.position,
    )
