"""A project in numbers."""

from __future__ import annotations

from typing import Any

from tests.api.stack import Caller, accepted, refused
from tests.api.test_workflow import DEFAULT, REVIEW, set_to

PAST, FUTURE = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


async def stats(caller: Caller, project: str, position: int) -> dict[str, Any]:
    return accepted(await caller.read(f"/projects/{project}/stats", position))


async def test_of_nothing_everything_is_zero(ada: Caller) -> None:
    project = await ada.project()
    assert await stats(ada, project["id"], project["position"]) == {
        "total": 0,
        "trashed": 0,
        "unassigned": 0,
        "overdue": 0,
        "by_status": [
            {"status": one["key"], "name": one["name"], "category": one["category"], "count": 0} for one in DEFAULT
        ],
        "by_category": {"todo": 0, "in_progress": 0, "waiting": 0, "done": 0, "cancelled": 0},
        "by_priority": {"low": 0, "medium": 0, "high": 0, "urgent": 0},
        "by_assignee": [],
    }


async def test_tasks_are_counted_every_way(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob)
    await ada.task("elsewhere")
    await ada.task(project_id=project, due_at=PAST, priority="urgent", assignee_id=bob.id)
    await ada.task(project_id=project, due_at=FUTURE, assignee_id=bob.id)
    await ada.task(project_id=project, assignee_id=ada.id)
    for intent in ("complete", "cancel"):
        over = await ada.task(project_id=project, due_at=PAST, priority="low")
        accepted(await ada.post(f"/tasks/{over['id']}/{intent}"))
    trashed = await ada.task(project_id=project, due_at=PAST, priority="high", assignee_id=bob.id)
    last = accepted(await ada.delete(f"/tasks/{trashed['id']}"))
    body = await stats(bob, project, last["position"])
    assert (body["total"], body["trashed"], body["unassigned"], body["overdue"]) == (5, 1, 2, 1)
    assert [(one["status"], one["count"]) for one in body["by_status"]] == [
        ("todo", 3), ("in_progress", 0), ("done", 1), ("cancelled", 1),
    ]  # fmt: skip
    assert body["by_category"] == {"todo": 3, "in_progress": 0, "waiting": 0, "done": 1, "cancelled": 1}
    assert body["by_priority"] == {"low": 2, "medium": 2, "high": 0, "urgent": 1}
    assert body["by_assignee"] == [
        {"assignee": {"id": bob.id, "name": "Bob"}, "count": 2},
        {"assignee": {"id": ada.id, "name": "Ada Lovelace"}, "count": 1},
    ]


async def test_statuses_are_todays(ada: Caller) -> None:
    """What took the place of another counts its tasks, and whether they are overdue."""
    project = (await ada.project())["id"]
    task = await ada.task(project_id=project, due_at=PAST)
    accepted(await ada.post(f"/tasks/{task['id']}/complete"))
    last = await ada.task(project_id=project, due_at=PAST)
    assert (await stats(ada, project, last["position"]))["overdue"] == 1
    shut = {"key": "shut", "name": "Shut", "category": "cancelled"}
    mapping = {"todo": "shut", "in_progress": "shut", "done": "review", "cancelled": "review"}
    changed = await set_to(ada, project, [REVIEW, shut], mapping=mapping)
    body = await stats(ada, project, changed["position"])
    assert [(one["status"], one["count"]) for one in body["by_status"]] == [("review", 1), ("shut", 1)]
    assert body["by_category"] == {"todo": 0, "in_progress": 0, "waiting": 1, "done": 0, "cancelled": 1}
    assert (body["total"], body["overdue"]) == (2, 1)


async def test_a_repeated_read_is_304(ada: Caller) -> None:
    project = await ada.project()
    path = f"/projects/{project['id']}/stats"
    first = await ada.read(path, project["position"])
    again = await ada.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    refused(await ada.get(path, params={"colour": "red"}), 400, "validation")
