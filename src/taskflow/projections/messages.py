"""What a partition's messages are worth, given how far its view is. Pure.

position ≤ checkpoint             a repeat: dropped
prev ≤ checkpoint < position      the next one
checkpoint < prev                 a gap: (checkpoint, prev] is missing and is read from the log
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from taskflow.kafka.message import Message
from taskflow.store.recorded import RecordedEvent


class Next(Struct, frozen=True):
    """The view may advance to `position`; `recorded` is what happened there, None for a watermark."""

    position: int
    recorded: RecordedEvent | None


class Gap(Struct, frozen=True):
    """Everything of this partition after `after` and up to `to` has to be read from the log first."""

    after: int
    to: int


def sift(checkpoint: int, messages: Iterable[Message]) -> Iterator[Next | Gap]:
    """The steps from a checkpoint through messages in any order, with any lost or repeated."""
    for message in messages:
        if message.position <= checkpoint:
            continue
        if message.prev > checkpoint:
            yield Gap(checkpoint, message.prev)
        yield Next(message.position, message.event)
        checkpoint = message.position
