"""The token of an invitation: whoever presents it may accept. It is kept nowhere, and can be made again.

It names the project and the invitation: it says where to look, and that it was made here.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from taskflow.signed_tokens import sign, verify

_PURPOSE: Final = b"taskflow/invitation"
_ID_BYTES: Final = 16
_MAC_BYTES: Final = 32
TOKEN_MAX: Final = 200
"""Characters of what is looked at as a token; those made here have 86."""


def token_of(secret: bytes, project_id: UUID, invitation_id: UUID) -> str:
    return sign(secret, _PURPOSE, project_id.bytes + invitation_id.bytes, mac_bytes=_MAC_BYTES)


def named_by(secret: bytes, token: str) -> tuple[UUID, UUID] | None:
    """The project and the invitation that a token is of; None for one that was not made here."""
    named = verify(secret, _PURPOSE, token, mac_bytes=_MAC_BYTES)
    return None if named is None else (UUID(bytes=named[:_ID_BYTES]), UUID(bytes=named[_ID_BYTES:]))
