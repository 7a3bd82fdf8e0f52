"""Tasks as lists show and filter them, one document a task; and how many each status of a project holds.

A document holds, in one binary field, the task's JSON as the API sends it, without what belongs to other
streams, and the keys of those: reading a page is then putting bytes together. The counts of a board are
sums over streams, kept by shard.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct
from pymongo import ASCENDING, IndexModel

from taskflow.names import normal_names
from taskflow.projections.declarations.task_fields import (
    ASSIGNEE_ID,
    CREATED_AT,
    DUE_AT,
    FORMER_PROJECTS,
    LABELS,
    PARENT_ID,
    PRIORITY,
    PROJECT_ID,
    PURGED,
    RANK,
    SHOWN,
    STATUS,
    TRASHED,
    TRASHED_AT,
    UPDATED_AT,
    WORDS,
)
from taskflow.projections.projection import Document, Projection, SumKey, Sums
from taskflow.search_tokens import words
from taskflow.streams import TASK
from taskflow.streams.project import Category
from taskflow.streams.schedule import Series
from taskflow.streams.task import PRIORITIES, Priority, Relation, TaskState
from taskflow.timestamps import Timestamp, micros, timestamp, timestamp_or_none

NO_DUE: Final = 2**62
"""Sorts tasks without a due time after those with one."""

_encode: Final = msgspec.json.Encoder().encode


class ShownItem(Struct, frozen=True):
    """An item of a checklist: they come in order."""

    id: UUID
    text: str
    done: bool


class TaskFacts(Struct, frozen=True, kw_only=True):
    """What a task says of itself, as the API sends it: its schema is the API's, its times are texts already, so that a
    read puts bytes together and decodes nothing."""

    id: UUID
    project_id: UUID
    external_id: str | None
    title: str
    description: str
    priority: Priority
    due_at: Timestamp | None
    due_on: date | None
    time_zone: str | None
    labels: tuple[str, ...]
    parent_id: UUID | None
    rank: str
    recurrence: str | None
    created_by: UUID | None
    created_at: Timestamp
    updated_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    comment_count: int
    checklist: tuple[ShownItem, ...]
    relations: tuple[Relation, ...]
    trashed_at: Timestamp | None
    version: int


class ShownTask(Struct, frozen=True, kw_only=True):
    """A task as it is stored and read: its facts, encoded, and what the joins with its project and its assignee need."""

    id: UUID
    project_id: UUID
    status: str
    category: Category
    """The status's when it was entered: shown where the workflow no longer has that status."""
    assignee_id: UUID | None
    version: int
    facts: Raw
    series: Series | None = None
    """Where a rule is counted from: calendars say that too."""


def shown(task: TaskState) -> ShownTask:
    return ShownTask(
        id=task.id,
        project_id=task.project_id,
        status=task.status,
        category=task.category,
        assignee_id=task.assignee_id,
        version=task.version,
        facts=Raw(facts(task)),
        series=task.series,
    )


def facts(task: TaskState) -> bytes:
    """The JSON of TaskFacts."""
    return _encode(
        TaskFacts(
            id=task.id,
            project_id=task.project_id,
            external_id=task.external_id,
            title=task.title,
            description=task.description,
            priority=task.priority,
            due_at=timestamp_or_none(task.due_at),
            due_on=task.due_on,
            time_zone=task.time_zone,
            labels=task.labels,
            parent_id=task.parent_id,
            rank=task.rank,
            recurrence=task.recurrence,
            created_by=task.created_by,
            created_at=timestamp(task.created_at),
            updated_at=timestamp(task.updated_at),
            started_at=timestamp_or_none(task.started_at),
            completed_at=timestamp_or_none(task.completed_at),
            comment_count=len(task.comments),
            checklist=tuple(ShownItem(item.id, item.text, item.done) for item in task.checklist),
            relations=task.relations,
            trashed_at=timestamp_or_none(task.trashed_at),
            version=task.version,
        )
    )


SORTED_BY: Final = (CREATED_AT, UPDATED_AT, DUE_AT, PRIORITY, RANK)
"""What lists are sorted by, by the same names outside."""


def document(task: TaskState) -> Document:
    return {
        PROJECT_ID: task.project_id,
        STATUS: task.status,
        ASSIGNEE_ID: task.assignee_id,
        # As they are asked for, whatever form those have that were stored before labels had one.
        LABELS: list(normal_names(task.labels)),
        PRIORITY: PRIORITIES.index(task.priority),
        DUE_AT: NO_DUE if task.due is None else micros(task.due),
        CREATED_AT: micros(task.created_at),
        UPDATED_AT: micros(task.updated_at),
        RANK: task.rank,
        PARENT_ID: task.parent_id,
        # Of a purged one neither: it stays for whoever must be told that it went, and is in no list.
        TRASHED: None if task.purged else task.trashed_at is not None,
        TRASHED_AT: micros(task.trashed_at),
        PURGED: task.purged,
        FORMER_PROJECTS: list(task.former_projects),
        WORDS: list(words(task.title, task.description, *[comment.body for comment in task.comments])),
        SHOWN: _encode(shown(task)),
    }


def _counted(task: TaskState | None, shard: int) -> Sums:
    if task is None or task.trashed_at is not None:
        return {}
    return {SumKey(task.project_id, shard, task.status): 1}


def sums(before: TaskState | None, after: TaskState, shard: int) -> Sums:
    """What a step adds to the counts, and takes from them."""
    changed: Counter[SumKey] = Counter(_counted(after, shard))
    changed.subtract(_counted(before, shard))
    return {key: count for key, count in changed.items() if count}


def board_key(project_id: UUID) -> str:
    """The cache key of a project's board; what it stands for is all of the project's tasks."""
    return f"board:{project_id}"


def boards_of(before: TaskState | None, after: TaskState) -> tuple[str, ...]:
    """The cached boards that a change of a task makes old."""
    projects = {after.project_id} | ({before.project_id} if before else set())
    return tuple(board_key(project) for project in projects)


def _index(*fields: str) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in (*fields, "_id")])


TASKS: Final = Projection(
    name="tasks",
    # 1 counted nothing, 2 showed a task with its status, 3 knew no words, no purged ones and no moves, 4 no days,
    # zones and series, and kept labels as they were typed.
    version=5,
    kind=TASK,
    document=document,
    # Every list is of named projects; each filter and each sort key has an index below them.
    indexes=(
        _index(PROJECT_ID, TRASHED, STATUS, RANK),
        *[_index(PROJECT_ID, TRASHED, field) for field in SORTED_BY],
        _index(PROJECT_ID, LABELS),
        _index(ASSIGNEE_ID, PROJECT_ID),
        _index(PARENT_ID),
        IndexModel(
            [(TRASHED_AT, ASCENDING), ("_id", ASCENDING)],
            name="trash",
            partialFilterExpression={TRASHED: True},
        ),
        _index(PROJECT_ID, "position"),
        _index(FORMER_PROJECTS, "position"),
        IndexModel([(PROJECT_ID, ASCENDING), (WORDS, ASCENDING)]),
    ),
    sums=sums,
    invalidates=boards_of,
    marks=True,
)
