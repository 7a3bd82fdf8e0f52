"""Kafka gone: writes go on, and so do the views: projectors read the log instead."""

from __future__ import annotations

import httpx
import pytest

from tests.api.stack import Caller, accepted, refused, until
from tests.outages.deployment import Deployment, How, Observer


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_writes_go_on_and_views_follow_the_log(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller, how: How
) -> None:
    before = await ada.task("before")
    accepted(await ada.read("/tasks", before["position"]))
    async with deployment.without("kafka", how):
        said = await operator.until_degraded("kafka")
        assert said.startswith("does not answer")
        for turn in range(3):
            written = await ada.task(f"meanwhile {turn}")
            at_once = await ada.get("/tasks", params={"min_position": written["position"], "wait_ms": 0})
            if at_once.status_code == 200:
                assert int(at_once.headers["taskflow-position"]) >= written["position"]
            else:
                refused(at_once, 503, "projection-behind")
                assert int(at_once.headers["retry-after"]) >= 1
            aged = await ada.get("/tasks")
            titles = {item["title"] for item in accepted(aged)["items"]}
            if int(aged.headers["taskflow-position"]) >= written["position"]:
                assert f"meanwhile {turn}" in titles

            async def there(position: int = written["position"]) -> bool:
                return (await ada.read("/tasks", position)).status_code == 200

            await until(there, "the view follows the log")
        status, health = await operator.health()
        assert (status, health["status"], health["kafka"], health["postgres"]) == (200, "degraded", False, True)
        assert await operator.ready()
        [lag] = await operator.metric("taskflow_relay_lag_events")
        assert lag > 0
    await operator.until_healthy()

    async def published() -> bool:
        return await operator.metric("taskflow_relay_lag_events") == [0]

    await until(published, "the relay has caught up")
    assert len(accepted(await ada.read("/tasks", written["position"]))["items"]) == 4
