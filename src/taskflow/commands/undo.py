"""Computes the events that undo a change of a task: they set back the values that the change set and that still hold.

A change is everything that one command appended to the task. No state is kept about undoing: an undo is a change whose
events have, as their causation id, the first event of the change that they undo. Undoing an undo is a redo: the
original change counts as not undone again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from taskflow.commands.access import require_role
from taskflow.commands.comments import size_of
from taskflow.commands.fields import (
    COMMENTS_BYTES_MAX,
    COMMENTS_MAX,
    ITEMS_MAX,
    LABELS_MAX,
    RELATIONS_MAX,
    Command,
)
from taskflow.commands.task import assignable
from taskflow.commands.undo_schedule import SCHEDULE, set_back_schedule
from taskflow.errors import Forbidden, NothingToUndo, Rejected
from taskflow.streams import TASK, Event, EventMetadata
from taskflow.streams.project import ProjectState, Status
from taskflow.streams.task import (
    ChecklistItem,
    ChecklistItemAdded,
    ChecklistItemChecked,
    ChecklistItemRanked,
    ChecklistItemRemoved,
    ChecklistItemReworded,
    Comment,
    CommentDeleted,
    CommentEdited,
    CommentRestored,
    Relation,
    RelationAdded,
    RelationRemoved,
    TaskAssigned,
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskflow.commands.unit_history import PastEvent
    from taskflow.streams.stream_type import Annulment

# --- commands ------------------------------------------------------------------------------------


class UndoTask(Command, frozen=True):
    """`version`: any version that the change to undo produced; None: the newest change that can be undone."""

    version: Annotated[int, Meta(ge=1)] | None = None


CHANGES_READ_MAX: Final = 50
"""Newest changes that one undo reads. Changes that set nothing are skipped; there are hardly any."""

# --- changes -------------------------------------------------------------------------------------


class Change(Struct, frozen=True, kw_only=True):
    """Everything that one command appended to the task: versions `first` to `last`. `event_id` is its first event.
    `hidden`: each of its events was annulled, or annuls another, so no undo sees it."""

    event_id: UUID
    command: UUID | int
    """As in `PastEvent`."""
    actor: UUID | None
    undoes: UUID | None
    """Event id of the change that this one undid."""
    first: int
    last: int
    hidden: bool = False

    @property
    def versions(self) -> range:
        return range(self.first, self.last + 1)


class Effect(Struct, frozen=True):
    """The task before a change, and after it."""

    before: TaskState
    after: TaskState


class Story:
    """Groups a task's history into changes, piece by piece; the first is the creation. The events' data are not
    read: the task's state tells what was annulled."""

    def __init__(self, annulments: Iterable[Annulment] = ()) -> None:
        self.changes: list[Change] = []
        self._unseen = frozenset([version for one in annulments for version in (one.version, one.by)])
        self._named: set[UUID] = set()
        self._last: tuple[UUID | int, UUID | None, UUID | None] | None = None

    def add(self, history: Iterable[PastEvent]) -> None:
        """Adds the next piece of the history, oldest first. The events of one command may be in two pieces."""
        for of, events in groupby(history, lambda one: (one.command, one.metadata.actor, one.causation_id)):
            together = list(events)
            last = together[-1].metadata.version
            hidden = self._unseen.issuperset(one.metadata.version for one in together)
            if of == self._last:
                change = self.changes[-1]
                self.changes[-1] = replace(change, last=last, hidden=hidden and change.hidden)
                continue
            self._last, event_id = of, together[0].event_id
            command, actor, cause = of
            self.changes.append(
                Change(
                    event_id=event_id,
                    command=command,
                    actor=actor,
                    undoes=cause if cause in self._named else None,
                    first=together[0].metadata.version,
                    last=last,
                    hidden=hidden,
                )
            )
            self._named.add(event_id)


def changes_of(history: Iterable[PastEvent], annulments: Iterable[Annulment] = ()) -> list[Change]:
    """The changes of a whole history."""
    story = Story(annulments)
    story.add(history)
    return story.changes


def undone(changes: Sequence[Change]) -> set[UUID]:
    """Event ids of the changes that were undone by a later change which is not undone itself."""
    gone: set[UUID] = set()
    for change in reversed(changes):
        if change.undoes is not None and change.event_id not in gone and not change.hidden:
            gone.add(change.undoes)
    return gone


def change_of(changes: Sequence[Change], version: int) -> Change:
    """The change that produced a version. Raises NothingToUndo, also for the creation, which cannot be undone, for a
    change that was annulled, and for an annulment."""
    for change in changes[1:]:
        if version in change.versions and not change.hidden:
            return change
    raise NothingToUndo(f"no change after the creation that is not annulled led to version {version}")


def candidates(changes: Sequence[Change]) -> Iterator[Change]:
    """Changes that are neither undone nor an undo, newest first. The first of them that set a value is undone next."""
    gone = undone(changes)
    for change in reversed(changes[1:]):
        if change.undoes is None and change.event_id not in gone and not change.hidden:
            yield change


# --- facets --------------------------------------------------------------------------------------


class Undoing(Struct, frozen=True, kw_only=True):
    """The input for the events that undo a change.

    `task` is the present task, in its current status; `before` the task before the change; `home` the project that the
    task will be in after the undo.
    """

    task: TaskState
    before: TaskState
    home: ProjectState
    actor: UUID


class Facet(Struct, frozen=True, kw_only=True):
    """A property of tasks that a change can set, and that is set back independently of others.

    `read` gives the values by key: the one key None for a field, an id for each part such as a comment. `set_back`
    gives the events that restore values. `presence`: the value is whether the key exists; without it, a key is compared
    only if it exists both before and after a change.
    """

    read: Callable[[TaskState], Mapping[Any, Any]]
    set_back: Callable[[Undoing, Mapping[Any, Any]], list[Event]]
    presence: bool = False

    def value(self, values: Mapping[Any, Any], key: Any) -> Any:
        return values.get(key, False if self.presence else UNSET)


Values = dict[str, dict[Any, Any]]
"""Values by the name of the facet, then by key."""


def set_by(effect: Effect) -> dict[tuple[str, Any], tuple[Any, Any]]:
    """The values that a change altered: by facet and key, the value before it and the value that it set."""
    found: dict[tuple[str, Any], tuple[Any, Any]] = {}
    for name, facet in FACETS.items():
        before, after = facet.read(effect.before), facet.read(effect.after)
        for key in dict.fromkeys([*before, *after]):
            was, became = facet.value(before, key), facet.value(after, key)
            if was != became and UNSET not in {was, became}:
                found[name, key] = (was, became)
    return found


def still_set(effect: Effect, present: TaskState) -> Values:
    """The values from before a change, for everything that still has the value that the change set.

    The fields that a move set (`SET_BY_MOVE`) belong to its target project: once the task is in another project, they
    do not count as still set.
    """
    back: Values = {}
    altered = set_by(effect)
    for (name, key), (was, became) in altered.items():
        facet = FACETS[name]
        if facet.value(facet.read(present), key) == became:
            back.setdefault(name, {})[key] = was
    if ("project", None) in altered and "project" not in back:
        for name in SET_BY_MOVE:
            back.pop(name, None)
    return back


def _field(name: str, event: Callable[[Any], Event]) -> Facet:
    """The facet of one field of the task, with the event that sets it."""
    return Facet(read=lambda task: {None: getattr(task, name)}, set_back=lambda _, values: [event(values[None])])


def _resolved(project: ProjectState, key: str) -> Status:
    status = project.statuses.resolve(key)
    if status is None:
        raise Rejected("no-such-status", f"the project's workflow no longer has the status {key!r}")
    return status


def _restored_status(undoing: Undoing, values: Mapping[Any, Any]) -> list[Event]:
    """Restores the status. The workflow's transitions do not apply: the task was in that status before."""
    status = _resolved(undoing.home, values[None])
    if status.key == undoing.task.status:
        return []
    return [TaskStatusChanged(from_status=undoing.task.status, status=status.key, category=status.category)]


def _reassign(undoing: Undoing, values: Mapping[Any, Any]) -> list[Event]:
    assignable(undoing.home, values[None])
    return [TaskAssigned(assignee_id=values[None])]


def _with_due(_: Undoing, __: Mapping[Any, Any]) -> list[Event]:
    raise AssertionError(f"{SCHEDULE} are set back as one")


def _relabel(_: Undoing, values: Mapping[Any, Any]) -> list[Event]:
    added = tuple(label for label, present in values.items() if present)
    removed = tuple(label for label, present in values.items() if not present)
    return [TaskLabelled(added=added, removed=removed)]


def move_back(undoing: Undoing, values: Mapping[Any, Any]) -> list[Event]:
    """The event that moves a task back to its former project, with all fields that depend on the project. Fields in
    `values` are set back; the others stay as they are, if the former project allows their values."""
    task, home = undoing.task, undoing.home
    if "status" in values:
        status = _resolved(home, values["status"])
    else:
        status = (
            home.statuses.resolve(task.status) or home.workflow.first(task.category) or _resolved(home, task.status)
        )
    assignee_id = values.get("assignee", task.assignee_id)
    assignable(home, assignee_id)
    return [
        TaskMoved(
            from_project_id=task.project_id,
            project_id=home.id,
            status=status.key,
            category=status.category,
            rank=values.get("rank", task.rank),
            assignee_id=assignee_id,
            parent_id=values.get("parent", task.parent_id),
        )
    ]


def _comment_there(undoing: Undoing, values: Mapping[Any, Any]) -> list[Event]:
    events: list[Event] = []
    for comment_id, present in values.items():
        comment = _own_comment(undoing, comment_id)
        if present:
            events.append(
                CommentRestored(
                    comment_id=comment_id,
                    body=comment.body,
                    author_id=comment.author_id,
                    created_at=comment.created_at,
                    edited_at=comment.edited_at,
                )
            )
        else:
            events.append(CommentDeleted(comment_id=comment_id))
    return events


def _comment_body(undoing: Undoing, values: Mapping[Any, Any]) -> list[Event]:
    return [CommentEdited(comment_id=_own_comment(undoing, key).id, body=body) for key, body in values.items()]


def _own_comment(undoing: Undoing, comment_id: UUID) -> Comment:
    """A comment. Raises Forbidden unless the caller is its author or an admin, who may undo changes of it."""
    comment = undoing.task.comment(comment_id) or undoing.before.comment(comment_id)
    if comment is None:
        raise AssertionError(f"comment {comment_id} is there now or was there before the change")
    if comment.author_id != undoing.actor:
        try:
            require_role(undoing.home, undoing.actor, "admin")
        except Forbidden:
            raise Forbidden("a change of a comment is undone by its author or an admin") from None
    return comment


def _item_there(undoing: Undoing, values: Mapping[Any, Any]) -> list[Event]:
    gone = {item.id: item for item in undoing.before.checklist}
    return [
        ChecklistItemAdded(item_id=key, text=gone[key].text, rank=gone[key].rank, done=gone[key].done)
        if present
        else ChecklistItemRemoved(item_id=key)
        for key, present in values.items()
    ]


def _of_items(read: Callable[[ChecklistItem], Any], event: Callable[[UUID, Any], Event]) -> Facet:
    """The facet of one field of each checklist item, with the event that sets it."""
    return Facet(
        read=lambda task: {item.id: read(item) for item in task.checklist},
        set_back=lambda _, values: [event(key, value) for key, value in values.items()],
    )


def _relate(_: Undoing, values: Mapping[Relation, Any]) -> list[Event]:
    return [
        RelationAdded(relation=key.type, task_id=key.task_id)
        if present
        else RelationRemoved(relation=key.type, task_id=key.task_id)
        for key, present in values.items()
    ]


FACETS: Final[dict[str, Facet]] = {
    "project": Facet(read=lambda task: {None: task.project_id}, set_back=move_back),
    "title": _field("title", lambda title: TaskRetitled(title=title)),
    "description": _field("description", lambda description: TaskDescribed(description=description)),
    "status": Facet(read=lambda task: {None: task.status}, set_back=_restored_status),
    "priority": _field("priority", lambda priority: TaskPrioritised(priority=priority)),
    "due": Facet(read=lambda task: {None: (task.due_at, task.due_on)}, set_back=set_back_schedule),
    "zone": Facet(read=lambda task: {None: task.time_zone}, set_back=_with_due),
    "recurrence": Facet(read=lambda task: {None: task.recurrence}, set_back=_with_due),
    "series": Facet(read=lambda task: {None: task.series}, set_back=_with_due),
    "label": Facet(read=lambda task: dict.fromkeys(task.labels, True), set_back=_relabel, presence=True),
    "assignee": Facet(read=lambda task: {None: task.assignee_id}, set_back=_reassign),
    "parent": _field("parent_id", lambda parent_id: TaskParentSet(parent_id=parent_id)),
    "rank": _field("rank", lambda rank: TaskRanked(rank=rank)),
    "comment": Facet(
        read=lambda task: {comment.id: True for comment in task.comments}, set_back=_comment_there, presence=True
    ),
    "comment body": Facet(
        read=lambda task: {comment.id: comment.body for comment in task.comments}, set_back=_comment_body
    ),
    "item": Facet(read=lambda task: {item.id: True for item in task.checklist}, set_back=_item_there, presence=True),
    "item text": _of_items(lambda item: item.text, lambda key, text: ChecklistItemReworded(item_id=key, text=text)),
    "item done": _of_items(lambda item: item.done, lambda key, done: ChecklistItemChecked(item_id=key, done=done)),
    "item rank": _of_items(lambda item: item.rank, lambda key, rank: ChecklistItemRanked(item_id=key, rank=rank)),
    "relation": Facet(read=lambda task: dict.fromkeys(task.relations, True), set_back=_relate, presence=True),
    "trashed": Facet(
        read=lambda task: {None: task.trashed_at is not None},
        set_back=lambda _, values: [TaskTrashed() if values[None] else TaskRestored()],
    ),
}
"""Everything that can be undone, in the order of the resulting events."""

SET_BY_MOVE: Final = ("status", "assignee", "parent", "rank")
"""Facets that a move to another project sets too."""

# --- decide --------------------------------------------------------------------------------------


def undo(undoing: Undoing, back: Values) -> list[Event]:
    """The events that restore the values in `back`. Raises Rejected if there are none, or if one cannot be restored."""
    if undoing.task.trashed_at is not None and "trashed" not in back:
        raise Rejected("trashed", "the task is in the trash: only the change that put it there can be undone")
    back = dict(back)
    if "project" in back:
        back["project"] = {name: back.pop(name)[None] for name in SET_BY_MOVE if name in back}
    if schedule := {name: back.pop(name)[None] for name in SCHEDULE if name in back}:
        back[SCHEDULE[0]] = schedule
    events = [event for name, facet in FACETS.items() if name in back for event in facet.set_back(undoing, back[name])]
    if not events:
        raise Rejected("changed-since", "later changes have replaced every value that this change set")
    check_room(undoing.task, _after(undoing, events))
    return events


def _after(undoing: Undoing, events: Iterable[Event]) -> TaskState:
    task = undoing.task
    for event in events:
        task = TASK.evolve(task, event, EventMetadata(task.id, task.version + 1, task.updated_at, undoing.actor))
    return task


def check_room(now: TaskState, then: TaskState) -> None:
    """Raises Rejected if the undo of a change, or its annulment, makes a task exceed its limits. Parts that were added in place of a removed one count
    too; otherwise repeated undoing could make a task grow without bound."""
    for code, what, most, has, gets in (
        ("too-many-labels", "labels", LABELS_MAX, len(now.labels), len(then.labels)),
        ("too-many-items", "items in its checklist", ITEMS_MAX, len(now.checklist), len(then.checklist)),
        ("too-many-relations", "relations", RELATIONS_MAX, len(now.relations), len(then.relations)),
        ("too-many-comments", "comments", COMMENTS_MAX, len(now.comments), len(then.comments)),
        ("too-many-comments", "bytes of comments", COMMENTS_BYTES_MAX, size_of(now), size_of(then)),
    ):
        if gets > max(most, has):
            raise Rejected(
                code, f"a task has at most {most} {what}; with this there would be {gets}; remove some first"
            )
