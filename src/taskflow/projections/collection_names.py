"""Names of the MongoDB collections that a projector keeps in addition to the documents."""

from __future__ import annotations

from typing import Final

CHECKPOINTS: Final = "checkpoints"
PARKED: Final = "parked"
REJECTED: Final = "rejected_messages"
