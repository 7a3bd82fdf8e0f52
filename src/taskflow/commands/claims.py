"""Whose an address is: on the stream of its canonical form, or still on one of the form before.

    signing in    whoever claims the canonical form, then whoever claims what was typed, or the canonical form, in the
                  form before; a claim that is found there moves, in the append of the session
    registering   the same claims, each of which makes the address taken
    moving        all claims whose form before is not their canonical one, once (`api/earlier_claims.py`): nobody who
                  types another spelling can find those

A claim of the form before counts for an address only where its holder's own address is that address: the form before
took `straße@…` and `strasse@…` for one. Where two people claim spellings of one address, the one who registered first
has the canonical form; the other stays under the form before of their own spelling, and signs in by it as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from taskflow.addresses import BadAddress, canonical_address, registrable_address, same_address, trimmed
from taskflow.commands.execute import Target
from taskflow.errors import Invalid, Rejected
from taskflow.streams import CLAIM, USER
from taskflow.streams.claim import AddressClaimed, AddressReleased, claim_id, earlier_claim_id
from taskflow.streams.user import UserClaimMoved, UserState

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams import StreamType

S = TypeVar("S")


class Read(Protocol):
    """A stream's state by its kind and id; None where there is none."""

    async def __call__(self, kind: StreamType[S], stream_id: UUID, /) -> S | None: ...


class ClaimedAddress(Struct, frozen=True):
    """An address as it was typed, and the streams on which it may be claimed."""

    text: str
    claim_id: UUID | None
    """Of the canonical form; None where it has none, so that only a claim of before can be of it."""
    earlier_ids: tuple[UUID, ...]
    """Of the form before: of what was typed, and of its canonical form."""

    @property
    def stream_ids(self) -> tuple[UUID, ...]:
        """All of them, the canonical one first."""
        canonical = () if self.claim_id is None else (self.claim_id,)
        return tuple(dict.fromkeys((*canonical, *self.earlier_ids)))

    @property
    def key(self) -> UUID:
        """What stands for the address, whether anybody has it or not."""
        return self.earlier_ids[0] if self.claim_id is None else self.claim_id


def new_address(claim_secret: bytes, text: str, pointer: str) -> ClaimedAddress:
    """An address for somebody who registers. Raises Invalid for one that has no canonical form, or several readings."""
    try:
        registrable_address(text)
    except BadAddress as error:
        raise Invalid(pointer, "format", str(error)) from None
    return claimed_address(claim_secret, text)


def claimed_address(claim_secret: bytes, text: str) -> ClaimedAddress:
    """An address that somebody says is theirs, whatever it looks like."""
    typed = earlier_claim_id(claim_secret, text)
    try:
        canonical = canonical_address(text)
    except BadAddress:
        return ClaimedAddress(text, None, (typed, typed))
    return ClaimedAddress(text, claim_id(claim_secret, canonical), (typed, earlier_claim_id(claim_secret, canonical)))


async def holders(read: Read, address: ClaimedAddress) -> list[UserState]:
    """Whose the address is: of the canonical claim first. More than one where people claim spellings of it."""
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


async def holder(read: Read, address: ClaimedAddress) -> UserState | None:
    """The one person whose address it is, for an operator who names them by it; of several, the one whose own
    spelling it is. Raises Rejected where that leaves more than one."""
    found = await holders(read, address)
    if len(found) > 1:
        found = [one for one in found if one.email == trimmed(address.text)] or found
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise Rejected("ambiguous-address", f"expected one person with the address {address.text}, found {ids}")
    return found[0] if found else None


async def claim_address(unit: UnitOfWork, address: ClaimedAddress, user_id: UUID) -> UUID:
    """Claims an address for somebody who registers, and answers the stream. Raises Rejected where it is taken."""
    if address.claim_id is None:
        raise AssertionError("an address without a canonical form was refused before")
    claim = await unit.read(CLAIM, address.claim_id)
    if (claim is not None and claim.user_id is not None) or await holders(unit.read, address):
        raise Rejected("email-taken", "this address is registered already")
    unit.append(CLAIM, address.claim_id, AddressClaimed(user_id=user_id), actor=user_id)
    return address.claim_id


async def settle_claim(unit: UnitOfWork, claim_secret: bytes, user: UserState) -> None:
    """Moves somebody's claim to the stream of the canonical form, unless it is there or somebody older claims it.

    Who has it there and is younger goes back to where the form before of their own spelling was claimed.
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
        if one.claim_id == own.claim_id and not await _send_back(unit, claim_secret, one):
            return
    await _move(unit, user, own.claim_id)


async def _send_back(unit: UnitOfWork, claim_secret: bytes, user: UserState) -> bool:
    """False where there is no way back: somebody else claims it."""
    if user.email is None:
        return False
    earlier = earlier_claim_id(claim_secret, user.email)
    claim = await unit.read(CLAIM, earlier)
    if claim is not None and claim.user_id is not None:
        return False
    await _move(unit, user, earlier)
    return True


async def _move(unit: UnitOfWork, user: UserState, to: UUID) -> None:
    """The claim that is left is released, the other claimed, and the person's stream says which it is."""
    if user.claim_id is not None:
        left = await unit.read(CLAIM, user.claim_id)
        if left is not None and left.user_id == user.id:
            unit.append(CLAIM, left.id, AddressReleased(), actor=user.id)
    await unit.read(CLAIM, to)
    unit.append(CLAIM, to, AddressClaimed(user_id=user.id), actor=user.id)
    unit.append(USER, user.id, UserClaimMoved(claim_id=to), actor=user.id)


async def move_claim(unit: UnitOfWork, claim_secret: bytes, user_id: UUID) -> Target:
    """Of somebody who has not signed in since there is a canonical form."""
    user = await unit.get(USER, user_id)
    await settle_claim(unit, claim_secret, user)
    return Target(USER, user_id)
