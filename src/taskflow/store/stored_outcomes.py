"""What accepted commands came to, read back by their receipts: the state that each left, and its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from taskflow.errors import StoreError
from taskflow.streams import STREAM_TYPES
from taskflow.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from taskflow.store.append import Receipt
    from taskflow.store.eventstore import EventStore
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import Event, StreamType

EVENTS_MAX: Final = 1_000
"""Read in one round trip, but for a single command that appended more."""


class StoredOutcome(Struct, frozen=True):
    """`state`: of the receipt's stream at the receipt's version. `events` are in the order of `recorded`."""

    state: Any
    recorded: tuple[RecordedEvent, ...]
    events: tuple[Event, ...]

    @property
    def kind(self) -> StreamType[Any]:
        return next(kind for kind in STREAM_TYPES if isinstance(self.state, kind.state))


async def stored_outcomes(store: EventStore, receipts: Sequence[Receipt]) -> list[StoredOutcome]:
    """The outcomes that receipts stand for, in their order: with few round trips however many receipts there are.

    Raises StoreError if a receipt names a version that its stream does not have.
    """
    wanted: dict[UUID, set[int]] = {}
    for receipt in receipts:
        wanted.setdefault(receipt.stream_id, set()).add(receipt.version)
    states = await store.state_cache.at_versions(wanted)
    outcomes: list[StoredOutcome] = []
    for several in _bounded(receipts):
        ranges = [(one.position - one.events + 1, one.position) for one in several if one.events]
        recorded = await store.log.ranges(sorted(set(ranges))) if ranges else []
        await turn()
        decoded = await store.mapper.decode(recorded)
        by_position = {one.position: (one, event) for one, event in zip(recorded, decoded, strict=True)}
        for receipt in several:
            if (receipt.stream_id, receipt.version) not in states:
                raise StoreError(f"a receipt names version {receipt.version} of {receipt.stream_id}; there is none")
            pairs = [by_position[at] for at in range(receipt.position - receipt.events + 1, receipt.position + 1)]
            outcomes.append(
                StoredOutcome(
                    states[receipt.stream_id, receipt.version],
                    tuple(one for one, _ in pairs),
                    tuple(event for _, event in pairs),
                )
            )
    return outcomes


def _bounded(receipts: Sequence[Receipt]) -> Iterator[list[Receipt]]:
    """Receipts in their order, as many at once as have no more than EVENTS_MAX events."""
    several: list[Receipt] = []
    events = 0
    for receipt in receipts:
        if several and events + receipt.events > EVENTS_MAX:
            yield several
            several, events = [], 0
        several.append(receipt)
        events += receipt.events
    if several:
        yield several
