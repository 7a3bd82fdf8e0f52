"""Tokens of `/sync`: how far a client is, and where in a round of pages.

A token is its owner's, and of one build of the views in one epoch of the log: positions of another say nothing
about what that client has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.errors import Fault, Gone, Malformed
from taskflow.signed_tokens import sign, verify

if TYPE_CHECKING:
    from taskflow.settings import Settings

_MAC_BYTES: Final = 16
_encode: Final = msgspec.json.Encoder().encode


class Build(Struct, frozen=True, array_like=True):
    """Of what the positions in a token are positions."""

    epoch: int
    views: str
    """Changes whenever the views were begun anew."""


class SyncToken(Struct, frozen=True, array_like=True):
    """`base`: the client has everything up to here; 0: nothing. `to`: once the round is over, it has everything up
    to here. Within a round the next page begins after (`position`, `id`) of the section."""

    build: Build
    base: int
    to: int
    section: int = 0
    position: int = 0
    id: UUID = UUID(int=0)


_decoder: Final = msgspec.json.Decoder(SyncToken)


def write_token(settings: Settings, user: UUID, token: SyncToken) -> str:
    return sign(settings.token_secret_bytes, _purpose(user), _encode(token), mac_bytes=_MAC_BYTES)


def read_token(settings: Settings, user: UUID, text: str, build: Build) -> SyncToken:
    """Raises Malformed for what was not given to this user, and Gone for a token of another build."""
    body = verify(settings.token_secret_bytes, _purpose(user), text, mac_bytes=_MAC_BYTES)
    if body is None:
        raise Malformed([Fault("token", "token", "expected the token of the last answer")])
    try:
        token = _decoder.decode(body)
    except msgspec.MsgspecError:
        raise Gone("the token is another release's; start again without one") from None
    if token.build != build:
        raise Gone("the views were built anew since this token; start again without one")
    return token


def _purpose(user: UUID) -> bytes:
    return b"taskflow/sync\x1f" + user.bytes
