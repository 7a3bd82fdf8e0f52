"""The source behind the cache in these tests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from taskflow.cache.cache import Cache

TTL_S = 60


class Views:
    """A source of documents with a position, whose loads a test can hold and count."""

    def __init__(self) -> None:
        self.position = 1
        self.bodies: dict[str, bytes] = {}
        self.loads: Counter[str] = Counter()
        self.calls = 0
        self.began = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    def write(self, key: str, body: bytes) -> None:
        """Changes a document and advances the position, like a projector's transaction."""
        self.position += 1
        self.bodies[key] = body

    async def load(self, keys: Sequence[str]) -> tuple[int, dict[str, bytes]]:
        self.calls += 1
        self.loads.update(keys)
        # Read now and returned later, like a slow query.
        read = self.position, {key: self.bodies[key] for key in keys if key in self.bodies}
        self.began.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return read

    def hold(self) -> None:
        self.began.clear()
        self.open.clear()


async def get(cache: Cache, views: Views, key: str, *, at_least: int = 0) -> bytes | None:
    entries = await cache.get_many([key], at_least=at_least, ttl_s=TTL_S, load=views.load)
    return entries[key].body if key in entries else None
