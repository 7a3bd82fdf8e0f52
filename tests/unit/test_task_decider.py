"""What becomes of each command in each state of a task: given, when, then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from taskflow.commands import task
from taskflow.errors import Invalid, Rejected
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    MemberAdded,
    ProjectArchived,
    ProjectCreated,
    ProjectState,
    Transition,
)
from taskflow.streams.schedule import TaskDueSet
from taskflow.streams.task import (
    TaskAssigned,
    TaskCreated,
    TaskDescribed,
    TaskLabelled,
    TaskPrioritised,
    TaskRestored,
    TaskRetitled,
    TaskState,
    TaskStatusChanged,
    TaskTrashed,
)

OWNER, MEMBER, STRANGER = UUID(int=1), UUID(int=2), UUID(int=3)
PROJECT_ID, TASK_ID = UUID(int=10), UUID(int=11)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def fold(kind: Any, stream_id: UUID, *events: Event, state: Any = None) -> Any:
    for event in events:
        version = 1 if state is None else state.version + 1
        state = kind.evolve(state, event, EventMetadata(stream_id, version, NOW + timedelta(minutes=version), OWNER))
    return state


def project(*events: Event) -> ProjectState:
    created = ProjectCreated(name="P", owner_id=OWNER, workflow=DEFAULT_WORKFLOW)
    state: ProjectState = fold(PROJECT, PROJECT_ID, created, MemberAdded(user_id=MEMBER, role="member"), *events)
    return state


CREATED = TaskCreated(project_id=PROJECT_ID, title="Write", status="todo", category="todo", rank="a", labels=("x", "y"))
STARTED = TaskStatusChanged(from_status="todo", status="in_progress", category="in_progress")
COMPLETED = TaskStatusChanged(from_status="todo", status="done", category="done")


def a_task(*events: Event) -> TaskState:
    state: TaskState = fold(TASK, TASK_ID, CREATED, *events)
    return state


class TestCreating:
    def test_takes_the_first_status_of_todo(self) -> None:
        (event,) = task.create(project(), task.CreateTask(title="T"), NOW)
        assert isinstance(event, TaskCreated)
        assert (event.status, event.category, event.priority) == ("todo", "todo", "medium")

    def test_takes_the_status_that_is_named(self) -> None:
        (event,) = task.create(project(), task.CreateTask(title="T", status="done"), NOW)
        assert isinstance(event, TaskCreated)
        assert (event.status, event.category) == ("done", "done")

    def test_keeps_each_label_once_in_order(self) -> None:
        (event,) = task.create(project(), task.CreateTask(title="T", labels=("b", "a", "b")), NOW)
        assert isinstance(event, TaskCreated)
        assert event.labels == ("b", "a")

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (task.CreateTask(title="T", status="nowhere"), "no-such-status"),
            (task.CreateTask(title="T", assignee_id=STRANGER), "not-a-member"),
        ],
    )
    def test_refuses_what_the_project_does_not_have(self, command: task.CreateTask, code: str) -> None:
        with pytest.raises(Rejected) as refused:
            task.create(project(), command, NOW)
        assert refused.value.code == code

    def test_is_refused_in_an_archived_project(self) -> None:
        with pytest.raises(Rejected, match="archived"):
            task.create(project(ProjectArchived()), task.CreateTask(title="T"), NOW)

    def test_counts_the_bytes_of_a_description(self) -> None:
        with pytest.raises(Invalid, match="100000 bytes, found 100002"):
            task.create(project(), task.CreateTask(title="T", description="é" * 50_001), NOW)


class TestEditing:
    @pytest.mark.parametrize(
        ("patch", "expected"),
        [
            ({"title": "New"}, [TaskRetitled(title="New")]),
            ({"title": "Write"}, []),
            ({"description": "D"}, [TaskDescribed(description="D")]),
            ({"description": None}, []),
            ({"priority": "urgent"}, [TaskPrioritised(priority="urgent")]),
            ({"due_at": NOW}, [TaskDueSet(due_at=NOW, time_zone="UTC")]),
            ({"due_at": None}, []),
            ({"labels": ("y", "z")}, [TaskLabelled(added=("z",), removed=("x",))]),
            ({"labels": ("y", "x")}, []),
            ({"labels": None}, [TaskLabelled(removed=("x", "y"))]),
            ({"assignee_id": MEMBER}, [TaskAssigned(assignee_id=MEMBER)]),
            ({"assignee_id": None}, []),
            ({"status": "in_progress"}, [STARTED]),
            ({"status": "todo"}, []),
            ({}, []),
        ],
    )
    def test_only_real_differences_become_events(self, patch: dict[str, Any], expected: list[Event]) -> None:
        assert task.edit(a_task(), project(), task.EditTask(**patch), NOW) == expected

    def test_each_field_that_differs_is_one_event(self) -> None:
        command = task.EditTask(title="New", priority="low", status="done")
        events = task.edit(a_task(), project(), command, NOW)
        assert [type(event) for event in events] == [TaskRetitled, TaskPrioritised, TaskStatusChanged]

    def test_a_time_at_the_edge_of_the_calendar_is_refused(self) -> None:
        edge = datetime.max.replace(tzinfo=UTC).astimezone(UTC) - timedelta(hours=1)
        offset = edge.replace(tzinfo=None).replace(tzinfo=__import__("datetime").timezone(timedelta(hours=-5)))
        with pytest.raises(Invalid, match="1 and 9999"):
            task.edit(a_task(), project(), task.EditTask(due_at=offset), NOW)

    def test_a_trashed_task_is_not_edited(self) -> None:
        with pytest.raises(Rejected) as refused:
            task.edit(a_task(TaskTrashed()), project(), task.EditTask(title="New"), NOW)
        assert refused.value.code == "trashed"


class TestIntents:
    @pytest.mark.parametrize(
        ("history", "category", "expected"),
        [
            ([], "in_progress", [STARTED]),
            ([STARTED], "in_progress", []),
            ([], "done", [COMPLETED]),
            ([COMPLETED], "done", []),
            ([COMPLETED], "todo", [TaskStatusChanged(from_status="done", status="todo", category="todo")]),
            ([], "todo", []),
            ([], "cancelled", [TaskStatusChanged(from_status="todo", status="cancelled", category="cancelled")]),
        ],
    )
    def test_go_to_the_first_status_of_a_category(
        self, history: list[Event], category: Any, expected: list[Event]
    ) -> None:
        assert task.intend(a_task(*history), project(), category, NOW) == expected

    def test_without_such_a_status_are_refused(self) -> None:
        with pytest.raises(Rejected) as refused:
            task.intend(a_task(), project(), "waiting", NOW)
        assert refused.value.code == "no-such-status"

    def test_along_a_transition_that_is_not_there_are_refused(self) -> None:
        workflow = replace(DEFAULT_WORKFLOW, transitions=(Transition("todo", "in_progress"),))
        strict = replace(project(), workflow=workflow)
        assert task.intend(a_task(), strict, "in_progress", NOW) == [STARTED]
        with pytest.raises(Rejected) as refused:
            task.intend(a_task(), strict, "done", NOW)
        assert refused.value.code == "transition"


class TestTrash:
    def test_is_entered_and_left_once(self) -> None:
        assert task.trash(a_task(), project()) == [TaskTrashed()]
        assert task.trash(a_task(TaskTrashed()), project()) == []
        assert task.restore(a_task(TaskTrashed()), project()) == [TaskRestored()]
        assert task.restore(a_task(), project()) == []


class TestTimes:
    def test_started_is_the_first_start_and_completed_the_last_completion(self) -> None:
        reopened = TaskStatusChanged(from_status="done", status="todo", category="todo")
        state = a_task(STARTED, COMPLETED, reopened, STARTED, COMPLETED)
        assert state.started_at == NOW + timedelta(minutes=2)
        assert state.completed_at == NOW + timedelta(minutes=6)

    def test_a_reopened_task_is_not_completed(self) -> None:
        reopened = TaskStatusChanged(from_status="done", status="todo", category="todo")
        assert a_task(COMPLETED, reopened).completed_at is None


patches = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text(min_size=1, max_size=20).filter(str.strip),
        "description": st.none() | st.text(max_size=20),
        "status": st.sampled_from(["todo", "in_progress", "done", "cancelled"]),
        "priority": st.sampled_from(["low", "medium", "high", "urgent"]),
        "due_at": st.none() | st.datetimes(min_value=datetime(1990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy adds the zone
        "labels": st.none() | st.lists(st.sampled_from("abcxyz"), max_size=5).map(tuple),
        "assignee_id": st.none() | st.sampled_from([OWNER, MEMBER]),
    },
)


@given(st.lists(patches, min_size=1, max_size=8))
def test_after_an_edit_the_task_is_as_asked_and_the_same_edit_changes_nothing(edits: list[dict[str, Any]]) -> None:
    state = a_task()
    for patch in edits:
        command = task.EditTask(**patch)
        state = fold(TASK, TASK_ID, *task.edit(state, project(), command, NOW), state=state)
        for name, value in patch.items():
            found = getattr(state, name)
            if name == "labels":
                assert set(found) == set(value or ())
            else:
                assert found == ("" if name == "description" and value is None else value)
        assert task.edit(state, project(), command, NOW) == []


@given(st.lists(patches, max_size=6), st.sampled_from(["todo", "in_progress", "done", "cancelled"]))
def test_every_intent_is_idempotent(edits: list[dict[str, Any]], category: Any) -> None:
    state = a_task()
    for patch in edits:
        state = fold(TASK, TASK_ID, *task.edit(state, project(), task.EditTask(**patch), NOW), state=state)
    if project().workflow.first(category) is None:
        return
    state = fold(TASK, TASK_ID, *task.intend(state, project(), category, NOW), state=state)
    assert state.category == category
    assert task.intend(state, project(), category, NOW) == []


def test_an_unset_field_is_not_a_null() -> None:
    assert task.EditTask().title is UNSET
