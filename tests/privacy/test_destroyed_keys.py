"""The key of an invitation is destroyed with what ends it; what it sealed is then read as nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands import invitations
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.invitation_tokens import token_of
from taskflow.commands.invitations import AcceptInvitation, InvitationToken, InviteMember, RevokeInvitation
from taskflow.errors import KeyMissing, NotFound, Rejected
from taskflow.ids import new_id
from taskflow.privacy.keyring import KeyRing
from taskflow.settings import Settings
from taskflow.store.append import NewKey
from taskflow.store.append_group import Writer, arguments
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.store.mapper import Mapper
from taskflow.streams import PROJECT
from taskflow.streams.project import MemberInvited
from tests.commands.world import appends_held, group_at_server, make_project, register, send, set_member, until
from tests.store.test_append import append

ADDRESS = "dora@example.com"


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
    return await send(executor, by, invitations.revoke_invitation, target, RevokeInvitation())


async def sealed_address(store: EventStore, settings: Settings, project: UUID, invitation: UUID) -> str | None:
    """As a process reads it that remembers no key."""
    ring = KeyRing(store.pool, settings.master_key_bytes, ttl_s=60, keys_max=100)
    for event in await Mapper(ring).decode(await store.log.stream(project)):
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
        state = (await another.folds.load(PROJECT, project)).state
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
        pending = (await store.folds.load(PROJECT, project)).state
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
        later = now + invitations.LASTS
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
