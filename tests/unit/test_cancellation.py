"""What many may wait for is not cancelled with one of them."""

from __future__ import annotations

import asyncio

import pytest

from taskflow.cancellation import result_of


async def test_a_result_is_returned_now_or_later() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(result_of(future))
    await asyncio.sleep(0)
    assert not waiting.done()
    future.set_result(3)
    assert await waiting == 3
    assert await result_of(future) == 3


async def test_an_exception_is_raised_to_each_who_waits() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = [asyncio.create_task(result_of(future)) for _ in range(2)]
    await asyncio.sleep(0)
    future.set_exception(ValueError("no"))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]


async def test_a_future_goes_on_when_one_who_waits_is_cancelled() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    first, second = [asyncio.create_task(result_of(future)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not future.done()
    future.set_result(3)
    assert await second == 3
