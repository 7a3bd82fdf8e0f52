"""The commands of an import: back-dated, named by the source's keys, with receipts of project and source."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.stack import Caller, accepted, refused

SOURCE = "tracker"
AT, LATER, LATEST = "2020-01-01T00:00:00.000000Z", "2020-01-02T00:00:00.000000Z", "2020-01-03T00:00:00.000000Z"
WORKFLOW = {
    "statuses": [
        {"key": "new", "name": "New", "category": "todo"},
        {"key": "worked on", "name": "Worked on", "category": "in_progress"},
        {"key": "shut", "name": "Shut", "category": "done"},
    ],
    # No change is allowed: an import is not bound by it.
    "transitions": [{"from": "shut", "to": "shut"}],
}


def command(type_: str, project: str | None, **data: Any) -> dict[str, Any]:
    said = {"id": str(uuid4()), "type": type_, "data": {"source": SOURCE, "at": AT} | data}
    return said if project is None else said | {"target": project}


def person(project: str, key: str = "bo", **data: Any) -> dict[str, Any]:
    return command("ImportPerson", project, key=key, **{"name": "Bo"} | data)


def task(project: str, key: str = "1", **data: Any) -> dict[str, Any]:
    return command("ImportTask", project, key=key, **{"title": f"Task {key}"} | data)


async def sent(caller: Caller, *commands: dict[str, Any]) -> list[dict[str, Any]]:
    body = {"atomic": False, "commands": commands}
    results: list[dict[str, Any]] = accepted(await caller.post("/commands/batch", body))["results"]
    return results


async def one(caller: Caller, command: dict[str, Any]) -> dict[str, Any]:
    [result] = await sent(caller, command)
    return result


def done(result: dict[str, Any]) -> dict[str, Any]:
    """What a command answered that was not refused."""
    assert "problem" not in result, result
    body: dict[str, Any] = result["result"]
    return body


def code(result: dict[str, Any]) -> str:
    assert result["outcome"] == "rejected", result
    found: str = result["problem"].get("code", result["problem"]["type"])
    return found


@pytest.fixture
async def project(ada: Caller) -> str:
    found = done(await one(ada, command("ImportProject", None, name="P", description="D", workflow=WORKFLOW)))
    project_id: str = found["id"]
    return project_id


async def events_of(caller: Caller, task_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = accepted(await caller.get(f"/tasks/{task_id}/events"))["items"]
    return found


class TestAProject:
    async def test_is_as_old_as_its_source_and_its_callers(self, ada: Caller, project: str) -> None:
        shown = accepted(await ada.post("/commands", command("ImportProject", None, name="P")))
        assert (shown["outcome"], shown["replayed"], shown["result"]["id"]) == ("unchanged", False, project)
        assert (shown["result"]["created_at"], shown["result"]["role"]) == (AT, "owner")
        assert [status["key"] for status in shown["result"]["workflow"]["statuses"]] == ["new", "worked on", "shut"]

    async def test_is_one_for_a_caller_and_a_source(self, ada: Caller, bob: Caller, project: str) -> None:
        again = await one(ada, command("ImportProject", None, name="Other", at=LATER))
        assert (done(again)["id"], again["outcome"], done(again)["name"]) == (project, "unchanged", "P")
        assert done(await one(bob, command("ImportProject", None, name="P")))["id"] != project
        assert done(await one(ada, command("ImportProject", None, name="P", source="other")))["id"] != project

    async def test_is_refused_to_whoever_is_no_admin_of_it_any_more(
        self, ada: Caller, bob: Caller, project: str
    ) -> None:
        await ada.add(project, bob, "owner")
        accepted(await bob.put(f"/projects/{project}/members/{ada.id}", {"role": "member"}))
        again = await one(ada, command("ImportProject", None, name="P"))
        assert again["problem"]["status"] == 403

    async def test_has_a_workflow_or_none_at_all(self, ada: Caller) -> None:
        twice = {"statuses": [WORKFLOW["statuses"][0], WORKFLOW["statuses"][0]]}
        problem = refused(
            await ada.post("/commands", command("ImportProject", None, name="P", workflow=twice)), 400, "validation"
        )
        assert [fault["pointer"] for fault in problem["errors"]] == ["/data/workflow/statuses/1/key"]

    async def test_takes_labels_and_its_archiving_at_the_end(self, ada: Caller, project: str) -> None:
        settings = {"source": SOURCE, "labels": [{"name": "a", "colour": "#00ff00"}], "archived": True}
        said = {"id": str(uuid4()), "type": "ImportProjectSettings", "target": project, "data": settings}
        shown = done(await one(ada, said))
        assert shown["labels"] == [{"name": "a", "colour": "#00ff00"}]
        assert shown["archived_at"] is not None
        assert code(await one(ada, task(project))) == "project-archived"


class TestATask:
    async def test_is_what_it_was_when_it_was(self, ada: Caller, project: str) -> None:
        people, made = await sent(
            ada,
            person(project),
            task(
                project, title="T", status="shut", labels=["a"], assignee="bo", actor="bo", started_at=LATER,
                completed_at=LATEST, updated_at=LATEST, external_id="INC-1", columns={"Country": "fr"},
                checklist=[{"key": "c", "text": "Do", "done": True}],
            ),
        )  # fmt: skip
        shown = done(made)
        assert (shown["title"], shown["status"], shown["external_id"]) == ("T", "shut", "INC-1")
        assert (shown["created_at"], shown["started_at"], shown["completed_at"]) == (AT, LATER, LATEST)
        assert shown["assignee"] == {"id": done(people)["id"], "name": "Bo"}
        assert [(item["text"], item["done"]) for item in shown["checklist"]] == [("Do", True)]
        events = await events_of(ada, shown["id"])
        assert [event["occurred_at"] for event in events] == [AT, LATER, LATEST, LATEST]
        assert {event["actor"] for event in events} == {done(people)["id"]}
        assert all(event["recorded_at"] > LATEST for event in events)
        assert events[0]["data"]["source"] == {"Country": "fr"}

    async def test_that_exists_is_changed(self, ada: Caller, project: str) -> None:
        made, changed, same, back = await sent(
            ada,
            task(project, priority="low", labels=["team:a", "mine"], prefixes=["team:"]),
            task(project, priority="high", labels=["team:b"], prefixes=["team:"], status="shut", at=LATER),
            task(project, priority="high", labels=["team:b"], prefixes=["team:"], at=LATEST),
            task(project, priority="low"),
        )
        assert done(made)["id"] == done(changed)["id"]
        assert (done(changed)["status"], done(changed)["labels"]) == ("shut", ["mine", "team:b"])
        assert (done(changed)["priority"], done(changed)["completed_at"]) == ("high", LATER)
        assert (same["outcome"], same["version"]) == ("unchanged", 2)
        assert code(back) == "goes-back"

    async def test_and_what_was_said_about_it_is_changed_by_its_key(self, ada: Caller, project: str) -> None:
        _, made, said, again, missing = await sent(
            ada,
            person(project),
            task(project),
            command("ImportTaskChange", project, key="1", at=LATER, comment={"key": "n", "body": "x", "author": "bo"}),
            command("ImportTaskChange", project, key="1", at=LATER, comment={"key": "n", "body": "x", "author": "bo"}),
            command("ImportTaskChange", project, key="2", priority="low"),
        )
        assert (said["outcome"], again["outcome"], code(missing)) == ("applied", "unchanged", "no-such-task")
        [comment] = accepted(await ada.get(f"/tasks/{done(made)['id']}/comments"))["items"]
        assert (comment["body"], comment["author"]["name"], comment["created_at"]) == ("x", "Bo", LATER)

    async def test_stands_below_one_that_was_imported_before_it(self, ada: Caller, project: str) -> None:
        above, below, early = await sent(
            ada, task(project, "1"), task(project, "2", parent="1"), task(project, "3", parent="4")
        )
        assert done(below)["parent_id"] == done(above)["id"]
        assert code(early) == "no-such-parent"

    async def test_names_members_and_people_of_its_source_only(self, ada: Caller, bob: Caller, project: str) -> None:
        elsewhere = done(await one(ada, command("ImportProject", None, name="E", source="elsewhere")))["id"]
        both = {"assignee": "bo", "assignee_id": ada.id}
        answered = await sent(
            ada,
            person(project, source="other"),
            person(elsewhere, source="elsewhere"),
            task(project, "1", assignee="bo"),
            task(project, "2", actor="bo"),
            task(project, "3", assignee_id=bob.id),
            task(project, "4", assignee_id=ada.id),
            person(project),
            task(project, "5", **both),
        )
        assert [code(answered[at]) for at in (2, 3, 4)] == ["no-such-person", "no-such-person", "not-a-member"]
        assert done(answered[5])["assignee"]["id"] == ada.id
        assert len({done(answered[at])["id"] for at in (0, 1, 6)}) == 3, "one person for each project and source"
        assert answered[7]["problem"]["status"] == 400
        said = {"key": "n", "body": "x", "author_id": bob.id}
        assert code(await one(ada, command("ImportTaskChange", project, key="4", comment=said))) == "not-the-caller"

    async def test_is_neither_of_the_future_nor_of_before_1970(self, ada: Caller, project: str) -> None:
        ahead, before = await sent(
            ada, task(project, at="2999-01-01T00:00:00Z"), task(project, at="1969-12-31T23:59:59Z")
        )
        assert code(ahead) == "future"
        assert before["problem"]["status"] == 400


class TestReceipts:
    async def test_are_met_by_every_admin_of_the_project(self, ada: Caller, bob: Caller, project: str) -> None:
        commands = [person(project), task(project, assignee="bo"), task(project, at=LATER, status="shut")]
        first = await sent(ada, *commands)
        await ada.add(project, bob, "admin")
        again = await sent(bob, *commands)
        assert [result["replayed"] for result in first] == [False] * 3
        assert again == [result | {"replayed": True} for result in first]
        other = commands[1] | {"data": commands[1]["data"] | {"title": "Other"}}
        assert (await one(bob, other))["problem"]["type"] == "/problems/idempotency-key-reused"

    async def test_are_of_one_source(self, ada: Caller, project: str) -> None:
        said = task(project)
        other = said | {"data": said["data"] | {"source": "other"}}
        one_, two = await sent(ada, said), await sent(ada, other)
        assert one_[0]["replayed"] is two[0]["replayed"] is False
        assert done(one_[0])["id"] != done(two[0])["id"]

    async def test_are_judged_by_todays_role(self, ada: Caller, bob: Caller, project: str) -> None:
        await ada.add(project, bob, "admin")
        commands = [person(project), task(project, assignee="bo")]
        await sent(bob, *commands)
        accepted(await ada.put(f"/projects/{project}/members/{bob.id}", {"role": "member"}))
        assert [result["problem"]["status"] for result in await sent(bob, *commands)] == [403, 403]
        accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
        assert [result["problem"]["status"] for result in await sent(bob, *commands)] == [404, 404]
        for command in commands:
            refused(await bob.post("/commands", command), 404, "not-found")


async def test_an_import_adds_no_member_and_a_person_of_it_cannot_sign_in(ada: Caller, project: str) -> None:
    bo = done(await one(ada, person(project)))
    done(await one(ada, task(project, assignee="bo")))
    members = accepted(await ada.get(f"/projects/{project}/members"))["items"]
    assert [member["user"]["id"] for member in members] == [ada.id]
    assert (bo["name"], set(bo)) == ("Bo", {"id", "name", "version", "position"})


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_it_takes_an_admin(ada: Caller, bob: Caller, project: str, role: str) -> None:
    await ada.add(project, bob, role)
    settings = {"id": str(uuid4()), "type": "ImportProjectSettings", "target": project, "data": {"source": SOURCE}}
    answered = await sent(bob, person(project), task(project), settings)
    assert [result["problem"]["status"] for result in answered] == [403] * 3


async def test_a_project_is_named_by_its_id_alone(ada: Caller) -> None:
    made = command("ImportProject", None, name="P")
    body = {"commands": [made, task(f"${made['id']}")]}
    problem = refused(await ada.post("/commands/batch", body), 400, "validation")
    assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [("/commands/1/target", "reference")]


async def test_an_atomic_import_is_all_or_nothing(ada: Caller, project: str) -> None:
    commands = [person(project), task(project, assignee="bo"), task(project, "2", assignee="nobody")]
    refused(
        await ada.post("/commands/batch", {"atomic": True, "commands": commands}), 409, "command-rejected",
        "no-such-person",
    )  # fmt: skip
    answered = accepted(await ada.post("/commands/batch", {"atomic": True, "commands": commands[:2]}))["results"]
    assert [result["outcome"] for result in answered] == ["applied", "applied"]
