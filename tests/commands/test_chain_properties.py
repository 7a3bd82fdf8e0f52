"""Whatever is sent in order ends as its commands one by one would; several chains at once, as some order of them."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import KeyReused, Refusal, Rejected
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore

from .test_bundles import (
    commands,
    seen_by_the_client,
    small_step,
    small_world,
)
from .test_chains import positions
from .world import (
    outcome,
    versions,
)

lists = st.lists(commands, min_size=1, max_size=8)


@hypothesis_settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(sent=lists, who=st.sampled_from(range(2)))
async def test_a_chain_is_its_commands_one_by_one(
    executor: Executor, other: Executor, store: EventStore, settings: Settings, sent: list[Any], who: int
) -> None:
    """Two equal worlds: in one the commands go one by one, in the other as a chain."""
    alone, chained = [await small_world(executor, settings) for _ in range(2)]
    expected: list[Any] = []
    for one in sent:
        try:
            expected.append(seen_by_the_client(await executor.execute(small_step(one, alone, who)), alone))
        except Refusal as refusal:
            expected.append(_of_refusal(refusal, alone))
    steps = [small_step(one, chained, who) for one in sent]
    answers = await executor.execute_in_order(steps)
    assert [_of(one, chained) for one in answers] == expected
    for left, right in zip(alone[1:], chained[1:], strict=True):
        assert await versions(store, left) == await versions(store, right)
    # What was accepted is answered again; what was refused is decided anew.
    again = await other.execute_in_order(steps)
    for one, answer in zip(again, answers, strict=True):
        if isinstance(answer, Accepted):
            assert isinstance(one, Accepted)
            assert (outcome(one), one.receipt.replayed) == (outcome(answer), True)


@hypothesis_settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(chains=st.lists(st.tuples(lists, st.sampled_from(range(2))), min_size=2, max_size=4))
async def test_concurrent_chains_are_all_of_them_in_some_order(
    executor: Executor, other: Executor, store: EventStore, settings: Settings, chains: list[tuple[list[Any], int]]
) -> None:
    """From two processes at once. In the order in which they were stored, the commands that were applied do the same
    to an equal world one by one; a refusal is what is said at some moment between its neighbours of the chain."""
    world, replayed = [await small_world(executor, settings) for _ in range(2)]
    sent = [[small_step(one, world, who) for one in chain] for chain, who in chains]
    answers = await asyncio.gather(*[(executor, other)[n % 2].execute_in_order(steps) for n, steps in enumerate(sent)])
    applied: list[tuple[int, Any, int, Accepted]] = []
    refused: list[tuple[int, int, Any, int, Refusal]] = []
    for (chain, who), one in zip(chains, answers, strict=True):
        assert positions(one) == sorted(positions(one))
        for index, (command, answer) in enumerate(zip(chain, one, strict=True)):
            if isinstance(answer, Refusal):
                since = max(positions(one[:index]), default=0)
                until_ = min(positions(one[index:]), default=2**62)
                refused.append((since, until_, command, who, answer))
            elif isinstance(answer, Accepted) and answer.appended:
                applied.append((answer.receipt.position, command, who, answer))
    applied.sort(key=lambda each: each[0])
    held: set[int] = set()

    async def look(reached: int) -> None:
        """Which of the refusals are what would be said now, if now is between their neighbours."""
        for number, (since, until_, one, by, refusal) in enumerate(refused):
            if since <= reached < until_ and await _said(executor, one, replayed, by) == _of_refusal(refusal, world):
                held.add(number)

    await look(0)
    for position, command, who, done in applied:
        assert seen_by_the_client(
            await executor.execute(small_step(command, replayed, who)), replayed
        ) == seen_by_the_client(done, world)
        await look(position)
    assert held == set(range(len(refused)))
    for left, right in zip(world[1:], replayed[1:], strict=True):
        assert await versions(store, left) == await versions(store, right)


async def _said(executor: Executor, command: Any, world: Any, who: int) -> Any:
    """What a command would be refused with now; None where it would be accepted. Nothing is stored."""
    sent = small_step(command, world, who)

    async def run(unit: UnitOfWork) -> Any:
        await sent.handler(unit)
        raise Rejected("not-refused", "")

    try:
        await executor.execute(replace(sent, handler=run))
    except Refusal as refusal:
        return _of_refusal(refusal, world)


def _of(answer: Accepted | Refusal | KeyReused, world: Any) -> Any:
    return seen_by_the_client(answer, world) if isinstance(answer, Accepted) else _of_refusal(answer, world)


def _of_refusal(refusal: Refusal | KeyReused, world: Any) -> Any:
    """As a client is told of it, with the names that equal worlds have in common."""
    users, *streams = world
    text = f"{type(refusal).__name__} {getattr(refusal, 'code', '')} {refusal}"
    for index, one in enumerate((*users, *streams)):
        text = text.replace(str(one), f"<{index}>")
    return text
