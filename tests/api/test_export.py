"""A project as a file over HTTP, and made again of it."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from taskflow.api.export_file import Export
from taskflow.client import AsyncClient
from taskflow.commands.execute import Executor, Request
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.importer.exported import Made, import_export, read_export
from taskflow.importer.failures import BadFile
from taskflow.importer.sender import Pace, Sender
from taskflow.store.eventstore import open_event_store
from taskflow.streams import TASK
from taskflow.streams.task import ChecklistItemAdded, CommentAdded, CommentEdited, RelationAdded
from tests.api.stack import Caller, Stack, accepted, refused
from tests.api.test_tasks import UNICODE

CSV = {"Accept": "text/csv"}


async def furnished(stack: Stack, ada: Caller, bob: Caller) -> tuple[str, int]:
    """A project with a bit of everything; and the position it was finished at."""
    project = (await ada.project("Everything"))["id"]
    await ada.add(project, bob, "viewer")
    parent = await ada.task(
        "parent", project_id=project, description=UNICODE, priority="urgent", due_at="2031-01-01T00:00:00Z",
        labels=["b", "a"], assignee_id=bob.id,
    )  # fmt: skip
    child = await ada.task("=1+1", project_id=project, parent_id=parent["id"])
    for step in ("start", "complete"):
        accepted(await ada.post(f"/tasks/{child['id']}/{step}"))
    gone = await ada.task("in the trash", project_id=project)
    accepted(await ada.delete(f"/tasks/{gone['id']}"))
    async with open_event_store(stack.settings, "export test") as store:

        async def parts(unit: UnitOfWork) -> UUID:
            await unit.get(TASK, UUID(parent["id"]))
            comment = uuid4()
            unit.append(
                TASK,
                UUID(parent["id"]),
                CommentAdded(comment, f"for @[{ada.id}]"),
                CommentEdited(comment, "edited"),
                ChecklistItemAdded(uuid4(), "first", "a", done=True),
                ChecklistItemAdded(uuid4(), "second", "b"),
                RelationAdded("blocks", UUID(child["id"])),
            )
            return UUID(parent["id"])

        request = Request(
            handler=parts,
            caller=UUID(bob.id),
            command_id=uuid4(),
            fingerprint=b"",
            at=datetime.now(UTC),
            actor=UUID(bob.id),
        )
        receipt = (await Executor(store, stack.settings).execute(request)).receipt
    return project, receipt.position


async def imported(caller: Caller, file: Path, *, dry: bool = False) -> Made:
    """What `taskflow import --format taskflow` of that person does."""
    async with AsyncClient(str(caller.http.base_url), token=caller.token) as client:
        sender = Sender(client, request_id=uuid4(), pace=Pace(), dry=dry)
        return await import_export(sender, await client.users.me(), file)


async def exported_as(caller: Caller, project: str, position: int, accept: str) -> httpx.Response:
    parameters = {"min_position": position, "wait_ms": 10_000}
    return await caller.get(f"/projects/{project}/export", params=parameters, headers={"Accept": accept})


async def test_the_json_holds_everything_but_the_trash(stack: Stack, ada: Caller, bob: Caller) -> None:
    project, position = await furnished(stack, ada, bob)
    response = await ada.read(f"/projects/{project}/export", position)
    body = accepted(response)
    msgspec.json.decode(response.content, type=Export)
    assert int(response.headers["taskflow-position"]) >= position
    assert body["position"] == int(response.headers["taskflow-position"])
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert f"project-{project}.json" in response.headers["content-disposition"]
    assert {(one["id"], one["name"], one["role"]) for one in body["members"]} == {
        (ada.id, ada.name, "owner"),
        (bob.id, bob.name, "viewer"),
    }
    shown = accepted(await ada.read("/tasks", position, project=project))["items"]
    said_beside = ("comments", "series")
    assert [{key: one[key] for key in one if key not in said_beside} for one in body["tasks"]] == shown
    (comment,) = body["tasks"][0]["comments"]
    assert (comment["author"], comment["body"]) == ({"id": bob.id, "name": bob.name}, "edited")
    assert comment["edited_at"] is not None
    assert body["people"] == []


async def test_the_csv_is_rfc_4180_and_computes_nothing(stack: Stack, ada: Caller, bob: Caller) -> None:
    project, position = await furnished(stack, ada, bob)
    for accept in ("text/csv", "text/csv, application/json;q=0.5", "text/csv;q=0.9, */*;q=0.1"):
        response = await exported_as(ada, project, position, accept)
        assert response.headers["content-type"] == "text/csv; charset=utf-8", accept
    names, *rows = csv.reader(io.StringIO(response.content.decode(), newline=""), strict=True)
    about, *tasks = [dict(zip(names, row, strict=True)) for row in rows]
    assert (about["kind"], about["id"], about["title"]) == ("project", project, "Everything")
    assert {task["kind"] for task in tasks} == {"task"}
    assert {task["created_by_name"] for task in tasks} == {ada.name}
    assert [task["title"] for task in tasks] == ["parent", "'=1+1"]
    assert tasks[0]["description"] == UNICODE
    assert tasks[0]["labels"] == '["b","a"]'
    for accept in ("image/png", "*/*", "application/json", "nonsense"):
        response = await exported_as(ada, project, position, accept)
        assert response.headers["content-type"] == "application/json", accept


async def test_an_empty_project_is_a_file_too(ada: Caller) -> None:
    project = await ada.project()
    path = f"/projects/{project['id']}/export"
    assert accepted(await ada.read(path, project["position"]))["tasks"] == []
    assert (await ada.get(path, headers=CSV)).text.count("\r\n") == 2
    refused(await ada.get(path, params={"nonsense": 1}), 400, "validation")


async def test_a_large_project_is_of_one_moment(ada: Caller) -> None:
    """Each task is moved to done while others are: in no export does a later one show what an earlier did not."""
    project = (await ada.project())["id"]
    tasks = []
    for _ in range(10):
        tasks += await asyncio.gather(*[ada.task("x" * 300, project_id=project) for _ in range(25)])
    tasks.sort(key=lambda task: (task["created_at"], task["id"]))
    last = max(task["position"] for task in tasks)
    accepted(await ada.read(f"/tasks/{tasks[-1]['id']}", last))

    async def retitle() -> None:
        for n in range(30):
            accepted(await ada.patch(f"/tasks/{tasks[0]['id']}", {"title": f"{n}"}))
            accepted(await ada.patch(f"/tasks/{tasks[0]['id']}", {"description": f"{n}"}))

    changing = asyncio.create_task(retitle())
    while not changing.done():
        body = accepted(await ada.read(f"/projects/{project}/export", last))
        assert [one["id"] for one in body["tasks"]] == [one["id"] for one in tasks]
    await changing


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """An export without what is this place's own: ids of what was made, versions, and when it last changed. People are
    known by their names."""
    number = {task["id"]: n for n, task in enumerate(body["tasks"])}
    names = {one["id"]: one["name"] for one in (*body["members"], *body["people"])}
    tasks = [
        task
        | {"id": number[task["id"]], "project_id": None, "version": None, "updated_at": None}
        | {"created_by": names.get(task["created_by"]), "assignee": task["assignee"] and task["assignee"]["name"]}
        | {"checklist": [one | {"id": n} for n, one in enumerate(task["checklist"])]}
        | {"comments": [one | {"id": n, "author": one["author"]["name"]} for n, one in enumerate(task["comments"])]}
        | {"parent_id": number.get(task["parent_id"])}
        | {"relations": [{"type": one["type"], "task_id": number[one["task_id"]]} for one in task["relations"]]}
        for task in body["tasks"]
    ]
    members = sorted(body["members"], key=lambda one: one["id"])
    people = [one["name"] for one in body["people"]]
    project = body["project"] | {"id": None}
    return body | {"position": None, "project": project, "tasks": tasks, "members": members, "people": people}


def _imported_by(caller: Caller, other: Caller) -> dict[str, Any]:
    """Who is in a project that was imported: nobody else, whoever was; those who are named in it stay named."""
    return {
        "members": [{"id": caller.id, "name": caller.name, "role": "owner"}],
        "people": [other.name],
    }


async def test_what_was_exported_is_made_again_the_same_and_once(
    stack: Stack, ada: Caller, bob: Caller, tmp_path: Path
) -> None:
    project, position = await furnished(stack, ada, bob)
    response = await ada.read(f"/projects/{project}/export", position)
    file = tmp_path / "export.json"
    file.write_bytes(response.content)
    made = await imported(ada, file)
    assert (made.tasks, made.already_there, made.people, made.refused) == (2, 0, 1, [])
    again = await ada.read(f"/projects/{made.project_id}/export", made.position)
    assert _plain(accepted(again)) == _plain(accepted(response)) | _imported_by(ada, bob)
    assert made.members_left_out == 1
    repeated = await imported(ada, file)
    assert (repeated.project_id, repeated.tasks, repeated.already_there) == (made.project_id, 0, 2)
    assert (await ada.read(f"/projects/{made.project_id}/export", repeated.position)).json() == again.json()


async def everything(stack: Stack, ada: Caller, bob: Caller) -> tuple[str, int]:
    """As `furnished`, with what else a project may have: a workflow and labels of its own, and somebody who left."""
    project, _ = await furnished(stack, ada, bob)
    statuses = [
        {"key": key, "name": name, "category": category}
        for key, name, category in [
            ("todo", "=to do", "todo"), ("in_progress", "Doing, now", "in_progress"), ("held", '"Held"', "waiting"),
            ("done", "Done", "done"), ("cancelled", "No", "cancelled"),
        ]
    ]  # fmt: skip
    transitions = [{"from": "todo", "to": "held"}, {"from": "todo", "to": "done"}]
    accepted(await ada.put(f"/projects/{project}/workflow", {"statuses": statuses, "transitions": transitions}))
    accepted(await ada.put(f"/projects/{project}/labels/-a", {"colour": "#00ff7f"}))
    accepted(await ada.patch(f"/projects/{project}", {"name": "=cmd|x", "description": "'quoted'\r\n\ttext"}))
    await ada.add(project, bob)
    await bob.task("'=1", project_id=project, description='"\r\n,;\t' * 16_000, status="held")
    await bob.task("@x", project_id=project, due_at="2031-01-01T00:00:00Z", recurrence="FREQ=WEEKLY;BYDAY=MO")
    accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    done = await ada.task("\ttab", project_id=project, status="done", labels=["-a", "'"])
    await ada.task("'", project_id=project, parent_id=done["id"])
    return project, accepted(await ada.delete(f"/projects/{project}"))["position"]


async def test_the_csv_makes_the_same_of_it_as_the_json(stack: Stack, ada: Caller, bob: Caller, tmp_path: Path) -> None:
    project, position = await everything(stack, ada, bob)
    was = accepted(await exported_as(ada, project, position, "application/json"))
    assert was["project"]["archived_at"] is not None
    assert was["people"] == [{"id": bob.id, "name": bob.name}]
    csv_file, json_file = tmp_path / "a", tmp_path / "b"
    csv_file.write_bytes((await exported_as(ada, project, position, "text/csv")).content)
    json_file.write_text((await exported_as(ada, project, position, "application/json")).text)
    assert msgspec.to_builtins(read_export(csv_file)) == msgspec.to_builtins(read_export(json_file))
    dry = await imported(ada, csv_file, dry=True)
    made = await imported(ada, csv_file)
    assert (made.tasks, made.already_there, made.people, made.refused) == (6, 0, 1, [])
    assert (dry.project_id, dry.tasks, dry.refused) == (made.project_id, 6, [])
    again = await exported_as(ada, str(made.project_id), made.position, "application/json")
    assert accepted(again)["project"]["archived_at"] is not None
    then = {"archived_at": None}
    assert _plain(again.json() | {"project": again.json()["project"] | then}) == _plain(
        was | {"project": was["project"] | then}
    ) | _imported_by(ada, bob)
    for file in (csv_file, json_file):
        repeated = await imported(ada, file)
        assert (repeated.project_id, repeated.tasks, repeated.already_there) == (made.project_id, 0, 6)
    latest = await exported_as(ada, str(made.project_id), repeated.position, "application/json")
    assert latest.json() == again.json()


async def test_an_empty_project_comes_back_from_its_csv(stack: Stack, ada: Caller, tmp_path: Path) -> None:
    project = await ada.project("Nothing yet")
    file = tmp_path / "export"
    file.write_bytes((await exported_as(ada, project["id"], project["position"], "text/csv")).content)
    made = await imported(ada, file)
    body = accepted(await ada.read(f"/projects/{made.project_id}/export", made.position))
    assert (body["project"]["name"], body["tasks"]) == ("Nothing yet", [])


async def test_people_from_elsewhere_come_by_their_names(
    stack: Stack, ada: Caller, bob: Caller, tmp_path: Path
) -> None:
    project, position = await furnished(stack, ada, bob)
    text = (await ada.read(f"/projects/{project}/export", position)).text
    file = tmp_path / "export.json"
    file.write_text(text.replace(bob.id, str(uuid4())))
    made = await imported(ada, file)
    assert (made.tasks, made.people) == (2, 1)
    body = accepted(await ada.read(f"/projects/{made.project_id}/export", made.position))
    assert body["tasks"][0]["assignee"]["name"] == "Bob"
    assert body["tasks"][0]["assignee"]["id"] != bob.id
    assert body["tasks"][0]["comments"][0]["author"]["name"] == "Bob"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"format": "other"}, "format"),
        ({"version": 2}, "version"),
        ({"tasks": 1}, "tasks"),
        ({"members": [{"id": "x", "role": "owner"}]}, "members"),
    ],
)
async def test_what_is_no_export_is_refused_whole(
    ada: Caller, tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    project = await ada.project()
    body = accepted(await ada.read(f"/projects/{project['id']}/export", project["position"]))
    file = tmp_path / "export.json"
    file.write_bytes(msgspec.json.encode(body | changed))
    with pytest.raises(BadFile, match=reason):
        read_export(file)


@pytest.mark.parametrize("form", ["application/json", "text/csv"])
async def test_who_is_removed_in_the_middle_gets_no_more(ada: Caller, bob: Caller, form: str) -> None:
    """What is sent is more than what waits between the two, and was not read yet when access was lost."""
    project = (await ada.project())["id"]
    await ada.add(project, bob, "viewer")
    for number in range(20):
        large = {"project_id": project, "title": f"{number}", "description": "x" * 40_000}
        commands = [{"id": str(uuid4()), "type": "CreateTask", "data": large} for _ in range(25)]
        made = accepted(await ada.post("/commands/batch", {"atomic": True, "commands": commands}))
    await bob.read("/tasks", made["results"][-1]["position"])
    headers = {"Authorization": f"Bearer {bob.token}", "Accept": form}
    async with bob.http.stream("GET", f"/api/v1/projects/{project}/export", headers=headers) as response:
        assert response.status_code == 200
        pieces = response.aiter_raw()
        await anext(pieces)
        accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in pieces:
                pass
