"""Classifies the messages of a partition by the view's checkpoint. Pure.

position ≤ checkpoint             a repeat: dropped
prev ≤ checkpoint < position      the next message
checkpoint < prev                 a gap: (checkpoint, prev] is missing and is read from the log
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from taskflow.kafka.message import Message


class Gap(Struct, frozen=True):
    """Missing events of the partition: (after, to] must be read from the log first."""

    after: int
    to: int


def classify(checkpoint: int, messages: Iterable[Message]) -> Iterator[Message | Gap]:
    """Yields the next messages to apply, and before a message the Gap that must be read from the log, if any.

    The messages may be in any order, repeated or lost.
    """
    for message in messages:
        if message.position <= checkpoint:
            continue
        if message.prev > checkpoint:
            yield Gap(checkpoint, message.prev)
        yield message
        checkpoint = message.position
