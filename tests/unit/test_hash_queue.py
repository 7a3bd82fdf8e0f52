"""The queue before the threads that hash: bounded, and fair to whoever waits in it."""

from __future__ import annotations

import asyncio

import pytest

from taskflow.errors import QueueFull, TaskflowError, TooManyAtOnce
from taskflow.privacy.hash_queue import HashQueue


class World:
    """Turns that end when they are told to, in the order in which they began."""

    def __init__(self, queue: HashQueue) -> None:
        self.queue = queue
        self.began: list[str] = []
        self.running: list[asyncio.Event] = []

    def ask(self, lane: str) -> asyncio.Task[None]:
        async def turn() -> None:
            async with self.queue.turn(lane):
                self.began.append(lane)
                end = asyncio.Event()
                self.running.append(end)
                await end.wait()

        return asyncio.create_task(turn())

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def end_all(self) -> None:
        while self.running:
            self.running.pop(0).set()
            await self.settle()


def world(*, waiting_max: int = 100, wait_max_s: float = 1_000) -> World:
    return World(HashQueue(parallel_max=2, waiting_max=waiting_max, wait_max_s=wait_max_s))


async def test_no_more_run_than_may_and_all_have_their_turn() -> None:
    one = world()
    tasks = [one.ask("a") for _ in range(7)]
    await one.settle()
    assert (len(one.running), one.queue.waiting) == (2, 5)
    await one.end_all()
    await asyncio.gather(*tasks)
    assert (len(one.began), one.queue.waiting, one.queue._running) == (7, 0, 0)


async def test_eighty_of_one_network_do_not_come_before_the_one_of_another() -> None:
    one = world()
    tasks = [one.ask("flood") for _ in range(80)]
    await one.settle()
    tasks.append(one.ask("ada"))
    await one.settle()
    for _ in range(2):
        one.running.pop(0).set()
        await one.settle()
    assert "ada" in one.began
    assert len(one.began) == 4
    await one.end_all()
    await asyncio.gather(*tasks)


async def test_a_full_queue_gives_up_the_youngest_of_the_longest_lane() -> None:
    one = world(waiting_max=5)
    tasks = [one.ask("flood") for _ in range(7)]
    await one.settle()
    refused = one.ask("flood")
    with pytest.raises(TooManyAtOnce):
        await refused
    ada = one.ask("ada")
    await one.settle()
    with pytest.raises(TooManyAtOnce):
        await tasks[-1]
    await one.end_all()
    await asyncio.gather(ada, *tasks[:-1])
    assert one.began.count("ada") == 1
    assert one.queue.refused_count == 2


async def test_a_queue_that_is_full_of_everybody_refuses_whoever_comes() -> None:
    one = world(waiting_max=3)
    tasks = [one.ask(lane) for lane in "abcde"]
    await one.settle()
    with pytest.raises(QueueFull):
        await one.ask("f")
    await one.end_all()
    await asyncio.gather(*tasks)


async def test_nobody_waits_longer_than_the_bound() -> None:
    one = world(wait_max_s=0.01)
    running = [one.ask("a"), one.ask("a")]
    with pytest.raises(QueueFull):
        await one.ask("b")
    assert one.queue.waiting == 0
    await one.end_all()
    await asyncio.gather(*running)


async def test_whoever_leaves_takes_nobodys_turn_along() -> None:
    one = world()
    first = [one.ask("a"), one.ask("a")]
    await one.settle()
    waits, next_one = one.ask("b"), one.ask("c")
    await one.settle()
    waits.cancel()
    await one.settle()
    # Told that it is its turn, and leaves before it takes it.
    leaves = one.ask("a")
    await one.settle()
    one.running.pop(0).set()
    one.running.pop(0).set()
    leaves.cancel()
    await one.settle()
    await one.end_all()
    await asyncio.gather(*first, next_one)
    assert (one.queue._running, one.queue.waiting) == (0, 0)
    again = one.ask("d")
    await one.settle()
    assert one.began[-1] == "d"
    await one.end_all()
    await again


async def test_a_failure_in_a_turn_ends_it() -> None:
    queue = world().queue
    for _ in range(5):
        with pytest.raises(TaskflowError):
            async with queue.turn("a"):
                raise TaskflowError
    assert queue._running == 0
