"""What may be annulled, and that a task folded without any of its events is still a task."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.commands.task_story import (
    ACTIONS,
    HERE,
    MEMBER,
    NOW,
    OWNER,
    STRANGER,
    TASK_ID,
    Story,
    command,
    events_of,
    project,
)
from tests.folding import Told, folded

from taskflow.commands.annul import ANNULMENTS_MAX, KEPT, check_event, check_fields
from taskflow.commands.schedule import recur
from taskflow.errors import Invalid, Rejected
from taskflow.projections.declarations.tasks import TASKS
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import TASK, Event, EventMetadata
from taskflow.streams.project import DEFAULT_WORKFLOW, ProjectArchived, ProjectWorkflowSet, Workflow
from taskflow.streams.schedule import Series, TaskDueSet, TaskRecurrenceSet
from taskflow.streams.stream_type import Annulment
from taskflow.streams.task import (
    CommentRestored,
    TaskAssigned,
    TaskCreated,
    TaskEventAnnulled,
    TaskPurged,
    TaskRestored,
    TaskRetitled,
    TaskState,
)


def recorded(event: Event, version: int = 2) -> RecordedEvent:
    return RecordedEvent(
        position=version,
        epoch=1,
        stream_id=TASK_ID,
        stream_version=version,
        shard=0,
        type=type(event).__name__,
        schema_version=event.schema_version,
        event_id=UUID(int=version),
        occurred_at=NOW,
        recorded_at=NOW,
        actor=OWNER,
        command_id=UUID(int=version),
        correlation_id=None,
        causation_id=None,
        data=b"{}",
    )


class Telling(Story):
    """A story that keeps its events."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        super().__init__()

    def do(self, *events: Event, **circumstances: Any) -> int:
        first = len(self.past)
        version = super().do(*events, **circumstances)
        self.told += zip(events, [past.metadata for past in self.past[first:]], strict=True)
        return version


def refused(broken: type[Exception], code: str, check: Any, *arguments: Any) -> None:
    with pytest.raises(broken) as refusal:
        check(*arguments)
    assert refusal.value.code == code  # type: ignore[attr-defined]  # both kinds have one


# --- any story -----------------------------------------------------------------------------------


@given(st.lists(command, max_size=15), st.data())
def test_without_any_of_its_events_a_task_is_stored_shown_and_completed(steps: list[Any], data: st.DataObject) -> None:
    """Where no rule stands against it, its rule also says when it is due next."""
    story = Telling()
    for step in steps:
        if events := events_of(story.state, step):
            story.do(*events)
    may_go = [metadata.version for event, metadata in story.told if not isinstance(event, KEPT)]
    gone = data.draw(st.frozensets(st.sampled_from(may_go))) if may_go else frozenset()
    state: TaskState = folded(TASK, story.told, gone)
    assert msgspec.json.decode(msgspec.json.encode(state), type=TaskState) == state
    assert TASKS.document(state)
    for parts in (state.comments, state.checklist):
        assert len({part.id for part in parts}) == len(parts), "no part is there twice"
    assert len(set(state.relations)) == len(state.relations)
    try:
        check_fields(story.state, state, story.projects[story.state.project_id])
    except (Rejected, Invalid):
        return
    assert (state.recurrence is None) == (state.series is None)
    recur(state, DEFAULT_WORKFLOW.initial(), NOW + timedelta(days=400))


def test_every_event_of_a_task_is_left_out_of_some_story() -> None:
    story = Story()
    tried: set[type[Any]] = {*KEPT, CommentRestored, TaskRestored}
    for act in ACTIONS.values():
        for n in (0, 1, 2, 3, 0, 0):
            if (event := act(story.state, n)) is not None:
                tried.add(type(event))
                story.do(event)
    assert set(TASK.events) <= tried


# --- by example ----------------------------------------------------------------------------------


class TestWhich:
    @pytest.mark.parametrize(
        "event",
        [
            TaskCreated(project_id=HERE, title="T", status="todo", category="todo", rank="m"),
            ACTIONS["move"](Story().state, 1),
            TaskPurged(),
            TaskEventAnnulled(version=2, reason="x"),
        ],
        ids=lambda event: type(event).__name__,
    )
    def test_some_are_never(self, event: Event) -> None:
        refused(Rejected, "cannot-annul", check_event, recorded(event), Story().state)

    def test_none_of_a_purged_task(self) -> None:
        purged = replace(Story().state, purged=True)
        refused(Rejected, "cannot-annul", check_event, recorded(TaskRetitled("x")), purged)

    def test_none_twice_and_not_too_many(self) -> None:
        once = replace(Story().state, annulments=(Annulment(2, 3),))
        refused(Rejected, "cannot-annul", check_event, recorded(TaskRetitled("x"), 2), once)
        check_event(recorded(TaskRetitled("x"), 4), once)
        many = tuple(Annulment(2 * n, 2 * n + 1) for n in range(1, ANNULMENTS_MAX + 1))
        full = replace(Story().state, annulments=many)
        refused(Rejected, "cannot-annul", check_event, recorded(TaskRetitled("x"), 9_999), full)


class TestRules:
    task: TaskState = Story().state

    def test_a_field_that_does_not_differ_is_not_judged(self) -> None:
        given_away = replace(self.task, assignee_id=STRANGER, status="gone", time_zone=None, due_at=NOW)
        check_fields(given_away, replace(given_away, title="another"), project(HERE))

    def test_an_archived_project(self) -> None:
        archived = project(HERE, ProjectArchived())
        refused(Rejected, "project-archived", check_fields, self.task, replace(self.task, title="x"), archived)

    def test_a_status_that_left_without_another_in_its_place(self) -> None:
        workflow = Workflow(DEFAULT_WORKFLOW.statuses[:1])
        here = project(HERE, ProjectWorkflowSet(workflow=workflow))
        refused(Rejected, "no-such-status", check_fields, self.task, replace(self.task, status="done"), here)

    def test_an_assignee_who_left(self) -> None:
        then = replace(self.task, assignee_id=STRANGER)
        refused(Rejected, "not-a-member", check_fields, self.task, then, project(HERE))
        check_fields(self.task, replace(self.task, assignee_id=MEMBER), project(HERE))

    def test_a_schedule_that_lost_its_zone_its_rule_or_its_series(self) -> None:
        due = datetime(2031, 5, 6, tzinfo=UTC)
        series = Series(due, due)
        for then, broken, code in (
            (replace(self.task, due_at=due), Rejected, "schedule"),
            (replace(self.task, series=series), Rejected, "schedule"),
            (replace(self.task, time_zone="UTC", recurrence="FREQ=DAILY"), Rejected, "schedule"),
            (
                replace(
                    self.task,
                    time_zone="UTC",
                    recurrence="FREQ=DAILY;BYHOUR=2",
                    due_on=date(2031, 5, 6),
                    series=Series(due, due, days=True),
                ),
                Invalid,
                "rule",
            ),
            (
                replace(self.task, time_zone="UTC", recurrence="FREQ=DAILY;UNTIL=20200101T000000Z", series=series),
                Invalid,
                "rule",
            ),
        ):
            refused(broken, code, check_fields, self.task, then, project(HERE))
        check_fields(
            self.task, replace(self.task, time_zone="UTC", recurrence="FREQ=DAILY", series=series), project(HERE)
        )

    def test_more_labels_than_a_task_has(self) -> None:
        then = replace(self.task, labels=tuple(f"label {n}" for n in range(51)))
        refused(Rejected, "too-many-labels", check_fields, self.task, then, project(HERE))


def test_what_comes_after_the_annulled_event_is_folded_as_it_stands() -> None:
    """A rule that was set for a due that is gone counts from when it was set."""
    due = datetime(2031, 5, 6, tzinfo=UTC)
    told: list[Told] = [
        (
            TaskCreated(project_id=HERE, title="T", status="todo", category="todo", rank="m"),
            EventMetadata(TASK_ID, 1, NOW),
        ),
        (TaskDueSet(due_at=due, time_zone="UTC"), EventMetadata(TASK_ID, 2, NOW)),
        (TaskRecurrenceSet(recurrence="FREQ=DAILY", time_zone="UTC"), EventMetadata(TASK_ID, 3, NOW)),
        (TaskAssigned(assignee_id=OWNER), EventMetadata(TASK_ID, 4, NOW)),
        (TaskEventAnnulled(version=2, reason="x"), EventMetadata(TASK_ID, 5, NOW)),
    ]
    assert folded(TASK, told[:4]).series == Series(due, due)
    state: TaskState = folded(TASK, told)
    assert (state.due_at, state.series, state.assignee_id) == (None, Series(NOW, NOW), OWNER)
    assert (state.version, state.annulments) == (5, (Annulment(2, 5),))
