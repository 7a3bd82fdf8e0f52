"""MongoDB gone: writes go on, what is asked for by id comes from the event store, lists are refused at once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from taskflow.projections.checkpoints import COLLECTION
from taskflow.projections.mongo import open_database
from tests.api.stack import Caller, accepted, refused, register, until
from tests.outages.deployment import Deployment, How, Observer, Timed, unavailable

MANY = 20
TOGETHER_S = 5.0
"""What one of many requests would take if it waited for MongoDB; here it is enough for all."""


def without_position(written: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in written.items() if name != "position"}


async def invalidated(deployment: Deployment) -> bool:
    async with open_database(deployment.settings) as database:
        return not await database[COLLECTION].count_documents({"invalidations": {"$ne": []}})


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_writes_go_on_and_what_has_an_id_is_read_from_the_event_store(
    deployment: Deployment,
    http: httpx.AsyncClient,
    other_http: httpx.AsyncClient,
    operator: Observer,
    ada: Caller,
    how: How,
) -> None:
    project = await ada.project("Analysis")
    bob = await register(other_http, "Bob")
    stranger = await register(other_http, "Somebody else")
    member = await ada.add(project["id"], bob)
    task = await ada.task("before", project_id=project["id"], assignee_id=bob.id)
    before = max(task["position"], member["position"])
    seen = await ada.read(f"/tasks/{task['id']}", before)
    board = f"/projects/{project['id']}/board"
    await until(lambda: invalidated(deployment), "no invalidation is on its way to Redis")
    listed, boarded = [await ada.read(path, before) for path in ("/tasks", board)]
    async with deployment.without("mongodb", how):
        timed = Timed()
        same = await timed(ada.get(f"/tasks/{task['id']}"))
        assert accepted(same) == accepted(seen)
        assert same.headers["etag"] == seen.headers["etag"]
        assert int(same.headers["taskflow-position"]) >= int(seen.headers["taskflow-position"])
        assert timed.worst < TOGETHER_S
        # A list that this process has in memory, for as long as it saw the view a moment ago.
        remembered = await ada.get("/tasks")
        if remembered.status_code == 200:
            assert accepted(remembered) == accepted(listed)
            assert remembered.headers["etag"] == listed.headers["etag"]
        else:
            unavailable(remembered)
        written = await ada.patch(f"/tasks/{task['id']}", {"title": "meanwhile"})
        position = accepted(written)["position"]
        # Before anybody has noticed: who waits for the view is answered from elsewhere once it is seen to be gone.
        at_once = await ada.read(f"/tasks/{task['id']}", position)
        assert accepted(at_once) == without_position(written.json())
        created = await ada.task("new", project_id=project["id"])
        await operator.until_degraded("mongodb")
        for reader in (ada, bob):
            read = await reader.read(f"/tasks/{task['id']}", position)
            assert accepted(read) == without_position(written.json())
            assert read.headers["etag"] == written.headers["etag"]
            assert int(read.headers["taskflow-position"]) >= position
        unchanged = await ada.get(f"/tasks/{task['id']}", headers={"If-None-Match": written.headers["etag"]})
        assert unchanged.status_code == 304
        assert accepted(await ada.get(f"/tasks/{created['id']}"))["title"] == "new"
        refused(await stranger.get(f"/tasks/{task['id']}"), 404, "not-found")
        assert accepted(await bob.get(f"/projects/{project['id']}"))["name"] == "Analysis"
        assert project["id"] in {one["id"] for one in accepted(await ada.get("/projects"))["items"]}
        assert accepted(await ada.get("/users/me"))["name"] == "Ada Lovelace"
        # Redis has it still. It says how old it is, and passes for no newer.
        kept = await ada.get(board)
        assert accepted(kept) == accepted(boarded)
        assert int(kept.headers["taskflow-position"]) < position
        unavailable(await ada.read(board, position))
        together = Timed()
        for _ in range(MANY):
            accepted(await together(ada.get(f"/tasks/{task['id']}")))
            unavailable(await together(ada.get("/tasks")))
        assert sum(together.seconds) < TOGETHER_S
        status, health = await operator.health()
        assert (status, health["status"], health["mongodb"], health["postgres"]) == (200, "degraded", False, True)
        assert await operator.ready()
        assert await operator.metric("taskflow_follower_position")
    await operator.until_healthy()

    async def list_works() -> bool:
        return (await ada.read("/tasks", created["position"])).status_code == 200

    await until(list_works, "lists work again")
    items = accepted(await ada.read("/tasks", created["position"], project=project["id"]))["items"]
    assert {item["title"] for item in items} == {"meanwhile", "new"}
    view = await ada.read(f"/tasks/{task['id']}", created["position"])
    assert accepted(view) == without_position(written.json())
    assert view.headers["etag"] == written.headers["etag"]
