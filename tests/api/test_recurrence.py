"""Recurring tasks over HTTP: completed, they are due again."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.stack import Caller, accepted, refused

DUE = "2199-03-05T09:30:00.000000Z"
NEXT = "2199-03-06T09:30:00.000000Z"


class TestSetting:
    async def test_a_task_is_made_with_a_rule_and_shown_with_it(self, ada: Caller) -> None:
        task = await ada.task(due_at=DUE, recurrence="RRULE:FREQ=WEEKLY;BYDAY=MO")
        assert (task["recurrence"], task["version"]) == ("FREQ=WEEKLY;BYDAY=MO", 1)
        found = accepted(await ada.read(f"/tasks/{task['id']}", task["position"]))
        assert found["recurrence"] == "FREQ=WEEKLY;BYDAY=MO"

    async def test_a_patch_sets_changes_and_clears_it(self, ada: Caller) -> None:
        task = await ada.task(due_at=DUE)
        path = f"/tasks/{task['id']}"
        for recurrence, shown, version in (
            ("FREQ=DAILY", "FREQ=DAILY", 2),
            ("rrule:freq=daily", "FREQ=DAILY", 2),
            ("FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=MONTHLY;BYMONTHDAY=-1", 3),
            (None, None, 4),
            (None, None, 4),
        ):
            body = accepted(await ada.patch(path, {"recurrence": recurrence}))
            assert (body["recurrence"], body["version"]) == (shown, version)

    @pytest.mark.parametrize(
        "rule",
        [
            "",
            "daily",
            "FREQ=HOURLY",
            "FREQ=DAILY;UNTIL=20301231",
            "FREQ=DAILY;UNTIL=20301231T000000",
            "FREQ=DAILY;COUNT=1000000000",
            "FREQ=DAILY;INTERVAL=1000000",
            "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31",
            "FREQ=WEEKLY;BYDAY=月",
            "FREQ=DAILY\x00",
            "FREQ=DAILY;BYHOUR=" + "9," * 200 + "9" + "," * 80,
            "X" * 501,
            7,
            ["FREQ=DAILY"],
        ],
    )
    async def test_what_is_no_rule_is_400_and_says_where(self, ada: Caller, rule: Any) -> None:
        task = await ada.task()
        for response in (
            await ada.post("/tasks", {"title": "x", "recurrence": rule}),
            await ada.patch(f"/tasks/{task['id']}", {"recurrence": rule}),
        ):
            problem = refused(response, 400, "validation")
            assert [error["pointer"] for error in problem["errors"]] == ["/recurrence"]
            assert "xpected" in problem["errors"][0]["detail"]

    async def test_500_characters_are_taken(self, ada: Caller) -> None:
        rule = "FREQ=DAILY;BYHOUR=9" + ",9" * 240
        assert len(rule) == 499
        assert (await ada.task(recurrence=rule))["recurrence"] == rule


class TestCompleting:
    async def test_makes_it_due_again_in_one_event(self, ada: Caller) -> None:
        task = await ada.task(due_at=DUE, recurrence="FREQ=DAILY", status="in_progress")
        body = accepted(await ada.post(f"/tasks/{task['id']}/complete"))
        assert (body["status"], body["status_category"], body["due_at"]) == ("todo", "todo", NEXT)
        assert (body["completed_at"], body["version"]) == (None, 2)
        assert accepted(await ada.read(f"/tasks/{task['id']}", body["position"]))["due_at"] == NEXT
        (_, event) = accepted(await ada.get(f"/tasks/{task['id']}/events"))["items"]
        assert event["type"] == "TaskRecurred"
        assert event["data"] == {
            "occurrence_at": "2199-03-05T09:30:00Z",
            "due_at": "2199-03-06T09:30:00Z",
            "status": "todo",
            "category": "todo",
        }

    async def test_three_times_is_three_times(self, ada: Caller) -> None:
        task = await ada.task(due_at=DUE, recurrence="FREQ=DAILY;COUNT=3")
        bodies = [accepted(await ada.post(f"/tasks/{task['id']}/complete")) for _ in range(3)]
        assert [body["status"] for body in bodies] == ["todo", "todo", "done"]
        assert [body["version"] for body in bodies] == [2, 3, 4]
        assert bodies[-1]["completed_at"] == bodies[-1]["updated_at"]
        assert accepted(await ada.post(f"/tasks/{task['id']}/complete"))["version"] == 4

    async def test_by_a_patch_does_the_same_and_cancelling_ends_it(self, ada: Caller) -> None:
        task = await ada.task(due_at=DUE, recurrence="FREQ=DAILY")
        body = accepted(await ada.patch(f"/tasks/{task['id']}", {"status": "done"}))
        assert (body["status"], body["due_at"]) == ("todo", NEXT)
        body = accepted(await ada.post(f"/tasks/{task['id']}/cancel"))
        assert (body["status"], body["due_at"]) == ("cancelled", NEXT)

    async def test_a_repeat_does_not_complete_the_next_one(self, ada: Caller) -> None:
        task = await ada.task(due_at=DUE, recurrence="FREQ=DAILY")
        headers = {"Idempotency-Key": str(uuid4())}
        first = await ada.post(f"/tasks/{task['id']}/complete", headers=headers)
        again = await ada.post(f"/tasks/{task['id']}/complete", headers=headers)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert accepted(await ada.post(f"/tasks/{task['id']}/complete"))["version"] == 3

    async def test_moves_nothing_on_the_board_but_the_due_time(self, ada: Caller) -> None:
        project = (await ada.project())["id"]
        task = await ada.task(project_id=project, due_at=DUE, recurrence="FREQ=DAILY")
        body = accepted(await ada.post(f"/tasks/{task['id']}/complete"))
        columns = accepted(await ada.read(f"/projects/{project}/board", body["position"]))["columns"]
        assert [column["count"] for column in columns] == [1, 0, 0, 0]
        assert columns[0]["tasks"][0]["due_at"] == NEXT

    async def test_goes_only_where_the_workflow_goes(self, ada: Caller) -> None:
        task = await ada.task(due_at=DUE, recurrence="FREQ=DAILY")
        accepted(await ada.delete(f"/tasks/{task['id']}"))
        refused(await ada.post(f"/tasks/{task['id']}/complete"), 409, "command-rejected", "trashed")
