"""Long streams are folded from a snapshot and its tail, and nobody can tell."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands import session, user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor
from taskflow.errors import KeyMissing, StoreError
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.streams import PROJECT, SESSION, TASK, USER, StreamType
from tests.commands.world import edit, make_project, make_task, register, registration, send

EVERY = 5
EDITS = 23


@pytest.fixture
def often(settings: Settings) -> Settings:
    """A snapshot every few events."""
    return replace(settings, snapshot_every_events=EVERY)


async def folded_anew(settings: Settings, kind: StreamType[Any], stream_id: UUID, versions: range) -> list[Any]:
    """The states at these versions as a process sees them that has just started."""
    async with open_event_store(settings, "test") as fresh:
        return [await fresh.state_cache.at_version(kind, stream_id, version) for version in versions]


async def snapshot_of(store: EventStore, stream_id: UUID) -> Any:
    return await store.pool.fetchrow(
        "select version, state_version, state from snapshots where stream_id = $1", stream_id
    )


async def long_task(often: Settings) -> UUID:
    async with open_event_store(often, "test") as store:
        one = Executor(store, often)
        owner = await register(one, often)
        task_id = await make_task(one, owner, await make_project(one, owner))
        for n in range(EDITS):
            await edit(one, owner, task_id, title=f"Title {n}", labels=[f"label {n % 3}"])
        return task_id


async def test_a_long_stream_folds_the_same_with_a_snapshot_and_without(
    often: Settings, settings: Settings, store: EventStore
) -> None:
    task_id = await long_task(often)
    length = len(await store.log.stream(task_id))
    taken = await snapshot_of(store, task_id)
    assert length - EVERY < taken["version"] <= length
    versions = range(1, length + 1)
    without = await folded_anew(settings, TASK, task_id, versions)
    assert await folded_anew(often, TASK, task_id, versions) == without
    assert [state.version for state in without] == list(versions)
    assert await folded_anew(often, TASK, task_id, range(length + 1, length + 3)) == [None, None]


async def test_a_long_stream_is_folded_from_its_snapshot_and_an_older_version_without_it(
    often: Settings, store: EventStore
) -> None:
    task_id = await long_task(often)
    taken = await snapshot_of(store, task_id)
    marked = taken["state"].replace(b'"description":""', b'"description":"from the snapshot"')
    await store.pool.execute("update snapshots set state = $2 where stream_id = $1", task_id, marked)
    at = taken["version"]
    states = await folded_anew(often, TASK, task_id, range(at - 1, at + 2))
    assert [state.description for state in states] == ["", "from the snapshot", "from the snapshot"]


async def test_a_snapshot_of_another_shape_is_ignored_and_replaced(often: Settings, store: EventStore) -> None:
    task_id = await long_task(often)
    length = len(await store.log.stream(task_id))
    expected = await folded_anew(often, TASK, task_id, range(1, length + 1))
    await store.pool.execute("""update snapshots set state_version = 0, state = '{"another":"shape"}'""")
    assert await folded_anew(often, TASK, task_id, range(1, length + 1)) == expected
    async with open_event_store(often, "test") as fresh:
        await fresh.state_cache.write_snapshot(TASK, task_id, length, expected[-1])
    replaced = await snapshot_of(store, task_id)
    assert (replaced["version"], replaced["state_version"]) == (length, TASK.state_version)
    assert await folded_anew(often, TASK, task_id, range(1, length + 1)) == expected


async def test_an_older_snapshot_never_replaces_a_newer_one(often: Settings, store: EventStore) -> None:
    task_id = await long_task(often)
    before = await snapshot_of(store, task_id)
    old = await store.state_cache.at_version(TASK, task_id, EVERY)
    async with open_event_store(often, "test") as fresh:
        await fresh.state_cache.write_snapshot(TASK, task_id, EVERY, old)
    assert await snapshot_of(store, task_id) == before


async def test_an_id_of_another_kind_is_no_state_of_this_kind_however_long_its_stream(
    often: Settings, store: EventStore
) -> None:
    task_id = await long_task(often)
    async with open_event_store(often, "test") as fresh:
        folded = await fresh.state_cache.load(PROJECT, task_id)
        assert isinstance(folded.state, TASK.state)
        assert folded.version == len(await store.log.stream(task_id))


async def test_a_snapshot_of_a_person_shows_nothing(often: Settings, settings: Settings, store: EventStore) -> None:
    email, name = "zyxwvut.qqxz@example.com", "Zyxwvut Qqxzabcd"
    async with open_event_store(often, "test") as first:
        one = Executor(first, often)
        person = await register(one, often, email=email, name=name)
        for n in range(EVERY + 2):
            changes = user.EditProfile(name=f"{name} {n}", avatar_url=f"https://example.com/qqxz/{n}")
            await send(one, person, handler_of(user.EditProfile), None, changes)
    taken = await snapshot_of(store, person)
    assert taken is not None
    for secret in (b"Zyxwvut", b"qqxz", b"argon2", b"example.com"):
        assert secret not in taken["state"]
    versions = range(1, len(await store.log.stream(person)) + 1)
    states = await folded_anew(often, USER, person, versions)
    assert states == await folded_anew(settings, USER, person, versions)
    assert (states[-1].name, states[-1].email) == (f"{name} {EVERY + 1}", email)

    # A snapshot is its stream's and its version's own, and falls with its person's key.
    await store.pool.execute("update snapshots set version = version - 1 where stream_id = $1", person)
    with pytest.raises(StoreError, match="cannot be decrypted"):
        await folded_anew(often, USER, person, versions[-1:])
    await store.pool.execute("delete from keys where person = $1", person)
    with pytest.raises(KeyMissing):
        await folded_anew(often, USER, person, versions[-1:])


async def test_a_snapshot_of_a_session_is_sealed_with_its_persons_key(
    often: Settings, settings: Settings, store: EventStore
) -> None:
    async with open_event_store(often, "test") as first:
        one = Executor(first, often)
        started = session.NewSession(session_id=new_id(), address="192.0.2.77", agent="Qqxz/1.0")
        email = "somebody@example.com"
        command = user.RegisterUser(email=email, password="not looked at", name="Somebody")
        await send(one, NOBODY, user.register_user, registration(often, email, session=started), command)
        for generation in range(1, EVERY + 2):
            await send(one, NOBODY, session.refresh_session, started.session_id, generation)
    taken = await snapshot_of(store, started.session_id)
    assert b"192.0.2.77" not in taken["state"]
    assert b"Qqxz" not in taken["state"]
    versions = range(1, EVERY + 3)
    states = await folded_anew(often, SESSION, started.session_id, versions)
    assert states == await folded_anew(settings, SESSION, started.session_id, versions)
    assert (states[-1].address, states[-1].agent, states[-1].generation) == ("192.0.2.77", "Qqxz/1.0", EVERY + 2)
