"""What a partition's messages are worth, given how far its view is. Pure.

position ≤ checkpoint             a repeat: dropped
prev ≤ checkpoint < position      the next one
checkpoint < prev                 a gap: (checkpoint, prev] is missing and is read from the log
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from taskflow.kafka.message import Message


class Gap(Struct, frozen=True):
    """Everything of this partition after `after` and up to `to` has to be read from the log first."""

    after: int
    to: int


def classify(checkpoint: int, messages: Iterable[Message]) -> Iterator[Message | Gap]:
    """The steps from a checkpoint through messages in any order, with any lost or repeated: what has to be read from the
    log first, and the messages that the view may then advance to."""
    for message in messages:
        if message.position <= checkpoint:
            continue
        if message.prev > checkpoint:
            yield Gap(checkpoint, message.prev)
        yield message
        checkpoint = message.position
