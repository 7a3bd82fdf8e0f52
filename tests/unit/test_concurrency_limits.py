"""Slots: a bound for each caller, one for the process, and every way out of a block gives its slot back."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from taskflow.api.concurrency_limits import Slots, Work
from taskflow.errors import TooManyAtOnce, Unavailable
from taskflow.settings import Settings


@pytest.fixture
def slots() -> Slots:
    return Slots(
        Settings(
            waits_per_caller_max=2,
            exports_per_caller_max=2,
            exports_max=3,
            sse_connections_per_user_max=2,
            sse_connections_max=3,
            batches_per_caller_max=2,
            syncs_per_caller_max=2,
            historical_boards_per_caller_max=2,
            calendars_per_caller_max=2,
            calendars_max=3,
            rate_limits="off",
        )
    )


@pytest.mark.parametrize("work", Work)
def test_one_more_than_a_caller_may_have_is_refused_and_others_are_not(slots: Slots, work: Work) -> None:
    with slots.hold("ada", work), slots.hold("ada", work):
        with pytest.raises(TooManyAtOnce, match=work.value), slots.hold("ada", work):
            pass
        with slots.hold("bob", work):
            assert slots.running(work) == 3
    assert slots.running(work) == 0
    assert slots.refused[work] == 1


@pytest.mark.parametrize("work", Work)
def test_kinds_do_not_share_their_slots(slots: Slots, work: Work) -> None:
    with slots.hold("ada", work), slots.hold("ada", work), ExitStack() as others:
        for other in set(Work) - {work}:
            others.enter_context(slots.hold("ada", other))


@pytest.mark.parametrize("work", [Work.EXPORT, Work.STREAM, Work.CALENDAR])
def test_one_more_than_the_process_may_have_is_refused_whoever_asks(slots: Slots, work: Work) -> None:
    with ExitStack() as held:
        for caller in ("ada", "bob", "eve"):
            held.enter_context(slots.hold(caller, work))
        with pytest.raises(Unavailable), slots.hold("ida", work):
            pass
    with slots.hold("ida", work):
        pass


@pytest.mark.parametrize("work", Work)
def test_a_slot_comes_back_however_its_block_ends(slots: Slots, work: Work) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), slots.hold("ada", work):
            raise ZeroDivisionError
    assert slots.running(work) == 0
    assert not slots._running[work], "a caller with nothing running weighs nothing"
