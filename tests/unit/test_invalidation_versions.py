"""A key's bucket version changes whenever the key is invalidated, on whatever partition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskflow.projections.invalidation_versions import (
    BUCKETS,
    after_invalidations,
    bucket,
    by_bucket,
    new_bucket_versions,
)

PARTITIONS = 3
KEYS = [f"board:{number}" for number in range(400)]
batches = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.sets(st.sampled_from(KEYS), max_size=5)), max_size=20)


@given(batches)
def test_a_mark_changes_exactly_with_its_bucket(batches: list[tuple[int, set[str]]]) -> None:
    bucket_versions = [new_bucket_versions() for _ in range(PARTITIONS)]
    for position, (partition, keys) in enumerate(batches, 1):
        before = by_bucket(bucket_versions)
        bucket_versions[partition] = after_invalidations(bucket_versions[partition], keys, position)
        after = by_bucket(bucket_versions)
        moved = {bucket(key) for key in keys}
        assert {number for number, (was, now) in enumerate(zip(before, after, strict=True)) if was != now} == moved
        assert all(after[number][partition] == position for number in moved)


@given(st.integers(0, PARTITIONS - 1))
def test_what_is_built_again_has_other_marks_everywhere(partition: int) -> None:
    bucket_versions = [new_bucket_versions() for _ in range(PARTITIONS)]
    before = by_bucket(bucket_versions)
    bucket_versions[partition] = new_bucket_versions()
    assert len(before) == BUCKETS
    assert not any(was == now for was, now in zip(before, by_bucket(bucket_versions), strict=True))


def test_a_bucket_is_the_same_in_every_process() -> None:
    assert [bucket(key) for key in KEYS[:3]] == [254, 104, 210]
