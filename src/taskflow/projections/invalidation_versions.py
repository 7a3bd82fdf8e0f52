"""When a cache key was last invalidated, by bucket: what a reader's memory is held against. Pure.

A checkpoint carries, for each of MARKS buckets of keys, the position of the last batch that invalidated one of
them, and beside these a number that is drawn when the checkpoint is made: a view that was dropped and built
again has other marks. A page that was read while the marks of its keys were these is good for as long as they
still are: nothing in it has moved. That two keys share a bucket costs a reading too many and nothing else.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Iterable
from typing import Final
from zlib import crc32

MARKS: Final = 256
_KIND: Final = "q"
_SIZE: Final = array(_KIND).itemsize
NONE: Final = bytes((MARKS + 1) * _SIZE)
"""The marks of a partition without a checkpoint."""

Mark = tuple[int, ...]
"""Of one bucket: a position a partition, and which build of each partition it is."""


def bucket(key: str) -> int:
    return crc32(key.encode()) % MARKS


def begun() -> bytes:
    """The marks of a partition that has invalidated nothing since it was begun anew."""
    return bytes(MARKS * _SIZE) + secrets.token_bytes(_SIZE)


def marked(marks: bytes, keys: Iterable[str], position: int) -> bytes:
    """The marks after a batch that ended at `position` and invalidated these keys."""
    positions = array(_KIND, marks)
    for key in keys:
        positions[bucket(key)] = position
    return positions.tobytes()


def by_bucket(partitions: Iterable[bytes]) -> list[Mark]:
    """The marks of every partition, bucket by bucket."""
    *positions, builds = zip(*[array(_KIND, marks) for marks in partitions], strict=True)
    return [mark + builds for mark in positions]
