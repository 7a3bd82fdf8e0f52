"""The projection of tasks: one document for each task, and the number of tasks in each status of a project.

One binary field of the document holds the task's JSON as the API sends it, without data of other streams (project,
assignee) but with their ids. So reading a page only concatenates bytes. The counts of a board are sums over streams,
kept by shard.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct
from pymongo import ASCENDING, IndexModel

from taskflow.dates.timestamps import Timestamp, micros, timestamp, timestamp_or_none
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
from taskflow.streams import TASK
from taskflow.streams.project import Category
from taskflow.streams.schedule import Series
from taskflow.streams.task import PRIORITIES, Priority, Relation, TaskState
from taskflow.text.names import normal_names
from taskflow.text.search_tokens import words

NO_DUE: Final = 2**62
"""Stored for a task without a due time, so that it sorts after tasks with one."""

_encode: Final = msgspec.json.Encoder().encode


class ShownItem(Struct, frozen=True):
    """A checklist item as the API sends it; the items are in order, without their ranks."""

    id: UUID
    text: str
    done: bool


class TaskFacts(Struct, frozen=True, kw_only=True):
    """The fields of a task that come from its own stream, in the API's schema. Times are already formatted as text, so
    that a read concatenates bytes without decoding them."""

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
    """A task as it is stored and read: the encoded TaskFacts, and the fields for joining project and assignee."""

    id: UUID
    project_id: UUID
    status: str
    category: Category
    """The category when the status was entered; shown if the workflow no longer has that status."""
    assignee_id: UUID | None
    version: int
    facts: Raw
    series: Series | None = None
    """The series of the recurrence rule, for calendar feeds."""


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
    """Returns the task's TaskFacts as JSON."""
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
"""The sort keys of lists; the API uses the same names."""


def document(task: TaskState) -> Document:
    return {
        PROJECT_ID: task.project_id,
        STATUS: task.status,
        ASSIGNEE_ID: task.assignee_id,
        # Normalised like labels in queries: old events hold labels as they were typed.
        LABELS: list(normal_names(task.labels)),
        PRIORITY: PRIORITIES.index(task.priority),
        DUE_AT: NO_DUE if task.due is None else micros(task.due),
        CREATED_AT: micros(task.created_at),
        UPDATED_AT: micros(task.updated_at),
        RANK: task.rank,
        PARENT_ID: task.parent_id,
        # None for a purged task: it is in no list, but its document stays so that `/sync` can report the removal.
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
    """Returns what a step adds to each count, or subtracts."""
    changed: Counter[SumKey] = Counter(_counted(after, shard))
    changed.subtract(_counted(before, shard))
    return {key: count for key, count in changed.items() if count}


def board_key(project_id: UUID) -> str:
    """Returns the cache key of a project's board, invalidated by every change of the project's tasks."""
    return f"board:{project_id}"


def boards_of(before: TaskState | None, after: TaskState) -> tuple[str, ...]:
    """Returns the cache keys of the boards that a change of a task invalidates."""
    projects = {after.project_id} | ({before.project_id} if before else set())
    return tuple(board_key(project) for project in projects)


def _index(*fields: str) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in (*fields, "_id")])


TASKS: Final = Projection(
    name="tasks",
    # 1: no counts; 2: the JSON included the status; 3: no words, purged tasks or moves; 4: no days, time zones or
    # series, and labels as they were typed.
    version=5,
    kind=TASK,
    document=document,
    # Every list query names its projects; each filter and each sort key has an index that starts with the project.
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
    bucket_versions=True,
)
