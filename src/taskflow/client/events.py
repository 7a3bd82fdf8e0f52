"""The log as the caller may see it, the live stream of it, and what changed since a token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from taskflow.client.answers import Changes, Event, EventPage
from taskflow.client.call import Call, Id, Value, at, read
from taskflow.client.errors import Gone
from taskflow.client.following import CSV, download, follow, pieces
from taskflow.client.resource import F, Resource, call, listed, told
from taskflow.client.session import Session
from taskflow.client.steps import Emit, Telling

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
    """By position, ascending. `after` is exclusive; the other filters take any of several values. Times are by
    `occurred_at`, with `clock="recorded"` by when the store took them."""

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
        """One page; its `position` is the next `after`, also where it is empty."""
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
        """Every event up to now, from page to page."""
        return _events(after, limit, types, stream, project, actor, command, correlation, from_time, to_time, clock)

    @told
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
    ) -> Telling[Event]:
        """Every event up to now in one answer (NDJSON), which goes on where it broke off."""
        first = _events(after, None, types, stream, project, actor, command, correlation, from_time, to_time, clock)
        yield from download(self._session, first)

    @told
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
    ) -> Telling[bytes]:
        """Every event up to now as a CSV file, piece by piece. Raises Unreachable where it breaks off."""
        first = _events(after, None, types, stream, project, actor, command, correlation, from_time, to_time, clock)
        yield from pieces(self._session, first, CSV)

    @told
    def stream(self, *, project: Id | None = None, last_event_id: str | int | None = None) -> Telling[Event]:
        """Events as they happen, for ever: from now on, or after the event of that id (its position). It
        survives breaks and new tokens, without a gap and without a repeat."""
        first = read(at("stream"), Event, {"project": project}, fresh=False)
        yield from follow(self._session, first, None if last_event_id is None else str(last_event_id))


class Sync(Resource[F]):
    """For a client that keeps a copy. `token` says how far it is: keep it with the copy, and set it again."""

    def __init__(self, session: Session, face: F) -> None:
        super().__init__(session, face)
        self.token: str | None = None

    @told
    def changes(self) -> Telling[Changes]:
        """What changed since `token`, answer by answer until there is no more; all there is without one. The
        token moves on as soon as the next answer is asked for: one that was not worked on comes again.

        Raises Gone, and forgets the token, where the copy has to begin anew.
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
