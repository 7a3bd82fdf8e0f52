"""Versions of buckets of cache keys, by which readers validate pages that they keep in memory. Pure.

Cache keys are hashed into BUCKETS buckets. For each bucket, a checkpoint carries the position of the last batch that
invalidated a key of the bucket. It also carries a random number drawn when the checkpoint is created, so that a view
that was dropped and rebuilt has different versions. A page is valid while the versions of its keys equal those noted
before the page was read. Two keys in one bucket cost an unnecessary read, nothing else.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Iterable
from typing import Final
from zlib import crc32

BUCKETS: Final = 256
_KIND: Final = "q"
_SIZE: Final = array(_KIND).itemsize
NO_VERSIONS: Final = bytes((BUCKETS + 1) * _SIZE)
"""The bucket versions of a partition without a checkpoint."""

BucketVersion = tuple[int, ...]
"""The version of one bucket: a position for each partition, then the random number of each partition's build."""


def bucket(key: str) -> int:
    return crc32(key.encode()) % BUCKETS


def new_bucket_versions() -> bytes:
    """Returns the bucket versions of a new checkpoint: no invalidations, and a new random number."""
    return bytes(BUCKETS * _SIZE) + secrets.token_bytes(_SIZE)


def after_invalidations(bucket_versions: bytes, keys: Iterable[str], position: int) -> bytes:
    """Returns the bucket versions after a batch that ended at `position` and invalidated these keys."""
    positions = array(_KIND, bucket_versions)
    for key in keys:
        positions[bucket(key)] = position
    return positions.tobytes()


def by_bucket(partitions: Iterable[bytes]) -> list[BucketVersion]:
    """Converts those of all partitions to one BucketVersion for each bucket."""
    *positions, builds = zip(*[array(_KIND, bucket_versions) for bucket_versions in partitions], strict=True)
    return [bucket_version + builds for bucket_version in positions]
