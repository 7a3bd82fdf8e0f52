"""Who stands where in a project. A rank is whatever the answer says, if it puts the task where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.api.model.task import Task
    from tests.api.model.world import World


def standing(world: World, project: str, *, besides: str | None = None) -> list[Task]:
    """The tasks of a project outside the trash, in order."""
    tasks = [
        task
        for task in world.tasks.values()
        if task.now.project == project and task.now.trashed_at is None and task.id != besides
    ]
    return sorted(tasks, key=place_of)


def place_of(task: Task) -> tuple[str, str]:
    return task.now.rank, task.id


def must_be_last(world: World, project: str, task_id: str, rank: str) -> None:
    """New ones, and those that come from elsewhere, stand at the end."""
    others = standing(world, project, besides=task_id)
    assert not others or others[-1].now.rank < rank, f"{rank} is not behind {others[-1].now.rank}"


def must_be_beside(world: World, task: Task, after: Task | None, before: Task | None, rank: str) -> bool:
    """Whether a task stands right after one, right before one, or anywhere between two already; if not, that this
    is what its new rank says."""
    others = standing(world, task.now.project, besides=task.id)
    ranks = [one.now.rank for one in others]
    if after is not None:
        low = after.now.rank
        high = before.now.rank if before is not None else next((one for one in ranks if one > low), None)
    elif before is not None:
        high = before.now.rank
        low = next((one for one in reversed(ranks) if one < high), "")
    else:
        raise AssertionError("it is put beside something")
    if low < task.now.rank and (high is None or task.now.rank < high):
        assert rank == task.now.rank, "it stands there already"
        return True
    assert low < rank, f"{rank} is not behind {low}"
    assert high is None or rank < high, f"{rank} is not before {high}"
    return False
