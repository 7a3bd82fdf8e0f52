"""The key of an invitation is destroyed with what ends it; what it sealed is then read as nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from taskflow.api import render
from taskflow.api.envelopes import envelopes
from taskflow.commands import invitations, session, user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.invitation_tokens import token_of
from taskflow.commands.invitations import AcceptInvitation, InvitationToken, InviteMember, RevokeInvitation
from taskflow.commands.session import NewSession
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import KeyMissing, NotFound, Rejected
from taskflow.follower.follower import open_follower
from taskflow.ids import new_id
from taskflow.lru import LruCache
from taskflow.privacy.keyring import KeyRing
from taskflow.projections.declarations.users import document
from taskflow.settings import Settings
from taskflow.store.append import NOBODY, NewKey
from taskflow.store.append_group import Writer, arguments
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.store.mapper import Mapper
from taskflow.streams import PROJECT, SESSION, USER
from taskflow.streams.project import MemberInvited
from taskflow.streams.session import SessionStarted
from tests.commands.world import appends_held, group_at_server, make_project, register, request, send, set_member, until
from tests.store.test_append import append

ADDRESS = "dora@example.com"
SNAPSHOT = "select version, state from snapshots where stream_id = $1"


async def invite(executor: Executor, by: UUID, project: UUID, email: str = ADDRESS, **circumstances: Any) -> Accepted:
    command = InviteMember(email=email, role="member")
    return await send(executor, by, invitations.invite_member, project, command, **circumstances)


def invitation_of(accepted: Accepted) -> UUID:
    (event,) = accepted.events
    assert isinstance(event, MemberInvited)
    return event.invitation_id


async def accept(executor: Executor, settings: Settings, by: UUID, project: UUID, invitation: UUID) -> Accepted:
    token = InvitationToken(token_of(settings.token_secret_bytes, project, invitation))
    return await send(executor, by, invitations.accept_invitation, token, AcceptInvitation())


async def revoke(executor: Executor, by: UUID, project: UUID, invitation: UUID) -> Accepted:
    target = invitations.ProjectInvitation(project, invitation)
    return await send(executor, by, handler_of(invitations.RevokeInvitation), target, RevokeInvitation())


async def sealed_address(store: EventStore, settings: Settings, project: UUID, invitation: UUID) -> str | None:
    """As a process reads it that remembers no key."""
    recent_positions = KeyRing(store.pool, settings.master_key_bytes, ttl_s=60, keys_max=100)
    for event in await Mapper(recent_positions).decode(await store.log.stream(project)):
        if isinstance(event, MemberInvited) and event.invitation_id == invitation:
            return event.email
    raise AssertionError("it was never made")


@pytest.mark.parametrize("ended_by", ["accepting", "revoking"])
async def test_the_address_is_readable_until_the_invitation_ends_and_by_nobody_afterwards(
    store: EventStore, executor: Executor, settings: Settings, ended_by: str
) -> None:
    owner, dora = await register(executor, settings), await register(executor, settings)
    project = await make_project(executor, owner)
    ended, other = [invitation_of(await invite(executor, owner, project, email)) for email in (ADDRESS, "eve@x.org")]
    assert await sealed_address(store, settings, project, ended) == ADDRESS
    assert ADDRESS.encode() not in b"".join(event.data for event in await store.log.stream(project))
    if ended_by == "accepting":
        done = await accept(executor, settings, dora, project, ended)
        assert [type(event).__name__ for event in done.events] == ["MemberAdded", "InvitationAccepted"]
        assert done.state.members[dora] == "member"
    else:
        done = await revoke(executor, owner, project, ended)
        assert [type(event).__name__ for event in done.events] == ["InvitationRevoked"]
    assert ended not in store.keyring._keys, "not in the memory of the process that ended it either"
    assert await sealed_address(store, settings, project, ended) is None
    assert await sealed_address(store, settings, project, other) == "eve@x.org"
    assert await store.pool.fetchval("select wrapped_key is null from keys where person = $1", ended)
    # The project folds as ever, in a process that begins now.
    async with open_event_store(settings, "test another") as another:
        state = (await another.state_cache.load(PROJECT, project)).state
        assert [one.id for one in state.invitations] == [other]
        await set_member(Executor(another, settings), owner, project, dora, "viewer")


async def test_a_key_without_a_record_is_still_missed(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    owner = await register(executor, settings)
    project = await make_project(executor, owner)
    invitation = invitation_of(await invite(executor, owner, project))
    await store.pool.execute("delete from keys where person = $1", invitation)
    with pytest.raises(KeyMissing, match=str(invitation)):
        await sealed_address(store, settings, project, invitation)


async def test_a_repeat_has_the_same_answer_and_the_address_only_while_there_is_one(
    executor: Executor, settings: Settings
) -> None:
    owner = await register(executor, settings)
    project = await make_project(executor, owner)
    again: dict[str, Any] = {"command_id": new_id()}
    first = await invite(executor, owner, project, **again)
    second = await invite(executor, owner, project, **again)
    assert second.receipt.replayed
    assert (second.events, second.state) == (first.events, first.state)
    await revoke(executor, owner, project, invitation_of(first))
    third = await invite(executor, owner, project, **again)
    assert invitation_of(third) == invitation_of(first)
    assert [event.email for event in third.events if isinstance(event, MemberInvited)] == [None]


async def test_who_loses_destroys_nothing(store: EventStore, executor: Executor, settings: Settings) -> None:
    """A key goes with its own append alone, not with one of the same group."""
    owner = await register(executor, settings)
    project = await make_project(executor, owner)
    invitation = invitation_of(await invite(executor, owner, project))
    writer = Writer(settings, 1)
    loser = replace(append((project, 1)), keys=(NewKey(invitation, None),))
    rows = await writer.send(arguments([append((new_id(), 0)), loser]))
    writer.drop()
    assert [row["status"] for row in rows] == [1, 3]
    assert await sealed_address(store, settings, project, invitation) == ADDRESS


async def test_an_invitation_that_begins_and_ends_in_one_group_leaves_no_key(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    owner, dora = await register(executor, settings), await register(executor, settings)
    project = await make_project(executor, owner)
    async with appends_held(settings) as release:
        blocked = asyncio.create_task(make_project(executor, owner))
        await group_at_server(store)
        inviting = asyncio.create_task(invite(executor, owner, project))
        await until(lambda: store.committer.queued == 1, "an invitation that waits")
        pending = (await store.state_cache.load(PROJECT, project)).state
        accepting = asyncio.create_task(accept(executor, settings, dora, project, pending.invitations[0].id))
        await until(lambda: store.committer.queued == 2, "an acceptance that stands on it")
        groups = store.committer.groups
        await release()
        await blocked
        invitation = invitation_of(await inviting)
        assert (await accepting).state.members[dora] == "member"
    assert store.committer.groups == groups + 2, "both in one"
    assert await sealed_address(store, settings, project, invitation) is None


class TestOneAddress:
    async def test_is_invited_once_by_many_at_once_in_two_processes(
        self, executor: Executor, other_store: EventStore, settings: Settings
    ) -> None:
        owner = await register(executor, settings)
        project = await make_project(executor, owner)
        executors = (executor, Executor(other_store, settings))
        spellings = ("dora@example.com", " Dora@Example.com", "DORA@EXAMPLE.COM")
        outcomes = await asyncio.gather(
            *[invite(one, owner, project, email) for email in spellings for one in executors * 2],
            return_exceptions=True,
        )
        refusals = [one for one in outcomes if isinstance(one, Rejected)]
        assert len(refusals) == len(outcomes) - 1
        assert {refusal.code for refusal in refusals} == {"already-invited"}

    async def test_is_invited_again_once_its_invitation_ended_or_ran_out(
        self, executor: Executor, settings: Settings
    ) -> None:
        owner, dora = await register(executor, settings), await register(executor, settings)
        project = await make_project(executor, owner)
        now = datetime.now(UTC)
        for ends in (revoke, None):
            first = invitation_of(await invite(executor, owner, project, at=now))
            with pytest.raises(Rejected, match="pending"):
                await invite(executor, owner, project, at=now)
            if ends is not None:
                await ends(executor, owner, project, first)
        later = now + invitations.INVITATION_LIFETIME
        token = InvitationToken(token_of(settings.token_secret_bytes, project, first))
        with pytest.raises(NotFound):
            await send(executor, dora, invitations.accept_invitation, token, AcceptInvitation(), at=later)
        second = await invite(executor, owner, project, at=later)
        assert [one.id for one in second.state.invitations] == [invitation_of(second)], "the first one ended"

    async def test_is_accepted_once_by_many_at_once(self, executor: Executor, settings: Settings) -> None:
        owner = await register(executor, settings)
        people = [await register(executor, settings) for _ in range(4)]
        project = await make_project(executor, owner)
        invitation = invitation_of(await invite(executor, owner, project))
        outcomes = await asyncio.gather(
            *[accept(executor, settings, one, project, invitation) for one in people], return_exceptions=True
        )
        assert sum(isinstance(one, Accepted) for one in outcomes) == 1
        assert sum(isinstance(one, NotFound) for one in outcomes) == 3


async def test_the_address_of_one_that_ran_out_goes_with_the_next_that_is_sent(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    owner = await register(executor, settings)
    project = await make_project(executor, owner)
    week_ago = datetime.now(UTC) - timedelta(days=7)
    old = invitation_of(await invite(executor, owner, project, at=week_ago))
    assert await sealed_address(store, settings, project, old) == ADDRESS
    new = invitation_of(await invite(executor, owner, project))
    assert await sealed_address(store, settings, project, old) is None
    assert await sealed_address(store, settings, project, new) == ADDRESS
    assert await store.pool.fetchval("select wrapped_key is null from keys where person = $1", old)


class TestOfAPerson:
    """Whose key was destroyed on record, as an erasure does: what it sealed reads as nothing, nothing more is sealed."""

    @pytest.fixture
    async def erased(self, store: EventStore, executor: Executor, settings: Settings) -> UUID:
        """With everything that a person can have, and read by a process that remembers none of it."""
        person = await register(executor, settings, "gone@example.com", name="Gone")
        profile = user.EditProfile(avatar_url="https://example.com/gone.png", settings={"time_zone": "Europe/Berlin"})
        await send(executor, person, handler_of(user.EditProfile), None, profile)
        await destroy(store, person)
        store.state_cache._folded = LruCache(settings.state_cache_bytes_max)
        return person

    async def test_reads_as_nothing_and_folds_as_ever(self, store: EventStore, erased: UUID) -> None:
        state = (await store.state_cache.load(USER, erased)).state
        assert (state.id, state.version, state.roles) == (erased, 3, ())
        assert (state.name, state.email, state.password_hash, state.avatar_url, state.settings) == (None,) * 5
        assert render.profile(state).settings == {}
        assert document(state) == {"email": None, "name": None}

    @pytest.mark.parametrize(
        "change", [{"name": "Back"}, {"avatar_url": "https://example.com/back.png"}, {"settings": {"a": "b"}}], ids=str
    )
    async def test_is_written_no_more_about(
        self, store: EventStore, executor: Executor, erased: UUID, change: dict[str, Any]
    ) -> None:
        head = (await store.log.head()).position
        with pytest.raises(Rejected, match=f"{erased} was erased") as refusal:
            await send(executor, erased, handler_of(user.EditProfile), None, user.EditProfile(**change))
        assert refusal.value.code == "erased"
        assert (await store.log.head()).position == head

    async def test_is_written_no_more_about_in_one_of_many_commands(
        self, store: EventStore, executor: Executor, erased: UUID
    ) -> None:
        """Which of them, is said; and none of them is stored."""
        head = (await store.log.head()).position

        async def rename(unit: UnitOfWork) -> UUID:
            return await handler_of(user.EditProfile)(unit, None, user.EditProfile(name="Back"))

        async def open_calendar(unit: UnitOfWork) -> UUID:
            return await handler_of(user.OpenCalendar)(unit, None, user.OpenCalendar())

        steps = [request(erased, one) for one in (open_calendar, rename, open_calendar)]
        with pytest.raises(Rejected) as refusal:
            await executor.execute_together(steps)
        assert (refusal.value.code, refusal.value.command_id) == ("erased", steps[1].command_id)
        assert (await store.log.head()).position == head

    async def test_is_written_about_where_it_says_nothing_of_them(
        self, store: EventStore, executor: Executor, erased: UUID, settings: Settings
    ) -> None:
        """A session without an address, a role, a calendar; and what they do to what is not theirs alone."""
        await send(executor, NOBODY, user.set_roles, erased, ("analyst",))
        await send(executor, erased, handler_of(user.OpenCalendar), None, user.OpenCalendar())
        session_id = new_id()

        async def begin(unit: UnitOfWork) -> UUID:
            await unit.read(USER, erased)
            await unit.read(SESSION, session_id)
            unit.append(SESSION, session_id, SessionStarted(user_id=erased), actor=erased)
            return session_id

        await send(executor, NOBODY, begin)
        project = await make_project(executor, erased)
        invitation = invitation_of(await invite(executor, erased, project))
        assert await sealed_address(store, settings, project, invitation) == ADDRESS, "a key of its own"

    async def test_is_in_no_snapshot_and_snapshots_are_read(
        self, store: EventStore, executor: Executor, settings: Settings
    ) -> None:
        often = replace(settings, snapshot_every_events=2)
        async with open_event_store(often, "test snapshots") as another:
            writer = Executor(another, often)
            person = await register(writer, often, "gone@example.com", name="Gone")
            for name in ("Ada", "Grace", "Ada", "Grace"):
                await send(writer, person, handler_of(user.EditProfile), None, user.EditProfile(name=name))
            sealed = await another.pool.fetchval("select state from snapshots where stream_id = $1", person)
            assert sealed.count(b"~1.") == 4, "name, address, hash, settings"
            await destroy(another, person)
            # This process has the name in memory still, and must not write it down again.
            for roles in (("analyst",), (), ("admin",)):
                await send(writer, NOBODY, user.set_roles, person, roles)
            [(version, state)] = await another.pool.fetch(SNAPSHOT, person)
            assert version == 8
            assert not [word for word in (b"~1.", b"Ada", b"Grace", b"gone@") if word in state]
        async with open_event_store(often, "test reads") as another:
            folded = await another.state_cache.load(USER, person)
            assert (folded.version, folded.state.name, folded.state.roles) == (8, None, ("admin",))

    async def test_of_a_session_too(self, store: EventStore, settings: Settings) -> None:
        often = replace(settings, snapshot_every_events=2)
        async with open_event_store(often, "test snapshots") as another:
            writer = Executor(another, often)
            person = await register(writer, often)
            session_id = new_id()
            new = NewSession(session_id=session_id, address="192.0.2.7", agent="Gone/1")

            async def begin(unit: UnitOfWork) -> UUID:
                await unit.read(USER, person)
                await unit.read(SESSION, session_id)
                unit.append(SESSION, session_id, *session.start(person, new), actor=person)
                return session_id

            await send(writer, NOBODY, begin)
            await destroy(another, person)
            for generation in (1, 2, 3):
                await send(writer, NOBODY, session.refresh_session, session_id, generation)
            [(version, snapshot)] = await another.pool.fetch(SNAPSHOT, session_id)
            assert version == 4
            assert b"192.0.2.7" not in snapshot
        async with open_event_store(often, "test reads") as another:
            state = (await another.state_cache.load(SESSION, session_id)).state
            assert (state.generation, state.address, state.agent) == (4, None, None)

    async def test_is_nothing_in_events_that_are_told_whoever_asks(self, store: EventStore, erased: UUID) -> None:
        told = await envelopes(store.mapper, await store.log.stream(erased), lambda _: True)
        data = [msgspec.json.decode(one.data) for one in told]
        assert [one["email"] for one in data if "email" in one] == [None]
        assert [one["avatar_url"] for one in data if "avatar_url" in one] == [None]
        assert [one["settings"] for one in data if "settings" in one] == [None]

    async def test_does_not_stop_the_follower(self, store: EventStore, settings: Settings, erased: UUID) -> None:
        async with open_follower(store, settings, settings.kafka_partitions) as follower:
            assert follower.position == (await store.log.head()).position
            assert follower.failure is None

    async def test_without_a_record_is_an_alarm(
        self, store: EventStore, executor: Executor, settings: Settings
    ) -> None:
        person = await register(executor, settings)
        await store.pool.execute("delete from keys where person = $1", person)
        store.keyring.forget(person)
        with pytest.raises(KeyMissing):
            await send(executor, person, handler_of(user.EditProfile), None, user.EditProfile(name="Back"))


async def test_settings_of_before_are_read_in_clear_until_their_person_is_erased(
    store: EventStore, executor: Executor, settings: Settings
) -> None:
    """They were no personal data then, and the log is never rewritten."""
    person = await register(executor, settings)
    await send(executor, person, handler_of(user.EditProfile), None, user.EditProfile(settings={"theme": "dark"}))
    await store.pool.execute(
        "update events set schema_version = 1, data = $2 where stream_id = $1 and type = 'UserSettingsChanged'",
        person,
        b'{"settings":{"theme":"light","days":5}}',
    )
    for expected in ({"theme": "light", "days": 5}, None):
        async with open_event_store(settings, "test reads") as another:
            assert (await another.state_cache.load(USER, person)).state.settings == expected
            told = await envelopes(another.mapper, await another.log.stream(person, after=1), lambda _: True)
            assert [msgspec.json.decode(one.data) for one in told] == [{"settings": None}], "nobody else's to read"
        await destroy(store, person)


async def destroy(store: EventStore, person: UUID) -> None:
    """As an append does it that ends what the key was made for."""
    await store.pool.execute("insert into keys (person, wrapped_key) values ($1, null)", person)
    assert await store.pool.fetchval("select wrapped_key is null from keys where person = $1", person)
    store.keyring.forget(person)
