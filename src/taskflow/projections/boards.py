"""How many tasks each status of a project holds.

A sum over streams: a card a task remembers what it was counted as, and the counts are kept by shard.
The tasks that a board shows are the `tasks` view's.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec.structs import replace

from taskflow.projections.tasks import boards_of
from taskflow.projections.view import Document, SumKey, Sums, View
from taskflow.streams import TASK
from taskflow.streams.task import TaskState


def document(task: TaskState) -> Document:
    return {"project_id": task.project_id}


def card(task: TaskState) -> TaskState:
    """What counting needs of a task, which its texts are no part of."""
    return replace(task, title="", description="", labels=())


def _counted(task: TaskState | None, shard: int) -> Sums:
    if task is None or task.trashed_at is not None:
        return {}
    return {SumKey(task.project_id, shard, task.status): 1}


def sums(before: TaskState | None, after: TaskState, shard: int) -> Sums:
    changed: Counter[SumKey] = Counter(_counted(after, shard))
    changed.subtract(_counted(before, shard))
    return {key: count for key, count in changed.items() if count}


BOARDS: Final = View(
    name="boards",
    version=1,
    kind=TASK,
    document=document,
    indexes=(),
    redact=card,
    sums=sums,
    invalidates=boards_of,
)
