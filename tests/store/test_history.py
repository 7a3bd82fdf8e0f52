"""Somebody's part of the log is the same whichever way it is read, and the project of a stream follows its moves."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from taskflow.ids import new_id
from taskflow.store import history as histories
from taskflow.store.append import Append, Receipt
from taskflow.store.eventstore import EventStore
from taskflow.store.history import SYSTEM, EventFilter, History, Page
from taskflow.store.recorded import RecordedEvent
from tests.store.test_append import NOW, append, commit, event

PROJECTS = [UUID(int=n) for n in range(1, 5)]
ACTORS = [UUID(int=n) for n in range(11, 14)]


class LogStory:
    """A log told at random, and what it says by itself."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.project: dict[UUID, UUID | None] = {}
        self._versions: dict[UUID, int] = {}
        self._dice = random.Random(7)

    async def append(self, count: int) -> None:
        appends = [self._next() for _ in range(count)]
        for outcome in await commit(self.store, *appends):
            assert isinstance(outcome, Receipt)

    def _next(self) -> Append:
        dice = self._dice
        stream = new_id() if not self._versions or dice.random() < 0.2 else dice.choice(list(self._versions))
        version = self._versions.get(stream, 0)
        self._versions[stream] = version + 1
        decided = dice.choice([*PROJECTS, None]) if version == 0 or dice.random() < 0.1 else None
        self.project[stream] = decided or self.project.get(stream)
        one = append((stream, version))
        changed = event(
            stream, version + 1, type=dice.choice(["TaskRetitled", "TaskTrashed", "TaskRestored"]), project=decided,
            actor=dice.choice([*ACTORS, None]), occurred_at=NOW + timedelta(minutes=dice.randrange(100)),
            data=b"x" * dice.choice([10, 10, 500]),
        )  # fmt: skip
        return Append(
            **{name: getattr(one, name) for name in one.__struct_fields__ if name != "events"}, events=(changed,)
        )

    async def expected(self, sought: EventFilter) -> list[RecordedEvent]:
        def wanted(one: RecordedEvent) -> bool:
            return (
                (sought.projects is None or self.project[one.stream_id] in sought.projects)
                and (sought.streams is None or one.stream_id in sought.streams)
                and (sought.types is None or one.type in sought.types)
                and (sought.actors is None or (one.actor or SYSTEM) in sought.actors)
                and (sought.since is None or one.occurred_at >= sought.since)
                and (sought.before is None or one.occurred_at < sought.before)
            )

        return [one for one in await self.store.log.read(0, limit=100_000) if wanted(one)]


@pytest.fixture
async def log_story(store: EventStore) -> LogStory:
    story = LogStory(store)
    await story.append(400)
    return story


@pytest.fixture(params=["along the log", "along the streams", "stretch by stretch"])
def history(request: Any, store: EventStore, monkeypatch: pytest.MonkeyPatch) -> History:
    match request.param:
        case "along the streams":
            monkeypatch.setattr(histories, "SHORT_RANGE_MAX", 0)
        case "stretch by stretch":
            monkeypatch.setattr(histories, "SHORT_RANGE_MAX", 0)
            monkeypatch.setattr(histories, "SCAN_MAX", 37)
            monkeypatch.setattr(histories, "FEW_STREAMS", 0)
    return History(store.pool)


SOUGHT = [
    EventFilter(),
    EventFilter(projects=frozenset(PROJECTS[:2])),
    EventFilter(projects=frozenset((UUID(int=99),))),
    EventFilter(projects=frozenset()),
    EventFilter(projects=frozenset(PROJECTS), types=frozenset(("TaskTrashed", "TaskRestored"))),
    EventFilter(types=frozenset(("TaskTrashed",)), actors=frozenset((ACTORS[0], SYSTEM))),
    EventFilter(
        projects=frozenset(PROJECTS[:3]), since=NOW + timedelta(minutes=20), before=NOW + timedelta(minutes=70)
    ),
]


@pytest.mark.parametrize("sought", SOUGHT, ids=range(len(SOUGHT)))
async def test_pages_put_together_are_what_was_sought(
    history: History, log_story: LogStory, sought: EventFilter
) -> None:
    expected = await log_story.expected(sought)
    head = (await log_story.store.log.head()).position
    for limit in (1, 7, 1000):
        found: list[RecordedEvent] = []
        after = 0
        while after < head:
            page = await history.page(sought, after=after, to=head, limit=limit)
            assert after < page.position <= head
            assert len(page.events) <= limit
            assert all(after < one.position <= page.position for one in page.events)
            found += page.events
            after = page.position
        assert found == expected

        backwards: list[RecordedEvent] = []
        page = Page([], head + 1)
        while page.position:
            before = page.position
            page = await history.newest(sought, before=before, limit=limit)
            assert page.position < before
            assert len(page.events) <= limit
            backwards += page.events
        assert backwards == expected[::-1]


async def test_streams_by_name_are_read_to_the_end(history: History, log_story: LogStory) -> None:
    streams = frozenset(list(log_story.project)[:3])
    head = (await log_story.store.log.head()).position
    page = await history.page(EventFilter(streams=streams), after=0, to=head, limit=1000)
    assert page.position == head
    assert page.events == await log_story.expected(EventFilter(streams=streams))


async def test_a_page_ends_where_its_data_are_large(
    history: History, log_story: LogStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "PAGE_BYTES_MAX", 400)
    head = (await log_story.store.log.head()).position
    sought = EventFilter(projects=frozenset(PROJECTS))
    found: list[RecordedEvent] = []
    after = 0
    while after < head:
        page = await history.page(sought, after=after, to=head, limit=50)
        assert sum(len(one.data) for one in page.events[:-1]) < 400
        found += page.events
        after = page.position
    assert found == await log_story.expected(sought)


async def test_what_is_told_live_is_read_in_pages_that_end_where_the_data_are_large(
    log_story: LogStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "PAGE_BYTES_MAX", 400)
    head = (await log_story.store.log.head()).position
    found: list[RecordedEvent] = []
    after = 0
    while after < head:
        page, position = await History(log_story.store.pool).live(after, to=head, limit=50)
        assert sum(len(one.data) for one, _ in page[:-1]) < 400
        assert after < position <= head
        found += [one for one, _ in page]
        after = position
    assert found == await log_story.expected(EventFilter())


async def test_the_newest_are_read_within_the_bytes_that_are_left(history: History, log_story: LogStory) -> None:
    head = (await log_story.store.log.head()).position
    sought = EventFilter(projects=frozenset(PROJECTS))
    page = await history.newest(sought, before=head + 1, limit=50, bytes_max=1)
    assert [one.position for one in page.events] == [page.position]
    assert page.events == (await log_story.expected(sought))[-1:]


async def test_the_few_events_of_somebody_are_found_in_one_page_of_a_long_log(
    log_story: LogStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "SCAN_MAX", 10)
    monkeypatch.setattr(histories, "SHORT_RANGE_MAX", 10)
    history = History(log_story.store.pool)
    mine = UUID(int=77)
    stream = new_id()
    first = append((stream, 0))
    first = Append(
        **{name: getattr(first, name) for name in first.__struct_fields__ if name != "events"},
        events=(event(stream, 1, project=mine),),
    )
    await commit(log_story.store, first)
    head = (await log_story.store.log.head()).position
    page = await history.page(EventFilter(projects=frozenset((mine,))), after=0, to=head, limit=10)
    assert ([one.stream_id for one in page.events], page.position) == ([stream], head)


async def test_a_stream_belongs_to_the_project_that_was_decided_last(log_story: LogStory) -> None:
    found = await History(log_story.store.pool).projects_of(log_story.project)
    assert found == log_story.project
    head = (await log_story.store.log.head()).position
    live, position = await History(log_story.store.pool).live(0, to=head, limit=1000)
    assert position == head
    assert {(one.stream_id, project) for one, project in live} == set(log_story.project.items())


async def test_a_loser_decides_nothing(store: EventStore) -> None:
    stream = new_id()
    one, two = append((stream, 0)), append((stream, 0))
    one, two = (
        Append(
            **{name: getattr(each, name) for name in each.__struct_fields__ if name != "events"},
            events=(event(stream, 1, project=project),),
        )
        for each, project in ((one, PROJECTS[0]), (two, PROJECTS[1]))
    )
    await commit(store, one, two)
    assert await History(store.pool).projects_of([stream]) == {stream: PROJECTS[0]}
