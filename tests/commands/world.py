"""People and projects made by commands, and a hand on the lock that every append waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from taskflow.commands import invitations, project, task, user
from taskflow.commands.catalog import handler_of
from taskflow.commands.claims import new_address
from taskflow.commands.execute import Accepted, Executor, Request
from taskflow.commands.invitation_tokens import token_of
from taskflow.commands.session import NewSession
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import Rejected
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import EventStore
from taskflow.streams.project import MemberInvited, Role

BOUND_S = 20.0
"""No wait is longer; each ends as soon as what it waits for is there."""
_WAITS = """
select exists (select 1 from pg_locks l join pg_database d on d.oid = l.database
               where l.locktype = 'advisory' and not l.granted and d.datname = current_database())
"""


def request(caller: UUID, handler: Any, **circumstances: Any) -> Request:
    """A command of a user's at this moment; `circumstances` are the request's other fields."""
    actor = None if caller == NOBODY else caller
    fields: dict[str, Any] = {
        "command_id": new_id(),
        "fingerprint": b"same",
        "at": datetime.now(UTC),
        "actor": actor,
    }
    return Request(caller=caller, handler=handler, **(fields | circumstances))


async def send(executor: Executor, caller: UUID, handler: Any, *arguments: Any, **circumstances: Any) -> Accepted:
    return await executor.execute(request(caller, lambda unit: handler(unit, *arguments), **circumstances))


def registration(settings: Settings, email: str, **changes: Any) -> user.Registration:
    fields: dict[str, Any] = {
        "user_id": new_id(),
        "address": new_address(settings.claim_secret_bytes, email, "/email"),
        "inbox_id": new_id(),
        "password_hash": "$argon2id$v=19$of-nothing",
        "session": NewSession(session_id=new_id(), address=None, agent=None),
    }
    return user.Registration(**(fields | changes))


async def register(executor: Executor, settings: Settings, email: str | None = None, name: str = "Ada") -> UUID:
    email = email or f"{new_id().hex}@example.com"
    command = user.RegisterUser(email=email, password="not looked at", name=name)
    accepted = await send(executor, NOBODY, user.register_user, registration(settings, email), command)
    return accepted.receipt.stream_id


async def make_admin(executor: Executor, settings: Settings) -> UUID:
    """An admin of the system."""
    person = await register(executor, settings)
    await send(executor, NOBODY, user.set_roles, person, ("admin",))
    return person


async def make_project(executor: Executor, owner: UUID, **members: tuple[UUID, Role]) -> UUID:
    made = await send(executor, owner, project.create_project, None, project.CreateProject(name="P"))
    for member, role in members.values():
        await set_member(executor, owner, made.receipt.stream_id, member, role)
    return made.receipt.stream_id


async def set_member(executor: Executor, by: UUID, project_id: UUID, member: UUID, role: Role) -> Accepted:
    """Whoever is no member yet is invited, and accepts."""
    try:
        return await send(
            executor,
            by,
            handler_of(project.SetMember),
            project.Member(project_id, member),
            project.SetMember(role=role),
        )
    except Rejected as refusal:
        if refusal.code != "must-be-invited":
            raise
    return await join(executor, by, project_id, member, role)


async def join(executor: Executor, by: UUID, project_id: UUID, member: UUID, role: Role) -> Accepted:
    """By an invitation that they accept."""
    command = invitations.InviteMember(email=f"{new_id().hex}@example.com", role=role)
    made = await send(executor, by, invitations.invite_member, project_id, command)
    (event,) = made.events
    assert isinstance(event, MemberInvited)
    target = invitations.InvitationToken(token_of(executor._token_secret, project_id, event.invitation_id))
    return await send(executor, member, invitations.accept_invitation, target, invitations.AcceptInvitation())


async def remove_member(executor: Executor, by: UUID, project_id: UUID, member: UUID) -> Accepted:
    return await send(
        executor, by, handler_of(project.RemoveMember), project.Member(project_id, member), project.RemoveMember()
    )


async def make_task(executor: Executor, by: UUID, project_id: UUID, **fields: Any) -> UUID:
    command = task.CreateTask(project_id=project_id, **({"title": "T"} | fields))
    return (await send(executor, by, task.create_task, None, command)).receipt.stream_id


async def edit(executor: Executor, by: UUID, task_id: UUID, *, circumstances: Any = None, **fields: Any) -> Accepted:
    return await send(
        executor, by, handler_of(task.EditTask), task_id, task.EditTask(**fields), **(circumstances or {})
    )


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Waits for a condition."""
    try:
        async with asyncio.timeout(BOUND_S):
            while True:
                held = holds()
                if held if isinstance(held, bool) else await held:
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited {BOUND_S} s for: {what}") from None


async def group_at_server(store: EventStore) -> None:
    """Waits until a group has been sent and waits for the lock: what is submitted now gathers behind it."""

    async def waits() -> bool:
        return bool(await store.pool.fetchval(_WAITS))

    await until(waits, "a group that waits at the server")


@asynccontextmanager
async def appends_held(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Takes the lock of the log, so that what is sent meanwhile waits; answers how to let go."""
    connection = await asyncpg.connect(settings.postgres_url)
    try:
        await connection.execute("select pg_advisory_lock(7466)")

        async def release() -> None:
            await connection.execute("select pg_advisory_unlock_all()")

        yield release
    finally:
        await connection.close()


class Gate:
    """Holds a handler between its decision and its append, the first time it is run."""

    def __init__(self) -> None:
        self.decided = asyncio.Event()
        self.open = asyncio.Event()
        self.runs = 0

    def around(self, handler: Any, *arguments: Any) -> Any:
        async def run(unit: UnitOfWork) -> UUID:
            target: UUID = await handler(unit, *arguments)
            self.runs += 1
            if self.runs == 1:
                self.decided.set()
                await self.open.wait()
            return target

        return run


async def titles(store: EventStore, task_id: UUID) -> list[str]:
    events = await store.mapper.decode(await store.log.stream(task_id))
    return [event.title for event in events if hasattr(event, "title")]


async def versions(store: EventStore, stream_id: UUID) -> list[int]:
    return [event.stream_version for event in await store.log.stream(stream_id)]


def outcome(accepted: Accepted) -> Any:
    """Everything that a client is told, but for whether it was told before."""
    return replace(accepted.receipt, replayed=False, own=False), accepted.kind.name, accepted.state, accepted.appended
