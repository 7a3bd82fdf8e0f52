"""Tasks, with their comments, checklists and relations, and their history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from msgspec import UNSET, UnsetType

from taskflow.client.answers import ChecklistItem, Comment, Diff, Event, Page, Task
from taskflow.client.call import Call, Id, Value, at, given, pages, read, write
from taskflow.client.resource import F, Resource, call, listed
from taskflow.client.session import Session

Several = Sequence[Id]
"""A filter that matches any of these."""


class Tasks(Resource[F]):
    def __init__(self, session: Session, face: F) -> None:
        super().__init__(session, face)
        self.comments = Comments(session, face)
        self.checklist = Checklist(session, face)
        self.relations = Relations(session, face)

    @call
    def create(
        self,
        title: str,
        *,
        project_id: Id | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        status: str | UnsetType = UNSET,
        priority: str | UnsetType = UNSET,
        due_at: datetime | UnsetType | None = UNSET,
        due_on: date | UnsetType | None = UNSET,
        time_zone: str | UnsetType | None = UNSET,
        labels: Sequence[str] | UnsetType = UNSET,
        assignee_id: Id | UnsetType | None = UNSET,
        parent_id: Id | UnsetType | None = UNSET,
        recurrence: str | UnsetType | None = UNSET,
    ) -> Call[Task]:
        """Creates a task, by default in the Inbox. It is due at a moment (`due_at`) or on a day (`due_on`). The day
        ends, and a recurrence repeats, in `time_zone`, by default that of the caller's settings."""
        body = given(
            title=title, project_id=project_id, description=description, status=status, priority=priority,
            due_at=due_at, due_on=due_on, time_zone=time_zone, labels=labels, assignee_id=assignee_id,
            parent_id=parent_id, recurrence=recurrence,
        )  # fmt: skip
        return write("POST", at("tasks"), Task, body)

    @call
    def get(
        self, task: Id, *, version: int | None = None, at_time: datetime | None = None, clock: str | None = None
    ) -> Call[Task]:
        """The task now; or as it was at a version or a time, from the event store. The time is inclusive and compares
        with `occurred_at`, or with `recorded_at` if `clock="recorded"`."""
        past: dict[str, Value] = {"version": version, "at": at_time, "clock": clock}
        return read(at("tasks", task), Task, past, fresh=version is None and at_time is None)

    @listed
    def list(
        self,
        *,
        project: Several = (),
        status: Several = (),
        category: Several = (),
        assignee: Several = (),
        label: Several = (),
        priority: Several = (),
        parent: Several = (),
        due_before: datetime | None = None,
        due_after: datetime | None = None,
        q: str | None = None,
        trashed: bool | None = None,
        archived: bool | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Call[Page[Task]]:
        """All matching tasks, page by page; `limit` is the page size. `assignee` may be `me`; `q` is a full-text
        search. Tasks of archived projects are included only if `project` names the project, or with `archived`."""
        query: dict[str, Value] = {
            "project": project, "status": status, "category": category, "assignee": assignee, "label": label,
            "priority": priority, "parent": parent, "due_before": due_before, "due_after": due_after, "q": q,
            "trashed": trashed, "archived": archived, "sort": sort, "limit": limit,
        }  # fmt: skip
        return pages(at("tasks"), Task, query)

    @call
    def edit(
        self,
        task: Id,
        *,
        title: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        status: str | UnsetType = UNSET,
        priority: str | UnsetType = UNSET,
        due_at: datetime | UnsetType | None = UNSET,
        due_on: date | UnsetType | None = UNSET,
        time_zone: str | UnsetType | None = UNSET,
        labels: Sequence[str] | UnsetType = UNSET,
        assignee_id: Id | UnsetType | None = UNSET,
        parent_id: Id | UnsetType | None = UNSET,
        recurrence: str | UnsetType | None = UNSET,
        expected_version: int | None = None,
    ) -> Call[Task]:
        """Changes the fields that are given; None clears a field."""
        body = given(
            title=title, description=description, status=status, priority=priority, due_at=due_at, due_on=due_on,
            time_zone=time_zone, labels=labels, assignee_id=assignee_id, parent_id=parent_id, recurrence=recurrence,
        )  # fmt: skip
        return write("PATCH", at("tasks", task), Task, body, expected=expected_version)

    @call
    def trash(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        """Moves the task to the trash; it can be restored for 30 days."""
        return write("DELETE", at("tasks", task), Task, expected=expected_version)

    @call
    def restore(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        return _intent(task, "restore", expected_version)

    # --- intents

    @call
    def start(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        """Moves the task to the first status of the category `in_progress`."""
        return _intent(task, "start", expected_version)

    @call
    def complete(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        return _intent(task, "complete", expected_version)

    @call
    def reopen(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        return _intent(task, "reopen", expected_version)

    @call
    def cancel(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        return _intent(task, "cancel", expected_version)

    @call
    def assign(self, task: Id, user: Id | None, *, expected_version: int | None = None) -> Call[Task]:
        """Assigns the task to a user, or to nobody with None."""
        return _intent(task, "assign", expected_version, {"user_id": user})

    @call
    def move(
        self, task: Id, project: Id, *, status: str | UnsetType = UNSET, expected_version: int | None = None
    ) -> Call[Task]:
        """Moves the task, with its subtasks, to another project."""
        return _intent(task, "move", expected_version, given(project_id=project, status=status))

    @call
    def rank(
        self,
        task: Id,
        *,
        after: Id | UnsetType = UNSET,
        before: Id | UnsetType = UNSET,
        expected_version: int | None = None,
    ) -> Call[Task]:
        """Changes the order: puts the task after or before another one."""
        return _intent(task, "rank", expected_version, given(after=after, before=before))

    @call
    def undo(self, task: Id, *, version: int | UnsetType = UNSET, expected_version: int | None = None) -> Call[Task]:
        """Undoes the newest change not yet undone, or the one that made `version`. Undoing an undo redoes."""
        return _intent(task, "undo", expected_version, given(version=version))

    # --- history

    @listed
    def events(self, task: Id, *, limit: int | None = None) -> Call[Page[Event]]:
        """The task's events, oldest first, including every acknowledged write."""
        return pages(at("tasks", task, "events"), Event, {"limit": limit}, fresh=False)

    @call
    def diff(self, task: Id, *, from_version: int | None = None, to_version: int | None = None) -> Call[Diff]:
        query: dict[str, Value] = {"from": from_version, "to": to_version}
        return read(at("tasks", task, "diff"), Diff, query, fresh=False)


class Comments(Resource[F]):
    """Comments of a task. `expected_version` is the task's, as in the classes below."""

    @listed
    def list(self, task: Id, *, limit: int | None = None) -> Call[Page[Comment]]:
        return pages(at("tasks", task, "comments"), Comment, {"limit": limit})

    @call
    def get(self, task: Id, comment: Id) -> Call[Comment]:
        return read(at("tasks", task, "comments", comment), Comment)

    @call
    def add(self, task: Id, body: str, *, expected_version: int | None = None) -> Call[Comment]:
        """Adds a comment in Markdown; `@[user id]` mentions a user."""
        return write("POST", at("tasks", task, "comments"), Comment, {"body": body}, expected=expected_version)

    @call
    def edit(self, task: Id, comment: Id, body: str, *, expected_version: int | None = None) -> Call[Comment]:
        path = at("tasks", task, "comments", comment)
        return write("PATCH", path, Comment, {"body": body}, expected=expected_version)

    @call
    def delete(self, task: Id, comment: Id, *, expected_version: int | None = None) -> Call[Task]:
        return write("DELETE", at("tasks", task, "comments", comment), Task, expected=expected_version)


class Checklist(Resource[F]):
    @call
    def add(self, task: Id, text: str, *, expected_version: int | None = None) -> Call[ChecklistItem]:
        return write("POST", at("tasks", task, "checklist"), ChecklistItem, {"text": text}, expected=expected_version)

    @call
    def edit(
        self,
        task: Id,
        item: Id,
        *,
        text: str | UnsetType = UNSET,
        done: bool | UnsetType = UNSET,
        after: Id | UnsetType | None = UNSET,
        expected_version: int | None = None,
    ) -> Call[Task]:
        """Changes an item; `after` moves it behind that item, or to the front with None."""
        body = given(text=text, done=done, after=after)
        return write("PATCH", at("tasks", task, "checklist", item), Task, body, expected=expected_version)

    @call
    def delete(self, task: Id, item: Id, *, expected_version: int | None = None) -> Call[Task]:
        return write("DELETE", at("tasks", task, "checklist", item), Task, expected=expected_version)


class Relations(Resource[F]):
    @call
    def add(self, task: Id, kind: str, other: Id, *, expected_version: int | None = None) -> Call[Task]:
        """Adds a relation; `kind` is `blocks`, `relates_to` or `duplicates`."""
        body = {"type": kind, "task_id": other}
        return write("PUT", at("tasks", task, "relations"), Task, body, expected=expected_version)

    @call
    def remove(self, task: Id, kind: str, other: Id, *, expected_version: int | None = None) -> Call[Task]:
        return write("DELETE", at("tasks", task, "relations", kind, other), Task, expected=expected_version)


def _intent(task: Id, verb: str, expected: int | None, body: dict[str, Any] | None = None) -> Call[Task]:
    return write("POST", at("tasks", task, verb), Task, body, expected=expected)
