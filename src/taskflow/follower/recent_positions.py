"""Recent positions by kind of stream and partition: the log's side of the question whether a view is fresh."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Recent(Struct):
    """The last positions of one kind on one partition; none other after `floor`, and the last before it is at
    or before `before`."""

    floor: int
    before: int
    positions: list[int] = field(default_factory=list)


class RecentPositions:
    """The last `positions_max` positions of each kind on each partition, and the last one before them.

    What is older is unknown, which only means that a reader has to wait for the position itself. A view
    folds one kind: events of the others never keep it from being fresh.
    """

    def __init__(self, partitions: int, *, positions_max: int) -> None:
        self.partitions = partitions
        self.head = 0
        self._positions_max = positions_max
        self._began_at = 0
        self._before: list[int] = [0] * partitions
        """Of any kind, before the ring began."""
        self._recent: dict[tuple[str, int], _Recent] = {}

    def start(self, head: int, last_of_shard: Mapping[int, int]) -> None:
        """Begins at `head`, knowing the last position of every shard at or before it."""
        self.head = self._began_at = head
        for shard, position in last_of_shard.items():
            partition = shard % self.partitions
            self._before[partition] = max(self._before[partition], position)

    def add(self, position: int, shard: int, kind: str) -> None:
        """The next event of the log, and the kind of its stream."""
        partition = shard % self.partitions
        recent = self._recent.get((kind, partition))
        if recent is None:
            recent = self._recent[kind, partition] = _Recent(self._began_at, self._before[partition])
        recent.positions.append(position)
        if len(recent.positions) > 2 * self._positions_max:
            dropped = len(recent.positions) - self._positions_max
            recent.before = recent.floor = recent.positions[dropped - 1]
            del recent.positions[:dropped]
        self.head = position

    def last_event_of(self, kind: str, partition: int, *, at_or_before: int) -> int | None:
        """A position that no event of the kind follows up to `at_or_before`, on that partition: the last
        event's, or a later one; 0 if there is none, None if that is unknown."""
        recent = self._recent.get((kind, partition))
        if at_or_before < (self._began_at if recent is None else recent.floor):
            return None
        if recent is None:
            return self._before[partition]
        index = bisect_right(recent.positions, at_or_before)
        return recent.positions[index - 1] if index else recent.before

    def fresh_to(self, kind: str, partition: int, checkpoint: int) -> int:
        """The position that a view of the kind with this checkpoint is as fresh as: up to just before the
        next event."""
        recent = self._recent.get((kind, partition))
        if checkpoint < (self._before[partition] if recent is None else recent.before):
            return checkpoint
        positions = [] if recent is None else recent.positions
        index = bisect_right(positions, checkpoint)
        return positions[index] - 1 if index < len(positions) else max(self.head, checkpoint)
