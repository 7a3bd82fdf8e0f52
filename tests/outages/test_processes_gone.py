"""A process of ours gone: relay, projector, worker, one of two APIs. Nothing waits for an operator."""

from __future__ import annotations

import signal

import httpx

from tests.api.stack import Caller, accepted, refused, register, until
from tests.outages.deployment import Deployment, Observer


async def test_relay_gone_projectors_read_the_log(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller
) -> None:
    deployment.kill("relay")
    written = await ada.task("nobody publishes it")

    async def there() -> bool:
        return (await ada.read("/tasks", written["position"])).status_code == 200

    await until(there, "the view has it all the same")
    assert await operator.until_degraded("relay") == "no relay leads"
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
    assert await operator.until_degraded("worker") == "no worker works"
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
    assert "nothing was heard of" in await operator.until_degraded("projections")
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
