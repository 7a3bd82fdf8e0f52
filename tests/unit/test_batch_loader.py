"""Looking up together: one question for whoever waits, and never an answer from before somebody came."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from taskflow.readmodels.batch_loader import CONCURRENT_QUERIES_MAX, KEYS_MAX, BatchLoader


class Source:
    """Answers when it is told to, with what is true when it is asked."""

    def __init__(self) -> None:
        self.values: dict[int, str] = {}
        self.asked: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def look(self, keys: Sequence[int]) -> Mapping[int, str]:
        self.asked.append(sorted(keys))
        found = {key: self.values[key] for key in keys if key in self.values}
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return found


async def begun(together: BatchLoader[int, str], *keys: int) -> list[asyncio.Task[str | None]]:
    tasks = []
    for key in keys:
        tasks.append(asyncio.create_task(together.get(key)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return tasks


async def test_who_comes_while_questions_are_out_is_asked_for_together() -> None:
    source = Source()
    source.values = {key: str(key) for key in range(10)}
    together = BatchLoader(source.look)
    tasks = await begun(together, *range(10), 5, 77)
    assert source.asked == [[key] for key in range(CONCURRENT_QUERIES_MAX)], "the first go out at once"
    source.go_on.set()
    assert await asyncio.gather(*tasks) == [*[str(key) for key in range(10)], "5", None]
    assert source.asked[CONCURRENT_QUERIES_MAX:] == [[*range(CONCURRENT_QUERIES_MAX, 10), 77]]


async def test_nobody_is_answered_from_a_question_that_was_asked_before() -> None:
    source = Source()
    source.values = {1: "old"}
    together = BatchLoader(source.look)
    [early] = await begun(together, 1)
    source.values = {1: "new"}
    [late] = await begun(together, 1)
    source.go_on.set()
    assert (await early, await late) == ("old", "new")


async def test_a_question_is_bounded() -> None:
    source = Source()
    together = BatchLoader(source.look)
    tasks = await begun(together, *range(CONCURRENT_QUERIES_MAX + KEYS_MAX + 1))
    source.go_on.set()
    await asyncio.gather(*tasks)
    assert [len(keys) for keys in source.asked] == [*[1] * CONCURRENT_QUERIES_MAX, KEYS_MAX, 1]


async def test_a_failure_is_everybodys_and_not_the_next_ones() -> None:
    source = Source()
    source.values = {7: "7"}
    together = BatchLoader(source.look)
    source.error = LookupError("away")
    source.go_on.set()
    tasks = await begun(together, 1, 2, 3)
    for task in tasks:
        with pytest.raises(LookupError):
            await task
    source.error = None
    assert await together.get(7) == "7"


async def test_a_caller_that_goes_takes_nobody_along() -> None:
    source = Source()
    source.values = {1: "1"}
    together = BatchLoader(source.look)
    first, second = await begun(together, 1), await begun(together, 1)
    third = await begun(together, 1)
    second[0].cancel()
    source.go_on.set()
    assert [await first[0], await third[0]] == ["1", "1"]
    with pytest.raises(asyncio.CancelledError):
        await second[0]
