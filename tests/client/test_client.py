"""The client against the real servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from taskflow.client import (
    AsyncClient,
    Client,
    Command,
    Forbidden,
    Invalid,
    KeyReused,
    NotFound,
    Rejected,
    Retries,
    Tokens,
    Unauthenticated,
    VersionConflict,
)
from taskflow.client.session import MemoryTokenStore
from tests.api.stack import Stack
from tests.client.conftest import Account, OwnApi, join

UNKNOWN = "01a20e8c-46be-743b-ace1-62ad7a0754dd"
STUBBORN = Retries(attempts_max=10_000, total_s=60, pause_max_s=0.2)


class TestTasks:
    def test_are_created_changed_and_trashed(self, client: Client) -> None:
        task = client.tasks.create("Write", priority="high", labels=["q4"], description="*all* of it")
        assert (task.title, task.status, task.version, task.labels) == ("Write", "todo", 1, ("q4",))
        assert client.position == task.position
        assert client.tasks.get(task.id) == type(task)(**{**as_dict(task), "position": None})
        assert client.tasks.start(task.id).status_category == "in_progress"
        assert client.tasks.complete(task.id).completed_at is not None
        assert client.tasks.reopen(task.id).status == "todo"
        assert client.tasks.cancel(task.id).status == "cancelled"
        edited = client.tasks.edit(task.id, title="Write it", labels=[], due_at=task.created_at)
        assert (edited.title, edited.labels, edited.due_at) == ("Write it", (), task.created_at)
        assert client.tasks.edit(task.id, due_at=None).due_at is None
        me = client.users.me()
        assert client.tasks.assign(task.id, me.id).assignee == type(edited.assignee or as_person(me))(me.id, me.name)
        assert client.tasks.assign(task.id, None).assignee is None
        assert client.tasks.trash(task.id).trashed_at is not None
        assert [one.id for one in client.tasks.list(trashed=True)] == [task.id]
        assert client.tasks.restore(task.id).trashed_at is None
        events = list(client.tasks.events(task.id, limit=2))
        assert [event.stream_version for event in events] == list(range(1, len(events) + 1))
        assert events[0].data["title"] == "Write"

    def test_are_listed_page_by_page(self, client: Client) -> None:
        made = [client.tasks.create(f"{number}", labels=["even"] if number % 2 == 0 else []).id for number in range(7)]
        assert [task.id for task in client.tasks.list(limit=2, sort="created_at")] == made
        assert [task.id for task in client.tasks.list(label=["even"], limit=3, sort="created_at")] == made[::2]
        assert list(client.tasks.list(assignee=["me"], category=["todo", "done"])) == []

    def test_change_only_at_the_expected_version(self, client: Client) -> None:
        task = client.tasks.create("one")
        client.tasks.edit(task.id, title="two", expected_version=1)
        with pytest.raises(VersionConflict, match="expected version 1, stream is at 2") as conflict:
            client.tasks.complete(task.id, expected_version=1)
        assert conflict.value.current_version == 2
        assert [(event.version, event.type) for event in conflict.value.events] == [(2, "TaskRetitled")]
        assert conflict.value.request_id


def as_dict(struct: Any) -> dict[str, Any]:
    return {field: getattr(struct, field) for field in struct.__struct_fields__}


def as_person(profile: Any) -> Any:
    from taskflow.client.answers import Person

    return Person(profile.id, profile.name)


class TestRefusals:
    def test_are_errors_of_the_right_class(self, client: Client, url: str, account: Callable[[str], Account]) -> None:
        with pytest.raises(NotFound, match=UNKNOWN):
            client.tasks.get(UNKNOWN)
        with pytest.raises(Invalid) as invalid:
            client.tasks.create("", priority="whatever")
        assert {fault.pointer for fault in invalid.value.errors} == {"/title", "/priority"}
        bob = account("Bob")
        project = client.projects.create("Ours")
        with Client(url) as theirs:
            theirs.auth.login(bob.email, bob.password)
            with pytest.raises(NotFound):
                theirs.projects.get(project.id)
            join(client, project.id, theirs, "viewer")
            with pytest.raises(Forbidden):
                theirs.tasks.create("x", project_id=project.id)
            with pytest.raises(Rejected) as taken:
                theirs.auth.register(bob.email, bob.password, "Another")
            assert taken.value.code == "email-taken"
            with pytest.raises(Unauthenticated, match="wrong address or password"):
                theirs.auth.login(bob.email, "another one")
        with Client(url) as nobody, pytest.raises(Unauthenticated):
            nobody.users.me()

    def test_a_repeated_command_id_is_the_same_command(self, client: Client) -> None:
        command = Command(type="CreateTask", data={"title": "x"})
        first = client.commands.send(command)
        assert client.commands.send(command).events == first.events
        with pytest.raises(KeyReused):
            client.commands.send(Command(id=command.id, type="CreateTask", data={"title": "y"}))
        assert "CreateTask" in {kind.type for kind in client.commands.types()}


class TestProjects:
    def test_have_members_and_a_board(self, client: Client, url: str, account: Callable[[str], Account]) -> None:
        project = client.projects.create("Website", description="of the firm")
        assert client.projects.edit(project.id, name="Site").name == "Site"
        bob = account("Bob")
        with Client(url) as theirs:
            bob_id = theirs.auth.login(bob.email, bob.password).user.id
            join(client, project.id, theirs, "member")
            assert theirs.users.get(client.users.me().id).name == "Ada Lovelace"
        assert {(one.user.name, one.role) for one in client.projects.members(project.id, limit=1)} == {
            ("Ada Lovelace", "owner"),
            ("Bob", "member"),
        }
        client.tasks.create("x", project_id=project.id)
        columns = {column.status: column for column in client.projects.board(project.id).columns}
        assert (columns["todo"].count, columns["todo"].tasks[0].title) == (1, "x")
        assert client.projects.remove_member(project.id, bob_id).version > project.version
        assert client.projects.archive(project.id).archived_at is not None
        assert client.projects.unarchive(project.id).archived_at is None
        assert {one.name for one in client.projects.list(limit=1)} == {"Inbox", "Site"}

    def test_profiles_are_edited(self, client: Client) -> None:
        assert client.users.edit_me(name="Countess").name == "Countess"
        assert client.users.me().name == "Countess"


class TestReadYourWrites:
    def test_a_list_waits_for_the_write_before_it(self, client: Client, stack: Stack) -> None:
        """The projector is paused until the read has started, so that the read sees the task only if it waits."""
        stack.projector.pause()
        try:
            task = client.tasks.create("fresh")
            with Client(stack.urls[1], token_store=client._session._token_store, read_your_writes=False) as hasty:
                assert list(hasty.tasks.list()) == []
            with Client(stack.urls[1], token_store=client._session._token_store, position=client.position) as other:
                found: list[Any] = []
                reading = threading.Thread(target=lambda: found.extend(other.tasks.list()))
                reading.start()
                stack.projector.resume()
                reading.join()
            assert [one.id for one in found] == [task.id]
        finally:
            stack.projector.resume()


class Lossy(httpx.HTTPTransport):
    """A real transport that discards the answers to the first writes."""

    def __init__(self, lost: int) -> None:
        super().__init__()
        self.left = lost
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.method != "GET":
            self.asked.append(request)
            if self.left:
                self.left -= 1
                response.close()
                raise httpx.ReadError("the answer was lost", request=request)
        return response


class TestRetries:
    def test_a_lost_answer_does_not_create_a_second_task(self, client: Client, url: str) -> None:
        wire = Lossy(2)
        with Client(url, token_store=client._session._token_store, transport=wire) as other:
            task = other.tasks.create("once")
            assert [one.id for one in other.tasks.list()] == [task.id]
        assert len(wire.asked) == 3
        assert len({request.headers["idempotency-key"] for request in wire.asked}) == 1

    def test_a_lost_refresh_does_not_end_the_session(self, url: str, account: Callable[[str], Account]) -> None:
        ada, wire = account("Ada"), Lossy(0)
        with Client(url, transport=wire) as client:
            client.auth.login(ada.email, ada.password)
            before = client._session.refresh_token
            wire.left = 1
            client.auth.refresh()
            assert client._session.refresh_token != before
            client.auth.refresh()
            assert client.users.me().email == ada.email

    def test_calls_wait_for_a_server_that_restarts(
        self, own_api: Callable[..., OwnApi], account: Callable[[str], Account]
    ) -> None:
        api, ada = own_api(), account("Ada")
        with Client(api.url, retries=STUBBORN) as client:
            client.auth.login(ada.email, ada.password)
            api.end()
            made: list[Any] = []
            writing = threading.Thread(target=lambda: made.append(client.tasks.create("through it")))
            writing.start()
            api.start()
            writing.join()
            [task] = made
            assert [one.id for one in client.tasks.list()] == [task.id]


class Counting(MemoryTokenStore):
    """Counts how often tokens were renewed."""

    writes = 0

    def write(self, tokens: Tokens | None) -> None:
        self.writes += 1
        super().write(tokens)


async def expired(url: str, token: str) -> None:
    """Waits until the access token has expired."""
    async with AsyncClient(url, token=token) as client:
        while True:
            try:
                await client.users.me()
            except Unauthenticated:
                return


class TestTokens:
    async def test_concurrent_calls_renew_an_expired_token_once(
        self, own_api: Callable[..., OwnApi], account: Callable[[str], Account]
    ) -> None:
        api, ada, token_store = own_api(access_token_ttl_s=3), account("Ada"), Counting(None)
        async with AsyncClient(api.url, token_store=token_store) as client:
            await client.auth.login(ada.email, ada.password)
            first = token_store.read()
            assert first is not None
            await expired(api.url, first.access)
            token_store.writes = 0
            profiles = await asyncio.gather(*[client.users.me() for _ in range(30)])
            assert {profile.email for profile in profiles} == {ada.email}
            # A token is valid for three seconds, so all thirty calls succeed with the one renewed first.
            assert token_store.writes == 1

    def test_signing_out_revokes_them(self, url: str, account: Callable[[str], Account]) -> None:
        ada = account("Ada")
        with Client(url) as client:
            client.auth.login(ada.email, ada.password)
            token = client._session._tokens
            assert token is not None
            client.auth.logout()
            assert not client.signed_in
        with Client(url, token=token.access) as late, pytest.raises(Unauthenticated):
            late.users.me()


async def test_the_async_client_does_the_same(url: str, account: Callable[[str], Account]) -> None:
    ada = account("Ada")
    async with AsyncClient(url) as client:
        await client.auth.login(ada.email, ada.password)
        made = await asyncio.gather(*[client.tasks.create(f"{number}") for number in range(20)])
        assert {task.id async for task in client.tasks.list(limit=6)} == {task.id for task in made}
        with pytest.raises(NotFound):
            await client.tasks.get(UNKNOWN)
        assert [event.type async for event in client.tasks.events(made[0].id)] == ["TaskCreated"]
