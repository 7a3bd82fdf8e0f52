"""Work that is due all at once is spread over rounds of the event loop, and others are heard between them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from taskflow.turns import Turns


async def test_of_work_that_is_due_at_once_each_round_does_only_what_there_is_time_for() -> None:
    """With no time to spare that is one piece a round: whoever else is due is heard after each."""
    turns, start = Turns(asyncio.get_running_loop(), round_s=0), asyncio.Event()
    done: list[int] = []
    in_a_round: list[int] = []

    async def work(number: int) -> None:
        await start.wait()
        await turns.turn()
        done.append(number)

    async def others() -> None:
        seen = 0
        while seen < 50:
            await asyncio.sleep(0)
            in_a_round.append(len(done) - seen)
            seen = len(done)

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(work(number))
        group.create_task(others())
        await asyncio.sleep(0)
        start.set()
    assert done == list(range(50))
    assert max(in_a_round) == 1


async def test_what_there_is_time_for_is_done_in_one_round() -> None:
    turns = Turns(asyncio.get_running_loop(), round_s=3_600)
    for _ in range(1_000):
        with suppress(StopIteration):
            turns.turn().send(None)
            raise AssertionError("it was put off")


async def test_who_gives_up_waiting_holds_up_nobody() -> None:
    turns = Turns(asyncio.get_running_loop(), round_s=0)
    tasks = [asyncio.create_task(turns.turn()) for _ in range(40)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[::2] == [None] * 20
