"""What an imported row does to each state of a task: given, when, then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.commands.imports import ImportProject, ImportRow, change, create, found_project
from taskflow.errors import Rejected
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import ProjectArchived, ProjectState, Status, Transition, Workflow
from taskflow.streams.task import TaskAssigned, TaskChangeImported, TaskCreated, TaskLabelled, TaskState, TaskTrashed

OWNER, ANNE, BOB = UUID(int=1), UUID(int=2), UUID(int=3)
PROJECT_ID, TASK_ID = UUID(int=10), UUID(int=11)
AT = datetime(2012, 5, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
# The workflow allows no change at all: an import is not bound by it.
WORKFLOW = Workflow((Status("open", "Open", "todo"), Status("shut", "Shut", "done")), (Transition("shut", "shut"),))
ROW = ImportRow(
    project_id=PROJECT_ID,
    external_id="1-1",
    at=AT,
    title="Incident 1-1",
    status="open",
    priority="high",
    labels=("team:a", "product:x"),
    prefixes=("team:", "product:"),
    assignee_id=ANNE,
    source={"Country": "fr"},
)


def fold(kind: Any, stream_id: UUID, *events: Event, state: Any = None) -> Any:
    for event in events:
        version = 1 if state is None else state.version + 1
        state = kind.evolve(state, event, EventMetadata(stream_id, version, AT, OWNER))
    return state


def project(*events: Event) -> ProjectState:
    command = ImportProject(name="P", description="", workflow=WORKFLOW, at=AT)
    state: ProjectState = fold(PROJECT, PROJECT_ID, *found_project(OWNER, command), *events)
    return state


def a_task(*events: Event) -> TaskState:
    state: TaskState = fold(TASK, TASK_ID, *create(project(), ROW, NOW), *events)
    return state


def row(**changes: Any) -> ImportRow:
    return replace(ROW, at=AT + timedelta(hours=1), **changes)


class TestTheFirstRow:
    def test_makes_the_task_as_it_was_then(self) -> None:
        (event,) = create(project(), ROW, NOW)
        assert event == TaskCreated(
            project_id=PROJECT_ID,
            title="Incident 1-1",
            status="open",
            category="todo",
            rank=f"{int(AT.timestamp() * 1_000_000):014x}",
            priority="high",
            labels=("team:a", "product:x"),
            assignee_id=ANNE,
            external_id="1-1",
            source={"Country": "fr"},
        )

    def test_without_a_priority_is_of_the_middle_one(self) -> None:
        (event,) = create(project(), replace(ROW, priority=None), NOW)
        assert isinstance(event, TaskCreated)
        assert event.priority == "medium"


class TestALaterRow:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"status": "shut"}, {"status": "shut", "category": "done"}),
            ({"priority": "urgent"}, {"priority": "urgent"}),
            ({"assignee_id": BOB}, {"assignee_id": BOB}),
            ({"labels": ("team:b", "product:x")}, {"added": ("team:b",), "removed": ("team:a",)}),
            ({"labels": ("product:x",)}, {"removed": ("team:a",)}),
            (
                {"status": "shut", "assignee_id": BOB, "priority": "low"},
                {"status": "shut", "category": "done", "assignee_id": BOB, "priority": "low"},
            ),
        ],
    )
    def test_is_one_event_with_what_it_changed(self, changes: Any, expected: Any) -> None:
        assert change(a_task(), project(), row(**changes), NOW) == [
            TaskChangeImported(source={"Country": "fr"}, **expected)
        ]

    @pytest.mark.parametrize(
        "changes", [{}, {"priority": None}, {"assignee_id": None}, {"source": None}, {"title": "Other"}]
    )
    def test_that_says_nothing_new_changes_nothing(self, changes: Any) -> None:
        assert change(a_task(), project(), row(**changes), NOW) == []

    def test_that_says_nobody_takes_the_assignee_away(self) -> None:
        alone = {"assignee_id": None, "nobody": True, "source": None}
        assert change(a_task(), project(), row(**alone), NOW) == [TaskAssigned(None)]
        assert change(a_task(), project(), row(**alone | {"status": "shut"}), NOW) == [
            TaskChangeImported(status="shut", category="done"),
            TaskAssigned(None),
        ]
        assert change(a_task(), project(), row(assignee_id=None, nobody=True), NOW) == [
            TaskChangeImported(source={"Country": "fr"}),
            TaskAssigned(None),
        ]
        assert change(a_task(TaskAssigned(None)), project(), row(assignee_id=None, nobody=True), NOW) == []

    def test_leaves_labels_that_no_column_owns(self) -> None:
        task = a_task(TaskLabelled(added=("mine",)))
        (event,) = change(task, project(), row(labels=("team:b",)), NOW)
        assert isinstance(event, TaskChangeImported)
        assert event.removed == ("team:a", "product:x")

    def test_leaves_all_labels_where_no_column_is_mapped(self) -> None:
        assert change(a_task(), project(), row(labels=(), prefixes=()), NOW) == []

    def test_at_the_same_time_is_later(self) -> None:
        assert change(a_task(), project(), replace(ROW, status="shut"), NOW)

    @pytest.mark.parametrize(
        ("task", "changes", "code"),
        [
            (a_task(), {"at": AT - timedelta(microseconds=1)}, "goes-back"),
            (a_task(), {"at": NOW + timedelta(microseconds=1)}, "future"),
            (a_task(), {"status": "nowhere"}, "no-such-status"),
            (a_task(TaskTrashed()), {}, "trashed"),
            (replace(a_task(), project_id=UUID(int=99)), {}, "moved"),
        ],
    )
    def test_that_cannot_be_is_refused(self, task: TaskState, changes: Any, code: str) -> None:
        with pytest.raises(Rejected) as raised:
            change(task, project(), replace(ROW, **changes), NOW)
        assert raised.value.code == code


def test_an_archived_project_takes_no_rows() -> None:
    deciders: tuple[Callable[[ProjectState], object], ...] = (
        lambda p: create(p, ROW, NOW),
        lambda p: change(a_task(), p, row(), NOW),
    )
    for decide in deciders:
        with pytest.raises(Rejected) as raised:
            decide(project(ProjectArchived()))
        assert raised.value.code == "project-archived"


rows = st.builds(
    row,
    status=st.sampled_from(["open", "shut"]),
    priority=st.sampled_from([None, "low", "urgent"]),
    labels=st.lists(st.sampled_from(["team:a", "team:b", "product:x"]), unique=True).map(tuple),
    assignee_id=st.sampled_from([None, ANNE, BOB]),
    source=st.sampled_from([None, {"Country": "fr"}]),
) | st.builds(row, assignee_id=st.none(), nobody=st.just(value=True))


@given(st.lists(rows, max_size=8))
def test_a_row_once_applied_says_nothing_new(sequence: list[ImportRow]) -> None:
    task = a_task()
    for one in sequence:
        events = change(task, project(), one, NOW)
        assert len(events) <= 1 + one.nobody
        task = fold(TASK, TASK_ID, *events, state=task)
        assert task.status == one.status
        assert set(task.labels) == set(one.labels)
        assert one.assignee_id in {None, task.assignee_id}
        assert task.assignee_id is None or not one.nobody
        assert change(task, project(), one, NOW) == []
