"""The event log as far as the caller may see it, its live stream, and synchronisation from a token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from taskflow.client.answers import Changes, Event, EventPage
from taskflow.client.call import Call, Id, Value, at, read
from taskflow.client.effects import Emit, EmittingFlow
from taskflow.client.errors import Gone
from taskflow.client.following import CSV, download, follow, pieces
from taskflow.client.resource import F, Resource, call, listed, streaming
from taskflow.client.session import Session

Several = Sequence[Id]


def _events(
    after: int | None,
    limit: int | None,
    types: Several,
    streams: Several,
    projects: Several,
    actors: Several,
    commands: Several,
    correlations: Several,
    from_time: datetime | None,
    to_time: datetime | None,
    clock: str | None,
) -> Call[EventPage]:
    query: dict[str, Value] = {
        "after": after, "limit": limit, "type": types, "stream": streams, "project": projects, "actor": actors,
        "command": commands, "correlation": correlations, "from": from_time, "to": to_time, "clock": clock,
    }  # fmt: skip
    return read(at("events"), EventPage, query, fresh=False)


class Events(Resource[F]):
    """Events by position, ascending. `after` is exclusive; a filter with several values matches any of them. Times
    compare with `occurred_at`, or with `recorded_at` if `clock="recorded"`."""

    @call
    def page(
        self,
        *,
        after: int | None = None,
        limit: int | None = None,
        types: Several = (),
        stream: Several = (),
        project: Several = (),
        actor: Several = (),
        command: Several = (),
        correlation: Several = (),
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        clock: str | None = None,
    ) -> Call[EventPage]:
        """One page; its `position` is the next `after`, also if the page is empty."""
        return _events(after, limit, types, stream, project, actor, command, correlation, from_time, to_time, clock)

    @listed
    def list(
        self,
        *,
        after: int | None = None,
        limit: int | None = None,
        types: Several = (),
        stream: Several = (),
        project: Several = (),
        actor: Several = (),
        command: Several = (),
        correlation: Several = (),
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        clock: str | None = None,
    ) -> Call[EventPage]:
        """All events up to now, page by page."""
        return _events(after, limit, types, stream, project, actor, command, correlation, from_time, to_time, clock)

    @streaming
    def download(
        self,
        *,
        after: int | None = None,
        types: Several = (),
        stream: Several = (),
        project: Several = (),
        actor: Several = (),
        command: Several = (),
        correlation: Several = (),
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        clock: str | None = None,
    ) -> EmittingFlow[Event]:
        """All events up to now in one answer (NDJSON), resumed after a break."""
        first = _events(after, None, types, stream, project, actor, command, correlation, from_time, to_time, clock)
        yield from download(self._session, first)

    @streaming
    def csv(
        self,
        *,
        after: int | None = None,
        types: Several = (),
        stream: Several = (),
        project: Several = (),
        actor: Several = (),
        command: Several = (),
        correlation: Several = (),
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        clock: str | None = None,
    ) -> EmittingFlow[bytes]:
        """All events up to now as a CSV file, in pieces. Raises Unreachable if the answer breaks off."""
        first = _events(after, None, types, stream, project, actor, command, correlation, from_time, to_time, clock)
        yield from pieces(self._session, first, CSV)

    @streaming
    def stream(self, *, project: Id | None = None, last_event_id: str | int | None = None) -> EmittingFlow[Event]:
        """The live stream of events, without end: from now on, or after the event with this id (its position). It is
        resumed after breaks and token renewals, without gaps and without repeats."""
        first = read(at("stream"), Event, {"project": project}, fresh=False)
        yield from follow(self._session, first, None if last_event_id is None else str(last_event_id))


class Sync(Resource[F]):
    """For a client that keeps a local copy. `token` marks how far the copy is: store it with the copy, and set it at
    the start."""

    def __init__(self, session: Session, face: F) -> None:
        super().__init__(session, face)
        self.token: str | None = None

    @streaming
    def changes(self) -> EmittingFlow[Changes]:
        """Everything that changed since `token`, or all there is without one, in several answers. The token advances
        when the next answer is requested, so that an answer that was not processed comes again.

        Raises Gone, and clears the token, if the copy must be rebuilt from the start.
        """
        while True:
            try:
                answer = yield from self._session.exchange(read(at("sync"), Changes, {"token": self.token}))
            except Gone:
                self.token = None
                raise
            yield Emit(answer)
            self.token = answer.token
            if not answer.more:
                return
