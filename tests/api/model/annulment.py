"""Annulling an event of a task: what stands against it, and what the task and its changes are then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from tests.api.model.completion import against_rule, fits
from tests.api.model.history import NEVER_ANNULLED, Event, annulled_in, fold
from tests.api.model.links import against_parent, against_relation
from tests.api.model.project import Project, against_archived
from tests.api.model.refusals import Reason, Refused, fault, rule
from tests.api.model.task import Change, Facts, Task, shown
from tests.api.model.world import World


def annul(world: World, events: Sequence[Event], version: int, at: str, position: int) -> dict[str, Any]:
    """Annuls the event that led to a version of the task with this history. Raises Refused, for whatever reason with the
    one code."""
    task = world.tasks[events[0]["stream_id"]]
    project = world.projects[task.now.project]
    before = annulled_in(events)
    assert fold(events, before) == task.now, "the history says what the task is"
    gone = before | {version}
    if events[version - 1]["type"] in NEVER_ANNULLED or version in before:
        raise Refused(rule("cannot-annul"))
    then = replace(fold(events, gone), version=task.now.version + 1, updated_at=at)
    if next(_against(world, task, then, project), None) is not None:
        raise Refused(rule("cannot-annul"))
    unseen = {*gone, *[one["stream_version"] for one in events if one["type"] == "TaskEventAnnulled"]}
    changes = [_seen_again(change, events, gone, unseen) for change in task.changes]
    annulment = Change(then.version, then.version, then, then, hidden=True)
    seen = {**task.seen, then.version: shown(task.id, then, project.workflow, world.names)}
    world.tasks[task.id] = Task(task.id, then, position, (*changes, annulment), seen)
    return {"task_id": task.id, "annulled_version": version, "version": then.version}


def _seen_again(change: Change, events: Sequence[Event], gone: set[int], unseen: set[int]) -> Change:
    """A change without what is annulled today, before it and in it."""
    return replace(
        change,
        before=fold(events[: change.first - 1], gone),
        after=fold(events[: change.last], gone),
        hidden=unseen.issuperset(range(change.first, change.last + 1)),
    )


def _against(world: World, task: Task, then: Facts, project: Project) -> Iterator[Reason]:
    """What differs must be what a command could set."""
    now = task.now
    yield from against_archived(project)
    if then.status != now.status and project.workflow.today(then.status) is None:
        yield rule("no-such-status")
    if then.assignee != now.assignee and then.assignee is not None and then.assignee not in project.members:
        yield rule("not-a-member")
    if then.parent != now.parent:
        yield from against_parent(world, task.id, then.parent, project.id)
    for relation in then.relations - now.relations:
        yield from against_relation(world, task.id, relation.type, relation.task_id)
    if _schedule(then) != _schedule(now):
        yield from _against_schedule(then)


def _schedule(facts: Facts) -> tuple[Any, ...]:
    return facts.due_at, facts.due_on, facts.zone, facts.recurrence, facts.series


def _against_schedule(then: Facts) -> Iterator[Reason]:
    due = then.due_at is not None or then.due_on is not None
    if then.zone is None and (due or then.recurrence is not None):
        yield rule("schedule")
    if (then.recurrence is None) != (then.series is None):
        yield rule("schedule")
    if then.recurrence is not None and then.series is not None:
        if due and not fits(then.recurrence, days=then.due_on is not None):
            yield fault("rule")
        yield from against_rule(then.recurrence, then.series, then.zone or "UTC")
