"""Tokens of `/sync`: how far a client is, and where in a round of pages.

A token is its owner's, and of one build of the views in one epoch of the log: positions of another say nothing
about what that client has.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.errors import Fault, Gone, Malformed

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
    body = _encode(token)
    return urlsafe_b64encode(_mac(settings, user, body) + body).decode().rstrip("=")


def read_token(settings: Settings, user: UUID, text: str, build: Build) -> SyncToken:
    """Raises Malformed for what was not given to this user, and Gone for a token of another build."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not body or not hmac.compare_digest(mac, _mac(settings, user, body)):
        raise Malformed([Fault("token", "token", "expected the token of the last answer")])
    try:
        token = _decoder.decode(body)
    except msgspec.MsgspecError:
        raise Gone("the token is another release's; start again without one") from None
    if token.build != build:
        raise Gone("the views were built anew since this token; start again without one")
    return token


def _mac(settings: Settings, user: UUID, body: bytes) -> bytes:
    content = b"taskflow/sync\x1f" + user.bytes + body
    return hmac.digest(settings.token_secret_bytes, content, "sha256")[:_MAC_BYTES]
