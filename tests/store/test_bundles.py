"""Bundles: commands that are stored together or not at all, whoever writes meanwhile and whatever breaks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.errors import QueueFull, StoreError, Unavailable
from taskflow.ids import new_id
from taskflow.store.append import Append, Conflict, Receipt
from taskflow.store.eventstore import open_event_store

from .test_append import append, commit
from .test_lost_answers import Wire, behind, wire  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore


def bundle(*members: Append) -> Append:
    """One that is made of single appends: the head carries their checks, but for streams that members before
    have written."""
    checks: dict[UUID, tuple[UUID, str, int]] = {}
    for member in members:
        for check in member.checks:
            checks.setdefault(check[0], check)
    others = tuple(replace(member, checks=(), depends_on=(), done=future()) for member in members[1:])
    depends_on = tuple(one for member in members for one in member.depends_on)
    return replace(members[0], checks=tuple(checks.values()), depends_on=depends_on, others=others, done=future())


def future() -> asyncio.Future[Receipt | Conflict]:
    return asyncio.get_running_loop().create_future()


async def outcomes(store: EventStore, *heads: Append) -> list[list[Receipt | Conflict]]:
    """Of each bundle's commands; all are submitted at once, so that they share a group where they may."""
    for head in heads:
        store.committer.submit(head)
    return [list(await asyncio.gather(*[one.done for one in head.bundle])) for head in heads]


async def versions(store: EventStore, *streams: UUID) -> list[int]:
    return [len(await store.log.stream(stream)) for stream in streams]


def stored(found: list[Receipt | Conflict]) -> bool:
    """Whether all of a bundle is; fails where a part of it is."""
    own = {isinstance(one, Receipt) and one.own for one in found}
    assert len(own) == 1, found
    return own.pop()


async def test_each_command_of_a_bundle_has_its_own_receipt(store: EventStore) -> None:
    a, b = new_id(), new_id()
    head = bundle(append((a, 0)), append((b, 0), (a, 1)), append(guards=((a, 2),)), append((a, 2)))
    [found] = await outcomes(store, head)
    assert [(one.version, one.position, one.events) for one in found if isinstance(one, Receipt)] == [
        (1, 1, 1),
        (1, 3, 2),
        (2, 3, 0),
        (3, 4, 1),
    ]
    assert [(one.stream_version, one.command_id) for one in await store.log.stream(a)] == [
        (1, head.command_id),
        (2, head.others[0].command_id),
        (3, head.others[2].command_id),
    ]
    for member, receipt in zip(head.bundle, found, strict=True):
        [again] = await commit(store, replace(member, others=(), done=future()))
        assert isinstance(receipt, Receipt)
        assert again == replace(receipt, replayed=True, own=False)


async def test_a_check_that_misses_loses_all_of_a_bundle_and_nothing_else(store: EventStore) -> None:
    a, b, c, guarded = [new_id() for _ in range(4)]
    await commit(store, append((guarded, 0)))
    before, lost, after = await outcomes(
        store,
        append((guarded, 1)),
        bundle(append((a, 0)), append((b, 0), guards=((guarded, 1),)), append((a, 1))),
        append((c, 0)),
    )
    assert stored(before)
    assert stored(after)
    assert lost == [Conflict(guarded, 2), Conflict(None, 0), Conflict(None, 0)]
    assert await versions(store, a, b, c, guarded) == [0, 0, 1, 2]
    assert await store.pool.fetchval("select count(*) from receipts") == 3


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_one_command_that_was_accepted_before_loses_the_bundle(store: EventStore, which: int) -> None:
    streams = [new_id() for _ in range(3)]
    members = [append((stream, 0)) for stream in streams]
    [earlier] = await commit(store, append((new_id(), 0), command_id=members[which].command_id))
    assert isinstance(earlier, Receipt)
    [found] = await outcomes(store, bundle(*members))
    assert found[which] == replace(earlier, replayed=True, own=False)
    assert [one for index, one in enumerate(found) if index != which] == [Conflict(None, 0)] * 2
    assert await versions(store, *streams) == [0, 0, 0]
    ids = [member.command_id for member in members]
    assert set(await store.receipts([(members[0].caller, one) for one in ids])) == {ids[which]}


async def test_a_bundle_in_the_middle_of_a_group_is_a_part_of_its_sequence(store: EventStore) -> None:
    a, b = new_id(), new_id()
    middle = bundle(append((a, 1)), append((b, 0)), append((a, 2)))
    first = append((a, 0))
    groups = store.committer.groups
    found = await outcomes(
        store,
        first,
        replace(middle, depends_on=(first,)),
        append((a, 3), depends_on=(first,)),
        append((b, 0)),
        append((b, 1)),
    )
    assert store.committer.groups == groups + 1
    assert [stored(one) for one in found] == [True, True, True, False, True]
    assert [one.position for one in await store.log.stream(a)] == [1, 2, 4, 5]
    assert [one.position for one in await store.log.stream(b)] == [3, 6]


async def test_what_stands_on_a_bundle_falls_with_it_and_a_bundle_with_what_it_stands_on(store: EventStore) -> None:
    a, b, c = new_id(), new_id(), new_id()
    await commit(store, append((a, 0)))
    loser = bundle(append((b, 0)), append((a, 0)))
    follower = bundle(append((b, 1), depends_on=(loser,)), append((c, 0)))
    found = await outcomes(store, loser, follower)
    assert [stored(one) for one in found] == [False, False]
    late = bundle(append((b, 1), depends_on=(loser,)), append((c, 0)))
    assert await outcomes(store, late) == [[Conflict(None, 0), Conflict(None, 0)]]
    assert await versions(store, a, b, c) == [1, 0, 0]


async def test_a_bundle_is_not_split_by_the_bounds_of_a_group(settings: Settings) -> None:
    small = replace(settings, append_group_max=4, append_group_events_max=5)
    async with open_event_store(small, "test") as store:
        streams = [new_id() for _ in range(9)]
        three = bundle(*[append((stream, 0)) for stream in streams[:3]])
        larger = bundle(*[append((stream, 0)) for stream in streams[3:]])
        groups: list[list[Append]] = []
        commit_group = store.committer._commit

        async def noted(group: list[Append]) -> None:
            groups.append(group)
            await commit_group(group)

        store.committer._commit = noted  # type: ignore[method-assign]  # looks on
        singles = [append((new_id(), 0)) for _ in range(4)]
        found = await outcomes(store, singles[0], singles[1], three, larger, singles[2], singles[3])
        assert all(stored(one) for one in found)
        assert groups == [[singles[0], singles[1]], [three], [larger], [singles[2], singles[3]]]


async def test_a_command_id_of_a_bundle_that_is_already_in_the_group_waits_for_the_next(store: EventStore) -> None:
    a, b, c = new_id(), new_id(), new_id()
    single = append((a, 0))
    both = bundle(append((b, 0)), append((c, 0), command_id=single.command_id))
    again = replace(append((c, 0)), command_id=both.command_id)
    found = await outcomes(store, single, both, again)
    assert [type(one) for one in found[1]] == [Conflict, Receipt]
    assert [stored(one) for one in (found[0], found[2])] == [True, True]
    assert await versions(store, a, b, c) == [1, 0, 1]


async def test_what_the_server_cannot_take_loses_its_own_bundle(store: EventStore) -> None:
    a, b = new_id(), new_id()
    good, bad = append((a, 0)), append((b, 0))
    bad = replace(bad, events=(replace(bad.events[0], correlation_id="nul \x00"),))
    poisoned = bundle(good, bad)
    fine = bundle(append((new_id(), 0)), append((new_id(), 0)))
    store.committer.submit(poisoned)
    store.committer.submit(fine)
    answers = await asyncio.gather(*[one.done for one in (*poisoned.bundle, *fine.bundle)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreError, StoreError, Receipt, Receipt]
    assert await versions(store, a, b) == [0, 0]


async def test_a_full_queue_takes_no_part_of_a_bundle(settings: Settings) -> None:
    async with open_event_store(replace(settings, append_queue_max=3), "test") as store:
        first = append((new_id(), 0))
        store.committer.submit(first)
        streams = [new_id() for _ in range(3)]
        with pytest.raises(QueueFull, match="1 commands are waiting"):
            store.committer.submit(bundle(*[append((stream, 0)) for stream in streams]))
        pair = bundle(*[append((stream, 0)) for stream in streams[:2]])
        [found] = await outcomes(store, pair)
        assert stored(found)
        assert store.committer.queued == 0
        # Alone it may be larger than the queue.
        [found] = await outcomes(store, bundle(*[append((new_id(), 0)) for _ in range(5)]))
        assert stored(found)


async def test_all_or_nothing_among_concurrent_writers(store: EventStore, other_store: EventStore) -> None:
    """Two processes send bundles over the same streams, and single appends between; whoever loses reads again."""
    streams = [new_id() for _ in range(3)]
    sent: list[Append] = []

    async def write(one: EventStore, size: int, rounds: int) -> None:
        for n in range(rounds):
            while True:
                at = {stream: await _version(one, stream) for stream in streams}
                members = []
                for index in range(size):
                    stream = streams[(n + index) % 3]
                    members.append(append((stream, at[stream])))
                    at[stream] += 1
                head = bundle(*members)
                sent.append(head)
                [found] = await outcomes(one, head)
                if stored(found):
                    break

    await asyncio.gather(
        *[write(one, size, 8) for one in (store, other_store) for size in (4, 3, 1)],
    )
    kept = {row[0] for row in await store.pool.fetch("select command_id from receipts")}
    for head in sent:
        ids = {member.command_id for member in head.bundle}
        assert ids <= kept or not ids & kept
    assert sum(await versions(store, *streams)) == 2 * 8 * (4 + 3 + 1)
    for stream in streams:
        recorded = await store.log.stream(stream)
        assert [one.stream_version for one in recorded] == list(range(1, len(recorded) + 1))


async def _version(store: EventStore, stream: UUID) -> int:
    return await store.pool.fetchval("select version from streams where stream_id = $1", stream) or 0


async def test_a_bundle_whose_answer_was_lost_is_sent_again_as_it_was(
    store: EventStore,
    settings: Settings,
    wire: Wire,  # noqa: F811 - the fixture
) -> None:
    async with open_event_store(await behind(wire, settings), "test") as far:
        await commit(far, append((new_id(), 0)))
        for cut in range(1, 4):
            a, b = new_id(), new_id()
            wire.cut_answers = cut
            [found] = await outcomes(far, bundle(append((a, 0)), append((b, 0)), append((a, 1))))
            assert wire.cut_answers == 0, "the answer was not cut: the test tests nothing"
            assert [(one.version, one.replayed, one.own) for one in found if isinstance(one, Receipt)] == [
                (1, False, False),
                (1, False, False),
                (2, False, False),
            ]
            assert await versions(store, a, b) == [2, 1]


async def test_a_connection_that_ends_in_the_middle_of_a_bundle_leaves_nothing_of_it(
    store: EventStore, settings: Settings
) -> None:
    """The server ends the writer's session while the bundle waits for the lock; it is sent again, whole."""
    holder = await asyncpg.connect(settings.postgres_url)
    for _ in range(5):
        a, b = new_id(), new_id()
        await holder.execute("select pg_advisory_lock(7466)")
        head = bundle(append((a, 0)), append((b, 0)))
        store.committer.submit(head)
        ended = False
        while not ended:
            ended = await holder.fetchval(
                "select coalesce(bool_or(pg_terminate_backend(pid)), false) from pg_locks"
                " where locktype = 'advisory' and not granted and database ="
                " (select oid from pg_database where datname = current_database())"
            )
        assert await versions(store, a, b) == [0, 0]
        await holder.execute("select pg_advisory_unlock_all()")
        found = await asyncio.gather(*[one.done for one in head.bundle])
        assert stored(list(found))
        assert await versions(store, a, b) == [1, 1]
    await holder.close()


async def test_a_bundle_that_cannot_be_stored_in_time_is_unavailable_as_a_whole(
    store: EventStore,
    settings: Settings,
    wire: Wire,  # noqa: F811 - the fixture
) -> None:
    short = replace(await behind(wire, settings), append_deadline_ms=300)
    async with open_event_store(short, "test") as far:
        await commit(far, append((new_id(), 0)))
        wire.refuse = True
        wire.cut_answers = 1
        a, b = new_id(), new_id()
        head = bundle(append((a, 0)), append((b, 0)))
        far.committer.submit(head)
        answers = await asyncio.gather(*[one.done for one in head.bundle], return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
        # It was committed, and nobody knew: the repeat says so.
        assert await versions(store, a, b) == [1, 1]
        wire.refuse = False
        [found] = await outcomes(far, replace(head, done=future(), others=_again(head.others)))
        assert all(isinstance(one, Receipt) and one.replayed for one in found)


def _again(others: tuple[Append, ...]) -> tuple[Append, ...]:
    return tuple(replace(one, done=future()) for one in others)


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    heads=st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 2),  # the stream it writes
                st.sampled_from([0, 0, 0, -1, 1]),  # how far its idea of the version is off
                st.integers(0, 8),  # its id: some repeat
            ),
            min_size=1,
            max_size=4,
            unique_by=lambda command: command[2],
        ),
        max_size=6,
    )
)
async def test_a_group_of_bundles_is_a_sequence(store: EventStore, heads: list[list[Any]]) -> None:
    """Whatever a group holds, each bundle does what its commands would have done one after another, or nothing."""
    streams = [new_id() for _ in range(3)]
    ids = [new_id() for _ in range(9)]
    at = [0, 0, 0]
    accepted: dict[int, int] = {}
    sent, expected = [], []
    for commands in heads:
        read: dict[int, int] = {}
        members = []
        for target, off, id_index in commands:
            # What the bundle itself has written it does not read wrongly.
            read[target] = read[target] + 1 if target in read else max(at[target] + off, 0)
            members.append(append((streams[target], read[target]), command_id=ids[id_index]))
        sent.append(bundle(*members))
        fits = all(
            check == at[streams.index(stream)] for stream, _, check in sent[-1].checks
        ) and accepted.keys().isdisjoint(id_index for _, _, id_index in commands)
        expected.append(fits)
        if fits:
            for target, _, id_index in commands:
                at[target] += 1
                accepted[id_index] = at[target]
    found = await outcomes(store, *sent)
    assert [stored(one) for one in found] == expected
    for commands, one in zip(heads, found, strict=True):
        for (_, _, id_index), outcome in zip(commands, one, strict=True):
            if isinstance(outcome, Receipt):
                assert outcome.version == accepted[id_index]
    assert await versions(store, *streams) == at
