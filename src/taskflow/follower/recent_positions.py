"""Recent positions of the log by stream type and partition, from which the freshness of a view is computed."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Recent(Struct):
    """The latest positions of one stream type on one partition.

    `positions` holds every position after `floor`. The last position at or before `floor` is at most `before`.
    """

    floor: int
    before: int
    positions: list[int] = field(default_factory=list)


class RecentPositions:
    """The last `positions_max` positions of each stream type on each partition, and the position before them.

    Older positions are unknown; a reader that asks for one waits until the view reaches exactly that position. A view
    folds one stream type, so events of other types never make the view stale.
    """

    def __init__(self, partitions: int, *, positions_max: int) -> None:
        self.partitions = partitions
        self.head = 0
        self._positions_max = positions_max
        self._began_at = 0
        self._before: list[int] = [0] * partitions
        """By partition: the last position of any stream type at or before `_began_at`."""
        self._recent: dict[tuple[str, int], _Recent] = {}

    def start(self, head: int, last_of_shard: Mapping[int, int]) -> None:
        """Starts at `head`, given the last position of every shard at or before `head`."""
        self.head = self._began_at = head
        for shard, position in last_of_shard.items():
            partition = shard % self.partitions
            self._before[partition] = max(self._before[partition], position)

    def add(self, position: int, shard: int, kind: str) -> None:
        """Adds the next event of the log; `kind` is the name of its stream type."""
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
        """Returns a position after which the partition has no event of the stream type up to `at_or_before`: the last
        event's position, or a later one. 0 if there is no event, None if it is unknown."""
        recent = self._recent.get((kind, partition))
        if at_or_before < (self._began_at if recent is None else recent.floor):
            return None
        if recent is None:
            return self._before[partition]
        index = bisect_right(recent.positions, at_or_before)
        return recent.positions[index - 1] if index else recent.before

    def fresh_up_to(self, kind: str, partition: int, checkpoint: int) -> int:
        """Returns the position up to which a view of the stream type with this checkpoint is fresh: just before the
        next event of the type, or the head."""
        recent = self._recent.get((kind, partition))
        if checkpoint < (self._before[partition] if recent is None else recent.before):
            return checkpoint
        positions = [] if recent is None else recent.positions
        index = bisect_right(positions, checkpoint)
        return positions[index] - 1 if index < len(positions) else max(self.head, checkpoint)
