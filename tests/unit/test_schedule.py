"""When a task is due in its zone, and when next: right values, worked out by hand from the zones' clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.commands import task
from taskflow.commands.recurrence import checked, next_slot
from taskflow.commands.schedule import zone_in
from taskflow.commands.task import CreateTask, EditTask
from taskflow.commands.user import EditProfile, edit
from taskflow.dates.time_zones import NAMES, day_end, to_local, to_moment, zone_of
from taskflow.errors import Invalid
from taskflow.streams import PROJECT, TASK, USER, Event, EventMetadata
from taskflow.streams.project import DEFAULT_WORKFLOW, ProjectCreated, ProjectState
from taskflow.streams.schedule import Series, TaskDueSet, TaskRecurred, TaskRecurrenceSet, midnight
from taskflow.streams.task import ChecklistItemAdded, ChecklistItemChecked, TaskState
from taskflow.streams.user import UserRegistered

BERLIN, AUCKLAND, LORD_HOWE = "Europe/Berlin", "Pacific/Auckland", "Australia/Lord_Howe"
OWNER, PROJECT_ID, TASK_ID = UUID(int=1), UUID(int=10), UUID(int=11)
NOW = datetime(2027, 1, 4, 12, tzinfo=UTC)  # a Monday
ITEM = UUID(int=20)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def project() -> ProjectState:
    created = ProjectCreated(name="P", owner_id=OWNER, workflow=DEFAULT_WORKFLOW)
    return PROJECT.evolve(None, created, EventMetadata(PROJECT_ID, 1, NOW, OWNER))


class Story:
    """A task by what is asked of it."""

    def __init__(self, *, at: datetime = NOW, zone: str = "UTC", **body: Any) -> None:
        self.state: Any = None
        self.at = at
        self.fold(task.create(project(), CreateTask(title="T", **body), at, 0, zone))

    def fold(self, events: list[Event]) -> list[Event]:
        for event in events:
            version = 1 if self.state is None else self.state.version + 1
            self.state = TASK.evolve(self.state, event, EventMetadata(TASK_ID, version, self.at, OWNER))
        return events

    def edit(self, *, at: datetime | None = None, zone: str = "UTC", **body: Any) -> list[Event]:
        self.at = at or self.at
        return self.fold(task.edit(self.state, project(), EditTask(**body), self.at, zone))

    def complete(self, at: datetime | None = None) -> Any:
        """What it is due at, or on, then; or its status, where it is done."""
        self.at = at or self.at
        self.fold(task.intend(self.state, project(), "done", self.at))
        state: TaskState = self.state
        return state.status if state.status == "done" else state.due_on or state.due_at

    def completions(self) -> int:
        """How often it is completed, each as it is due."""
        for count in range(1, 100):
            if self.complete(self.state.due) == "done":
                return count
        raise AssertionError("it never ends")


class TestLocalTime:
    @pytest.mark.parametrize(
        ("zone", "local", "moment"),
        [
            (BERLIN, "2027-03-28T01:59:59", "2027-03-28T00:59:59"),
            (BERLIN, "2027-03-28T02:00:00", "2027-03-28T01:00:00"),  # in the gap, with the offset before it
            (BERLIN, "2027-03-28T02:30:00", "2027-03-28T01:30:00"),
            (BERLIN, "2027-03-28T03:00:00", "2027-03-28T01:00:00"),
            (BERLIN, "2027-10-31T01:30:00", "2027-10-30T23:30:00"),
            (BERLIN, "2027-10-31T02:30:00", "2027-10-31T00:30:00"),  # twice: the first
            (BERLIN, "2027-10-31T03:00:00", "2027-10-31T02:00:00"),
            ("America/New_York", "2027-03-14T02:30:00", "2027-03-14T07:30:00"),
            ("America/New_York", "2027-11-07T01:30:00", "2027-11-07T05:30:00"),
            (LORD_HOWE, "2027-10-03T02:15:00", "2027-10-02T15:45:00"),  # half an hour is left out
            (LORD_HOWE, "2027-10-03T02:30:00", "2027-10-02T15:30:00"),
            (LORD_HOWE, "2027-04-04T01:45:00", "2027-04-03T14:45:00"),  # and given
            ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T22:00:00"),  # a day that was left out whole
            ("Asia/Kolkata", "2027-01-01T00:00:00", "2026-12-31T18:30:00"),
        ],
    )
    def test_is_this_moment(self, zone: str, local: str, moment: str) -> None:
        assert to_moment(datetime.fromisoformat(local), zone_of(zone)) == utc(moment)

    @pytest.mark.parametrize(
        ("zone", "ends_at"),
        [
            ("UTC", "2027-01-15T23:59:59.999999"),
            (BERLIN, "2027-01-15T22:59:59.999999"),
            ("Pacific/Kiritimati", "2027-01-15T09:59:59.999999"),
            ("Etc/GMT+12", "2027-01-16T11:59:59.999999"),
            ("Asia/Kathmandu", "2027-01-15T18:14:59.999999"),
        ],
    )
    def test_a_day_ends_in_its_zone(self, zone: str, ends_at: str) -> None:
        story = Story(due_on=date(2027, 1, 15), time_zone=zone)
        assert (story.state.due_at, story.state.due_on, story.state.due) == (None, date(2027, 1, 15), utc(ends_at))

    def test_the_calendars_ends_are_no_fault(self) -> None:
        assert Story(due_on=date.max, time_zone="Etc/GMT+12").state.due == datetime.max.replace(tzinfo=UTC)
        assert Story(due_on=date.min, time_zone="Etc/GMT-14").state.due == utc("0001-01-01T09:59:59.999999")
        story = Story(due_on=date.max, time_zone="Pacific/Kiritimati", recurrence="FREQ=DAILY;COUNT=9")
        assert story.complete(utc("9999-12-30T00:00:00")) == "done"

    @given(st.sampled_from(sorted(NAMES)), st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - local times
    def test_every_local_time_of_every_zone_is_a_moment_near_it(self, zone: str, local: datetime) -> None:
        there = to_local(to_moment(local, zone_of(zone)), zone_of(zone))
        assert timedelta(0) <= there - local <= timedelta(days=1)

    @pytest.mark.parametrize(
        "name", ["", "Berlin", "europe/berlin", "../etc/passwd", "/etc/localtime", "Europe/", "\0", "UTC+1"]
    )
    def test_there_are_no_other_zones(self, name: str) -> None:
        with pytest.raises(Invalid) as refused:
            Story(time_zone=name)
        assert (refused.value.pointer, refused.value.code) == ("/time_zone", "time-zone")
        with pytest.raises(KeyError):
            zone_of(name)


class TestRepeating:
    @pytest.mark.parametrize(
        ("zone", "rule", "due", "then"),
        [
            # 08:00 stays 08:00 when the clocks change.
            (BERLIN, "FREQ=DAILY", "2027-03-27T07:00", ["2027-03-28T06:00", "2027-03-29T06:00"]),
            (BERLIN, "FREQ=DAILY", "2027-10-30T06:00", ["2027-10-31T07:00", "2027-11-01T07:00"]),
            (BERLIN, "FREQ=MONTHLY", "2027-01-31T07:00", ["2027-03-31T06:00", "2027-05-31T06:00"]),
            # A time that is left out is taken with the offset before; one that is there twice is the first.
            (BERLIN, "FREQ=DAILY", "2027-03-27T01:30", ["2027-03-28T01:30", "2027-03-29T00:30"]),
            (BERLIN, "FREQ=DAILY", "2027-10-30T00:30", ["2027-10-31T00:30", "2027-11-01T01:30"]),
            (LORD_HOWE, "FREQ=DAILY", "2027-10-01T15:45", ["2027-10-02T15:45", "2027-10-03T15:15"]),
            (LORD_HOWE, "FREQ=DAILY", "2027-04-02T22:00", ["2027-04-03T22:30", "2027-04-04T22:30"]),
            # What is left out may come to be after what follows it: 02:45 is 03:45, and 03:00 is before that.
            (
                BERLIN,
                "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,45",
                "2027-03-27T02:45",  # 03:45
                ["2027-03-28T01:00", "2027-03-28T01:45", "2027-03-29T00:00"],
            ),
            # Mondays are Mondays there, however far from UTC.
            (AUCKLAND, "FREQ=WEEKLY;BYDAY=MO", "2027-01-03T19:00", ["2027-01-10T19:00", "2027-01-17T19:00"]),
            (AUCKLAND, "FREQ=WEEKLY;BYDAY=MO", "2027-03-28T19:00", ["2027-04-04T20:00"]),
            ("Pacific/Honolulu", "FREQ=WEEKLY;BYDAY=MO", "2027-01-05T07:00", ["2027-01-12T07:00"]),
            (AUCKLAND, "FREQ=MONTHLY;BYMONTHDAY=1", "2027-01-31T20:00", ["2027-02-28T20:00", "2027-03-31T20:00"]),
            (AUCKLAND, "FREQ=MONTHLY;BYMONTHDAY=-1", "2027-01-30T20:00", ["2027-02-27T20:00", "2027-03-30T20:00"]),
            (
                BERLIN,
                "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
                "2027-01-29T08:00",
                ["2027-02-26T08:00", "2027-03-31T07:00", "2027-04-30T07:00"],
            ),
            (AUCKLAND, "FREQ=YEARLY", "2028-02-28T20:00", ["2032-02-28T20:00", "2036-02-28T20:00"]),  # 29 February
            (AUCKLAND, "FREQ=DAILY;BYHOUR=9,21", "2027-02-03T20:00", ["2027-02-04T08:00", "2027-02-04T20:00"]),
            # UNTIL is a moment.
            (BERLIN, "FREQ=DAILY;UNTIL=20270329T060000Z", "2027-03-27T07:00", ["2027-03-28T06:00", "2027-03-29T06:00", "done"]),
            (BERLIN, "FREQ=DAILY;UNTIL=20270329T055959Z", "2027-03-27T07:00", ["2027-03-28T06:00", "done"]),
        ],
    )  # fmt: skip
    def test_in_local_time(self, zone: str, rule: str, due: str, then: list[str]) -> None:
        story = Story(due_at=utc(due), time_zone=zone, recurrence=rule)
        found = [story.complete() for _ in then]
        assert found == [one if one == "done" else utc(one) for one in then]

    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", BERLIN, AUCKLAND])
    @pytest.mark.parametrize(
        ("rule", "on", "then"),
        [
            ("FREQ=DAILY", "2027-03-27", ["2027-03-28", "2027-03-29"]),
            ("FREQ=WEEKLY;BYDAY=MO", "2027-03-22", ["2027-03-29", "2027-04-05"]),
            ("FREQ=MONTHLY", "2027-01-31", ["2027-03-31", "2027-05-31"]),
            ("FREQ=MONTHLY;BYMONTHDAY=-1", "2027-01-31", ["2027-02-28", "2027-03-31"]),
            ("FREQ=YEARLY", "2028-02-29", ["2032-02-29"]),
            ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2027-01-29", ["2027-02-26", "2027-03-31"]),
            ("FREQ=DAILY;UNTIL=20270329", "2027-03-27", ["2027-03-28", "2027-03-29", "done"]),
            ("FREQ=DAILY;COUNT=2", "2027-03-27", ["2027-03-28", "done"]),
        ],
    )
    def test_on_days_whatever_the_zone(self, zone: str, rule: str, on: str, then: list[str]) -> None:
        story = Story(due_on=date.fromisoformat(on), time_zone=zone, recurrence=rule)
        assert [str(story.complete()) for _ in then] == then

    @pytest.mark.parametrize(
        "rule",
        ["FREQ=DAILY;BYHOUR=9", "FREQ=DAILY;BYMINUTE=0", "FREQ=DAILY;BYSECOND=0", "FREQ=DAILY;UNTIL=20310101T000000Z"],
    )
    def test_a_day_has_no_times(self, rule: str) -> None:
        for pointer, ask in (
            ("/recurrence", lambda: Story(due_on=date(2027, 1, 15), recurrence=rule)),
            ("/recurrence", lambda: Story(due_on=date(2027, 1, 15)).edit(recurrence=rule)),
            ("/recurrence", lambda: Story(due_at=NOW, recurrence=rule).edit(due_on=date(2027, 1, 15), recurrence=rule)),
            ("/due_on", lambda: Story(due_at=NOW, recurrence=rule).edit(due_on=date(2027, 1, 15))),
        ):
            with pytest.raises(Invalid) as refused:
                ask()
            assert (refused.value.pointer, refused.value.code) == (pointer, "rule")

    def test_a_moment_does_not_end_on_a_day(self) -> None:
        rule = "FREQ=DAILY;UNTIL=20310101"
        with pytest.raises(Invalid, match="UNTIL"):
            Story(due_at=NOW, recurrence=rule)
        with pytest.raises(Invalid) as refused:
            Story(due_on=date(2027, 1, 15), recurrence=rule).edit(due_at=NOW)
        assert refused.value.pointer == "/due_at"

    @given(
        st.sampled_from([BERLIN, AUCKLAND, LORD_HOWE, "America/St_Johns", "Africa/Casablanca", "Asia/Tehran"]),
        st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,SU", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=DAILY;BYHOUR=1,2,3"]),
        st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy adds the zone
        st.timedeltas(timedelta(0), timedelta(days=1000)),
    )  # fmt: skip
    def test_the_next_slot_is_the_first_after(self, zone: str, rule: str, start: datetime, later: timedelta) -> None:
        """However far it was skipped to, nothing lies between: each of the slots one by one leads there too."""
        after = start + later
        found = next_slot(checked(rule, start, zone), start, after, zone)
        at: datetime | None = max(start, after - timedelta(days=40))
        while at is not None and at <= after:
            at = next_slot(rule, start, at, zone)
        assert found == at


class TestOneOccurrence:
    """Moving one neither restarts COUNT nor shifts those that follow."""

    def test_three_times_is_three_times_with_one_postponed(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY;COUNT=3")
        story.edit(due_at=utc("2027-02-01T20:00"))
        assert story.completions() == 3

    @pytest.mark.parametrize("moved", ["2027-02-01T20:00", "2027-02-01T06:00", "2027-01-20T08:00"])
    def test_those_that_follow_stay(self, moved: str) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY")
        assert story.edit(due_at=utc(moved)) == [TaskDueSet(due_at=utc(moved))]
        assert story.complete(utc(moved)) == utc("2027-02-02T08:00")

    @pytest.mark.parametrize(
        ("at", "then"),
        [
            ("2027-01-20T00:00", "2027-02-02T08:00"),  # early: the first after its own
            ("2027-02-01T09:00", "2027-02-02T08:00"),
            ("2027-02-02T07:59:59.999999", "2027-02-02T08:00"),
            ("2027-02-02T08:00", "2027-02-03T08:00"),  # and after now
            ("2027-03-15T12:00", "2027-03-16T08:00"),  # however many are left out
        ],
    )
    def test_goes_to_the_first_after_its_own_and_after_now(self, at: str, then: str) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY")
        assert story.complete(utc(at)) == utc(then)

    def test_postponed_past_those_that_follow_it_leaves_them_out(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY")
        story.edit(due_at=utc("2027-02-05T10:00"))
        assert story.complete(utc("2027-02-05T10:00")) == utc("2027-02-06T08:00")

    def test_completed_before_its_postponed_time_is_gone_on_from_its_slot(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY")
        story.edit(due_at=utc("2027-02-05T10:00"))
        assert story.complete(utc("2027-02-01T07:00")) == utc("2027-02-02T08:00")

    @pytest.mark.parametrize(
        ("zone", "at", "then"),
        [
            ("UTC", "2027-02-04T00:00", "2027-02-04"),  # the day of today is not over
            ("UTC", "2027-02-04T23:59:59.999998", "2027-02-04"),
            ("UTC", "2027-02-04T23:59:59.999999", "2027-02-05"),
            (AUCKLAND, "2027-02-03T11:00", "2027-02-04"),
            ("Etc/GMT+12", "2027-02-04T11:00", "2027-02-03"),
            ("UTC", "2027-01-20T00:00", "2027-02-02"),
        ],
    )
    def test_of_days_that_are_overdue_todays_is_next(self, zone: str, at: str, then: str) -> None:
        story = Story(due_on=date(2027, 2, 1), time_zone=zone, recurrence="FREQ=DAILY")
        assert str(story.complete(utc(at))) == then

    def test_may_be_moved_to_a_day_and_the_next_is_at_its_time(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY;COUNT=3")
        story.edit(due_on=date(2027, 2, 2))
        assert (story.state.due_at, story.state.due_on) == (None, date(2027, 2, 2))
        assert story.complete() == utc("2027-02-02T08:00")
        assert (story.state.due_on, story.complete(), story.complete()) == (None, utc("2027-02-03T08:00"), "done")

    def test_may_be_moved_from_a_day_to_a_moment(self) -> None:
        story = Story(due_on=date(2027, 2, 1), time_zone=BERLIN, recurrence="FREQ=WEEKLY")
        story.edit(due_at=utc("2027-02-03T08:00"))
        assert story.complete(utc("2027-02-03T08:00")) == date(2027, 2, 8)

    def test_without_a_due_it_still_has_its_slot(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY;COUNT=2")
        story.edit(due_at=None)
        assert story.state.due is None
        assert story.complete() == utc("2027-02-02T08:00")
        assert story.complete() == "done"

    @pytest.mark.parametrize("rule", ["FREQ=DAILY;COUNT=3", "rrule:freq=daily;count=3"])
    def test_a_rule_beside_another_due_is_a_new_series_also_the_same_rule(self, rule: str) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY;COUNT=3")
        story.complete()
        (event,) = story.edit(due_at=utc("2027-03-01T17:00"), recurrence=rule)
        assert event == TaskDueSet(due_at=utc("2027-03-01T17:00"), restarts=True)
        assert story.state.series == Series(utc("2027-03-01T17:00"), utc("2027-03-01T17:00"))
        assert story.completions() == 3

    def test_a_rule_beside_the_due_that_stands_is_the_series_that_stands(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY;COUNT=3")
        story.complete()
        assert story.edit(due_at=utc("2027-02-02T08:00"), recurrence="FREQ=DAILY;COUNT=3") == []
        assert story.completions() == 2

    def test_another_rule_begins_with_the_due_that_stands(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), time_zone=BERLIN, recurrence="FREQ=DAILY")
        story.edit(due_at=utc("2027-02-03T10:00"))
        assert story.edit(recurrence="FREQ=WEEKLY;COUNT=2") == [TaskRecurrenceSet(recurrence="FREQ=WEEKLY;COUNT=2")]
        assert (story.complete(), story.complete()) == (utc("2027-02-10T10:00"), "done")

    def test_without_its_rule_it_is_an_ordinary_task(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY")
        assert story.edit(recurrence=None) == [TaskRecurrenceSet(recurrence=None)]
        assert (story.state.series, story.state.time_zone, story.complete()) == (None, "UTC", "done")

    def test_its_checklist_is_unticked(self) -> None:
        story = Story(due_at=utc("2027-02-01T08:00"), recurrence="FREQ=DAILY;COUNT=2")
        other = UUID(int=21)
        story.fold([ChecklistItemAdded(ITEM, "a", "a"), ChecklistItemAdded(other, "b", "b")])
        story.fold([ChecklistItemChecked(ITEM, done=True)])
        (event,) = task.intend(story.state, project(), "done", NOW)
        assert isinstance(event, TaskRecurred)
        assert event.unticked == (ITEM,)
        story.fold([event])
        assert [item.done for item in story.state.checklist] == [False, False]
        story.fold([ChecklistItemChecked(other, done=True)])
        assert story.complete() == "done"
        assert [item.done for item in story.state.checklist] == [False, True]  # the last one stays as it was done


class TestZone:
    @pytest.mark.parametrize(
        ("body", "zone"),
        [
            ({}, None),
            ({"due_at": NOW}, AUCKLAND),
            ({"due_on": date(2027, 1, 15)}, AUCKLAND),
            ({"recurrence": "FREQ=DAILY"}, AUCKLAND),
            ({"time_zone": BERLIN}, BERLIN),
            ({"due_on": date(2027, 1, 15), "time_zone": BERLIN}, BERLIN),
        ],
    )
    def test_is_that_of_whoever_writes_unless_it_is_named(self, body: dict[str, Any], zone: str | None) -> None:
        assert Story(zone=AUCKLAND, **body).state.time_zone == zone
        story = Story()
        story.edit(zone=AUCKLAND, **body)
        assert story.state.time_zone == zone

    def test_stays_whoever_writes_next(self) -> None:
        story = Story(zone=AUCKLAND, due_on=date(2027, 1, 15))
        story.edit(zone=BERLIN, due_on=date(2027, 1, 16))
        assert (story.state.time_zone, story.state.due) == (AUCKLAND, utc("2027-01-16T10:59:59.999999"))
        story.edit(due_on=None)
        story.edit(zone=BERLIN, due_at=NOW)
        assert story.state.time_zone == AUCKLAND

    def test_of_nothing_is_cleared_and_else_is_the_writers(self) -> None:
        bare = Story(time_zone=AUCKLAND)
        bare.edit(time_zone=None)
        assert bare.state.time_zone is None
        story = Story(zone=AUCKLAND, due_on=date(2027, 1, 15))
        (event,) = story.edit(zone=BERLIN, time_zone=None)
        assert isinstance(event, TaskDueSet)
        assert (story.state.time_zone, story.state.due) == (BERLIN, utc("2027-01-15T22:59:59.999999"))

    def test_another_moves_the_end_of_the_day_and_no_moment(self) -> None:
        story = Story(due_on=date(2027, 1, 15), time_zone=BERLIN)
        assert len(story.edit(time_zone=AUCKLAND)) == 1
        assert (story.state.due_on, story.state.due) == (date(2027, 1, 15), utc("2027-01-15T10:59:59.999999"))
        at_noon = Story(due_at=NOW, time_zone=BERLIN)
        at_noon.edit(time_zone=AUCKLAND)
        assert (at_noon.state.due_at, at_noon.state.time_zone) == (NOW, AUCKLAND)

    def test_another_is_where_the_series_goes_on(self) -> None:
        story = Story(due_at=utc("2027-03-12T13:00"), time_zone=BERLIN, recurrence="FREQ=DAILY;COUNT=4")
        story.complete()
        story.edit(time_zone="America/New_York")  # where it is 08:00, until the clocks change on the 14th
        assert (story.complete(), story.complete(), story.complete()) == (
            utc("2027-03-14T12:00"), utc("2027-03-15T12:00"), "done",
        )  # fmt: skip

    @pytest.mark.parametrize("recurrence", [None, "FREQ=DAILY"])
    def test_both_ways_to_be_due_are_one_too_many(self, recurrence: str | None) -> None:
        body: dict[str, Any] = {"due_at": NOW, "due_on": date(2027, 1, 15), "recurrence": recurrence}
        for ask in (lambda: Story(**body), lambda: Story().edit(**body)):
            with pytest.raises(Invalid) as refused:
                ask()
            assert refused.value.pointer == "/due_on"

    def test_each_way_clears_the_other(self) -> None:
        story = Story(due_at=NOW)
        assert len(story.edit(due_on=date(2027, 1, 15))) == 1
        assert (story.state.due_at, story.state.due_on) == (None, date(2027, 1, 15))
        assert story.edit(due_at=None) == []
        assert len(story.edit(due_at=NOW, due_on=None)) == 1
        assert (story.state.due_at, story.state.due_on, story.state.due) == (NOW, None, NOW)

    def test_of_a_person_is_a_zone(self) -> None:
        created = UserRegistered(email="a", name="A", password_hash="x", claim_id=TASK_ID, inbox_id=PROJECT_ID)
        user = USER.evolve(None, created, EventMetadata(OWNER, 1, NOW, OWNER))
        for wrong in ("Berlin", "", 7, True):
            with pytest.raises(Invalid) as refused:
                edit(user, EditProfile(settings={"time_zone": wrong}))
            assert refused.value.pointer == "/settings/time_zone"
        assert len(edit(user, EditProfile(settings={"time_zone": BERLIN}))) == 1
        assert edit(user, EditProfile(settings={"time_zone": None})) == []
        found: list[Any] = [{}, {"time_zone": 7}, {"time_zone": "of before it was judged"}, {"time_zone": BERLIN}]
        assert [zone_in(one) for one in found] == ["UTC", "UTC", "UTC", BERLIN]


def test_a_slot_that_is_a_day_is_no_moment_of_any_zone() -> None:
    series = Story(due_on=date(2027, 1, 15), time_zone=AUCKLAND, recurrence="FREQ=DAILY").state.series
    assert series == Series(midnight(date(2027, 1, 15)), midnight(date(2027, 1, 15)), days=True)
    assert day_end(date(2027, 1, 15), zone_of(AUCKLAND)) < series.slot + timedelta(hours=24)
