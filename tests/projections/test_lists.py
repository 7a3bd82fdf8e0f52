"""Lists of tasks against what they say they are: every filter with every other, and paged while tasks change."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.dates.timestamps import micros
from taskflow.errors import Unavailable
from taskflow.projections.declarations.tasks import NO_DUE, TASKS
from taskflow.projections.mongo import Database
from taskflow.query.task_query import SORTS
from taskflow.readmodels import queries
from taskflow.readmodels.queries import TaskFilter, Views, task_query
from taskflow.streams.task import PRIORITIES, Comment, TaskState
from taskflow.text.search_tokens import terms, words
from tests.projections.story import BEGAN, Story, fold
from tests.unit.test_batch import log_of

SORTED = [way + sort for sort in SORTS for way in ("", "-")]


class Kept:
    """Tasks in MongoDB as the projector would keep them, and the same ones in memory."""

    def __init__(self, database: Database) -> None:
        self.views = Views(database)
        self._documents = database[TASKS.collection]
        self.tasks: dict[UUID, TaskState] = {}

    async def put(self, *tasks: TaskState) -> None:
        for task in tasks:
            self.tasks[task.id] = task
        if tasks:
            documents = [{"_id": task.id, **TASKS.document(task)} for task in tasks]
            await self._documents.delete_many({"_id": {"$in": [task.id for task in tasks]}})
            await self._documents.insert_many(documents)

    async def change(self, task: TaskState, **fields: Any) -> None:
        changed = self.tasks[task.id] = replace(task, **fields)
        await self._documents.replace_one({"_id": task.id}, TASKS.document(changed))

    async def all(self, wanted: TaskFilter, sort: str = "created_at", limit: int = 200) -> list[UUID]:
        found: list[UUID] = []
        cursor = None
        while True:
            page = await self.views.tasks(wanted, sort=sort, limit=limit, cursor=cursor)
            found += [task.id for task in page.tasks]
            cursor = page.next_cursor
            if cursor is None:
                return found


@pytest.fixture
async def kept(database: Database) -> Kept:
    await database[TASKS.collection].create_indexes(list(TASKS.indexes))
    return Kept(database)


def meets(task: TaskState, wanted: TaskFilter) -> bool:
    """A filter as it is meant, written down once more."""
    said = words(task.title, task.description, *[comment.body for comment in task.comments])
    due = NO_DUE if task.due_at is None else micros(task.due_at) or 0
    return (
        task.project_id in wanted.projects
        and (task.trashed_at is not None) == wanted.trashed
        and (wanted.pairs is None or (task.project_id, task.status) in wanted.pairs)
        and (wanted.assignees is None or task.assignee_id in wanted.assignees)
        and (wanted.labels is None or bool(wanted.labels & set(task.labels)))
        and (wanted.priorities is None or task.priority in wanted.priorities)
        and (wanted.parents is None or task.parent_id in wanted.parents)
        and (wanted.due_before is None or due < wanted.due_before)
        and (wanted.due_after is None or (task.due_at is not None and due >= wanted.due_after))
        and all(
            any(word.startswith(term.text) if term.prefix else word == term.text for word in said)
            for term in wanted.terms or ()
        )
    )


def key(sort: str, task: TaskState) -> tuple[Any, UUID]:
    field = sort.removeprefix("-")
    value = getattr(task, field)
    if field == "priority":
        value = PRIORITIES.index(value)
    if field == "due_at":
        value = NO_DUE if value is None else micros(value)
    return value, task.id


def any_filter(dice: random.Random, story: Story, tasks: list[TaskState]) -> TaskFilter:
    """Each filter is there or not, with one value or several, of which some are nobody's."""

    def some(values: Iterable[Any]) -> frozenset[Any] | None:
        known = list(values)
        return frozenset(dice.sample(known, k=min(len(known), dice.randint(1, 3)))) if dice.random() < 0.3 else None

    due = [micros(BEGAN + timedelta(minutes=minutes)) for minutes in range(0, 60, 5)]
    projects = some(story.projects) or frozenset(story.projects)
    some_pairs = some([(project, status) for project in story.projects for status in ("todo", "done", "no such")])
    asked = dice.choice(["word1", "uberall 3", "task", "d word", "t0 5", "word1 word2", "nowhere", "wor übe"])
    return TaskFilter(
        projects=projects,
        pairs=some_pairs,
        assignees=some([None, *story.users]),
        labels=some(["l0", "l1", "l2", "l3", "none"]),
        priorities=some(PRIORITIES),
        parents=some([task.parent_id for task in tasks if task.parent_id is not None]),
        due_before=dice.choice(due) if dice.random() < 0.2 else None,
        due_after=dice.choice(due) if dice.random() < 0.2 else None,
        terms=terms(asked) if dice.random() < 0.4 else None,
        trashed=dice.random() < 0.2,
    )


async def test_every_filter_with_every_other_finds_what_it_says(kept: Kept) -> None:
    story = Story(7)
    tasks = [task for _, _, task in fold(TASKS, log_of(story.tell(2_500))).states.values()]
    await kept.put(*tasks)
    dice = random.Random(7)
    found_some = 0
    for _ in range(600):
        wanted, sort = any_filter(dice, story, tasks), dice.choice(SORTED)
        expected = sorted([task for task in tasks if meets(task, wanted)], key=partial(key, sort))
        if sort.startswith("-"):
            expected.reverse()
        assert await kept.all(wanted, sort, dice.choice([7, 200])) == [task.id for task in expected], (wanted, sort)
        found_some += bool(expected)
    assert found_some > 100


async def test_a_task_that_stays_as_it_was_is_seen_once_however_others_change_while_one_pages(kept: Kept) -> None:
    """Keys are few, so that many are equal; a third has no due time."""
    dice = random.Random(11)
    project = UUID(int=1)
    plain: TaskState = next(iter(fold(TASKS, log_of(Story(1).tell(60))).states.values()))[2]

    def task(number: int) -> TaskState:
        at = BEGAN + timedelta(seconds=dice.randint(0, 3))
        return replace(
            plain,
            id=UUID(int=dice.getrandbits(128), version=4),
            project_id=project,
            title=f"Number {number}",
            status=dice.choice(["todo", "done"]),
            priority=dice.choice(PRIORITIES),
            due_at=dice.choice([None, at, at + timedelta(days=1)]),
            rank=dice.choice(["a", "aa", "b", "é"]),
            created_at=at,
            updated_at=at,
            trashed_at=None,
        )

    filters = [{}, {"pairs": frozenset({(project, "todo"), (project, "done")})}, {"terms": terms("numb")}]
    for turn in range(30):
        sort, narrowed = SORTED[turn % len(SORTED)], filters[turn // len(SORTED)]
        kept.tasks.clear()
        await kept._documents.delete_many({})
        await kept.put(*[task(number) for number in range(60)])
        still = set(dice.sample(sorted(kept.tasks), k=30))
        wanted = TaskFilter(projects=frozenset({project}), **narrowed)  # type: ignore[arg-type]  # each of its own type
        seen: list[UUID] = []
        cursor = None
        while True:
            page = await kept.views.tasks(wanted, sort=sort, limit=7, cursor=cursor)
            seen += [one.id for one in page.tasks]
            cursor = page.next_cursor
            if cursor is None:
                break
            await kept.put(*[task(100 + n) for n in range(dice.randint(0, 3))])
            for moving in dice.sample(sorted(kept.tasks.keys() - still), k=6):
                other = task(200)
                await kept.change(
                    kept.tasks[moving],
                    priority=other.priority,
                    due_at=other.due_at,
                    rank=other.rank,
                    updated_at=other.updated_at,
                    trashed_at=dice.choice([None, BEGAN]),
                )
        assert sorted(one for one in seen if one in still) == sorted(still), sort
        before = [one for one in seen if one in still]
        ordered = sorted([kept.tasks[one] for one in still], key=partial(key, sort), reverse=sort.startswith("-"))
        assert before == [one.id for one in ordered], sort


async def test_a_comment_is_found_and_not_any_more_once_it_is_gone(kept: Kept) -> None:
    plain = next(iter(fold(TASKS, log_of(Story(1).tell(60))).states.values()))[2]
    comment = Comment(UUID(int=5), None, "Cómo está la gráfica?", BEGAN)
    task = replace(plain, title="T", description="", comments=(comment,), trashed_at=None)
    await kept.put(task)
    wanted = TaskFilter(projects=frozenset({task.project_id}), terms=terms("GRAFICA como"))
    assert await kept.all(wanted) == [task.id]
    await kept.change(task, comments=())
    assert await kept.all(wanted) == []


async def test_a_list_that_takes_too_long_says_so(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = next(iter(fold(TASKS, log_of(Story(1).tell(60))).states.values()))[2]
    await kept.put(*[replace(plain, id=UUID(int=number), trashed_at=None) for number in range(20)])
    slow = {"$where": "sleep(100) || true"}  # the server's own: a second and more for all of them
    monkeypatch.setattr(queries, "task_query", lambda wanted: task_query(wanted) | slow)
    monkeypatch.setattr(queries, "QUERY_MS_MAX", 200)
    with pytest.raises(Unavailable, match="takes more than 200 ms"):
        await kept.all(TaskFilter(projects=frozenset({plain.project_id})), "rank")


async def test_a_rare_word_leads_whatever_stands_before_it(
    kept: Kept, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = next(iter(fold(TASKS, log_of(Story(1).tell(60))).states.values()))[2]
    many = [replace(plain, id=UUID(int=number), title="common", trashed_at=None) for number in range(3_000)]
    many[7] = replace(many[7], title="common rare")
    await kept.put(*many)
    asked: list[TaskFilter] = []

    def noted(wanted: TaskFilter) -> dict[str, Any]:
        asked.append(wanted)
        return task_query(wanted)

    monkeypatch.setattr(queries, "task_query", noted)
    wanted = TaskFilter(projects=frozenset({plain.project_id}), terms=terms("common rare"))
    assert await kept.all(wanted) == [UUID(int=7)]
    assert asked[0].terms == terms("rare common")
    explained = await database.command(
        "explain",
        {"find": TASKS.collection, "filter": task_query(asked[0]), "sort": {"created_at": 1, "_id": 1}, "limit": 51},
        verbosity="executionStats",
        codec_options=database.codec_options,
    )
    assert explained["executionStats"]["totalDocsExamined"] == 1
