"""Tasks as lists show and filter them: one document a task."""

from __future__ import annotations

from typing import Final

from pymongo import ASCENDING, IndexModel

from taskflow.projections.view import Document, View, micros
from taskflow.streams import TASK
from taskflow.streams.task import PRIORITIES, TaskState

NO_DUE: Final = 2**62
"""Sorts tasks without a due time after those with one."""


def document(task: TaskState) -> Document:
    return {
        "project_id": task.project_id,
        "status": task.status,
        "assignee_id": task.assignee_id,
        "labels": list(task.labels),
        "priority": PRIORITIES.index(task.priority),
        "due_at": NO_DUE if task.due_at is None else micros(task.due_at),
        "created_at": micros(task.created_at),
        "updated_at": micros(task.updated_at),
        "rank": task.rank,
        "parent_id": task.parent_id,
        "trashed": task.trashed_at is not None,
        "external_id": task.external_id,
    }


def boards_of(before: TaskState | None, after: TaskState) -> tuple[str, ...]:
    """The cached boards that a change of a task makes old."""
    projects = {after.project_id} | ({before.project_id} if before else set())
    return tuple(f"board:{project}" for project in projects)


def _index(*fields: str) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in (*fields, "_id")])


TASKS: Final = View(
    name="tasks",
    version=1,
    kind=TASK,
    document=document,
    # Every list is of named projects; each filter and each sort key has an index below them.
    indexes=(
        _index("project_id", "trashed", "status", "rank"),
        _index("project_id", "trashed", "created_at"),
        _index("project_id", "trashed", "updated_at"),
        _index("project_id", "trashed", "due_at"),
        _index("project_id", "trashed", "priority"),
        _index("project_id", "trashed", "rank"),
        _index("project_id", "labels"),
        _index("assignee_id", "project_id"),
        _index("parent_id"),
    ),
    invalidates=boards_of,
)
