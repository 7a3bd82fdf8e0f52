"""Guessing passwords: counted before any is checked, whoever guesses from wherever; and who is not kept out by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec import Struct
from msgspec.structs import replace

from taskflow.local.program import unused_port
from tests.api.stack import Process, Stack, accepted, client, refused, until

PASSWORD = "correct horse battery"
PAIR_MAX, ACCOUNT_MAX, DEVICE_MAX, NETWORK_MAX, REGISTRATIONS_MAX, REFRESHES_MAX = 4, 8, 3, 6, 3, 5


@pytest.fixture(scope="module")
def doors(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """Two processes with limits of signing in, behind one proxy; their URLs."""
    processes, urls = [], []
    for number in range(2):
        settings = replace(
            stack.settings,
            api_port=unused_port(),
            rate_limits="on",
            trusted_proxies=1,
            # A busy machine is no failure of Redis's: processes would count each for itself.
            limits_timeout_ms=5_000,
            anonymous_requests_max=40,
            login_failures_max=PAIR_MAX,
            login_account_failures_max=ACCOUNT_MAX,
            login_device_failures_max=DEVICE_MAX,
            login_attempts_max=NETWORK_MAX,
            registrations_max=REGISTRATIONS_MAX,
            refreshes_max=REFRESHES_MAX,
        )
        processes.append(Process(settings, tmp_path_factory.mktemp("doors") / f"api-{number}.log", "api"))
        urls.append(f"http://127.0.0.1:{settings.api_port}")
    yield tuple(urls)
    for process in processes:
        process.end()


@pytest.fixture
async def clients(doors: tuple[str, ...]) -> AsyncIterator[tuple[httpx.AsyncClient, ...]]:
    async with client(doors[0]) as one, client(doors[1]) as two:
        for http in (one, two):

            async def ready(http: httpx.AsyncClient = http) -> bool:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, "the process is ready")
        yield one, two


class Door(Struct):
    """One account, seen from wherever somebody stands."""

    clients: tuple[httpx.AsyncClient, ...]
    email: str

    async def login(
        self, password: str, network: str | None = None, *, device: str | None = None, process: int = 0
    ) -> httpx.Response:
        body = {"email": self.email, "password": password} | ({} if device is None else {"device_token": device})
        return await post(self.clients[process], "login", body, network)

    async def wrong(self, times: int, network: str | None = None, *, device: str | None = None) -> list[int]:
        """The statuses of so many wrong passwords at once, by turns at either process."""
        answers = [
            self.login(f"wrong {n}", network or f"10.{n}.{uuid4().int % 256}.1", device=device, process=n % 2)
            for n in range(times)
        ]
        return [response.status_code for response in await asyncio.gather(*answers)]


def somewhere() -> str:
    """A network that nobody has called from."""
    return f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"


async def post(http: httpx.AsyncClient, path: str, body: Any, network: str | None = None) -> httpx.Response:
    headers = {"X-Forwarded-For": network or somewhere()}
    return await http.post(f"/api/v1/auth/{path}", json=body, headers=headers)


@pytest.fixture
async def ada(clients: tuple[httpx.AsyncClient, ...]) -> Door:
    return await somebody(clients)


async def somebody(clients: tuple[httpx.AsyncClient, ...]) -> Door:
    email = f"{uuid4().hex}@example.com"
    accepted(await post(clients[0], "register", {"email": email, "password": PASSWORD, "name": "Ada"}), 201)
    return Door(clients, email)


async def test_guesses_at_once_are_not_all_checked_wherever_they_come_from(ada: Door) -> None:
    statuses = await ada.wrong(60)
    assert statuses.count(401) == ACCOUNT_MAX
    assert set(statuses) == {401, 429}
    response = await ada.login(PASSWORD)
    refused(response, 429, "rate-limited")
    assert 0 < int(response.headers["retry-after"]) <= 900


async def test_guesses_at_once_from_one_network(ada: Door) -> None:
    network = somewhere()
    statuses = await ada.wrong(20, network)
    assert statuses.count(401) == PAIR_MAX
    # The owner is elsewhere.
    accepted(await ada.login(PASSWORD))
    refused(await ada.login(PASSWORD, network), 429, "rate-limited")


async def test_an_address_that_nobody_has_is_counted_alike(clients: tuple[httpx.AsyncClient, ...]) -> None:
    nobody = Door(clients, f"{uuid4().hex}@example.com")
    statuses = await nobody.wrong(30)
    assert statuses.count(401) == ACCOUNT_MAX
    assert set(statuses) == {401, 429}


async def test_refused_guesses_count_against_nobody(ada: Door) -> None:
    """Otherwise one network could use up what all others have."""
    network = somewhere()
    for _ in range(3):
        await ada.wrong(20, network)
    accepted(await ada.login(PASSWORD))


async def test_many_accounts_from_one_network(clients: tuple[httpx.AsyncClient, ...]) -> None:
    network = somewhere()
    doors = [Door(clients, f"{uuid4().hex}@example.com") for _ in range(20)]
    statuses = [(await door.login("wrong", network)).status_code for door in doors]
    assert statuses.count(401) == NETWORK_MAX


async def test_the_right_password_costs_nothing_and_forgives_nothing(ada: Door) -> None:
    network = somewhere()
    assert set(await ada.wrong(PAIR_MAX - 1, network)) == {401}
    for _ in range(NETWORK_MAX + 2):
        accepted(await ada.login(PASSWORD, network))
    assert (await ada.wrong(3, network)).count(401) == 1


async def test_a_known_device_is_not_slowed_by_strangers(ada: Door) -> None:
    network = somewhere()
    device = accepted(await ada.login(PASSWORD, network))["device_token"]
    await ada.wrong(60)
    # Nor by strangers on its own network, whatever they do there.
    await ada.wrong(20, network)
    for _ in range(60):
        await post(ada.clients[0], "login", {"email": "nobody@example.com", "password": "x"}, network)
    refused(await ada.login(PASSWORD, network), 429, "rate-limited")
    answer = accepted(await ada.login(PASSWORD, network, device=device))
    accepted(await ada.login(PASSWORD, somewhere(), device=answer["device_token"], process=1))


async def test_a_known_device_has_so_many_guesses_of_its_own(ada: Door) -> None:
    device = accepted(await ada.login(PASSWORD))["device_token"]
    statuses = await ada.wrong(20, device=device)
    assert statuses.count(401) == DEVICE_MAX
    # Renewed, it is the same device; another one is not slowed.
    other = accepted(await ada.login(PASSWORD))["device_token"]
    refused(await ada.login(PASSWORD, device=device), 429, "rate-limited")
    accepted(await ada.login(PASSWORD, device=other))


async def test_a_token_is_of_its_account_alone(ada: Door, clients: tuple[httpx.AsyncClient, ...]) -> None:
    eve = await somebody(clients)
    device = accepted(await eve.login(PASSWORD))["device_token"]
    await ada.wrong(60)
    for token in (device, device[:-1] + ("A" if device[-1] != "A" else "B"), "tfd_", "x", ""):
        refused(await ada.login(PASSWORD, device=token), 429, "rate-limited")
    assert (await ada.wrong(60, device=device)).count(401) == 0


async def test_registrations_are_fewer(clients: tuple[httpx.AsyncClient, ...]) -> None:
    network = somewhere()
    body: dict[str, str] = {"password": PASSWORD, "name": "Ada"}
    answers = await asyncio.gather(
        *[
            post(clients[n % 2], "register", body | {"email": f"{uuid4().hex}@example.com"}, network)
            for n in range(REGISTRATIONS_MAX + 4)
        ]
    )
    assert [answer.status_code for answer in answers].count(201) == REGISTRATIONS_MAX
    for answer in answers:
        if answer.status_code != 201:
            refused(answer, 429, "rate-limited")


async def test_refreshes_count_by_session_and_not_by_network(ada: Door) -> None:
    network = somewhere()
    first, second = [accepted(await ada.login(PASSWORD, network)) for _ in range(2)]
    # Somebody else has used up what strangers have on this network.
    for _ in range(45):
        await post(ada.clients[0], "refresh", {"refresh_token": "tfr_x"}, network)
    refused(await post(ada.clients[0], "refresh", {"refresh_token": "tfr_x"}, network), 429, "rate-limited")
    refused(await post(ada.clients[0], "login", {"email": 1}, network), 429, "rate-limited")
    token = first["refresh_token"]
    for _ in range(REFRESHES_MAX):
        token = accepted(await post(ada.clients[0], "refresh", {"refresh_token": token}, network))["refresh_token"]
    refused(await post(ada.clients[1], "refresh", {"refresh_token": token}), 429, "rate-limited")
    accepted(await post(ada.clients[1], "refresh", {"refresh_token": second["refresh_token"]}, network))
