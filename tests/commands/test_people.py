"""Registrations, keys, and what a stranger is told."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from taskflow.commands import session, user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor
from taskflow.commands.session import NewSession
from taskflow.errors import (
    KeyMissing,
    NotFound,
    Rejected,
)
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK, USER

from .world import (
    appends_held,
    edit,
    make_project,
    make_task,
    register,
    registration,
    send,
    until,
    versions,
)


async def test_a_session_that_starts_while_its_person_registers_waits_for_their_key(
    executor: Executor, store: EventStore, settings: Settings
) -> None:
    email = "quick@example.com"
    person = registration(settings, email)
    async with appends_held(settings) as release:
        command = user.RegisterUser(email=email, password="not looked at", name="Quick")
        registering = asyncio.create_task(send(executor, NOBODY, user.register_user, person, command))
        await until(lambda: person.user_id in store.state_cache._folded, "a registration under way")
        new = NewSession(session_id=new_id(), address="192.0.2.1", agent="A browser")
        login = asyncio.create_task(
            send(
                executor,
                NOBODY,
                session.start_session,
                settings.claim_secret_bytes,
                person.address,
                (await store.state_cache.load(USER, person.user_id)).state,
                new,
            )
        )
        for _ in range(50):
            await asyncio.sleep(0)
        await release()
    await registering
    assert (await login).state.address == "192.0.2.1"


async def test_of_many_registrations_of_one_address_exactly_one_wins(
    executor: Executor, other: Executor, store: EventStore, settings: Settings
) -> None:
    spellings = ("ada@example.com", " Ada@Example.com ", "ADA@EXAMPLE.COM")
    answers = await asyncio.gather(
        *[register(one, settings, email) for one in (executor, other) for email in spellings * 3],
        return_exceptions=True,
    )
    assert sum(isinstance(answer, UUID) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, Rejected)} == {"email-taken"}
    assert await store.pool.fetchval("select count(*) from keys") == 1, "a loser leaves no key behind"


async def test_a_key_that_is_gone_is_an_alarm_and_nothing_is_written(
    other: Executor, store: EventStore, owner: UUID
) -> None:
    before = await versions(store, owner)
    await store.pool.execute("delete from keys where person = $1", owner)
    with pytest.raises(KeyMissing):
        await send(other, owner, handler_of(user.EditProfile), None, user.EditProfile(name="Nobody"))
    assert await versions(store, owner) == before


async def test_a_member_who_is_not_there_is_told_nothing(
    executor: Executor, other: Executor, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    stranger = await register(executor, settings)
    theirs = await make_project(other, stranger)
    task_id = await make_task(executor, owner, project_id)
    for stream_id in (task_id, new_id()):
        with pytest.raises(NotFound, match=f"no task {stream_id}"):
            await edit(other, stranger, stream_id, title="X", circumstances={"expected_version": 99})
    with pytest.raises(NotFound):  # a parent in a project that is not the task's
        await edit(executor, owner, task_id, parent_id=await make_task(other, stranger, theirs))


async def test_many_readers_of_one_stream_share_one_read(store: EventStore, executor: Executor, owner: UUID) -> None:
    store.state_cache._folded.clear()
    loaded = await asyncio.gather(*[store.state_cache.load(USER, owner) for _ in range(100)])
    assert all(one is loaded[0] for one in loaded)
    assert (await store.state_cache.load(TASK, new_id())).state is None
