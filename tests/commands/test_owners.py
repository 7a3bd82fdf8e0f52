"""A project has an owner, whoever withdraws whom at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from taskflow.commands.execute import Accepted, Executor
from taskflow.errors import Forbidden, NotFound, Rejected
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.streams import PROJECT
from tests.commands.world import make_project, register, remove_member, set_member

Withdrawal = Callable[[Executor, UUID, UUID, UUID], Awaitable[Accepted]]
WAYS: dict[str, Withdrawal] = {
    "demote each other": lambda one, project, by, of: set_member(one, by, project, of, "viewer"),
    "demote themselves": lambda one, project, by, _: set_member(one, by, project, by, "member"),
    "leave": lambda one, project, by, _: remove_member(one, by, project, by),
    "remove each other": lambda one, project, by, of: remove_member(one, by, project, of),
}


@pytest.mark.parametrize("withdraw", WAYS.values(), ids=WAYS)
async def test_of_two_owners_who_withdraw_at_once_one_stays(
    store: EventStore, executor: Executor, other_store: EventStore, settings: Settings, withdraw: Withdrawal
) -> None:
    """In two processes, so that neither sees the other's before both have decided."""
    other = Executor(other_store, settings)
    ada, bob = await register(executor, settings), await register(executor, settings)
    for _ in range(10):
        project = await make_project(executor, ada, bob=(bob, "owner"))
        await asyncio.gather(*[one.state_cache.load(PROJECT, project) for one in (store, other_store)])
        pairs = ((executor, ada, bob), (other, bob, ada))
        outcomes = await asyncio.gather(
            *[withdraw(one, project, by, of) for one, by, of in pairs], return_exceptions=True
        )
        refusals = [one for one in outcomes if isinstance(one, BaseException)]
        assert len(refusals) == 1
        assert isinstance(refusals[0], Rejected | Forbidden | NotFound)
        if isinstance(refusals[0], Rejected):
            assert refusals[0].code == "last-owner"
        version = (await store.log.stream(project))[-1].stream_version
        state = await store.state_cache.at_version(PROJECT, project, version)
        assert state is not None
        assert list(state.members.values()).count("owner") == 1


async def test_a_role_changes_at_once_in_every_process(
    executor: Executor, other_store: EventStore, settings: Settings
) -> None:
    other = Executor(other_store, settings)
    ada, bob, cyd = [await register(executor, settings) for _ in range(3)]
    project = await make_project(executor, ada, bob=(bob, "admin"))
    await set_member(other, bob, project, cyd, "viewer")
    await set_member(executor, ada, project, bob, "viewer")
    with pytest.raises(Forbidden):
        await set_member(other, bob, project, cyd, "member")
    await set_member(executor, ada, project, bob, "admin")
    assert (await set_member(other, bob, project, cyd, "member")).state.members[cyd] == "member"
