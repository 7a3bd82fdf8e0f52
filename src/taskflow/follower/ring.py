"""Recent positions by partition: the log's side of the question whether a view is fresh."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Ring:
    """The last `positions_max` positions of each partition, and the last one before them.

    What is older than a partition's ring is unknown, which only means that a reader has to wait for
    the position itself.
    """

    def __init__(self, partitions: int, *, positions_max: int) -> None:
        self.partitions = partitions
        self.head = 0
        self._positions_max = positions_max
        self._recent: list[list[int]] = [[] for _ in range(partitions)]
        self._before: list[int] = [0] * partitions
        self._floor: list[int] = [0] * partitions

    def start(self, head: int, last_of_shard: Mapping[int, int]) -> None:
        """Begins at `head`, knowing the last position of every shard at or before it."""
        self.head = head
        self._floor = [head] * self.partitions
        for shard, position in last_of_shard.items():
            partition = shard % self.partitions
            self._before[partition] = max(self._before[partition], position)

    def add(self, position: int, shard: int) -> None:
        """The next event of the log."""
        partition = shard % self.partitions
        recent = self._recent[partition]
        recent.append(position)
        if len(recent) > 2 * self._positions_max:
            dropped = len(recent) - self._positions_max
            self._before[partition] = self._floor[partition] = recent[dropped - 1]
            del recent[:dropped]
        self.head = position

    def last_event_of(self, partition: int, *, at_or_before: int) -> int | None:
        """The partition's last position at or before one; 0 if it has none, None if that is unknown."""
        if at_or_before < self._floor[partition]:
            return None
        recent = self._recent[partition]
        index = bisect_right(recent, at_or_before)
        return recent[index - 1] if index else self._before[partition]

    def fresh_to(self, partition: int, checkpoint: int) -> int:
        """The position that a view with this checkpoint is as fresh as: up to just before the next event."""
        if checkpoint < self._before[partition]:
            return checkpoint
        recent = self._recent[partition]
        index = bisect_right(recent, checkpoint)
        return recent[index] - 1 if index < len(recent) else max(self.head, checkpoint)
