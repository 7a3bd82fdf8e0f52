"""The claim stream: reserves an e-mail address for at most one user.

The stream id is an HMAC of the address's canonical form under `claim_secret`. Two registrations of one address
therefore write to the same stream, and the id does not reveal the address.

Claims made before the canonical form existed have another stream id, derived from the trimmed, case-folded address.
`commands/claims.py` checks the old stream as well, and moves such claims.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from taskflow.ids import derived_id
from taskflow.streams.stream_type import Event, EventMetadata, StreamType
from taskflow.text.addresses import canonical_address, earlier_form


def claim_id(claim_secret: bytes, address: str) -> UUID:
    """Returns the id of the stream on which an address is claimed. Raises BadAddress."""
    return derived_id(claim_secret, "canonical-address", canonical_address(address))


def earlier_claim_id(claim_secret: bytes, address: str) -> UUID:
    """Returns the id of the stream on which an address was claimed before the canonical form existed."""
    return derived_id(claim_secret, "address", earlier_form(address))


class AddressClaimed(Event, frozen=True):
    user_id: UUID


class AddressReleased(Event, frozen=True):
    pass


class ClaimState(Struct, frozen=True, kw_only=True, gc=False):
    id: UUID
    user_id: UUID | None
    """The user who holds the address; None after it was released."""
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
