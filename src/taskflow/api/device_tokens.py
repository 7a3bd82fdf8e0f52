"""Device tokens: proof that somebody has signed in to an account with this device before.

A token is no credential: signing in still takes the password. It only keeps failed attempts by strangers from blocking
the account's owner, see `sign_in_limits`. A token belongs to one account, identified by `ClaimedAddress.key`, so that
it can be verified before anything is looked up. It is valid for `device_token_ttl_s` from the last sign-in; for a
sign-in with another address, the device is unknown.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.ids import new_id
from taskflow.signed_tokens import sign, verify

if TYPE_CHECKING:
    from taskflow.settings import Settings

_PURPOSE: Final = b"taskflow/device"
_PREFIX: Final = "tfd_"
_MAC_BYTES: Final = 16
_ID_BYTES: Final = 16
_TIME_BYTES: Final = 8
TOKEN_MAX: Final = 200
"""Characters; longer texts are not verified."""


class Device(Struct, frozen=True):
    """A device that somebody has signed in to an account with, and the time of the last sign-in."""

    account: UUID
    device_id: UUID
    signed_in_at: int
    """Seconds since 1970."""


class DeviceTokens:
    """Makes and verifies the tokens of one deployment."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.token_secret_bytes
        self._ttl_s = settings.device_token_ttl_s

    def make(self, account: UUID, device: Device | None) -> str:
        """A token for an account and a known device; if None, for a new device."""
        device_id = new_id() if device is None else device.device_id
        content = account.bytes + device_id.bytes + int(time.time()).to_bytes(_TIME_BYTES, "big")
        return _PREFIX + sign(self._secret, _PURPOSE, content, mac_bytes=_MAC_BYTES)

    def read(self, token: str | None, account: UUID) -> Device | None:
        """The device in a token of this account; None for another account's token, an expired one, and any other
        text."""
        if token is None or not token.startswith(_PREFIX) or len(token) > TOKEN_MAX:
            return None
        content = verify(self._secret, _PURPOSE, token.removeprefix(_PREFIX), mac_bytes=_MAC_BYTES)
        if content is None or len(content) != 2 * _ID_BYTES + _TIME_BYTES:
            return None
        device = Device(
            UUID(bytes=content[:_ID_BYTES]),
            UUID(bytes=content[_ID_BYTES : 2 * _ID_BYTES]),
            int.from_bytes(content[2 * _ID_BYTES :], "big"),
        )
        is_alive = time.time() - device.signed_in_at <= self._ttl_s
        return device if device.account == account and is_alive else None
