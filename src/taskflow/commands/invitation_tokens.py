"""The token of an invitation: whoever presents it may accept. It is kept nowhere, and can be made again.

`<project><invitation><HMAC of both>` in base64url: it says where to look, and that it was made here.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final
from uuid import UUID

_CONTEXT: Final = b"taskflow/invitation\x1f"
_ID_BYTES: Final = 16
TOKEN_MAX: Final = 200
"""Characters of what is looked at as a token; those made here have 86."""


def token_of(secret: bytes, project_id: UUID, invitation_id: UUID) -> str:
    named = project_id.bytes + invitation_id.bytes
    return urlsafe_b64encode(named + _mac(secret, named)).decode().rstrip("=")


def named_by(secret: bytes, token: str) -> tuple[UUID, UUID] | None:
    """The project and the invitation that a token is of; None for one that was not made here."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (ValueError, Error):
        return None
    named, mac = raw[: 2 * _ID_BYTES], raw[2 * _ID_BYTES :]
    if not hmac.compare_digest(mac, _mac(secret, named)):
        return None
    project_id, invitation_id = UUID(bytes=named[:_ID_BYTES]), UUID(bytes=named[_ID_BYTES:])
    # One spelling: base64 ignores what is not of its alphabet, and the bits at its end.
    return (project_id, invitation_id) if token == token_of(secret, project_id, invitation_id) else None


def _mac(secret: bytes, named: bytes) -> bytes:
    return hmac.digest(secret, _CONTEXT + named, "sha256")
