"""What becomes of a task that moves to another project, is put elsewhere, or was in the trash for too long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taskflow.commands import move, purge, ranking
from taskflow.commands.ranking import Place
from taskflow.commands.ranks import rank_at
from taskflow.errors import Rejected
from taskflow.projections.declarations.tasks import boards_of, document, sums
from taskflow.projections.projection import SumKey
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    MemberAdded,
    ProjectArchived,
    ProjectCreated,
    ProjectState,
    ProjectWorkflowSet,
    Status,
    Workflow,
)
from taskflow.streams.task import (
    TaskAssigned,
    TaskCreated,
    TaskMoved,
    TaskParentSet,
    TaskPurged,
    TaskRanked,
    TaskRestored,
    TaskState,
    TaskStatusChanged,
    TaskTrashed,
)

OWNER, MEMBER = UUID(int=1), UUID(int=2)
HERE, THERE, TASK_ID = UUID(int=10), UUID(int=11), UUID(int=12)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARTED = TaskStatusChanged(from_status="todo", status="in_progress", category="in_progress")
OTHER = Workflow(
    (Status("backlog", "Backlog", "todo"), Status("doing", "Doing", "in_progress"), Status("todo", "Odd", "waiting"))
)


def fold(kind: Any, stream_id: UUID, *events: Event, state: Any = None) -> Any:
    for event in events:
        version = 1 if state is None else state.version + 1
        state = kind.evolve(state, event, EventMetadata(stream_id, version, NOW + timedelta(minutes=version), OWNER))
    return state


def project(project_id: UUID, *events: Event, workflow: Workflow = DEFAULT_WORKFLOW) -> ProjectState:
    created = ProjectCreated(name="P", owner_id=OWNER, workflow=workflow)
    state: ProjectState = fold(PROJECT, project_id, created, *events)
    return state


def a_task(*events: Event) -> TaskState:
    created = TaskCreated(project_id=HERE, title="T", status="todo", category="todo", rank="m", labels=("x",))
    state: TaskState = fold(TASK, TASK_ID, created, *events)
    return state


def moved(task: TaskState, there: ProjectState, status: str | None = None, here: ProjectState | None = None) -> Any:
    (event,) = move.move(task, here or project(HERE), there, status, NOW)
    assert isinstance(event, TaskMoved)
    return event


class TestMoving:
    def test_says_anew_what_belongs_to_a_project(self) -> None:
        task = a_task(TaskParentSet(parent_id=UUID(int=99)), TaskAssigned(assignee_id=OWNER))
        event = moved(task, project(THERE))
        assert event == TaskMoved(
            from_project_id=HERE, project_id=THERE, status="todo", category="todo", rank=rank_at(NOW), assignee_id=OWNER
        )
        after = fold(TASK, TASK_ID, event, state=task)
        assert (after.project_id, after.parent_id, after.labels) == (THERE, None, ("x",))
        assert after.former_projects == (HERE,)

    def test_leaves_an_assignee_behind_who_is_no_member_there(self) -> None:
        task = a_task(TaskAssigned(assignee_id=MEMBER))
        assert moved(task, project(THERE)).assignee_id is None
        assert moved(task, project(THERE, MemberAdded(user_id=MEMBER, role="viewer"))).assignee_id == MEMBER

    @pytest.mark.parametrize(
        ("history", "named", "entered"),
        [
            ([], "doing", ("doing", "in_progress")),
            ([], None, ("todo", "waiting")),  # the same key, whatever it means there
            ([STARTED], None, ("doing", "in_progress")),  # the first of the same category
        ],
    )
    def test_finds_a_status(self, history: list[Event], named: str | None, entered: tuple[str, str]) -> None:
        event = moved(a_task(*history), project(THERE, workflow=OTHER), named)
        assert (event.status, event.category) == entered

    def test_goes_by_the_category_that_the_status_has_today(self) -> None:
        workflow = Workflow((Status("new", "New", "todo"), Status("in_progress", "Later", "todo")))
        here = project(HERE, ProjectWorkflowSet(workflow=workflow))
        assert moved(a_task(STARTED), project(THERE, workflow=Workflow(OTHER.statuses[:2])), here=here).status == (
            "backlog"
        )

    @pytest.mark.parametrize("named", ["done", None])
    def test_is_refused_where_there_is_none(self, named: str | None) -> None:
        done = a_task(TaskStatusChanged(from_status="todo", status="done", category="done"))
        with pytest.raises(Rejected) as refused:
            move.move(done, project(HERE), project(THERE, workflow=OTHER), named, NOW)
        assert refused.value.code == "no-such-status"

    def test_within_the_project_is_a_change_of_status_at_most(self) -> None:
        here = project(HERE)
        assert move.move(a_task(), here, here, None, NOW) == []
        assert move.move(a_task(), here, here, "todo", NOW) == []
        assert move.move(a_task(), here, here, "in_progress", NOW) == [STARTED]
        with pytest.raises(Rejected, match="no status 'x'"):
            move.move(a_task(), here, here, "x", NOW)

    @pytest.mark.parametrize(
        ("task", "here", "there", "code"),
        [
            (a_task(TaskTrashed()), project(HERE), project(THERE), "trashed"),
            (a_task(), project(HERE, ProjectArchived()), project(THERE), "project-archived"),
            (a_task(), project(HERE), project(THERE, ProjectArchived()), "project-archived"),
        ],
    )
    def test_takes_a_live_task_and_two_open_projects(
        self, task: TaskState, here: ProjectState, there: ProjectState, code: str
    ) -> None:
        with pytest.raises(Rejected) as refused:
            move.move(task, here, there, None, NOW)
        assert refused.value.code == code

    def test_takes_the_task_from_one_boards_counts_to_the_others(self) -> None:
        before = a_task()
        after = fold(TASK, TASK_ID, moved(before, project(THERE, workflow=OTHER)), state=before)
        assert sums(before, after, 7) == {SumKey(HERE, 7, "todo"): -1, SumKey(THERE, 7, "todo"): 1}
        assert set(boards_of(before, after)) == {f"board:{HERE}", f"board:{THERE}"}
        assert document(after)["project_id"] == THERE


class TestRanking:
    @pytest.mark.parametrize(
        ("place", "stays"),
        [
            (Place("a", "z"), True),
            (Place("a", None), True),
            (Place(None, "z"), True),
            (Place("m", "z"), False),
            (Place("n", "z"), False),
            (Place("a", "m"), False),
            (Place("a", "b"), False),
            (Place("z", None), False),
            (Place(None, "b"), False),
            (Place("a", "z", known=False), False),
        ],
    )
    def test_is_no_event_where_it_stands_there_already(self, place: Place, stays: bool) -> None:
        events = ranking.rank(a_task(), project(HERE), place, NOW)
        assert (events == []) == stays
        for event in events:
            assert isinstance(event, TaskRanked)
            assert (place.low or "") < event.rank
            assert place.high is None or event.rank < place.high

    def test_behind_the_last_is_like_a_new_task(self) -> None:
        first = rank_at(NOW - timedelta(days=1))
        task = fold(TASK, TASK_ID, TaskRanked(rank="0"), state=a_task())
        assert ranking.rank(task, project(HERE), Place(first, None), NOW) == [TaskRanked(rank=rank_at(NOW))]
        later = rank_at(NOW + timedelta(days=1))
        (event,) = ranking.rank(task, project(HERE), Place(later, None), NOW)
        assert isinstance(event, TaskRanked)
        assert event.rank > later

    @pytest.mark.parametrize(
        ("task", "here", "code"),
        [
            (a_task(TaskTrashed()), project(HERE), "trashed"),
            (a_task(), project(HERE, ProjectArchived()), "project-archived"),
        ],
    )
    def test_takes_a_live_task(self, task: TaskState, here: ProjectState, code: str) -> None:
        with pytest.raises(Rejected) as refused:
            ranking.rank(task, here, Place("a", "b"), NOW)
        assert refused.value.code == code


class TestPurging:
    TRASHED = a_task(TaskTrashed())

    def test_is_the_end_of_what_was_trashed_before(self) -> None:
        at = self.TRASHED.trashed_at
        assert at is not None
        assert purge.purge(self.TRASHED, at) == [TaskPurged()]

    @pytest.mark.parametrize(
        ("task", "code"),
        [
            (a_task(), "not-due"),
            (TRASHED, "not-due"),
            (a_task(TaskTrashed(), TaskRestored()), "not-due"),
            (a_task(TaskTrashed(), TaskPurged()), "purged"),
        ],
    )
    def test_is_refused_for_what_is_not_due(self, task: TaskState, code: str) -> None:
        with pytest.raises(Rejected) as refused:
            purge.purge(task, NOW)
        assert refused.value.code == code

    def test_a_purged_task_is_in_neither_list_and_still_a_document(self) -> None:
        found = document(a_task(TaskTrashed(), TaskPurged()))
        assert (found["trashed"], found["purged"], found["project_id"]) == (None, True, HERE)
        assert document(self.TRASHED)["trashed"] is True
        before = self.TRASHED
        after = fold(TASK, TASK_ID, TaskPurged(), state=before)
        assert sums(before, after, 1) == {}
        assert boards_of(before, after) == (f"board:{HERE}",)
