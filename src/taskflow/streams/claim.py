"""A claim of an e-mail address: at most one person holds it.

The stream's id is an HMAC of the address's canonical form under a secret of its own, so that two registrations of
one address meet in one stream and the id reveals nothing.

Claims that are older than the canonical form are on streams of another id, of the trimmed and case-folded address.
`commands/claims.py` looks there too, and moves them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from taskflow.addresses import canonical_address, earlier_form
from taskflow.ids import derived_id
from taskflow.streams.stream_type import Event, EventMetadata, StreamType


def claim_id(claim_secret: bytes, address: str) -> UUID:
    """The stream on which an address is claimed. Raises BadAddress."""
    return derived_id(claim_secret, "canonical-address", canonical_address(address))


def earlier_claim_id(claim_secret: bytes, address: str) -> UUID:
    """The stream on which an address was claimed before there was a canonical form."""
    return derived_id(claim_secret, "address", earlier_form(address))


class AddressClaimed(Event, frozen=True):
    user_id: UUID


class AddressReleased(Event, frozen=True):
    pass


class ClaimState(Struct, frozen=True, kw_only=True, gc=False):
    id: UUID
    user_id: UUID | None
    """Who holds the address; None once released."""
    updated_at: datetime
    version: int


def evolve(_: ClaimState | None, event: Event, metadata: EventMetadata) -> ClaimState:
    holder: UUID | None
    match event:
        case AddressClaimed(user_id=user_id):
            holder = user_id
        case AddressReleased():
            holder = None
        case _:
            raise AssertionError(f"a claim has no {type(event).__name__}")
    return ClaimState(id=metadata.stream_id, user_id=holder, updated_at=metadata.occurred_at, version=metadata.version)


CLAIM: Final = StreamType(name="claim", state=ClaimState, events=(AddressClaimed, AddressReleased), evolve=evolve)
