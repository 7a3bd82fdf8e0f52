"""Device tokens: a device's own proof that somebody has signed in to an account with it before.

A token says nothing about who somebody is: without the password it opens nothing. It only keeps failures of strangers
from slowing down the account's own people, see `sign_in_limits`. It is of one account, named by the key of the claim
of its address, so that it is known before anything is looked up; it lives for `device_token_ttl_s` from the last
sign-in, and a sign-in with another address is one from a device that is not known.
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
"""Characters; longer texts are no tokens."""


class Device(Struct, frozen=True):
    """A device that an account was signed in to with, and when that was last."""

    account: UUID
    device_id: UUID
    signed_in_at: int
    """Seconds since 1970."""


class DeviceTokens:
    """Makes and reads the tokens of one deployment."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.token_secret_bytes
        self._ttl_s = settings.device_token_ttl_s

    def make(self, account: UUID, device: Device | None) -> str:
        """A token for an account, and for the device that is known, or for a new one."""
        device_id = new_id() if device is None else device.device_id
        content = account.bytes + device_id.bytes + int(time.time()).to_bytes(_TIME_BYTES, "big")
        return _PREFIX + sign(self._secret, _PURPOSE, content, mac_bytes=_MAC_BYTES)

    def read(self, token: str | None, account: UUID) -> Device | None:
        """The device that an account knows; None for another account's, an expired one, and any other text."""
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
