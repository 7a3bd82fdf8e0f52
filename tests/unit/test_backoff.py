"""Pauses double up to their bound, and begin again after a reset."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from taskflow.backoff import Backoff


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    yield pauses


def test_pauses_double_up_to_their_bound_and_begin_again_after_a_reset(slept: list[float]) -> None:
    backoff = Backoff(0.5, 3.0)

    async def wait(times: int) -> None:
        for _ in range(times):
            await backoff.wait()

    asyncio.run(wait(5))
    assert slept == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff.next_s == 3.0
    backoff.reset()
    asyncio.run(wait(2))
    assert slept[5:] == [0.5, 1.0]
