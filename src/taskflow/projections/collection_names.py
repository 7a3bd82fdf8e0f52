"""The MongoDB collections that a projector keeps beside the documents of its projections."""

from __future__ import annotations

from typing import Final

CHECKPOINTS: Final = "checkpoints"
PARKED: Final = "parked"
REJECTED: Final = "rejected_messages"
