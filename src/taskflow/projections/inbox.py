"""Inbox: what the reading hands to one projection of a worker, bounded in bytes.

    reading ─▶ offer ─▶ batches that wait ─▶ take ─▶ runner
                  └─ no room: dropped; the projection reads it from the log, and the reading goes on

So a projection that is slow, paused or at fault never slows the others, and never fills the memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from msgspec import Struct

from taskflow.kafka.message import Message

MESSAGE_BYTES: Final = 1_024
"""Size of a decoded message without its data."""


class Received(Struct):
    """Verified messages of one partition in the order in which they arrived, and the offset of the last one."""

    messages: list[Message]
    offset: int


class Batch(Struct):
    """Verified messages by partition. The reading gives the same batch to every projection: it is never changed."""

    received: dict[int, Received]
    count: int
    size: int


def batch_of(received: dict[int, Received]) -> Batch:
    messages = [message for one in received.values() for message in one.messages]
    data = sum(len(message.event.data) for message in messages if message.event is not None)
    return Batch(received, len(messages), data + MESSAGE_BYTES * len(messages))


class Inbox:
    """The batches that wait for one projection, and what the reading tells it: its partitions, and whether Kafka is away.

    `behind`: a batch was dropped, or messages were lost; the projection reads the log to its head, then goes on here.
    """

    def __init__(self, bytes_max: int, room: asyncio.Event) -> None:
        """`room` is set whenever there is room again; the inboxes of one worker share it."""
        self._bytes_max = bytes_max
        self._waiting: deque[Batch] = deque()
        self._size = 0
        self._something = asyncio.Event()
        self._room = room
        self.partitions: frozenset[int] = frozenset()
        self.assigned = False
        """Whether `partitions` was set since the runner last took them over."""
        self.is_away = False
        """Whether the reading has no Kafka: the projection reads the log instead."""
        self.behind = False
        self._suspects: set[int] = set()

    # --- the reading's side

    def assign(self, partitions: Iterable[int]) -> None:
        """Tells the partitions that Kafka has given to this worker. Forgets what waited: it may be another worker's."""
        self._clear()
        self.partitions = frozenset(partitions)
        self.assigned = True
        self.is_away = self.behind = False
        self._something.set()

    def offer(self, batch: Batch) -> None:
        """Adds a batch if there is room. A batch that is larger than the bound is taken by an empty inbox."""
        if self.behind or (self._waiting and self._size + batch.size > self._bytes_max):
            self.behind = True
        else:
            self._waiting.append(batch)
            self._size += batch.size
        self._something.set()

    def suspect(self, partitions: Iterable[int]) -> None:
        """Tells partitions in which a message was rejected: the log is read instead."""
        self._suspects.update(partitions)

    def away(self) -> None:
        self.is_away = True
        self._something.set()

    @property
    def has_room(self) -> bool:
        return not self.behind and self._size < self._bytes_max

    # --- the projection's side

    async def wait(self, within_s: float) -> None:
        """Returns once there is something to take or to be told, or after `within_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._something.wait()

    def take(self, count_max: int, size_max: int) -> dict[int, Received]:
        """Takes the next messages by partition, of as many batches as fit, and of at least one if there is any."""
        taken: dict[int, Received] = {}
        count = size = 0
        while self._waiting:
            batch = self._waiting[0]
            if taken and (count + batch.count > count_max or size + batch.size > size_max):
                break
            self._waiting.popleft()
            self._size -= batch.size
            count += batch.count
            size += batch.size
            for partition, one in batch.received.items():
                before = taken.get(partition)
                messages = one.messages if before is None else before.messages + one.messages
                taken[partition] = Received(messages, one.offset)
        if not self._waiting and not self.behind:
            self._something.clear()
        self._room.set()
        return taken

    def catch_up(self) -> bool:
        """Whether the log must be read now, because messages were dropped and nothing older waits. Called before that
        read: what arrives during it is added again."""
        if self._waiting or not self.behind:
            return False
        self.behind = False
        self._something.clear()
        self._room.set()
        return True

    def suspects(self) -> set[int]:
        """Returns and forgets the suspected partitions."""
        suspects, self._suspects = self._suspects, set()
        return suspects

    def _clear(self) -> None:
        self._waiting.clear()
        self._size = 0
        self._room.set()
