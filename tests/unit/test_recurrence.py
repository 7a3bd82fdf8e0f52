"""When a recurring task is due next, and which rules are taken."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from dateutil.rrule import DAILY, rrulestr
from hypothesis import assume, given
from hypothesis import strategies as st

from taskflow.commands import task
from taskflow.commands.recurrence import PERIODS_MAX, checked, next_slot
from taskflow.commands.recurrence_rule import plain
from taskflow.errors import Invalid
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import DEFAULT_WORKFLOW, ProjectCreated, ProjectState, Status, Workflow
from taskflow.streams.schedule import Series, TaskDueSet, TaskRecurred, TaskRecurrenceSet
from taskflow.streams.task import (
    TaskCreated,
    TaskState,
    TaskStatusChanged,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)  # a Sunday
DUE = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)  # a Thursday
DAY = timedelta(days=1)
OWNER, PROJECT_ID, TASK_ID = UUID(int=1), UUID(int=10), UUID(int=11)
NEVER = [
    "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
    "FREQ=DAILY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=WEEKLY;INTERVAL=1000;BYMONTH=2;BYSETPOS=300",
    "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2",
    "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30;BYDAY=" + ",".join(f"{n}{d}" for n in range(1, 6) for d in ("MO", "TU")),
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
    "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
    "FREQ=DAILY;UNTIL=20200101T000000Z",
]


class TestWhichRules:
    @pytest.mark.parametrize(
        ("text", "stored"),
        [
            ("FREQ=DAILY", "FREQ=DAILY"),
            ("RRULE:FREQ=WEEKLY;BYDAY=MO", "FREQ=WEEKLY;BYDAY=MO"),
            ("freq=monthly;byday=-1fr", "FREQ=MONTHLY;BYDAY=-1FR"),
            ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;WKST=SU", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;WKST=SU"),
            ("FREQ=DAILY;UNTIL=20301231T235959Z", "FREQ=DAILY;UNTIL=20301231T235959Z"),
            ("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=0", "FREQ=DAILY;BYHOUR=9,17;BYMINUTE=0"),
            ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"),
        ],
    )
    def test_are_taken_and_kept_without_their_name(self, text: str, stored: str) -> None:
        assert checked(text, DUE) == stored
        assert plain(stored) == stored

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "NAME=VALUE"),
            ("DAILY", "NAME=VALUE"),
            ("FREQ=DAILY;", "NAME=VALUE"),
            ("FREQ=DAILY;BYEASTER=0", "NAME=VALUE"),
            ("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY", "NAME=VALUE"),
            ("RRULE:RRULE:FREQ=DAILY", "NAME=VALUE"),
            ("\uff26REQ=DAILY", "NAME=VALUE"),
            ("INTERVAL=2", "DAILY, WEEKLY, MONTHLY, YEARLY, found none"),
            ("FREQ=HOURLY", "found HOURLY"),
            ("FREQ=SECONDLY", "found SECONDLY"),
            ("FREQ=DAILY;FREQ=DAILY", "FREQ once"),
            ("FREQ=DAILY;INTERVAL=0", "INTERVAL from 1 to 1000"),
            ("FREQ=DAILY;INTERVAL=1000000", "INTERVAL from 1 to 1000"),
            ("FREQ=DAILY;COUNT=0", "COUNT from 1 to 1000"),
            ("FREQ=DAILY;COUNT=99999999999999999999", "COUNT from 1 to 1000"),
            ("FREQ=DAILY;COUNT=\u0663", "COUNT from 1 to 1000"),
            ("FREQ=DAILY;COUNT=2;UNTIL=20301231T000000Z", "COUNT or UNTIL"),
            ("FREQ=DAILY;UNTIL=20301231", "UNTIL as a time in UTC"),
            ("FREQ=DAILY;UNTIL=20301231T000000", "UNTIL as a time in UTC"),
            ("FREQ=DAILY;UNTIL=20301231T000000+0200", "UNTIL as a time in UTC"),
            ("FREQ=DAILY;UNTIL=20301331T000000Z", "UNTIL as a time in UTC"),
            ("FREQ=DAILY;BYHOUR=24", "BYHOUR from 0 to 23"),
            ("FREQ=DAILY;BYSECOND=60", "BYSECOND from 0 to 59"),
            ("FREQ=DAILY;BYMONTH=0", "BYMONTH from 1 to 12"),
            ("FREQ=DAILY;BYMONTH=-1", "BYMONTH from 1 to 12"),
            ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY from 1 to 31 or -31 to -1"),
            ("FREQ=DAILY;BYMONTHDAY=1,,2", "BYMONTHDAY from 1 to 31"),
            ("FREQ=WEEKLY;BYDAY=XX", "BYDAY of MO"),
            ("FREQ=WEEKLY;BYDAY=", "BYDAY of MO"),
            ("FREQ=WEEKLY;BYDAY=1MO", "numbers in BYDAY"),
            ("FREQ=MONTHLY;BYDAY=6MO", "numbers in BYDAY"),
            ("FREQ=YEARLY;BYMONTH=2;BYDAY=53MO", "numbers in BYDAY"),
            ("FREQ=YEARLY;BYDAY=54MO", "numbers in BYDAY"),
            ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "numbers in BYDAY"),
            ("FREQ=MONTHLY;BYDAY=MO,1TU", "before each day or before none"),
            ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY only"),
            ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY only"),
            ("FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO only"),
            ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS only"),
            ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1,2,3,-1,-2,-3", "at most 5 positions"),
            ("FREQ=DAILY;WKST=1", "WKST to be one of"),
            ("FREQ=DAILY;BYHOUR=9,10,11,12,13;BYMINUTE=0,10,20,30,40,50", "24 times a day, found 30"),
        ],
    )
    def test_are_not_is_said_with_what_was_expected(self, text: str, words: str) -> None:
        with pytest.raises(Invalid, match="expected") as refused:
            checked(text, DUE)
        assert words in str(refused.value)
        assert refused.value.pointer == "/recurrence"

    @pytest.mark.parametrize("text", NEVER)
    def test_that_never_happen_are_refused_before_anybody_waits_for_them(self, text: str) -> None:
        began = time.thread_time()
        with pytest.raises(Invalid, match="an occurrence within"):
            checked(text, DUE)
        assert time.thread_time() - began < 1

    @pytest.mark.parametrize(
        "text",
        [
            f"FREQ=YEARLY;COUNT=1000;BYYEARDAY={','.join(map(str, range(1, 120)))};BYSETPOS=366",
            f"FREQ=DAILY;COUNT=1000;BYMONTH=1;BYSETPOS={','.join(map(str, range(2, 120)))}",
        ],
    )
    def test_a_hundred_of_the_worst_in_one_batch_hold_nobody_up(self, text: str) -> None:
        began = time.thread_time()
        with pytest.raises(Invalid):
            checked(text, DUE)
        assert time.thread_time() - began < 0.2

    @given(st.text(max_size=500) | st.text(alphabet="FREQ=DAILYWKMONTH;BUSP,0123456789-+:Z", max_size=500))
    def test_no_text_does_anything_but_be_taken_or_refused(self, text: str) -> None:
        try:
            assert len(checked(text, DUE)) <= len(text)
        except Invalid as refused:
            assert refused.pointer == "/recurrence"


rules = st.builds(
    lambda frequency, parts: ";".join([f"FREQ={frequency}", *[f"{name}={value}" for name, value in parts.items()]]),
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.fixed_dictionaries(
        {},
        optional={
            "INTERVAL": st.integers(1, 12),
            "COUNT": st.integers(1, 30),
            "BYDAY": st.sampled_from(["MO", "TU,SU", "MO,TU,WE,TH,FR"]),
            "BYMONTHDAY": st.sampled_from([1, -1, 31, "10,20"]),
            "BYMONTH": st.sampled_from([2, "1,7", "3,6,9,12"]),
            "BYHOUR": st.sampled_from([0, "9,17", 23]),
            "BYMINUTE": st.sampled_from([0, 59]),
            "WKST": st.sampled_from(["MO", "SU"]),
        },
    ),
)
starts = st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone


@given(rules, starts, st.timedeltas(timedelta(0), 4000 * DAY))
def test_the_next_slot_is_later_and_one_that_dateutil_generates(text: str, start: datetime, later: timedelta) -> None:
    try:
        checked(text, start)
    except Invalid:
        assume(False)
    after = start + later
    found = next_slot(text, start, after)
    expected = rrulestr(text, dtstart=start).after(after)
    if found is None:
        # Never again; or, of a rule that hardly ever happens, not within what is looked through.
        assert expected is None or expected - start > PERIODS_MAX[DAILY] * DAY
    else:
        assert found == expected > after


class TestAtTheEdges:
    @pytest.mark.parametrize("frequency", ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    def test_the_calendar_ends_and_so_does_the_rule(self, frequency: str) -> None:
        last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        assert next_slot(f"FREQ={frequency}", last, last) is None

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("FREQ=DAILY", datetime(2026, 3, 2, tzinfo=UTC)),
            ("FREQ=WEEKLY;INTERVAL=2", datetime(2026, 3, 2, tzinfo=UTC)),
            ("FREQ=MONTHLY", datetime(2026, 4, 1, tzinfo=UTC)),
            ("FREQ=YEARLY", datetime(2027, 1, 1, tzinfo=UTC)),
            ("FREQ=DAILY;COUNT=1000", None),
        ],
    )
    def test_a_rule_from_the_year_1_is_not_walked_through(self, text: str, expected: datetime | None) -> None:
        began = time.thread_time()
        assert next_slot(text, datetime(1, 1, 1, tzinfo=UTC), NOW) == expected
        assert time.thread_time() - began < 1

    def test_the_31st_is_left_out_of_months_without_one(self) -> None:
        start = datetime(2026, 1, 31, 9, tzinfo=UTC)
        assert next_slot("FREQ=MONTHLY", start, start) == datetime(2026, 3, 31, 9, tzinfo=UTC)
        assert next_slot("FREQ=MONTHLY", start, start + 1000 * DAY) == datetime(2028, 10, 31, 9, tzinfo=UTC)

    def test_the_29th_of_february_comes_every_four_years(self) -> None:
        start = datetime(2024, 2, 29, tzinfo=UTC)
        assert next_slot("FREQ=YEARLY", start, start) == datetime(2028, 2, 29, tzinfo=UTC)


# --- tasks ---------------------------------------------------------------------------------------


def project(workflow: Workflow = DEFAULT_WORKFLOW) -> ProjectState:
    created = ProjectCreated(name="P", owner_id=OWNER, workflow=workflow)
    return PROJECT.evolve(None, created, EventMetadata(PROJECT_ID, 1, NOW, OWNER))


def a_task(*events: Event, recurrence: str | None = "FREQ=DAILY", due_at: datetime | None = DUE) -> TaskState:
    created = TaskCreated(
        project_id=PROJECT_ID,
        title="T",
        status="todo",
        category="todo",
        rank="a",
        recurrence=recurrence,
        due_at=due_at,
        time_zone="UTC",
    )
    return fold(None, created, *events)


def fold(state: TaskState | None, *events: Event, at: datetime = NOW) -> TaskState:
    for event in events:
        state = TASK.evolve(state, event, EventMetadata(TASK_ID, 1 if state is None else state.version + 1, at, OWNER))
    assert state is not None
    return state


def complete(state: TaskState, at: datetime = NOW) -> TaskState:
    (event,) = task.intend(state, project(), "done", at)
    return fold(state, event, at=at)


class TestCompleting:
    def test_makes_the_task_due_again_in_one_event(self) -> None:
        started = a_task(TaskStatusChanged(from_status="todo", status="in_progress", category="in_progress"))
        assert task.intend(started, project(), "done", NOW) == [
            TaskRecurred(occurrence_at=DUE, due_at=DUE + DAY, status="todo", category="todo")
        ]

    def test_by_a_patch_does_the_same(self) -> None:
        events = task.edit(a_task(), project(), task.EditTask(status="done"), NOW)
        assert events == [TaskRecurred(occurrence_at=DUE, due_at=DUE + DAY, status="todo", category="todo")]

    def test_looks_at_what_the_same_patch_sets(self) -> None:
        later = DUE + 10 * DAY
        command = task.EditTask(status="done", due_at=later, recurrence="FREQ=WEEKLY")
        assert task.edit(a_task(), project(), command, NOW) == [
            TaskDueSet(due_at=later),
            TaskRecurrenceSet(recurrence="FREQ=WEEKLY"),
            TaskRecurred(occurrence_at=later, due_at=later + 7 * DAY, status="todo", category="todo"),
        ]

    def test_without_its_rule_is_the_end(self) -> None:
        events = task.edit(a_task(), project(), task.EditTask(status="done", recurrence=None), NOW)
        assert [type(event) for event in events] == [TaskRecurrenceSet, TaskStatusChanged]

    def test_late_leaves_out_what_has_passed(self) -> None:
        late = DUE + 10 * DAY + timedelta(hours=1)
        assert complete(a_task(), late).due_at == DUE + 11 * DAY

    def test_without_a_due_time_counts_from_when_the_rule_was_set(self) -> None:
        state = a_task(due_at=None)
        assert state.series == Series(NOW, NOW)
        assert complete(state, NOW + timedelta(hours=5)).due_at == NOW + DAY

    @pytest.mark.parametrize("due_at", [DUE, None])
    def test_three_times_is_three_times(self, due_at: datetime | None) -> None:
        state = a_task(recurrence="FREQ=DAILY;COUNT=3", due_at=due_at)
        statuses = []
        at = NOW
        for _ in range(3):
            state = complete(state, at)
            at = max(at, state.due_at or at)
            statuses.append(state.status)
        assert statuses == ["todo", "todo", "done"]
        assert state.completed_at == at

    def test_ends_with_until(self) -> None:
        state = complete(a_task(recurrence="FREQ=DAILY;UNTIL=20260306T093000Z"))
        assert (state.status, state.due_at) == ("todo", DUE + DAY)
        assert complete(state).status == "done"

    def test_a_due_that_was_set_before_series_were_kept_was_a_new_first_occurrence(self) -> None:
        state = complete(a_task(recurrence="FREQ=DAILY;COUNT=2"))
        state = fold(state, TaskDueSet(due_at=DUE + 7 * DAY, restarts=True))
        state = complete(state)
        assert (state.status, state.due_at) == ("todo", DUE + 8 * DAY)
        assert complete(state).status == "done"

    def test_from_one_done_status_to_another_is_no_completion(self) -> None:
        workflow = Workflow((*DEFAULT_WORKFLOW.statuses, Status("shipped", "Shipped", "done")))
        done = a_task(TaskStatusChanged(from_status="todo", status="done", category="done"))
        events = task.edit(done, project(workflow), task.EditTask(status="shipped"), NOW)
        assert [type(event) for event in events] == [TaskStatusChanged]

    def test_cancelling_ends_it(self) -> None:
        (event,) = task.intend(a_task(), project(), "cancelled", NOW)
        assert isinstance(event, TaskStatusChanged)


class TestSetting:
    @pytest.mark.parametrize(
        ("recurrence", "expected"),
        [
            ("FREQ=DAILY", []),
            ("rrule:freq=daily", []),
            ("FREQ=WEEKLY", [TaskRecurrenceSet(recurrence="FREQ=WEEKLY")]),
            (None, [TaskRecurrenceSet(recurrence=None)]),
        ],
    )
    def test_only_another_rule_is_an_event(self, recurrence: str | None, expected: list[Event]) -> None:
        assert task.edit(a_task(), project(), task.EditTask(recurrence=recurrence), NOW) == expected

    def test_the_same_rule_is_taken_although_it_has_ended(self) -> None:
        rule = "FREQ=DAILY;UNTIL=20260306T093000Z"
        state = fold(a_task(recurrence=rule), TaskDueSet(due_at=DUE + 30 * DAY))
        assert task.edit(state, project(), task.EditTask(recurrence=rule), NOW) == []
        assert complete(state, DUE + 30 * DAY).status == "done"

    def test_with_a_new_due_time_counts_from_that(self) -> None:
        state = a_task(recurrence=None, due_at=None)
        command: Any = task.EditTask(recurrence="FREQ=DAILY;UNTIL=20260306T093000Z", due_at=DUE)
        state = fold(state, *task.edit(state, project(), command, NOW))
        assert state.series == Series(DUE, DUE)
