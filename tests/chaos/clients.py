"""People who write and read through both API processes, whatever happens, and write down what they are told."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final
from uuid import UUID, uuid4

import httpx

from tests.api.stack import accepted
from tests.chaos.records import Acknowledged, Journal, Read

TIMEOUT_S: Final = 5.0
PAUSE_S: Final = 0.05
"""Between two sendings of what was not answered."""
THINK_S: Final = 0.04
INTENTS: Final = ("start", "complete", "reopen", "cancel")
NEW_TASK: Final = 0.15


class Shared:
    """What all clients know: a project, its tasks, and how far each is acknowledged."""

    def __init__(self) -> None:
        self.project = ""
        self.people: list[str] = []
        self.tasks: dict[str, tuple[int, int]] = {}
        """By task: the position and version of its newest acknowledgement."""
        self.created: list[int] = []
        """Positions of acknowledged creates."""
        self.labels: dict[str, str] = {}
        """By task: a label that it alone has."""


class Client:
    """Gives nothing up: what was not acknowledged is sent again under the same key, to either process."""

    def __init__(self, urls: tuple[str, ...], number: int, seed: int, journal: Journal, shared: Shared) -> None:
        self._urls = urls
        self._dice = random.Random(f"{seed} client {number}")
        self._number = number
        self._journal = journal
        self._shared = shared
        self._turn = 0
        self._token = ""
        self.id = ""
        self.answered = 0
        """Writes acknowledged."""

    async def register(self, http: httpx.AsyncClient) -> None:
        body = {"email": f"{uuid4().hex}@example.com", "password": f"correct horse {uuid4().hex}", "name": "Somebody"}
        answer = accepted(await http.post(f"{self._urls[0]}/api/v1/auth/register", json=body), 201)
        self.id, self._token = answer["user"]["id"], answer["access_token"]

    async def call(self, http: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} | more.pop("headers", {})
        url = f"{self._dice.choice(self._urls)}/api/v1{path}"
        return await http.request(method, url, headers=headers, **more)

    async def turn(self, http: httpx.AsyncClient) -> None:
        """One write, acknowledged in the end, and perhaps a read of what somebody wrote."""
        self._turn += 1
        await self._write(http)
        if self._dice.random() < 0.6:
            await self._dice.choice((self._read_task, self._read_task, self._read_list, self._read_board))(http)
        await asyncio.sleep(THINK_S * 2 * self._dice.random())

    # --- writing

    async def _write(self, http: httpx.AsyncClient) -> None:
        dice, tasks = self._dice, self._shared.tasks
        title = f"client-{self._number}-turn-{self._turn}"
        if len(tasks) < 5 or dice.random() < NEW_TASK:
            body = {"title": title, "project_id": self._shared.project, "labels": [title]}
            await self._send(http, "POST", "/tasks", body, title)
            return
        task = dice.choice(list(tasks))
        kind = dice.random()
        if kind < 0.5:
            await self._send(http, "PATCH", f"/tasks/{task}", {"title": title}, title)
        elif kind < 0.85:
            await self._send(http, "POST", f"/tasks/{task}/{dice.choice(INTENTS)}", None, None)
        else:
            who = dice.choice([None, *self._shared.people])
            await self._send(http, "POST", f"/tasks/{task}/assign", {"user_id": who}, None)

    async def _send(self, http: httpx.AsyncClient, method: str, path: str, body: Any, title: str | None) -> None:
        key = str(uuid4())
        sendings = 2 if self._dice.random() < 0.1 else 1
        for sending in range(sendings):
            response = await self._until_acknowledged(http, method, path, body, key)
            if response is None:
                return
            if not sending and "Idempotency-Replayed" in response.headers:
                self._journal.lost_answers += 1
            answer = response.json()
            self._journal.acknowledged.append(
                Acknowledged(
                    caller=UUID(self.id),
                    command_id=UUID(key),
                    command=f"{method} {path}",
                    stream_id=UUID(answer["id"]),
                    version=answer["version"],
                    position=answer["position"],
                    title=title,
                )
            )
            if path == "/tasks":
                self._shared.labels[answer["id"]] = body["labels"][0]
            known = self._shared.tasks.get(answer["id"], (0, 0))
            self._shared.tasks[answer["id"]] = max(known, (answer["position"], answer["version"]))
        self.answered += 1
        if path == "/tasks":
            self._shared.created.append(answer["position"])

    async def _until_acknowledged(
        self, http: httpx.AsyncClient, method: str, path: str, body: Any, key: str
    ) -> httpx.Response | None:
        """None for an answer that no fault explains, which is written down."""
        while True:
            try:
                response = await self.call(http, method, path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                self._journal.retries += 1
                await asyncio.sleep(PAUSE_S)
                continue
            if response.status_code in {200, 201}:
                return response
            if response.status_code != 503:
                self._note_unexpected(response)
                return None
            self._journal.retries += 1
            await asyncio.sleep(PAUSE_S)

    # --- reading

    async def _read_task(self, http: httpx.AsyncClient) -> None:
        """Any task that anybody was told of, through any process."""
        task = self._dice.choice(list(self._shared.tasks))
        position, version = self._shared.tasks[task]
        body = await self._read(http, f"/tasks/{task}", position, {})
        if body is not None:
            self._note(f"task {task}", position, version, body.get("version"))

    async def _read_list(self, http: httpx.AsyncClient) -> None:
        """A list in which there is one task, found by its label."""
        task = self._dice.choice(list(self._shared.tasks))
        position, version = self._shared.tasks[task]
        wanted = {"label": self._shared.labels[task], "project": self._shared.project}
        body = await self._read(http, "/tasks", position, wanted)
        if body is not None:
            found = [item["version"] for item in body["items"] if item["id"] == task]
            self._note(f"list with task {task}", position, version, found[0] if found else None)

    async def _read_board(self, http: httpx.AsyncClient) -> None:
        """At least the tasks whose creation was acknowledged up to the position are counted."""
        position = max(position for position, _ in self._shared.tasks.values())
        wanted = sum(1 for created in self._shared.created if created <= position)
        body = await self._read(http, f"/projects/{self._shared.project}/board", position, {})
        if body is not None:
            self._note("board", position, wanted, sum(column["count"] for column in body["columns"]))

    async def _read(
        self, http: httpx.AsyncClient, path: str, position: int, parameters: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The body; an empty one for a 404, which is no answer to somebody who was told of it."""
        try:
            response = await self.call(http, "GET", path, params=parameters | {"min_position": position})
        except httpx.TransportError:
            self._journal.refused += 1
            return None
        if response.status_code == 200:
            body: dict[str, Any] = response.json()
            return body
        if response.status_code == 404:
            return {"items": [], "columns": []}
        if response.status_code == 503:
            self._journal.refused += 1
        else:
            self._note_unexpected(response)
        return None

    def _note(self, what: str, position: int, wanted: int, found: int | None) -> None:
        self._journal.reads.append(Read(what=what, position=position, wanted=wanted, found=found))

    def _note_unexpected(self, response: httpx.Response) -> None:
        request = response.request
        self._journal.odd.append(f"{request.method} {request.url}: {response.status_code} {response.text[:300]}")


class Crowd:
    """Several clients, held back while what they did is looked at."""

    def __init__(self, urls: tuple[str, ...], count: int, seed: int) -> None:
        self.journal = Journal()
        self.shared = Shared()
        self._urls = urls
        self._clients = [Client(urls, number, seed, self.journal, self.shared) for number in range(count)]
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        self._open = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._busy = 0
        self._idle = asyncio.Event()

    async def begin(self) -> None:
        """Registers all, in one project."""
        first, *others = self._clients
        for client in self._clients:
            await client.register(self._http)
        project = accepted(await first.call(self._http, "POST", "/projects", json={"name": "chaos"}), 201)
        self.shared.project = project["id"]
        self.shared.people = [client.id for client in self._clients]
        for other in others:
            invited = {"email": f"{other.id}@example.com", "role": "member"}
            path = f"/projects/{project['id']}/invitations"
            token = accepted(await first.call(self._http, "POST", path, json=invited), 201)["token"]
            accepted(await other.call(self._http, "POST", f"/invitations/{token}/accept"))
        self._tasks = [asyncio.create_task(self._run(client)) for client in self._clients]
        self.go_on()

    def go_on(self) -> None:
        self._open.set()

    async def pause(self, *, within_s: float) -> None:
        """Returns when everything that was sent is acknowledged."""
        self._open.clear()
        async with asyncio.timeout(within_s):
            while self._busy:
                self._check()
                self._idle.clear()
                await self._idle.wait()

    async def answered(self) -> int:
        """The least number of writes that a client has been acknowledged."""
        self._check()
        return min(client.answered for client in self._clients)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    def _check(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    async def _run(self, client: Client) -> None:
        while True:
            await self._open.wait()
            self._busy += 1
            try:
                await client.turn(self._http)
            finally:
                self._busy -= 1
                self._idle.set()
