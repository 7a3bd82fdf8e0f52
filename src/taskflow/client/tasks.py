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
"""Any of these."""


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
        """Without a project: in the Inbox. Due at a moment or on a day, which ends in the zone, where a rule repeats too;
        without one, in that of one's own settings."""
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
        """As it is; or as it was, from the event store: at a version, or at a time by `occurred_at` (inclusive),
        with `clock="recorded"` by the time when the store took it."""
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
        """Every task that fits, from page to page; `limit` is the size of a page. `assignee` takes `me`, `q` is
        searched for in the text. Tasks of archived projects are found where `project` names one, or by `archived`."""
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
        """Changes what is given; None clears."""
        body = given(
            title=title, description=description, status=status, priority=priority, due_at=due_at, due_on=due_on,
            time_zone=time_zone, labels=labels, assignee_id=assignee_id, parent_id=parent_id, recurrence=recurrence,
        )  # fmt: skip
        return write("PATCH", at("tasks", task), Task, body, expected=expected_version)

    @call
    def trash(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        """For 30 days it can be restored."""
        return write("DELETE", at("tasks", task), Task, expected=expected_version)

    @call
    def restore(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        return _intent(task, "restore", expected_version)

    # --- intents

    @call
    def start(self, task: Id, *, expected_version: int | None = None) -> Call[Task]:
        """To the first status in progress."""
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
        """None: to nobody."""
        return _intent(task, "assign", expected_version, {"user_id": user})

    @call
    def move(
        self, task: Id, project: Id, *, status: str | UnsetType = UNSET, expected_version: int | None = None
    ) -> Call[Task]:
        """Into another project."""
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
        """Behind or in front of another task."""
        return _intent(task, "rank", expected_version, given(after=after, before=before))

    @call
    def undo(self, task: Id, *, version: int | UnsetType = UNSET, expected_version: int | None = None) -> Call[Task]:
        """The newest change that still stands; or the one that made `version`: of an undo, that redoes it."""
        return _intent(task, "undo", expected_version, given(version=version))

    # --- history

    @listed
    def events(self, task: Id, *, limit: int | None = None) -> Call[Page[Event]]:
        """Its history, oldest first, with every write that was acknowledged."""
        return pages(at("tasks", task, "events"), Event, {"limit": limit}, fresh=False)

    @call
    def diff(self, task: Id, *, from_version: int | None = None, to_version: int | None = None) -> Call[Diff]:
        query: dict[str, Value] = {"from": from_version, "to": to_version}
        return read(at("tasks", task, "diff"), Diff, query, fresh=False)


class Comments(Resource[F]):
    """Versions are the task's, here and below."""

    @listed
    def list(self, task: Id, *, limit: int | None = None) -> Call[Page[Comment]]:
        return pages(at("tasks", task, "comments"), Comment, {"limit": limit})

    @call
    def get(self, task: Id, comment: Id) -> Call[Comment]:
        return read(at("tasks", task, "comments", comment), Comment)

    @call
    def add(self, task: Id, body: str, *, expected_version: int | None = None) -> Call[Comment]:
        """Markdown; `@[user id]` mentions somebody."""
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
        """`after`: behind that item; None: to the front."""
        body = given(text=text, done=done, after=after)
        return write("PATCH", at("tasks", task, "checklist", item), Task, body, expected=expected_version)

    @call
    def delete(self, task: Id, item: Id, *, expected_version: int | None = None) -> Call[Task]:
        return write("DELETE", at("tasks", task, "checklist", item), Task, expected=expected_version)


class Relations(Resource[F]):
    @call
    def add(self, task: Id, kind: str, other: Id, *, expected_version: int | None = None) -> Call[Task]:
        """`blocks`, `relates_to` or `duplicates`."""
        body = {"type": kind, "task_id": other}
        return write("PUT", at("tasks", task, "relations"), Task, body, expected=expected_version)

    @call
    def remove(self, task: Id, kind: str, other: Id, *, expected_version: int | None = None) -> Call[Task]:
        return write("DELETE", at("tasks", task, "relations", kind, other), Task, expected=expected_version)


def _intent(task: Id, verb: str, expected: int | None, body: dict[str, Any] | None = None) -> Call[Task]:
    return write("POST", at("tasks", task, verb), Task, body, expected=expected)
