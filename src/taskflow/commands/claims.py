"""Claims of addresses: each makes one address belong to one person, on a stream derived from the address.

New claims are derived from the canonical form of the address; claims by older releases from its earlier form
(`addresses.earlier_form`).

    signing in    looks up the claim of the canonical form, then the claims of the earlier form of the typed text and of
                  the canonical form; a claim of the earlier form is moved, in the append that starts the session
    registering   looks up the same claims; each of them makes the address taken
    moving        moves, once, all claims whose earlier form differs from the canonical form (`earlier_claims.py`): they
                  can only be found by the exact spelling

A claim of the earlier form counts for an address only if its holder's own address is that address: the earlier form
made `straße@…` and `strasse@…` equal. If two people claim spellings of one address, the person who registered first
gets the canonical form; the other keeps the claim of the earlier form of their own spelling, and can still sign in with
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from taskflow.errors import Invalid, Rejected
from taskflow.streams import CLAIM, USER
from taskflow.streams.claim import AddressClaimed, AddressReleased, claim_id, earlier_claim_id
from taskflow.streams.user import UserClaimMoved, UserState
from taskflow.text.addresses import BadAddress, canonical_address, registrable_address, same_address, trimmed

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams import StreamType

S = TypeVar("S")


class ReadStream(Protocol):
    """Reads a stream's state by type and id; None if the stream does not exist."""

    async def __call__(self, kind: StreamType[S], stream_id: UUID, /) -> S | None: ...


class ClaimedAddress(Struct, frozen=True):
    """An address as it was typed, and the streams on which it may be claimed."""

    text: str
    claim_id: UUID | None
    """Stream of the canonical form; None for an address without one, which only a claim of the earlier form can
    hold."""
    earlier_ids: tuple[UUID, ...]
    """Streams of the earlier form: of the typed text, and of its canonical form."""

    @property
    def stream_ids(self) -> tuple[UUID, ...]:
        """All streams, that of the canonical form first."""
        canonical = () if self.claim_id is None else (self.claim_id,)
        return tuple(dict.fromkeys((*canonical, *self.earlier_ids)))

    @property
    def key(self) -> UUID:
        """An id of the address that does not depend on whether somebody claims it."""
        return self.earlier_ids[0] if self.claim_id is None else self.claim_id


def new_address(claim_secret: bytes, text: str, pointer: str) -> ClaimedAddress:
    """The address of a person who registers. Raises Invalid for one that is ambiguous or has no canonical form."""
    try:
        registrable_address(text)
    except BadAddress as error:
        raise Invalid(pointer, "format", str(error)) from None
    return claimed_address(claim_secret, text)


def claimed_address(claim_secret: bytes, text: str) -> ClaimedAddress:
    """An address as somebody typed it, for looking up its claims; any text is accepted."""
    typed = earlier_claim_id(claim_secret, text)
    try:
        canonical = canonical_address(text)
    except BadAddress:
        return ClaimedAddress(text, None, (typed, typed))
    return ClaimedAddress(text, claim_id(claim_secret, canonical), (typed, earlier_claim_id(claim_secret, canonical)))


async def holders(read: ReadStream, address: ClaimedAddress) -> list[UserState]:
    """The people who claim the address, the holder of the canonical form first; several may claim spellings of it."""
    found: dict[UUID, UserState] = {}
    for stream_id in address.stream_ids:
        claim = await read(CLAIM, stream_id)
        if claim is None or claim.user_id is None or claim.user_id in found:
            continue
        user = await read(USER, claim.user_id)
        if user is None:
            continue
        if stream_id == address.claim_id or user.email is None or same_address(user.email, address.text):
            found[user.id] = user
    return list(found.values())


async def holder(read: ReadStream, address: ClaimedAddress) -> UserState | None:
    """The one person with this address, for operators' commands; of several, the one with exactly this spelling. Raises
    Rejected if more than one is left."""
    found = await holders(read, address)
    if len(found) > 1:
        found = [one for one in found if one.email == trimmed(address.text)] or found
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise Rejected("ambiguous-address", f"expected one person with the address {address.text}, found {ids}")
    return found[0] if found else None


async def claim_address(unit: UnitOfWork, address: ClaimedAddress, user_id: UUID) -> UUID:
    """Claims an address for a person who registers; returns the claim's stream. Raises Rejected if it is taken."""
    if address.claim_id is None:
        raise AssertionError("an address without a canonical form was refused before")
    claim = await unit.read(CLAIM, address.claim_id)
    if (claim is not None and claim.user_id is not None) or await holders(unit.read, address):
        raise Rejected("email-taken", "this address is registered already")
    unit.append(CLAIM, address.claim_id, AddressClaimed(user_id=user_id), actor=user_id)
    return address.claim_id


async def settle_claim(unit: UnitOfWork, claim_secret: bytes, user: UserState) -> None:
    """Moves a person's claim to the stream of the canonical form, unless it is there already or a person who registered
    earlier claims the address.

    A person who registered later and holds the canonical form gets the claim of their spelling's earlier form back.
    """
    if user.email is None:
        return
    own = claimed_address(claim_secret, user.email)
    if own.claim_id is None or user.claim_id == own.claim_id:
        return
    others = [one for one in await holders(unit.read, own) if one.id != user.id]
    if any((one.created_at, one.id) < (user.created_at, user.id) for one in others):
        return
    for one in others:
        if one.claim_id == own.claim_id and not await _move_back_claim(unit, claim_secret, one):
            return
    await _move(unit, user, own.claim_id)


async def _move_back_claim(unit: UnitOfWork, claim_secret: bytes, user: UserState) -> bool:
    """Moves a claim back to the stream of the earlier form; returns False if somebody claims that one."""
    if user.email is None:
        return False
    earlier = earlier_claim_id(claim_secret, user.email)
    claim = await unit.read(CLAIM, earlier)
    if claim is not None and claim.user_id is not None:
        return False
    await _move(unit, user, earlier)
    return True


async def _move(unit: UnitOfWork, user: UserState, to: UUID) -> None:
    """Releases the person's present claim, makes the new one, and records its id in the person's stream."""
    if user.claim_id is not None:
        left = await unit.read(CLAIM, user.claim_id)
        if left is not None and left.user_id == user.id:
            unit.append(CLAIM, left.id, AddressReleased(), actor=user.id)
    await unit.read(CLAIM, to)
    unit.append(CLAIM, to, AddressClaimed(user_id=user.id), actor=user.id)
    unit.append(USER, user.id, UserClaimMoved(claim_id=to), actor=user.id)


async def move_claim(unit: UnitOfWork, claim_secret: bytes, user_id: UUID) -> UUID:
    """Moves the claim of a person who has not signed in since the canonical form was introduced."""
    user = await unit.get(USER, user_id)
    await settle_claim(unit, claim_secret, user)
    return user_id
