"""What decides a stream's project is what its own fold says of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from tests.folding import Told, folded

from taskflow.streams import EVENT_TYPES, PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import DEFAULT_WORKFLOW, ProjectCreated
from taskflow.streams.project_scope import NO_PARENT, parent_decided_by, project_decided_by
from taskflow.streams.saved_view import ViewSaved
from taskflow.streams.task import TaskCreated, TaskEventAnnulled, TaskMoved, TaskParentSet, TaskPurged, TaskRetitled

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STREAM = UUID(int=9)
PROJECTS = [UUID(int=n) for n in range(1, 4)]
PLACE: dict[str, Any] = {"status": "todo", "category": "todo", "rank": "m"}


@given(st.sampled_from(PROJECTS), st.lists(st.none() | st.sampled_from(PROJECTS)))
def test_a_task_belongs_where_it_was_put_last(first: UUID, moves: list[UUID | None]) -> None:
    state = None
    belongs: UUID | None = None
    events: list[Event] = [TaskCreated(project_id=first, title="T", **PLACE)]
    at = first
    for to in moves:
        events.append(TaskRetitled("T") if to is None else TaskMoved(from_project_id=at, project_id=to, **PLACE))
        at = to or at
    for version, event in enumerate(events, 1):
        state = TASK.evolve(state, event, EventMetadata(STREAM, version, NOW))
        belongs = project_decided_by(event, STREAM) or belongs
        assert belongs == state.project_id


@given(st.lists(st.integers(0, 3), max_size=8))
def test_a_task_has_the_parent_that_its_fold_has_also_where_events_are_annulled(steps: list[int]) -> None:
    """A number above 0 sets that parent; 0 annuls the newest event that is not annulled."""
    parent: UUID | None = None
    told: list[Told] = []

    def tell(event: Event) -> None:
        nonlocal parent
        told.append((event, EventMetadata(STREAM, len(told) + 1, NOW)))
        state = folded(TASK, told)
        decided = parent_decided_by(event, state)
        parent = parent if decided is None else decided
        assert parent == (state.parent_id or NO_PARENT)

    tell(TaskCreated(project_id=PROJECTS[0], title="T", **PLACE))
    left: list[int] = []
    for step in steps:
        if step:
            tell(TaskParentSet(parent_id=UUID(int=step)))
            left.append(len(told))
        elif left:
            tell(TaskEventAnnulled(version=left.pop(), reason="A mistake"))
    decided = parent_decided_by(TaskPurged(), folded(TASK, told))
    assert decided == NO_PARENT


def test_a_project_belongs_to_itself_and_nothing_else_decides() -> None:
    assert project_decided_by(ProjectCreated(name="P", owner_id=STREAM, workflow=DEFAULT_WORKFLOW), STREAM) == STREAM
    for project in (None, *PROJECTS):  # a person's own view is no project's
        assert project_decided_by(ViewSaved(name="V", query={}, owner_id=STREAM, project_id=project), STREAM) == project
    # A new event that names a project must be thought of in `project_decided_by`.
    naming = {name for name, event in EVENT_TYPES.items() if "project_id" in event.__struct_fields__}
    assert naming == {"TaskCreated", "TaskMoved", "ViewSaved"}
    beginning = {"ProjectCreated"}
    assert {event.__name__ for event in PROJECT.events if event.__name__.endswith("Created")} == beginning
