"""Limits on attempts at passwords: each is counted before the password is checked, and given back if it was right.

    without a known device   the account from this network  ┐
                             the account, all networks      ├ one attempt is counted against all three, or refused
                             the network, all accounts      ┘
    with a known device      the device at this account       and against nothing that strangers can use up

So the number of guesses is bounded, whether they come from one network or from many. Guesses of strangers from many
networks can block a person for a while only if that person has never signed in with this device before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskflow.api.rate_limits import network_of
from taskflow.errors import RateLimited
from taskflow.limits.counters import Full, Reservation
from taskflow.limits.limit import Window

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.api.device_tokens import Device
    from taskflow.limits.counters import Counters
    from taskflow.settings import Settings


class Attempt:
    """One attempt at a password, counted as a failure until it is given back."""

    def __init__(self, counters: Counters, reservation: Reservation) -> None:
        self._counters = counters
        self._reservation = reservation

    async def give_back(self) -> None:
        """Takes back the count of this attempt: the password was right, or was not checked. Other attempts stay
        counted."""
        await self._counters.give_back(self._reservation)


class SignInLimits:
    """The limits of signing in and of registering."""

    def __init__(self, counters: Counters, settings: Settings) -> None:
        self._counters = counters
        self._on = settings.rate_limits == "on"
        window_s = settings.login_window_s
        self._pair = Window("login-network", settings.login_failures_max, window_s, remembered=True)
        self._account = Window("login-account", settings.login_account_failures_max, window_s, remembered=True)
        self._network = Window("login", settings.login_attempts_max, window_s, remembered=True)
        self._device = Window("login-device", settings.login_device_failures_max, window_s, remembered=True)
        self._sign_ins = Window("sign-ins", settings.sign_ins_max, window_s)
        self._registrations = Window("register", settings.registrations_max, window_s, remembered=True)

    async def attempt(self, account: UUID, address: str, device: Device | None) -> Attempt:
        """Counts an attempt at an account's password. `device`: a known device of the account. Raises RateLimited, and
        then counts nothing."""
        if not self._on:
            return Attempt(self._counters, Reservation())
        network = network_of(address)
        if device is not None:
            wanted: tuple[tuple[tuple[Window, ...], str], ...] = (((self._device,), f"{account}/{device.device_id}"),)
        else:
            # The network first: once it has used up its limit, its attempts no longer count against any account.
            wanted = (
                ((self._network,), network),
                ((self._pair,), f"{account}/{network}"),
                ((self._account,), str(account)),
            )
        try:
            return Attempt(self._counters, await self._counters.reserve(wanted))
        except Full as full:
            raise RateLimited(_limit_reason(full.limit), full.reset_s) from None

    async def signed_in(self, user_id: UUID) -> None:
        """Counts a successful sign-in, since each starts a session that the log keeps for ever. Raises RateLimited."""
        if self._on:
            counted = await self._counters.count(self._sign_ins, str(user_id))
            if counted.is_refused:
                raise RateLimited(_limit_reason(self._sign_ins), counted.reset_s)

    async def register(self, address: str) -> None:
        """Counts a registration from a network, before its password is hashed. Raises RateLimited."""
        if self._on:
            counted = await self._counters.count(self._registrations, network_of(address))
            if counted.is_refused:
                raise RateLimited(_limit_reason(self._registrations), counted.reset_s)


def _limit_reason(limit: Window) -> str:
    return f"at most {limit.quota} {_OF[limit.name]} in {limit.window_s} s; try again later"


_OF = {
    "login": "failed sign-ins from one network",
    "login-network": "failed sign-ins to one account from one network",
    "login-account": "failed sign-ins to one account from devices that it does not know",
    "login-device": "failed sign-ins from one device",
    "sign-ins": "sign-ins to one account",
    "register": "registrations from one network",
}
