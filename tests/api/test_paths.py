"""Every path that is served is judged, counted, logged and answered with the headers as the one that it is."""

from __future__ import annotations

import httpx
import pytest

from tests.api.raw import ask, get
from tests.api.stack import Caller, Stack, accepted, refused
from tests.api.test_middleware import HEADERS

NOWHERE = [
    "//api/v1/tasks", "///api/v1/tasks", "/api//v1/tasks", "/api/v1//tasks", "/api/v1/tasks/", "/api/v1/tasks//",
    "/api/v1/./tasks", "/api/v1/x/../tasks", "/api/v1/%2e/tasks", "/api/v1/x/%2E%2E/tasks", "/x/../api/v1/tasks",
    "/api/v1/tasks%00", "/api/v1/tasks%", "/api/v1/tasks%zz", "/api/v1/tasks/.", "/api/v1/tasks#x", "*",
    "http://x//api/v1/tasks", "//health", "/health/", "/docs/", "/metrics/", "//metrics", "//docs", "/./docs",
]  # fmt: skip
ANOTHER = [
    "/apiv1", "/api", "/api/v1", "/API/v1/tasks", "/api/V1/tasks", "/api/v1/tasks;x=1", "/api;x/v1/tasks",
    "/api/v1/%2574asks", "/api%2Fv1%2Ftasks", "/api/v1/tasks%2F", "/api/v1\\tasks", "/api/v1/%FF", "/api/v1/tasks%20",
]  # fmt: skip
TASKS = ["/api/v1/tasks", "/api/v1/%74asks", "http://elsewhere/api/v1/tasks", "HTTP://x:80/api/v1/tasks?limit=1"]


@pytest.mark.parametrize("target", NOWHERE + ANOTHER)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
async def test_a_path_of_another_form_is_404_for_everybody(stack: Stack, ada: Caller, target: str, method: str) -> None:
    for lines in ((), (f"Authorization: Bearer {ada.token}",), ("Authorization: Bearer x",)):
        answer = await ask(stack.urls[0], get(target, *lines, "X-Request-ID: mine", method=method))
        assert answer is not None
        if target in NOWHERE or lines != ("Authorization: Bearer x",):
            assert answer.status == 404, answer
        else:
            assert answer.status in {401, 404}
        if method != "HEAD":
            answer.problem(answer.status, "not-found" if answer.status == 404 else "unauthenticated")
        assert answer.headers.keys() >= HEADERS
        assert answer.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("target", TASKS)
async def test_every_way_to_name_a_served_path_is_judged(stack: Stack, ada: Caller, target: str) -> None:
    answer = await ask(stack.urls[0], get(target))
    assert answer is not None
    answer.problem(401, "unauthenticated")
    answer = await ask(stack.urls[0], get(target, f"Authorization: Bearer {ada.token}"))
    assert answer is not None
    assert answer.status == 200
    assert answer.headers.keys() >= HEADERS
    assert answer.headers["cache-control"] == "no-store"


async def test_an_odd_name_of_a_label_is_one_segment(ada: Caller) -> None:
    project = await ada.project()
    for name in ("%2F%2F", "a%2F..%2Fb", "a%2F", ".a", "..."):
        accepted(await ada.put(f"/projects/{project['id']}/labels/{name}", {"colour": "#ff0000"}))


async def test_a_page_of_another_origin_is_told_nothing(http: httpx.AsyncClient) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "https://elsewhere.test", "Access-Control-Request-Method": "GET"}
        response = await http.request(method, "/api/v1/tasks", headers=headers)
        assert not [name for name in response.headers if name.startswith("access-control")]
    refused(await http.get("/api/v1/tasks", headers={"Origin": "null"}), 401, "unauthenticated")
