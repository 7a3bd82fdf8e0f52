"""Versions ("marks") by which readers validate pages that they keep in memory. Pure.

Cache keys are hashed into MARKS buckets. For each bucket, a checkpoint carries the position of the last batch that
invalidated a key of the bucket. It also carries a random number drawn when the checkpoint is created, so that a view
that was dropped and rebuilt has different marks. A page is valid while the marks of its keys equal the marks noted
before the page was read. Two keys in one bucket cost an unnecessary read, nothing else.
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
"""The mark of one bucket: a position for each partition, then the random number of each partition's build."""


def bucket(key: str) -> int:
    return crc32(key.encode()) % MARKS


def begun() -> bytes:
    """Returns the marks of a new checkpoint: no invalidations, and a new random number."""
    return bytes(MARKS * _SIZE) + secrets.token_bytes(_SIZE)


def marked(marks: bytes, keys: Iterable[str], position: int) -> bytes:
    """Returns the marks after a batch that ended at `position` and invalidated these keys."""
    positions = array(_KIND, marks)
    for key in keys:
        positions[bucket(key)] = position
    return positions.tobytes()


def by_bucket(partitions: Iterable[bytes]) -> list[Mark]:
    """Converts the marks of all partitions to one Mark for each bucket."""
    *positions, builds = zip(*[array(_KIND, marks) for marks in partitions], strict=True)
    return [mark + builds for mark in positions]
