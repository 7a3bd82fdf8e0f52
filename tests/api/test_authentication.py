"""What the gate does before a route is known: it counts before it verifies, and pages may read its refusals."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import httpx
import pytest
from msgspec.structs import replace

from taskflow.api.token_checks import TokenChecks
from taskflow.api.tokens import Tokens
from taskflow.local.program import unused_port
from taskflow.settings import Settings
from tests.api.stack import Caller, Process, Stack, client, refused, until

ORIGIN = "https://app.test"
BURST = 3


@pytest.fixture(scope="module")
def gate_process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, str]]:
    settings = replace(
        stack.settings,
        api_port=unused_port(),
        rate_limits="on",
        trusted_proxies=1,
        anonymous_requests_max=5,
        user_requests_per_s=10_000,
        user_burst_max=10_000,
        token_checks_per_s=1,
        token_checks_burst_max=BURST,
        cors_origins=(ORIGIN, "https://other.test"),
    )
    process = Process(settings, tmp_path_factory.mktemp("gate") / "api.log", "api")
    yield process, f"http://127.0.0.1:{settings.api_port}"
    process.end()


@pytest.fixture
async def gate(gate_process: tuple[Process, str]) -> AsyncIterator[httpx.AsyncClient]:
    process, url = gate_process
    async with client(url) as http:

        async def ready() -> bool:
            assert process.alive, process.log.read_text()
            try:
                return (await http.get("/livez")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready, "the process answers")
        yield http


def from_elsewhere() -> dict[str, str]:
    return {"X-Forwarded-For": f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"}


def fresh_tokens(stack: Stack, caller: Caller, count: int) -> list[str]:
    """Other tokens of the same session, which no process has seen."""
    part = caller.token.split(".")[1]
    session = UUID(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))["sid"])
    tokens = Tokens(stack.settings)
    return [tokens.access(UUID(caller.id), session) for _ in range(count)]


class TestTokens:
    async def test_of_a_network_past_its_limits_are_not_verified(
        self, gate: httpx.AsyncClient, stack: Stack, ada: Caller
    ) -> None:
        network = from_elsewhere()
        known = {"Authorization": f"Bearer {ada.token}"}
        assert (await gate.get("/api/v1/projects", headers=known | from_elsewhere())).status_code == 200
        bad = [network | {"Authorization": f"Bearer {uuid4().hex}"} for _ in range(12)]
        statuses = [(await gate.get("/api/v1/projects", headers=headers)).status_code for headers in bad]
        assert statuses == [401] * 5 + [429] * 7
        began = time.monotonic()
        answers = await asyncio.gather(
            *[
                gate.get("/api/v1/projects", headers=network | {"Authorization": f"Bearer {token}"})
                for token in fresh_tokens(stack, ada, 60)
            ]
        )
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) <= {200, 429}
        assert statuses.count(200) <= BURST + 1 + (time.monotonic() - began)
        # Whoever was verified before is counted by their own limit.
        assert (await gate.get("/api/v1/projects", headers=known | network)).status_code == 200

    async def test_of_many_people_of_one_network_are_no_strangers(
        self, gate: httpx.AsyncClient, stack: Stack, ada: Caller
    ) -> None:
        """What nobody with a token has used up is still there for those without."""
        network = from_elsewhere()
        for token in fresh_tokens(stack, ada, BURST):
            headers = network | {"Authorization": f"Bearer {token}"}
            response = await gate.get("/api/v1/projects", headers=headers)
            assert (response.status_code, response.headers["ratelimit"].split(";")[0]) == (200, '"user"')
        response = await gate.get("/api/v1/projects", headers=network)
        assert response.headers["ratelimit"].startswith('"anonymous";r=4;')

    @pytest.mark.parametrize("token", ["W" * 5_000, "eyJ" + "W" * 3_000, "[" * 3_000, ".".join(["W1tb" * 1_000] * 3)])
    async def test_that_are_none_of_ours_are_401(self, gate: httpx.AsyncClient, token: str) -> None:
        headers = from_elsewhere() | {"Authorization": f"Bearer {token}"}
        refused(await gate.get("/api/v1/projects", headers=headers), 401, "unauthenticated")

    def test_are_counted_by_network(self) -> None:
        checks, began = TokenChecks(Settings(token_checks_per_s=1, token_checks_burst_max=5)), time.monotonic()
        taken = sum(checks.take(f"2001:db8::{number:x}") for number in range(1_000))
        assert 5 <= taken <= 6 + (time.monotonic() - began)
        assert checks.take("2001:db8:1::1")


async def test_every_line_of_forwarded_for_counts(gate: httpx.AsyncClient) -> None:
    """The last one is the proxy's own, in a line of its own or not."""
    client_ = from_elsewhere()["X-Forwarded-For"]
    forged = [("X-Forwarded-For", f"10.0.0.{number}") for number in range(6)]
    statuses = [
        (await gate.get("/api/v1/nope", headers=[one, ("X-Forwarded-For", client_)])).status_code for one in forged
    ]
    assert statuses == [404] * 5 + [429]


async def test_an_address_that_a_proxy_writes_with_its_port_counts_as_that_address(gate: httpx.AsyncClient) -> None:
    six, four = from_elsewhere()["X-Forwarded-For"], ".".join(str(part) for part in (198, *uuid4().bytes[:3]))
    for spellings in (f"[{six}]:{{port}}", f"[{six}]"), (f"{four}:{{port}}", four):
        statuses = [
            (await gate.get("/api/v1/nope", headers={"X-Forwarded-For": spelling.format(port=port)})).status_code
            for port in (1, 65_535, 80)
            for spelling in spellings
        ]
        assert statuses == [404] * 5 + [429]
    # Another one is not counted with it.
    assert (await gate.get("/api/v1/nope", headers={"X-Forwarded-For": "203.0.113.200:80"})).status_code == 404


class TestCors:
    @pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/nope", "//api/v1/tasks", "/livez"])
    async def test_a_page_of_ours_may_read_every_answer(self, gate: httpx.AsyncClient, path: str) -> None:
        response = await gate.get(path, headers={"Origin": ORIGIN} | from_elsewhere())
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert response.headers["vary"] == "Origin"
        assert "Retry-After" in response.headers["access-control-expose-headers"]

    async def test_a_preflight_says_what_may_be_sent(self, gate: httpx.AsyncClient) -> None:
        asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,if-match"}
        for _ in range(10):
            response = await gate.options("/api/v1/tasks", headers=asked | {"Origin": ORIGIN})
            assert response.status_code == 204  # a preflight carries no token, and is not counted
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert {"Authorization", "If-Match"} <= set(response.headers["access-control-allow-headers"].split(", "))

    @pytest.mark.parametrize(
        "origin", ["https://elsewhere.test", "null", "https://app.test.evil.test", "HTTPS://APP.TEST"]
    )
    async def test_another_page_may_read_nothing(self, gate: httpx.AsyncClient, origin: str) -> None:
        for method in ("GET", "OPTIONS"):
            headers = {"Origin": origin, "Access-Control-Request-Method": "GET"} | from_elsewhere()
            response = await gate.request(method, "/api/v1/tasks", headers=headers)
            assert not [name for name in response.headers if name.startswith("access-control")]
            assert response.headers["vary"] == "Origin"
