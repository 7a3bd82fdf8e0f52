"""What an export of a project holds, and what cannot be one. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct

from taskflow.client.answers import Label, Workflow
from taskflow.dates.time_zones import NAMES, UTC_NAME
from taskflow.importer.contract import (
    DESCRIPTION_BYTES_MAX,
    EXTERNAL_ID_MAX,
    LABEL_MAX,
    RULE_MAX,
    STATUSES_MAX,
    Category,
    Description,
    Labels,
    Name,
    Priority,
    RelationType,
    Role,
    StatusKey,
    Time,
    Title,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
Text = Annotated[str, Meta(max_length=DESCRIPTION_BYTES_MAX)]


class Person(Struct, frozen=True):
    id: UUID
    name: Name | None = None


class Member(Struct, frozen=True):
    id: UUID
    role: Role
    name: Name | None = None


class Project(Struct, frozen=True):
    id: UUID
    name: Name
    description: Description
    workflow: Workflow
    labels: tuple[Label, ...]
    created_at: Time
    archived_at: Time | None = None


class Commented(Struct, frozen=True):
    id: UUID
    author: Person | None
    body: Text
    created_at: Time
    edited_at: Time | None = None


class Related(Struct, frozen=True):
    type: RelationType
    task_id: UUID


class Item(Struct, frozen=True):
    id: UUID
    text: Text
    done: bool


class Slots(Struct, frozen=True):
    """A series: where its rule is counted from, and the slot of the present occurrence."""

    start: Time
    slot: Time
    days: bool = False


class Task(Struct, frozen=True, kw_only=True):
    """What is said beside these fields follows from them."""

    id: UUID
    external_id: Annotated[str, Meta(max_length=EXTERNAL_ID_MAX)] | None = None
    title: Title
    description: Description
    status: StatusKey
    status_category: Category
    priority: Priority
    due_at: Time | None
    labels: Labels
    assignee: Person | None
    parent_id: UUID | None
    rank: Annotated[str, Meta(min_length=1, max_length=LABEL_MAX)]
    recurrence: Annotated[str, Meta(max_length=RULE_MAX)] | None = None
    created_by: UUID | None
    created_at: Time
    updated_at: Time
    started_at: Time | None
    completed_at: Time | None
    checklist: tuple[Item, ...] = ()
    relations: tuple[Related, ...] = ()
    comments: tuple[Commented, ...] = ()
    due_on: date | None = None
    time_zone: str | None = None
    """None beside a due or a rule: an export of before there were zones; it meant UTC."""
    series: Slots | None = None

    @property
    def zone(self) -> str | None:
        said = (self.due_at, self.due_on, self.recurrence)
        return UTC_NAME if self.time_zone is None and any(one is not None for one in said) else self.time_zone


class Export(Struct, frozen=True):
    format: Literal["taskflow"]
    version: Literal[1]
    project: Project
    members: tuple[Member, ...]
    tasks: tuple[Task, ...]
    people: tuple[Person, ...] = ()


def fault(export: Export, lines: Mapping[UUID, int]) -> str | None:
    """What is well formed and cannot have been exported; `lines`: where tasks stand in the file, if that has lines."""

    def named(task_id: UUID) -> str:
        return f"task {task_id}" + (f" in line {lines[task_id]}" if task_id in lines else "")

    above = {task.id: task.parent_id for task in export.tasks}
    if len(above) < len(export.tasks):
        return "two tasks have one id"
    statuses = [status.key for status in export.project.workflow.statuses]
    if not 1 <= len(statuses) <= STATUSES_MAX or len(set(statuses)) < len(statuses):
        return f"expected a workflow of 1 to {STATUSES_MAX} statuses, each once"
    if any(not 1 <= len(label.name) <= LABEL_MAX for label in export.project.labels):
        return f"expected labels of 1 to {LABEL_MAX} characters"
    if export.project.created_at < _FIRST or any(task.created_at < _FIRST for task in export.tasks):
        return "expected times since 1970"
    sound: set[UUID] = set()
    for task in export.tasks:
        if not task.created_at <= task.updated_at:
            return f"{named(task.id)} was changed before it was created"
        if wrong := _schedule_fault(task):
            return f"{named(task.id)}: {wrong}"
        walked: set[UUID] = set()
        at: UUID | None = task.id
        while at is not None and at in above and at not in sound:
            if at in walked:
                return f"{named(task.id)} stands below itself"
            walked.add(at)
            at = above[at]
        sound |= walked
    return None


def _schedule_fault(task: Task) -> str | None:
    """A due or a zone that no task can have had. Rules are the server's to judge."""
    if task.due_at is not None and task.due_on is not None:
        return "expected due_at or due_on, found both"
    if task.time_zone is not None and task.time_zone not in NAMES:
        return f"expected a time zone of IANA, found {task.time_zone[:50]!r}"
    return None
