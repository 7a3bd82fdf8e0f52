"""The append path, on a real PostgreSQL: versions, guards, receipts, groups."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.errors import EpochChanged, QueueFull, StoreError
from taskflow.ids import new_id
from taskflow.store.append import NOBODY, Append, Conflict, NewEvent, Outcome, Receipt
from taskflow.store.committer import Committer
from taskflow.store.eventstore import open_event_store

if TYPE_CHECKING:
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(stream: UUID, version: int, **changes: Any) -> NewEvent:
    return replace(
        NewEvent(
            stream_id=stream,
            kind="task",
            version=version,
            type="TaskRetitled",
            schema_version=1,
            event_id=new_id(),
            occurred_at=NOW,
            actor=None,
            correlation_id=None,
            causation_id=None,
            data=b'{"title":"T"}',
        ),
        **changes,
    )


def append(
    *writes: tuple[UUID, int],
    guards: tuple[tuple[UUID, int], ...] = (),
    depends_on: tuple[Append, ...] = (),
    command_id: UUID | None = None,
    fingerprint: bytes = b"same",
) -> Append:
    """An append of one event to each (stream, version as read), with guards on other streams."""
    return Append(
        caller=NOBODY,
        command_id=command_id or new_id(),
        fingerprint=fingerprint,
        outcome=Outcome.APPLIED if writes else Outcome.UNCHANGED,
        result_stream=(writes or guards)[0][0],
        result_kind="task",
        checks=tuple((stream, "task", version) for stream, version in (*writes, *guards)),
        events=tuple(event(stream, version + 1) for stream, version in writes),
        depends_on=depends_on,
    )


async def commit(store: EventStore, *appends: Append) -> list[Receipt | Conflict]:
    """Submits all at once, so that they share a group."""
    return list(await asyncio.gather(*[store.committer.submit(one) for one in appends]))


async def test_versions_and_positions_have_no_holes(store: EventStore) -> None:
    stream, other = new_id(), new_id()
    receipts = await commit(store, append((stream, 0)), append((stream, 1), (other, 0)), append((stream, 2)))
    assert [(r.version, r.position, r.events) for r in receipts if isinstance(r, Receipt)] == [
        (1, 1, 1),
        (2, 3, 2),
        (3, 4, 1),
    ]
    recorded = await store.log.read(0, limit=10)
    assert [e.position for e in recorded] == [1, 2, 3, 4]
    assert [e.stream_version for e in await store.log.stream(stream)] == [1, 2, 3]


async def test_of_two_appends_at_one_version_exactly_one_wins(store: EventStore, other_store: EventStore) -> None:
    stream = new_id()
    for version in range(20):
        outcomes = [
            *await asyncio.gather(
                commit(store, append((stream, version))), commit(other_store, append((stream, version)))
            )
        ]
        assert sorted(type(outcome[0]).__name__ for outcome in outcomes) == ["Conflict", "Receipt"]
    assert [e.stream_version for e in await store.log.stream(stream)] == list(range(1, 21))


async def test_a_loser_costs_its_group_nothing(store: EventStore) -> None:
    stream, other = new_id(), new_id()
    first, late, fine = await commit(store, append((stream, 0)), append((stream, 0)), append((other, 0)))
    assert isinstance(first, Receipt)
    assert late == Conflict(stream, 1)
    assert isinstance(fine, Receipt)
    assert fine.position == 2


async def test_what_stands_on_a_loser_falls_even_where_the_version_fits(store: EventStore) -> None:
    stream = new_id()
    await commit(store, append((stream, 0)))
    winner, loser = append((stream, 1)), append((stream, 1))
    # The version that follows the loser's exists by then, with the winner's event: versions alone would fit.
    follower = append((stream, 2), depends_on=(loser,))
    outcomes = await commit(store, winner, loser, follower)
    assert isinstance(outcomes[0], Receipt)
    assert outcomes[1:] == [Conflict(stream, 2), Conflict(None, 0)]
    later = append((stream, 2), depends_on=(loser,))
    assert await commit(store, later) == [Conflict(None, 0)]


async def test_a_guard_that_moved_in_the_same_group_is_a_miss(store: EventStore) -> None:
    project, task = new_id(), new_id()
    await commit(store, append((project, 0)))
    removal = append((project, 1))
    last_word = append((task, 0), guards=((project, 1),))
    outcomes = await commit(store, removal, last_word)
    assert outcomes[1] == Conflict(project, 2)
    assert await store.log.stream(task) == []


async def test_two_commands_that_would_close_a_cycle_do_not_both_win(store: EventStore) -> None:
    a, b = new_id(), new_id()
    await commit(store, append((a, 0)), append((b, 0)))
    outcomes = await commit(store, append((a, 1), guards=((b, 1),)), append((b, 1), guards=((a, 1),)))
    assert [type(outcome) for outcome in outcomes] == [Receipt, Conflict]


async def test_a_repeated_command_answers_from_its_receipt_whatever_moved_since(store: EventStore) -> None:
    stream = new_id()
    command_id = new_id()
    (first,) = await commit(store, append((stream, 0), command_id=command_id))
    await commit(store, append((stream, 1)))
    (again,) = await commit(store, append((stream, 0), command_id=command_id))
    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert (again.version, again.position, again.replayed, again.own) == (1, first.position, True, False)
    assert (await store.log.head()).position == 2


async def test_a_repeat_in_the_same_group_waits_for_the_first(store: EventStore) -> None:
    stream, command_id = new_id(), new_id()
    first, again = await commit(
        store, append((stream, 0), command_id=command_id), append((stream, 0), command_id=command_id)
    )
    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert (first.replayed, again.replayed) == (False, True)


async def test_no_change_is_a_receipt_with_the_stream_as_it_was(store: EventStore) -> None:
    stream, other = new_id(), new_id()
    await commit(store, append((stream, 0)), append((other, 0)))
    (unchanged,) = await commit(store, append(guards=((stream, 1),)))
    assert isinstance(unchanged, Receipt)
    assert (unchanged.outcome, unchanged.version, unchanged.position) == (Outcome.UNCHANGED, 1, 1)
    assert await commit(store, append(guards=((stream, 7),))) == [Conflict(stream, 1)]


async def test_recorded_at_never_decreases_with_position(store: EventStore, settings: Settings) -> None:
    await commit(store, append((new_id(), 0)))
    future = datetime(2099, 1, 1, tzinfo=UTC)
    await store.pool.execute("update log_head set recorded_at = $1", future)
    await commit(store, append((new_id(), 0)))
    recorded = await store.log.read(0, limit=10)
    assert [e.recorded_at for e in recorded] == sorted(e.recorded_at for e in recorded)
    assert recorded[-1].recorded_at == future


async def test_a_command_that_the_server_cannot_take_costs_only_itself(store: EventStore) -> None:
    poison = append((new_id(), 0))
    poison = replace(poison, events=(replace(poison.events[0], correlation_id="nul \x00"),), done=_future())
    fine = append((new_id(), 0))
    results = await asyncio.gather(store.committer.submit(poison), store.committer.submit(fine), return_exceptions=True)
    assert isinstance(results[0], StoreError)
    assert isinstance(results[1], Receipt)


async def test_a_fault_in_one_group_does_not_end_the_committer(store: EventStore) -> None:
    broken: Any = append((new_id(), 0))
    broken = replace(broken, events=(replace(broken.events[0], stream_id=None),), done=_future())
    with pytest.raises(StoreError, match="failed"):
        await store.committer.submit(broken)
    (outcome,) = await commit(store, append((new_id(), 0)))
    assert isinstance(outcome, Receipt)


async def test_what_stands_on_an_append_whose_caller_left_is_decided_again(store: EventStore) -> None:
    """Whoever waits for the future itself and is cancelled cancels it: nobody then knows what became of it."""
    stream = new_id()
    first = append((stream, 0))
    second = append((stream, 1), depends_on=(first,))
    store.committer.submit(first)
    first.done.cancel()
    assert await store.committer.submit(second) == Conflict(None, 0)
    assert [e.stream_version for e in await store.log.stream(stream)] in ([], [1])
    (outcome,) = await commit(store, append((new_id(), 0)))
    assert isinstance(outcome, Receipt)


def _future() -> asyncio.Future[Receipt | Conflict]:
    return asyncio.get_running_loop().create_future()


async def test_a_full_queue_refuses(settings: Settings) -> None:
    async with open_event_store(replace(settings, append_queue_max=2), "test") as small:
        accepted = [small.committer.submit(append((new_id(), 0))) for _ in range(2)]
        with pytest.raises(QueueFull, match="2 commands are waiting"):
            small.committer.submit(append((new_id(), 0)))
        assert all(isinstance(receipt, Receipt) for receipt in await asyncio.gather(*accepted))


def _heavy(size: int) -> Append:
    one = append((new_id(), 0))
    data = b'{"title":"' + b"x" * size + b'"}'
    return replace(one, events=tuple(replace(event, data=data) for event in one.events))


async def test_a_queue_is_full_of_bytes_too(settings: Settings) -> None:
    async with open_event_store(replace(settings, append_queue_bytes_max=250_000), "test") as small:
        accepted = [small.committer.submit(_heavy(100_000)) for _ in range(2)]
        with pytest.raises(QueueFull, match="2 commands are waiting"):
            small.committer.submit(_heavy(100_000))
        light = small.committer.submit(append((new_id(), 0)))
        assert all(isinstance(receipt, Receipt) for receipt in await asyncio.gather(*accepted, light))
        # Alone it may be larger than the queue.
        assert isinstance(await small.committer.submit(_heavy(300_000)), Receipt)


async def test_a_group_is_bounded_in_bytes(settings: Settings) -> None:
    async with open_event_store(replace(settings, append_group_bytes_max=250_000), "test") as small:
        sent = [small.committer.submit(_heavy(size)) for size in (100_000, 100_000, 100_000, 300_000, 1, 1)]
        assert all(isinstance(receipt, Receipt) for receipt in await asyncio.gather(*sent))
        assert small.committer.groups == 4


async def test_nothing_is_appended_to_a_log_of_another_epoch(store: EventStore, settings: Settings) -> None:
    async with Committer(settings, epoch=7) as stray:
        with pytest.raises(EpochChanged, match="the writer expected epoch 7; nothing is appended there"):
            await stray.submit(append((new_id(), 0)))
    await store.pool.execute("update log_meta set timeline = timeline + 1")
    with pytest.raises(EpochChanged):
        await store.committer.submit(append((new_id(), 0)))
    assert (await store.log.head()).position == 0


async def test_the_log_goes_on_across_ranges(settings: Settings) -> None:
    from taskflow.store import partitions

    small = replace(settings, events_range_size=10)
    connection = await asyncpg.connect(small.postgres_url)
    await connection.execute("drop table events_0000000000000000, events_0000000010000000, events_0000000020000000")
    async with open_event_store(small, "test") as store:
        stream = new_id()
        for version in range(55):
            if version % 10 == 0:
                await partitions.attach_ahead(connection, small)
            await commit(store, append((stream, version)))
        assert [e.position for e in await store.log.stream(stream)] == list(range(1, 56))
    await connection.close()


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commands=st.lists(
        st.tuples(
            st.integers(0, 2),  # the stream it writes
            st.integers(-1, 1),  # how far its idea of the version is off
            st.none() | st.tuples(st.integers(0, 2), st.integers(-1, 1)),  # a guard
            st.integers(0, 5),  # its id: some repeat
        ),
        max_size=12,
    )
)
async def test_a_group_is_a_sequence(store: EventStore, commands: list[Any]) -> None:
    """Whatever a group holds, it does what its commands would have done one after another."""
    streams = [new_id() for _ in range(3)]
    ids = [new_id() for _ in range(6)]
    versions, appends = [0, 0, 0], []
    accepted: dict[int, tuple[str, int | None]] = {}
    expected: list[tuple[str, int | None]] = []
    for target, off, guard, id_index in commands:
        checks = [(target, versions[target] + off)]
        if guard is not None and guard[0] != target:
            checks.append((guard[0], versions[guard[0]] + guard[1]))
        checks = [(stream, max(version, 0)) for stream, version in checks]
        appends.append(
            append(
                (streams[checks[0][0]], checks[0][1]),
                guards=tuple((streams[s], v) for s, v in checks[1:]),
                command_id=ids[id_index],
            )
        )
        if id_index in accepted:
            expected.append(accepted[id_index])
        elif all(versions[stream] == version for stream, version in checks):
            versions[target] += 1
            accepted[id_index] = ("Receipt", versions[target])
            expected.append(accepted[id_index])
        else:
            expected.append(("Conflict", None))
    outcomes = await commit(store, *appends)
    found = [("Receipt", o.version) if isinstance(o, Receipt) else ("Conflict", None) for o in outcomes]
    assert found == expected
    for stream, version in zip(streams, versions, strict=True):
        assert [e.stream_version for e in await store.log.stream(stream)] == list(range(1, version + 1))
