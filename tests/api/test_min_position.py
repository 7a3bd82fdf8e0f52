"""A read that names a position is at least that fresh, or says that it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

import asyncpg
import httpx
import pytest
from pymongo import AsyncMongoClient

from taskflow.projections.registry import PROJECTIONS
from tests.api.stack import Caller, Stack, accepted, refused, until


@pytest.fixture
def stopped(stack: Stack) -> Iterator[Stack]:
    """The projectors stand still until the test, or its end, lets them go on."""
    stack.projector.pause()
    yield stack
    stack.projector.resume()


PATHS = ("/tasks", "/tasks/{task}", "/projects", "/projects/{project}", "/projects/{project}/members",
         "/projects/{project}/board", "/users/{user}")  # fmt: skip


async def test_every_write_can_be_read_back_at_its_position_in_another_process(
    ada: Caller, other_http: httpx.AsyncClient
) -> None:
    elsewhere = Caller(other_http, ada.id, ada.name, ada.token)
    task = await ada.task("0")
    for n in range(30):
        written = accepted(await ada.patch(f"/tasks/{task['id']}", {"title": f"{n}"}))
        read = await elsewhere.read(f"/tasks/{task['id']}", written["position"])
        assert accepted(read)["version"] >= written["version"]
        assert int(read.headers["taskflow-position"]) >= written["position"]
        listed = await elsewhere.read("/tasks", written["position"])
        assert accepted(listed)["items"][0]["title"] == f"{n}"
        assert int(listed.headers["taskflow-position"]) >= written["position"]


async def test_a_view_that_stands_still_is_said_to_be_behind(ada: Caller, stack: Stack) -> None:
    project = (await ada.project())["id"]
    before = await ada.task("old", project_id=project, assignee_id=ada.id)
    task = before["id"]
    paths = [path.format(task=task, project=project, user=ada.id) for path in PATHS]
    # Caches are warm, and no fresher than they say.
    for path in paths:
        accepted(await ada.read(path, before["position"]))
    stack.projector.pause()
    try:
        written = accepted(await ada.patch(f"/tasks/{task}", {"title": "new"}))
        renamed = accepted(await ada.patch("/users/me", {"name": "Countess"}))
        edited = accepted(await ada.patch(f"/projects/{project}", {"name": "new"}))
        wanted = {
            "/tasks": written, f"/tasks/{task}": written, "/projects": edited, f"/projects/{project}": edited,
            f"/projects/{project}/members": edited, f"/projects/{project}/board": written, f"/users/{ada.id}": renamed,
        }  # fmt: skip
        for path, write in wanted.items():
            response = await ada.get(path, params={"min_position": write["position"], "wait_ms": 50})
            refused(response, 503, "projection-behind")
            assert int(response.headers["retry-after"]) >= 1
        # A condition is not decided before it is known to be fresh.
        known = await ada.get(f"/tasks/{task}")
        assert accepted(known)["title"] == "old"
        response = await ada.get(
            f"/tasks/{task}",
            params={"min_position": written["position"], "wait_ms": 0},
            headers={"If-None-Match": known.headers["etag"]},
        )
        refused(response, 503, "projection-behind")
        # What reads the store is always fresh.
        events = accepted(await ada.get(f"/tasks/{task}/events", params={"min_position": edited["position"]}))
        assert len(events["items"]) == 2
        # A read that waits is let go by the projector.
        waiting = asyncio.create_task(ada.read(f"/tasks/{task}", edited["position"]))
    finally:
        stack.projector.resume()
    shown = accepted(await waiting)
    assert (shown["title"], shown["assignee"]["name"]) == ("new", "Countess")
    for path in paths:
        response = await ada.read(path, edited["position"])
        accepted(response)
        assert int(response.headers["taskflow-position"]) >= edited["position"]


async def test_a_name_is_as_fresh_as_was_asked(ada: Caller, stopped: Stack) -> None:
    """The task's own partition may have nothing new; its assignee's has."""
    stopped.projector.resume()
    task = await ada.task(assignee_id=ada.id)
    accepted(await ada.read(f"/tasks/{task['id']}", task["position"]))
    stopped.projector.pause()
    renamed = accepted(await ada.patch("/users/me", {"name": "Countess"}))
    response = await ada.get(f"/tasks/{task['id']}", params={"min_position": renamed["position"], "wait_ms": 50})
    refused(response, 503, "projection-behind")
    stopped.projector.resume()
    shown = accepted(await ada.read(f"/tasks/{task['id']}", renamed["position"]))
    assert shown["assignee"]["name"] == "Countess"


async def test_what_a_view_does_not_have_yet_is_404_without_a_position(ada: Caller, stopped: Stack) -> None:
    task = await ada.task()
    refused(await ada.get(f"/tasks/{task['id']}"), 404, "not-found")
    refused(
        await ada.get(f"/tasks/{task['id']}", params={"min_position": task["position"], "wait_ms": 0}),
        503,
        "projection-behind",
    )


async def test_what_is_withdrawn_while_a_read_waits_is_not_in_it(ada: Caller, bob: Caller, stopped: Stack) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob)
    stopped.projector.resume()
    first = await ada.task("his to see", project_id=project)
    accepted(await bob.read("/tasks", first["position"], project=project))
    stopped.projector.pause()
    position = (await ada.task("waited for", project_id=project))["position"]
    paths = ("/tasks", f"/tasks?project={project}", f"/projects/{project}/board", f"/projects/{project}/stats", "/sync")
    parameters = [dict(httpx.URL(path).params) | {"min_position": position, "wait_ms": 10_000} for path in paths]
    waiting = [asyncio.create_task(bob.get(path, params=one)) for path, one in zip(paths, parameters, strict=True)]
    # Whether they wait already when he is removed or come after it, they are answered after it.
    accepted(await bob.get("/users/me"))
    accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    secret = await ada.task("none of his business", project_id=project)
    stopped.projector.resume()
    accepted(await ada.read("/tasks", secret["position"]))
    for answer in await asyncio.gather(*waiting):
        assert answer.status_code in {200, 404, 503}
        assert "none of his" not in answer.text
        assert "waited for" not in answer.text


async def test_a_position_past_the_head_is_400(ada: Caller) -> None:
    task = await ada.task()
    for path in ("/tasks", f"/tasks/{task['id']}", "/projects", f"/tasks/{task['id']}/events", f"/users/{ada.id}"):
        for beyond in (task["position"] + 1_000_000, 2**62):
            problem = refused(await ada.get(path, params={"min_position": beyond}), 400, "validation")
            assert problem["errors"][0]["pointer"] == "min_position"


async def test_a_position_is_judged_before_access(ada: Caller, bob: Caller, other_http: httpx.AsyncClient) -> None:
    """The other process has heard of the membership by the time it answers, or it has waited."""
    there = Caller(other_http, bob.id, bob.name, bob.token)
    for _ in range(10):
        project = (await ada.project())["id"]
        task = await ada.task(project_id=project)
        added = await ada.add(project, bob)
        accepted(await there.read(f"/tasks/{task['id']}", added["position"]))
        removed = accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
        refused(await there.read(f"/tasks/{task['id']}", removed["position"]), 404, "not-found")
        refused(await there.read(f"/projects/{project}", removed["position"]), 404, "not-found")
        listed = accepted(await there.read("/projects", removed["position"]))
        assert project not in {one["id"] for one in listed["items"]}


async def test_a_read_that_may_miss_a_parked_event_says_so_or_is_refused(
    ada: Caller, bob: Caller, stack: Stack
) -> None:
    """Parked by hand, as a projector does where an event cannot be applied."""
    from bson import Binary

    project = (await ada.project())["id"]
    first = await ada.task("fine", project_id=project)
    broken = await ada.task("parked", project_id=project)
    elsewhere = await bob.task("elsewhere")
    accepted(await ada.read("/tasks", elsewhere["position"], project=project))
    touching = (f"/tasks/{broken['id']}", f"/tasks?project={project}", "/tasks", f"/projects/{project}/board")
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(stack.settings.mongodb_url)
    parked = client[stack.settings.mongodb_database]["parked"]
    entry = {
        "projection": "tasks", "collection": PROJECTIONS["tasks"].collection, "stream_id": Binary.from_uuid(UUID(broken["id"])),
        "version": 1, "position": broken["position"], "partition": 0, "reason": "by hand",
    }  # fmt: skip
    await parked.insert_one(entry)
    try:

        async def stale() -> bool:
            return "taskflow-stale" in (await ada.get(touching[0])).headers

        await until(stale, "the process has heard of the parked stream")
        for path in touching:
            assert (await ada.get(path)).headers["taskflow-stale"] == "true"
            refused(await ada.get(path, params=_at(path, broken["position"])), 503, "projection-behind")
            accepted(await ada.get(path, params=_at(path, first["position"])))
        for path in (f"/tasks/{first['id']}", f"/projects/{project}"):
            response = await ada.read(path, elsewhere["position"])
            assert "taskflow-stale" not in accepted(response) | dict(response.headers)
        response = await bob.read("/tasks", elsewhere["position"])
        accepted(response)
        assert "taskflow-stale" not in response.headers
    finally:
        await parked.delete_one({"_id": entry["_id"]})
        await client.close()


async def test_a_parked_stream_that_nobody_can_read_makes_no_read_fail(
    ada: Caller, bob: Caller, stack: Stack, other_http: httpx.AsyncClient
) -> None:
    """Neither can the write side fold it: whose it is, is known all the same."""
    from bson import Binary

    project = (await ada.project())["id"]
    broken = await ada.task("unreadable", project_id=project)
    view = accepted(await ada.post("/views", {"name": "unreadable", "query": {}}), 201)
    elsewhere = await bob.task("elsewhere")
    accepted(await ada.read("/tasks", elsewhere["position"]))
    connection = await asyncpg.connect(stack.settings.postgres_url)
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(stack.settings.mongodb_url)
    parked = client[stack.settings.mongodb_database]["parked"]
    entries = [
        {
            "projection": name, "collection": PROJECTIONS[name].collection, "stream_id": Binary.from_uuid(UUID(one["id"])),
            "version": 1, "position": one["position"], "partition": 0, "reason": "by hand",
        }
        for name, one in (("tasks", broken), ("views", view))
    ]  # fmt: skip
    of = "stream_id = any($1::uuid[])"
    ids = [UUID(one["id"]) for one in (broken, view)]
    kept = await connection.fetch(f"select position, data from events where {of}", ids)
    await connection.execute(f"update events set data = 'nonsense' where {of}", ids)
    await parked.insert_many(entries)
    try:
        hers, his = (Caller(other_http, who.id, who.name, who.token) for who in (ada, bob))

        async def stale() -> bool:
            return "taskflow-stale" in (await hers.get("/tasks")).headers

        await until(stale, "the process has heard of the parked stream")
        for path in ("/tasks", f"/tasks?project={project}", f"/projects/{project}/board", "/sync", "/views"):
            assert accepted(await hers.get(path)) is not None
            assert (await hers.get(path)).headers["taskflow-stale"] == "true"
            refused(await hers.get(path, params=_at(path, elsewhere["position"])), 503, "projection-behind")
        assert "taskflow-stale" not in (await his.get("/tasks")).headers
        accepted(await his.read("/tasks", elsewhere["position"]))
        assert (await his.get("/views")).headers["taskflow-stale"] == "true", "a personal one may be anybody's"
    finally:
        await parked.delete_many({"reason": "by hand"})
        for row in kept:
            await connection.execute("update events set data = $2 where position = $1", row["position"], row["data"])
        await connection.close()
        await client.close()


def _at(path: str, position: int) -> dict[str, object]:
    """The parameters of a path with one more: a given query would be replaced."""
    return dict(httpx.URL(path).params) | {"min_position": position, "wait_ms": 100}
