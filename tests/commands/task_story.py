"""Any story of a task, told without a store: commands that each change something, and undos among them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from msgspec import UNSET

from taskflow.commands.undo import (
    FACETS,
    Change,
    Effect,
    Undoing,
    candidates,
    change_of,
    changes_of,
    set_by,
    still_set,
    undo,
)
from taskflow.commands.unit_history import PastEvent
from taskflow.dates.time_zones import day_end, zone_of
from taskflow.errors import NothingToUndo
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    MemberAdded,
    ProjectCreated,
    ProjectState,
)
from taskflow.streams.schedule import TaskDueSet, TaskRecurred, TaskRecurrenceSet
from taskflow.streams.task import (
    ChecklistItemAdded,
    ChecklistItemChecked,
    ChecklistItemRanked,
    ChecklistItemRemoved,
    ChecklistItemReworded,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    Relation,
    RelationAdded,
    RelationRemoved,
    TaskAssigned,
    TaskChangeImported,
    TaskCreated,
    TaskDescribed,
    TaskLabelled,
    TaskMoved,
    TaskParentSet,
    TaskPrioritised,
    TaskRanked,
    TaskRestored,
    TaskRetitled,
    TaskState,
    TaskStatusChanged,
    TaskTrashed,
)

OWNER, MEMBER, STRANGER = UUID(int=1), UUID(int=2), UUID(int=3)
HERE, THERE, TASK_ID = UUID(int=10), UUID(int=11), UUID(int=12)
ZONE = "Europe/Berlin"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CREATED = TaskCreated(project_id=HERE, title="T", status="todo", category="todo", rank="m", labels=("red",))


def project(project_id: UUID, *events: Event) -> ProjectState:
    state: Any = None
    created = ProjectCreated(name="P", owner_id=OWNER, workflow=DEFAULT_WORKFLOW)
    for version, event in enumerate([created, MemberAdded(user_id=MEMBER, role="member"), *events], 1):
        state = PROJECT.evolve(state, event, EventMetadata(project_id, version, NOW, OWNER))
    return state  # type: ignore[no-any-return]  # folded from one event at least


class Story:
    """A task and all that happened to it, command by command."""

    def __init__(self) -> None:
        self.past: list[PastEvent] = []
        self.states: list[Any] = [None]
        """By version."""
        self.state: Any = None
        self.projects = {one: project(one) for one in (HERE, THERE)}
        self.do(CREATED)

    def do(self, *events: Event, actor: UUID = OWNER, cause: UUID | None = None) -> int:
        """One command; answers the version that it led to."""
        command_id = UUID(int=1_000_000 + len(self.past))
        for event in events:
            version = len(self.past) + 1
            metadata = EventMetadata(TASK_ID, version, NOW + timedelta(minutes=version), actor)
            self.past.append(PastEvent(metadata, UUID(int=1000 + version), command_id, cause))
            self.state = TASK.evolve(self.state, event, metadata)
            self.states.append(self.state)
        return len(self.past)

    def undo(self, version: int | None = None, actor: UUID = OWNER) -> list[Event]:
        change = self.pick(version)
        effect = self.effect(change)
        back = still_set(effect, self.state)
        home = self.projects[effect.before.project_id if "project" in back else self.state.project_id]
        events = undo(Undoing(task=self.state, before=effect.before, home=home, actor=actor), back)
        self.do(*events, actor=actor, cause=change.event_id)
        return events

    def pick(self, version: int | None = None) -> Change:
        """The change to undo, as the handler picks it."""
        changes = changes_of(self.past)
        if version is not None:
            return change_of(changes, version)
        for change in candidates(changes):
            if set_by(self.effect(change)):
                return change
        raise NothingToUndo("every change is already undone")

    def effect(self, change: Change) -> Effect:
        return Effect(self.states[change.first - 1], self.states[change.last])

    @property
    def facets(self) -> dict[str, dict[Any, Any]]:
        return facets(self.state)


def facets(state: TaskState) -> dict[str, dict[Any, Any]]:
    return {name: dict(facet.read(state)) for name, facet in FACETS.items()}


# --- any story -----------------------------------------------------------------------------------

STATUSES = [status.key for status in DEFAULT_WORKFLOW.statuses]
small = st.integers(0, 3)


def _category(key: str) -> Any:
    status = DEFAULT_WORKFLOW.status(key)
    assert status is not None
    return status.category


def _status(task: TaskState, n: int) -> Event | None:
    key = STATUSES[n]
    return (
        None if key == task.status else TaskStatusChanged(from_status=task.status, status=key, category=_category(key))
    )


def _labelled(task: TaskState, n: int) -> Event:
    wanted = [label for bit, label in enumerate(("red", "blue")) if (n + 1) % 4 & (1 << bit)]
    added = tuple(label for label in wanted if label not in task.labels)
    return TaskLabelled(added=added, removed=tuple(label for label in task.labels if label not in wanted))


def moved(task: TaskState, n: int) -> Event:
    to = THERE if task.project_id == HERE else HERE
    key = STATUSES[n]
    return TaskMoved(
        from_project_id=task.project_id,
        project_id=to,
        status=key,
        category=_category(key),
        rank=f"m{n}",
        assignee_id=task.assignee_id if n % 2 else None,
    )


def _imported(task: TaskState, n: int) -> Event:
    return TaskChangeImported(
        status=STATUSES[n], category=_category(STATUSES[n]), priority="urgent", added=("imported",), assignee_id=MEMBER
    )


def _due(task: TaskState, n: int) -> Event:
    """Not, at a moment, on a day of a zone; or with the rule anew."""
    match n:
        case 0:
            return TaskDueSet(due_at=None)
        case 2:
            day = date(2026, 3, 1 + task.version % 3)
            return TaskDueSet(due_at=None, due_on=day, day_ends_at=day_end(day, zone_of(ZONE)), time_zone=ZONE)
        case _:
            return TaskDueSet(due_at=NOW + timedelta(hours=n), time_zone="UTC", restarts=n == 3)


def _zone(task: TaskState, n: int) -> Event:
    """Of a task that is due on a day, that ends elsewhen."""
    name = (ZONE, "UTC", "America/New_York", "Asia/Tokyo")[n]
    ends_at = None if task.due_on is None else day_end(task.due_on, zone_of(name))
    return TaskDueSet(due_at=task.due_at, due_on=task.due_on, day_ends_at=ends_at, time_zone=name)


def _recurrence(task: TaskState, n: int) -> Event:
    zone = UNSET if task.time_zone else ZONE
    return TaskRecurrenceSet(recurrence=None if n == 0 else f"FREQ=DAILY;INTERVAL={n}", time_zone=zone)


def _recurred(task: TaskState, n: int) -> Event:
    unticked = tuple(item.id for item in task.checklist if item.done)
    if task.series is None or not task.series.days:
        due_at = NOW + timedelta(days=n + 1)
        return TaskRecurred(task.due_at, due_at, "todo", "todo", occurrence_on=task.due_on, unticked=unticked)
    day = date(2026, 3, 11 + n)
    ends_at = day_end(day, zone_of(task.time_zone or "UTC"))
    return TaskRecurred(task.due_at, None, "todo", "todo", task.due_on, day, ends_at, unticked)


def _comment(task: TaskState, n: int) -> Event | None:
    comment_id = UUID(int=500 + n // 2)
    if task.comment(comment_id) is None:
        return CommentAdded(comment_id=comment_id, body="said")
    if n % 2:
        return CommentDeleted(comment_id=comment_id)
    return CommentEdited(comment_id=comment_id, body=f"edited at {task.version}")


def _item(task: TaskState, n: int) -> Event:
    item_id = UUID(int=600)
    item = task.item(item_id)
    if item is None:
        return ChecklistItemAdded(item_id=item_id, text="step", rank=f"a{n}", done=n == 1)
    match n:
        case 0:
            return ChecklistItemReworded(item_id=item_id, text=f"reworded at {task.version}")
        case 1:
            return ChecklistItemChecked(item_id=item_id, done=not item.done)
        case 2:
            return ChecklistItemRanked(item_id=item_id, rank=f"{item.rank}1")
        case _:
            return ChecklistItemRemoved(item_id=item_id)


def _related(task: TaskState, n: int) -> Event:
    relation = Relation("blocks" if n % 2 else "relates_to", UUID(int=700 + n // 2))
    kind = RelationRemoved if relation in task.relations else RelationAdded
    return kind(relation=relation.type, task_id=relation.task_id)


ACTIONS: dict[str, Callable[[TaskState, int], Event | None]] = {
    "retitle": lambda _, n: TaskRetitled(title=f"T{n}"),
    "describe": lambda _, n: TaskDescribed(description="" if n == 0 else f"D{n}"),
    "status": _status,
    "prioritise": lambda _, n: TaskPrioritised(priority=("low", "medium", "high", "urgent")[n]),
    "due": _due,
    "zone": _zone,
    "label": _labelled,
    "assign": lambda _, n: TaskAssigned(assignee_id=(None, OWNER, MEMBER, None)[n]),
    "parent": lambda _, n: TaskParentSet(parent_id=None if n == 0 else UUID(int=800 + n)),
    "rank": lambda _, n: TaskRanked(rank=f"r{n}"),
    "move": moved,
    "recurrence": _recurrence,
    "recur": _recurred,
    "import": _imported,
    "comment": _comment,
    "item": _item,
    "relate": _related,
    "trash": lambda _, __: TaskTrashed(),
}
action = st.tuples(st.sampled_from(sorted(ACTIONS)), small)
command = st.lists(action, min_size=1, max_size=3)
stories = st.lists(st.one_of(command, command, st.just("undo")), max_size=25)


def run_story(story: Story, steps: list[Any]) -> None:
    """Commands that each change something, and undos among them."""
    for step in steps:
        if step == "undo":
            try:
                story.undo()
            except NothingToUndo:
                assert story.facets == facets(story.states[changes_of(story.past)[0].last])
            continue
        events = events_of(story.state, step)
        if events:
            story.do(*events)


def events_of(state: TaskState, step: list[Any]) -> list[Event]:
    """What one command appends: only what changes something; nothing but a restoration to a trashed task."""
    if state.trashed_at is not None:
        return [TaskRestored()]
    events: list[Event] = []
    for name, n in step:
        event = ACTIONS[name](state, n)
        if event is None or state.trashed_at is not None:
            continue
        at = state.updated_at + timedelta(minutes=1)
        after = TASK.evolve(state, event, EventMetadata(state.id, state.version + 1, at, state.created_by))
        if facets(after) != facets(state):
            state = after
            events.append(event)
    return events


def walk_back(story: Story) -> list[int]:
    """Undoes until nothing is left; answers the versions that it led to."""
    led_to: list[int] = []
    while True:
        try:
            story.undo()
        except NothingToUndo:
            return led_to
        led_to.append(len(story.past))
