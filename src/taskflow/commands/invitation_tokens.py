"""The token of an invitation: whoever presents it may accept. It is not stored, and can be computed again.

It contains the ids of the project and of the invitation, signed with a secret.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from taskflow.signed_tokens import sign, verify

_PURPOSE: Final = b"taskflow/invitation"
_ID_BYTES: Final = 16
_MAC_BYTES: Final = 32
TOKEN_MAX: Final = 200
"""Characters of a token that is accepted for verification; real tokens have 86."""


def token_of(secret: bytes, project_id: UUID, invitation_id: UUID) -> str:
    return sign(secret, _PURPOSE, project_id.bytes + invitation_id.bytes, mac_bytes=_MAC_BYTES)


def named_by(secret: bytes, token: str) -> tuple[UUID, UUID] | None:
    """The ids of the project and of the invitation in a token; None if its signature is not valid."""
    named = verify(secret, _PURPOSE, token, mac_bytes=_MAC_BYTES)
    return None if named is None else (UUID(bytes=named[:_ID_BYTES]), UUID(bytes=named[_ID_BYTES:]))
