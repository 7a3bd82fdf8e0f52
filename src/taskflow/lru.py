"""Things kept in memory by their keys, the least recently used dropped once all of them weigh too much."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Weights are the caller's, in bytes or in whatever `weight_max` is. What weighs more than that alone is not
    kept, nor is what stood under its key before."""

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.weight = 0

    def get(self, key: K) -> V | None:
        """What is kept under the key, which is thereby used."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        self.drop(key)
        if weight > self._weight_max:
            return
        self._kept[key] = (value, weight)
        self.weight += weight
        while self.weight > self._weight_max:
            self.drop(next(iter(self._kept)))

    def drop(self, key: K) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.weight -= found[1]

    def weight_of(self, key: K) -> int:
        """What is kept under the key weighs so much; 0 where nothing is."""
        found = self._kept.get(key)
        return 0 if found is None else found[1]

    def clear(self) -> None:
        self._kept.clear()
        self.weight = 0

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)
