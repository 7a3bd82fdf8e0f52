"""MongoDB gone: writes go on, what is asked for by id comes from the event store, lists are refused at once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from msgspec import Struct

from taskflow.projections.collection_names import CHECKPOINTS
from taskflow.projections.mongo import open_database
from tests.api.stack import Caller, accepted, refused, register, until
from tests.outages.deployment import Deployment, How, Observer, Timed, unavailable

MANY = 20
TOGETHER_S = 5.0
"""What one of many requests would take if it waited for MongoDB; here it is enough for all."""


class Seen(Struct):
    """What was read while all was well."""

    task: httpx.Response
    tasks: httpx.Response
    board: httpx.Response


@pytest.fixture
async def bob(other_http: httpx.AsyncClient) -> Caller:
    return await register(other_http, "Bob")


@pytest.fixture
async def stranger(other_http: httpx.AsyncClient) -> Caller:
    return await register(other_http, "Somebody else")


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_writes_go_on_and_what_has_an_id_is_read_from_the_event_store(
    deployment: Deployment, operator: Observer, ada: Caller, bob: Caller, stranger: Caller, how: How
) -> None:
    project = await ada.project("Analysis")
    member = await ada.add(project["id"], bob)
    task = await ada.task("before", project_id=project["id"], assignee_id=bob.id)
    shortened = await set_and_reset(ada, await ada.project("Workflows"))
    seen = await look(deployment, ada, task, max(task["position"], member["position"]))
    async with deployment.without("mongodb", how):
        written = await at_the_first_moment(ada, seen)
        created = await ada.task("new", project_id=project["id"])
        await operator.until_degraded("mongodb")
        for reader in (ada, bob):
            assert_same(await reader.read(f"/tasks/{task['id']}", position_of(written)), written)
        unchanged = await ada.get(f"/tasks/{task['id']}", headers={"If-None-Match": written.headers["etag"]})
        assert unchanged.status_code == 304
        assert accepted(await ada.get(f"/tasks/{created['id']}"))["title"] == "new"
        refused(await stranger.get(f"/tasks/{task['id']}"), 404, "not-found")
        assert accepted(await bob.get(f"/projects/{project['id']}"))["name"] == "Analysis"
        assert len(accepted(await bob.get(f"/projects/{project['id']}/members"))["items"]) == 2
        assert project["id"] in {one["id"] for one in accepted(await ada.get("/projects"))["items"]}
        assert accepted(await ada.get("/users/me"))["name"] == "Ada Lovelace"
        await lists_are_refused_at_once(ada, seen, position_of(written))
        await what_must_be_counted_is_refused(ada, shortened)
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
    assert_same(await ada.read(f"/tasks/{task['id']}", created["position"]), written)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_card_is_put_next_to_another_although_nobody_can_say_who_stands_there(
    deployment: Deployment, operator: Observer, ada: Caller, how: How
) -> None:
    project = (await ada.project())["id"]
    a, b, c, d = [(await ada.task(title, project_id=project))["id"] for title in "abcd"]
    timed = Timed()
    async with deployment.without("mongodb", how):
        for card, where in ((c, {"after": a}), (d, {"before": b})):
            moved = accepted(await timed(ada.post(f"/tasks/{card}/rank", where)))
        assert timed.worst < TOGETHER_S
        await operator.until_degraded("mongodb")
        again = Timed()
        accepted(await again(ada.post(f"/tasks/{c}/rank", {"before": a})))
        last = accepted(await again(ada.post(f"/tasks/{c}/rank", {"after": a})))
        assert again.worst < TOGETHER_S / 2, "who knows that MongoDB is away does not wait for it"
    await operator.until_healthy()

    async def in_order() -> bool:
        listed = await ada.read("/tasks", max(moved["position"], last["position"]), project=project, sort="rank")
        return listed.status_code == 200 and [task["id"] for task in listed.json()["items"]] == [a, c, d, b]

    await until(in_order, "the cards stand where they were put")


async def look(deployment: Deployment, caller: Caller, task: dict[str, Any], position: int) -> Seen:
    """Reads everything, and so that it stays in the caches: no invalidation is on its way."""
    one = await caller.read(f"/tasks/{task['id']}", position)

    async def invalidated() -> bool:
        async with open_database(deployment.settings) as database:
            return not await database[CHECKPOINTS].count_documents({"invalidations": {"$ne": []}})

    await until(invalidated, "Redis has acknowledged every invalidation")
    board = await caller.read(f"/projects/{task['project_id']}/board", position)
    return Seen(one, await caller.read("/tasks", position), board)


async def at_the_first_moment(caller: Caller, seen: Seen) -> httpx.Response:
    """Before anybody has noticed. The answer to a write."""
    path = f"/tasks/{accepted(seen.task)['id']}"
    timed = Timed()
    assert_same(await timed(caller.get(path)), seen.task)
    assert timed.worst < TOGETHER_S
    # A list that is in this process's memory is served for as long as the view was seen a moment ago.
    remembered = await caller.get("/tasks")
    if remembered.status_code == 200:
        assert_same(remembered, seen.tasks)
    else:
        unavailable(remembered)
    written = await caller.patch(path, {"title": "meanwhile"})
    # Who waits for the view is answered from the event store once it is seen that there is none.
    assert_same(await timed(caller.read(path, position_of(written))), written)
    assert timed.worst < TOGETHER_S
    return written


async def lists_are_refused_at_once(caller: Caller, seen: Seen, position: int) -> None:
    """A board that Redis has still is answered: it says how old it is, and passes for no newer."""
    board = seen.board.request.url.path.removeprefix("/api/v1")
    kept = await caller.get(board)
    assert accepted(kept) == accepted(seen.board)
    assert int(kept.headers["taskflow-position"]) < position
    unavailable(await caller.read(board, position))
    timed = Timed()
    for _ in range(MANY):
        assert (await timed(caller.get(f"/tasks/{accepted(seen.task)['id']}"))).status_code == 200
        unavailable(await timed(caller.get("/tasks")))
    assert sum(timed.seconds) < TOGETHER_S


SHORT = {"statuses": [{"key": "todo", "name": "To do", "category": "todo"}]}
AGAIN = {"Idempotency-Key": "shorten"}


async def set_and_reset(caller: Caller, project: dict[str, Any]) -> httpx.Response:
    """The answer to a workflow that took statuses away, which are back now."""
    path = f"/projects/{project['id']}/workflow"
    shortened = await caller.put(path, SHORT, headers=AGAIN)
    accepted(shortened)
    accepted(await caller.put(path, {"statuses": project["workflow"]["statuses"]}))
    return shortened


async def what_must_be_counted_is_refused(caller: Caller, shortened: httpx.Response) -> None:
    """Nobody knows whether tasks are in a status that leaves; what was accepted before is still answered."""
    path = shortened.request.url.path.removeprefix("/api/v1")
    timed = Timed()
    unavailable(await timed(caller.put(path, SHORT)))
    again = await timed(caller.put(path, SHORT, headers=AGAIN))
    assert accepted(again) == accepted(shortened)
    assert again.headers["idempotency-replayed"] == "true"
    assert timed.worst < TOGETHER_S
    mapping = dict.fromkeys(("in_progress", "done", "cancelled"), "todo")
    accepted(await timed(caller.put(path, SHORT | {"mapping": mapping})))


def assert_same(read: httpx.Response, known: httpx.Response) -> None:
    """The same resource, and no older; a write's answer says its position in the body, too."""
    assert accepted(read) == {name: value for name, value in accepted(known).items() if name != "position"}
    assert read.headers["etag"] == known.headers["etag"]
    assert int(read.headers["taskflow-position"]) >= int(known.headers["taskflow-position"])


def position_of(response: httpx.Response) -> int:
    return int(response.headers["taskflow-position"])
