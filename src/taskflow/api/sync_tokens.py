"""Tokens of `/sync`: the position up to which a client has everything, and its place within a round of pages.

A token is valid for one user, one build of the projections and one epoch of the log: positions of other builds or
epochs say nothing about what the client has.
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
    """The epoch and the build of the projections that a token's positions belong to."""

    epoch: int
    views: str
    """Changes whenever the projections are rebuilt."""


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
    """Verifies a token. Raises Malformed for one that was not made for this user, and Gone for one of another build."""
    body = verify(settings.token_secret_bytes, _purpose(user), text, mac_bytes=_MAC_BYTES)
    if body is None:
        raise Malformed([Fault("token", "token", "expected the token of the last answer")])
    try:
        token = _decoder.decode(body)
    except msgspec.MsgspecError:
        raise Gone("the token is from another release; start again without a token") from None
    if token.build != build:
        raise Gone("the views were rebuilt after this token was made; start again without a token")
    return token


def _purpose(user: UUID) -> bytes:
    return b"taskflow/sync\x1f" + user.bytes
