"""An LRU cache bounded by the total weight of its entries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Cache that drops the least recently used entries while the total weight exceeds `weight_max`.

    Callers give the weights, in bytes or in another unit. A value heavier than `weight_max` is not kept, and the
    previous value of its key is dropped.
    """

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.weight = 0

    def get(self, key: K) -> V | None:
        """Returns the value of the key and marks it as recently used; None if there is none."""
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
        """Returns the weight of the key's value; 0 if there is none."""
        found = self._kept.get(key)
        return 0 if found is None else found[1]

    def clear(self) -> None:
        self._kept.clear()
        self.weight = 0

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)


class SharedLruCache(LruCache[K, V]):
    """An LruCache for several threads."""

    def __init__(self, weight_max: int) -> None:
        super().__init__(weight_max)
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            return super().get(key)

    def put(self, key: K, value: V, weight: int) -> None:
        with self._lock:
            super().put(key, value, weight)
