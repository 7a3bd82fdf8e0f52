"""What a task of another list, and what was said about it, does to each state: given, when, then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands import brought
from taskflow.commands.brought import BroughtNote, BroughtTask, note
from taskflow.errors import Rejected
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import DEFAULT_WORKFLOW, ProjectArchived, ProjectCreated, ProjectState, Status, Workflow
from taskflow.streams.task import CommentRestored, TaskCreated, TaskState, TaskStatusChanged, TaskTrashed

OWNER, ADA = UUID(int=1), UUID(int=2)
PROJECT_ID, TASK_ID, NOTE_ID = UUID(int=10), UUID(int=11), UUID(int=12)
AT = datetime(2026, 5, 1, tzinfo=UTC)
NOW = AT + timedelta(days=9)
BROUGHT = BroughtTask(
    project_id=PROJECT_ID,
    external_id="7",
    title="T",
    description="D",
    category="todo",
    priority="high",
    due_at=AT,
    recurrence="FREQ=DAILY",
    labels=("a",),
    assignee_id=ADA,
    created_by=None,
    parent_id=UUID(int=13),
    rank="m",
    created_at=AT,
    updated_at=AT,
    source={"DURATION": "30"},
)
SAID = BroughtNote(project_id=PROJECT_ID, comment_id=NOTE_ID, author_id=ADA, body="said", at=AT - timedelta(days=1))


def fold(kind: Any, stream_id: UUID, *events: Event) -> Any:
    state = None
    for version, event in enumerate(events, 1):
        state = kind.evolve(state, event, EventMetadata(stream_id, version, AT, OWNER))
    return state


def project(*events: Event, workflow: Workflow = DEFAULT_WORKFLOW) -> ProjectState:
    state: ProjectState = fold(PROJECT, PROJECT_ID, ProjectCreated("P", OWNER, workflow), *events)
    return state


def create(project: ProjectState, task: BroughtTask) -> list[tuple[datetime, Event]]:
    return brought.create(project, TASK_ID, task, NOW)


def a_task(*events: Event) -> TaskState:
    state: TaskState = fold(TASK, TASK_ID, *[event for _, event in create(project(), BROUGHT)], *events)
    return state


class TestATask:
    def test_is_made_as_it_is(self) -> None:
        [(at, event)] = create(project(), BROUGHT)
        assert at == AT
        assert event == TaskCreated(
            project_id=PROJECT_ID, title="T", status="todo", category="todo", rank="m", description="D",
            priority="high", due_at=AT, labels=("a",), assignee_id=ADA, parent_id=UUID(int=13),
            recurrence="FREQ=DAILY", external_id="7", source={"DURATION": "30"},
        )  # fmt: skip

    def test_that_is_done_is_made_in_the_first_status_for_that(self) -> None:
        [(_, event)] = create(project(), replace(BROUGHT, category="done"))
        assert isinstance(event, TaskCreated)
        assert (event.status, event.category) == ("done", "done")

    def test_that_was_done_at_a_known_time_became_so_then(self) -> None:
        later = AT + timedelta(days=2)
        [(_, made), (at, event)] = create(
            project(), replace(BROUGHT, category="done", completed_at=later, updated_at=later)
        )
        assert isinstance(made, TaskCreated)
        assert (made.status, at) == ("todo", later)
        assert event == TaskStatusChanged("todo", "done", "done")

    def test_is_refused_where_nothing_is_ever_done(self) -> None:
        only = Workflow((Status("open", "Open", "todo"),))
        assert len(create(project(workflow=only), BROUGHT)) == 1
        with pytest.raises(Rejected, match="no status of the category done"):
            create(project(workflow=only), replace(BROUGHT, category="done"))

    def test_is_refused_in_an_archived_project(self) -> None:
        with pytest.raises(Rejected, match="archived"):
            create(project(ProjectArchived()), BROUGHT)


class TestANote:
    def test_is_a_comment_of_its_author_and_its_time(self) -> None:
        assert note(a_task(), project(), SAID, OWNER) == [CommentRestored(NOTE_ID, "said", ADA, SAID.at)]

    def test_without_an_author_is_of_whoever_brings_it(self) -> None:
        [event] = note(a_task(), project(), replace(SAID, author_id=None), OWNER)
        assert isinstance(event, CommentRestored)
        assert event.author_id == OWNER

    def test_is_refused_on_what_went_elsewhere_or_into_the_trash(self) -> None:
        with pytest.raises(Rejected, match="in another project now"):
            note(replace(a_task(), project_id=UUID(int=99)), project(), SAID, OWNER)
        with pytest.raises(Rejected, match="in the trash"):
            note(a_task(TaskTrashed()), project(), SAID, OWNER)
