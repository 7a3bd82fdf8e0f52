"""Fixtures: one stack of processes for all of these tests, and accounts on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from msgspec import Struct
from msgspec.structs import replace

from taskflow.client import Client
from taskflow.local.program import unused_port
from taskflow.settings import Settings
from tests.api.stack import Process, Stack, open_stack
from tests.conftest import Fleet

READY_S = 60.0
POLL_S = 0.05
"""A pause between polls, so that polling does not take the CPU that starting needs."""


class Account(Struct, frozen=True):
    email: str
    password: str
    name: str


@pytest.fixture(scope="package")
def stack(fleet: Fleet, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(fleet, template, tmp_path_factory.mktemp("stack"), name="client", redis=14) as stack:
        yield stack


class OwnApi:
    """An API process for one test, which the test can stop and restart on the same port."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = replace(settings, api_port=unused_port())
        self._folder = folder
        self.url = f"http://127.0.0.1:{self._settings.api_port}"
        self.process: Process | None = None

    def start(self) -> None:
        self.process = Process(self._settings, self._folder / "own-api.log", "api")

    def wait_ready(self) -> None:
        """Polls until the process listens, or has ended."""
        transport = httpx.HTTPTransport()
        with httpx.Client(transport=transport) as http:
            while True:
                assert self.process is not None
                assert self.process.alive, self.process.log.read_text()[-4000:]
                try:
                    if http.get(f"{self.url}/readyz", timeout=READY_S).status_code == 200:
                        return
                except httpx.TransportError:
                    time.sleep(POLL_S)

    def end(self) -> None:
        if self.process is not None:
            self.process.end()


@pytest.fixture
def own_api(stack: Stack, tmp_path: Path) -> Iterator[Callable[..., OwnApi]]:
    """Starts another API process on the stack: `own_api(access_token_ttl_s=1)`."""
    made: list[OwnApi] = []

    def make(**changes: object) -> OwnApi:
        api = OwnApi(replace(stack.settings, **changes), tmp_path)
        made.append(api)
        api.start()
        api.wait_ready()
        return api

    yield make
    for api in made:
        api.end()


def join(client: Client, project: UUID, theirs: Client, role: str) -> None:
    """Makes somebody a member by an invitation that they accept; the inviter's reads include it from then on."""
    invitation = client.projects.invitations.create(project, f"{uuid4().hex}@example.com", role)
    assert invitation.token is not None
    theirs.projects.invitations.accept(invitation.token)
    client.projects.set_member(project, theirs.users.me().id, role)


@pytest.fixture
def url(stack: Stack) -> str:
    return stack.urls[0]


@pytest.fixture
def account(url: str) -> Callable[[str], Account]:
    """Creates an account that is not signed in anywhere: `account("Ada")`."""

    def make(name: str) -> Account:
        made = Account(f"{uuid4().hex}@example.com", f"correct horse {uuid4().hex}", name)
        with Client(url) as client:
            client.auth.register(made.email, made.password, made.name)
        return made

    return make


@pytest.fixture
def client(url: str, account: Callable[[str], Account]) -> Iterator[Client]:
    """A client signed in to a new account."""
    ada = account("Ada Lovelace")
    with Client(url) as client:
        client.auth.login(ada.email, ada.password)
        yield client
