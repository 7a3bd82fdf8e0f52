"""What is long leaves the event loop, which answers others meanwhile; and how late the loop was is counted."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from taskflow.api.bodies import JSON, read_json
from taskflow.api.loop_lag import BUCKETS_S, LoopLag
from taskflow.errors import Malformed
from taskflow.off_loop import SMALL_BYTES_MAX, THREADS_MAX, run_off_loop

MIB = 1_048_576
read = partial(read_json, content_type="application/json", accepted=JSON)


async def test_large_work_lets_others_have_their_turn() -> None:
    others = asyncio.Event()

    def work() -> str:
        # It ends only because somebody else ran meanwhile.
        loop.call_soon_threadsafe(others.set)
        assert asyncio.run_coroutine_threadsafe(others.wait(), loop).result(10)
        return threading.current_thread().name

    loop = asyncio.get_running_loop()
    assert await run_off_loop(SMALL_BYTES_MAX + 1, work) != threading.main_thread().name


async def test_however_much_is_large_few_threads_work_on_it() -> None:
    """Each takes turns with the loop, which would be one of many."""
    working = most = 0
    lock = threading.Lock()
    several = threading.Event()

    def work(number: int) -> int:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
            if working == THREADS_MAX:
                several.set()
        assert several.wait(10)
        with lock:
            working -= 1
        return number

    numbers = range(20)
    assert await asyncio.gather(*[run_off_loop(SMALL_BYTES_MAX + 1, work, one) for one in numbers]) == list(numbers)
    assert most == THREADS_MAX


async def test_small_work_is_done_at_once() -> None:
    assert await run_off_loop(SMALL_BYTES_MAX, threading.current_thread) is threading.current_thread()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MIB,
        b'{"a":' * (MIB // 5),
        b'{"a":[' + b"[]," * (MIB // 3 - 4),
        b"\xff" * MIB,
        b'"' + b"\\u0001" * 170_000,
    ],
    ids=["lists", "objects", "cut off", "no text", "not ended"],
)
async def test_hostile_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        await run_off_loop(len(body), read, body)


def test_lateness_is_counted_in_buckets() -> None:
    lag = LoopLag()
    for late_s in (0.0, 0.005, 0.03, 0.2, 60.0):
        lag.count(late_s)
    samples = lag.metric().samples
    counts = {sample.labels["le"]: sample.value for sample in samples if sample.name.endswith("_bucket")}
    assert counts == {
        **{str(bound): sum(late <= bound for late in (0.0, 0.005, 0.03, 0.2)) for bound in BUCKETS_S},
        "+Inf": 5,
    }
    assert {sample.value for sample in samples if sample.name.endswith("_sum")} == {60.235}
