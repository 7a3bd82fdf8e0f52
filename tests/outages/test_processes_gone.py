"""A process of ours gone: relay, projector, worker, one of two APIs. Nothing waits for an operator."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from tests.api.stack import Caller, accepted, refused, register, replayed, until
from tests.api.test_batches import command, create
from tests.api.test_batches import send as batch
from tests.outages.deployment import Deployment, Observer

STORED = "select count(*) from receipts where command_id = any($1::uuid[])"
WAITS = """
select exists (select 1 from pg_locks l join pg_database d on d.oid = l.database
               where l.locktype = 'advisory' and not l.granted and d.datname = current_database())
"""


async def test_relay_gone_projectors_read_the_log(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller
) -> None:
    deployment.kill("relay")
    written = await ada.task("nobody publishes it")

    async def there() -> bool:
        return (await ada.read("/tasks", written["position"])).status_code == 200

    await until(there, "the view has it all the same")
    assert await operator.until_degraded("relay") == "no relay holds the lease"
    assert await operator.ready()
    [lag] = await operator.metric("taskflow_relay_lag_events")
    assert lag > 0
    deployment.start("relay")
    await operator.until_healthy()

    async def published() -> bool:
        return await operator.metric("taskflow_relay_lag_events") == [0]

    await until(published, "the relay has caught up")


async def test_worker_gone_nobody_waits_for_it(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller
) -> None:
    deployment.kill("worker")
    assert await operator.until_degraded("worker") == "no worker holds the lease"
    assert await operator.ready()
    assert await operator.metric("taskflow_worker_working") == [0]
    written = await ada.task("written and read meanwhile")
    accepted(await ada.read("/tasks", written["position"]))
    deployment.start("worker")
    await operator.until_healthy()
    assert await operator.metric("taskflow_worker_working") == [1]


async def test_projector_gone_views_age_and_say_so(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller
) -> None:
    first = await ada.task("seen")
    accepted(await ada.read("/tasks", first["position"]))
    deployment.kill("projector")
    written = await ada.task("not in the view")
    for path in ("/tasks", f"/tasks/{written['id']}", f"/projects/{written['project_id']}/board"):
        behind = await ada.get(path, params={"min_position": written["position"], "wait_ms": 100})
        refused(behind, 503, "projection-behind")
        assert int(behind.headers["retry-after"]) >= 1
    aged = await ada.get("/tasks")
    assert [item["title"] for item in accepted(aged)["items"]] == ["seen"]
    assert first["position"] <= int(aged.headers["taskflow-position"]) < written["position"]
    assert "no recent checkpoint of" in await operator.until_degraded("projections")
    assert await operator.ready()
    assert max(await operator.metric("taskflow_view_lag_events")) > 0
    deployment.start("projector")
    await operator.until_healthy()

    async def there() -> bool:
        return (await ada.read("/tasks", written["position"])).status_code == 200

    await until(there, "the views have caught up")


async def test_one_api_process_gone_the_other_goes_on(
    deployment: Deployment, http: httpx.AsyncClient, other_http: httpx.AsyncClient, ada: Caller
) -> None:
    grace = await register(other_http, "Grace")
    task = await ada.task("here")
    elsewhere = Caller(other_http, ada.id, ada.name, ada.token)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        deployment.running["api"].send(number)
        for turn in range(10):
            mine = await grace.task(f"{number} {turn}")
            accepted(await grace.read(f"/tasks/{mine['id']}", mine["position"]))
            accepted(await elsewhere.read("/tasks", task["position"]))
        if number == signal.SIGSTOP:
            deployment.running["api"].resume()
        else:
            deployment.start("api")
            await until(Observer(http).ready, "it is started again")


async def test_a_batch_in_whose_middle_the_process_is_killed_goes_on_when_it_is_sent_again(
    deployment: Deployment, http: httpx.AsyncClient, ada: Caller
) -> None:
    """What had reached the server is stored without the process, which held the rest. Nothing takes effect twice."""
    for _ in range(10):
        first = create("0")
        sent = [first, *[create(f"{n}", parent_id=f"${first['id']}") for n in range(1, 50)]]
        sent += [command("EditTask", f"${one['id']}", data={"title": "New"}) for one in sent]
        store = await asyncpg.connect(deployment.settings.postgres_url)
        try:
            await store.execute("select pg_advisory_lock(7466)")
            cut_off = asyncio.create_task(batch(ada, *sent, atomic=False))
            await until(partial(_appends_wait, store, yes=True), "a group waits for the lock")
            deployment.kill("api")
            await store.execute("select pg_advisory_unlock_all()")
            with pytest.raises(httpx.TransportError):
                await cut_off
            await until(partial(_appends_wait, store, yes=False), "the server has done what it was asked")
            stored = await store.fetchval(STORED, [one["id"] for one in sent])
        finally:
            await store.close()
        deployment.start("api")
        await until(Observer(http).ready, "it is started again")
        answers = accepted(await batch(ada, *sent, atomic=False))["results"]
        assert [one["outcome"] for one in answers] == ["applied"] * 100
        assert [one["version"] for one in answers] == [1] * 50 + [2] * 50
        assert accepted(await batch(ada, *sent, atomic=False))["results"] == replayed(answers)
        for task in (answers[0]["result"], answers[49]["result"]):
            history = accepted(await ada.get(f"/tasks/{task['id']}/events"))["items"]
            assert [one["type"] for one in history] == ["TaskCreated", "TaskRetitled"]
        if 0 < stored < len(sent):
            return
    raise AssertionError("no batch was cut off in its middle")


async def _appends_wait(store: asyncpg.Connection[Any], *, yes: bool) -> bool:
    return bool(await store.fetchval(WAITS)) is yes
