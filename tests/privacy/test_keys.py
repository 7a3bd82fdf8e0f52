"""Keys of persons: opened by the master key alone, kept in memory for a while, missed loudly."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from msgspec.structs import replace

from taskflow.commands import user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor
from taskflow.errors import KeyMissing, StoreError
from taskflow.ids import new_id
from taskflow.local.dev_secrets import new_secret
from taskflow.privacy.keyring import KeyRing
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.store.mapper import Mapper
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import USER
from tests.commands.world import register, send, until


def keyring(store: EventStore, settings: Settings, *, ttl_s: float = 60, keys_max: int = 100) -> KeyRing:
    return KeyRing(store.pool, settings.master_key_bytes, ttl_s=ttl_s, keys_max=keys_max)


async def personal_events(store: EventStore, person: UUID) -> list[RecordedEvent]:
    return await store.log.stream(person)


async def opens(store: EventStore, settings: Settings, *events: RecordedEvent) -> list[Any]:
    """The events as a process sees them that remembers no key."""
    return await Mapper(keyring(store, settings)).decode(events)


async def test_a_key_is_stored_wrapped_and_by_a_registration_alone(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    person = await register(executor, settings)
    await send(executor, person, handler_of(user.EditProfile), None, user.EditProfile(name="Another"))
    (row,) = await store.pool.fetch("select person, wrapped_key from keys")
    key = (await keyring(store, settings).fetch([person]))[person]
    assert key not in row["wrapped_key"]
    assert aes_key_unwrap(settings.master_key_bytes, row["wrapped_key"]) == key


async def test_another_master_key_says_that_it_is_another(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    person = await register(executor, settings)
    wrong = replace(settings, master_key=new_secret("master_key"))
    async with open_event_store(wrong, "test") as other:
        with pytest.raises(StoreError, match="TASKFLOW_MASTER_KEY is not the key"):
            await other.state_cache.load(USER, person)
        with pytest.raises(StoreError, match="TASKFLOW_MASTER_KEY is not the key"):
            await send(
                Executor(other, wrong), person, handler_of(user.EditProfile), None, user.EditProfile(name="Another")
            )
    assert len(await personal_events(store, person)) == 1


async def test_a_key_that_the_store_has_not_is_missing(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    person, other = await register(executor, settings), await register(executor, settings)
    await store.pool.execute("delete from keys where person = $1", person)
    recent_positions = keyring(store, settings)
    with pytest.raises(KeyMissing, match=str(person)):
        await recent_positions.fetch([other, person])
    with pytest.raises(KeyMissing):
        await opens(store, settings, *await personal_events(store, person))
    assert await recent_positions.fetch([other])
    nobody = new_id()
    with pytest.raises(KeyMissing, match=str(nobody)):
        await recent_positions.fetch([nobody])


async def test_personal_fields_open_in_their_own_event_alone(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    people = [await register(executor, settings, name=f"Person {n}") for n in range(2)]
    for person in people:
        for name in ("First", "Second"):
            await send(executor, person, handler_of(user.EditProfile), None, user.EditProfile(name=name))
    mine, theirs = [await personal_events(store, person) for person in people]
    assert [event.name for event in await opens(store, settings, *mine)] == ["Person 0", "First", "Second"]
    for moved in (
        replace(mine[1], data=mine[2].data),  # to a later event of the same person
        replace(mine[1], data=theirs[1].data),  # to another person's
        replace(mine[1], event_id=mine[2].event_id),
        replace(mine[1], stream_id=people[1]),  # the whole event to another person's stream
    ):
        with pytest.raises(StoreError, match="cannot be decrypted"):
            await opens(store, settings, moved)


@pytest.mark.parametrize("value", ["~1.", "~1.!!!!", "~1.AAAA", "~1.A", "in clear", 7])
async def test_a_damaged_field_says_so(
    store: EventStore, executor: Executor, settings: Settings, value: object
) -> None:
    import msgspec

    person = await register(executor, settings)
    (event,) = await personal_events(store, person)
    plain = msgspec.json.decode(event.data) | {"name": value}
    with pytest.raises(StoreError, match=r"UserRegistered.name (cannot be decrypted|is not sealed)"):
        await opens(store, settings, replace(event, data=msgspec.json.encode(plain)))


async def test_a_key_is_forgotten_after_a_while(store: EventStore, executor: Executor, settings: Settings) -> None:
    person, other = await register(executor, settings), await register(executor, settings)
    recent_positions = keyring(store, settings, ttl_s=0.2)
    await recent_positions.fetch([person])
    await store.pool.execute("delete from keys where person = $1", person)

    async def forgotten() -> bool:
        try:
            await recent_positions.fetch([person])
        except KeyMissing:
            return True
        return False

    await until(forgotten, "a key that is gone everywhere")
    assert person not in recent_positions._keys, "not merely unused: out of memory"

    # Asked for again and again, a key is still read anew.
    await recent_positions.fetch([other])
    await store.pool.execute("delete from keys where person = $1", other)

    async def other_forgotten() -> bool:
        try:
            await recent_positions.fetch([other])
        except KeyMissing:
            return True
        return False

    await until(other_forgotten, "a key that is in use all the time")


async def test_what_is_not_asked_for_again_leaves_memory_too(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    person, other = await register(executor, settings), await register(executor, settings)
    recent_positions = keyring(store, settings, ttl_s=0.2)
    await recent_positions.fetch([person])

    async def gone() -> bool:
        await recent_positions.fetch([other])
        return person not in recent_positions._keys

    await until(gone, "a key that nobody asked for again")


async def test_keys_in_memory_are_bounded_in_number_and_can_be_forgotten(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    people = [await register(executor, settings) for _ in range(6)]
    recent_positions = keyring(store, settings, keys_max=3)
    assert set(await recent_positions.fetch(people)) == set(people)
    assert len(recent_positions._keys) == 3
    kept = next(iter(recent_positions._keys))
    recent_positions.forget(kept)
    await store.pool.execute("delete from keys where person = $1", kept)
    with pytest.raises(KeyMissing):
        await recent_positions.fetch([kept])
