"""Rate limits of requests, and the header fields that report them.

Requests are counted in Redis for all processes together. While Redis is slow or down, each process counts its own
requests against its share of the limit: see `taskflow.limits`. For limits on signing in, see `sign_in_limits`.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from taskflow.errors import RateLimited, TooManyUnchanged
from taskflow.limits.limit import Bucket, Counted, Window

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.limits.counters import Counters
    from taskflow.settings import Settings

COMMANDS_PER_TOKEN: Final = 10
"""Commands of a batch that count as one request; about the factor by which a batch is cheaper than single requests."""


class RateLimits:
    """The limits of every request, of batches, and of commands that change nothing."""

    def __init__(self, counters: Counters, settings: Settings) -> None:
        self._counters = counters
        self._on = settings.rate_limits == "on"
        self._anonymous = Window("anonymous", settings.anonymous_requests_max, settings.anonymous_window_s)
        self._user = Bucket("user", settings.user_burst_max, settings.user_requests_per_s)
        self._refresh = Window("refresh", settings.refreshes_max, settings.login_window_s)
        self._unchanged = Window("unchanged", settings.unchanged_max, settings.unchanged_window_s)

    async def request(self, address: str, user_id: UUID | None, headers: dict[str, str]) -> None:
        """Counts a request and adds the fields about the limit to `headers`. Raises RateLimited."""
        if not self._on:
            return
        if user_id is None:
            window = self._anonymous
            counted = await self._counters.count(window, network_of(address))
            _add_policy(headers, window.name, window.quota, window.window_s, counted)
            _refuse(
                counted, f"at most {window.quota} requests in {window.window_s} s without a token; sign in for more"
            )
            return
        bucket = self._user
        counted = await self._counters.take(bucket, str(user_id))
        _add_policy(headers, bucket.name, bucket.size, max(1, bucket.size // bucket.per_s), counted)
        _refuse(counted, f"at most {bucket.per_s} requests a second, {bucket.size} at once")

    async def batch(self, user_id: UUID, commands: int) -> None:
        """Counts a batch by its number of commands; one request was counted already. Raises RateLimited before any
        command has run."""
        bucket = self._user
        # At most the size of a full bucket, so that the largest batch is possible.
        more = min(-(-commands // COMMANDS_PER_TOKEN), bucket.size) - 1
        if self._on and more > 0:
            counted = await self._counters.take(bucket, str(user_id), more)
            _refuse(counted, f"every {COMMANDS_PER_TOKEN} commands of a batch count as a request; send fewer at once")

    async def refresh(self, session_id: UUID) -> None:
        """Counts a refresh per session, whatever its network. Raises RateLimited."""
        if self._on:
            window = self._refresh
            counted = await self._counters.count(window, str(session_id))
            _refuse(counted, f"at most {window.quota} refreshes of a session in {window.window_s} s")

    async def reserve_unchanged(self, caller: UUID, commands: int) -> None:
        """Counts commands that change nothing, before their receipts are written. Raises TooManyUnchanged, and counts
        none of them, if they are too many."""
        if self._on:
            window = self._unchanged
            counted = await self._counters.count(window, str(caller), commands)
            if counted.is_refused:
                raise TooManyUnchanged(
                    f"at most {window.quota} commands that change nothing in {window.window_s} s: "
                    "each stores a receipt permanently",
                    counted.reset_s,
                )

    async def give_back_unchanged(self, caller: UUID, commands: int) -> None:
        """Takes back the count of commands that wrote no receipt after all."""
        if self._on:
            await self._counters.uncount(self._unchanged, str(caller), commands)


def network_of(address: str) -> str:
    """The network that is counted as one caller: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


def _add_policy(headers: dict[str, str], policy: str, quota: int, window_s: int, counted: Counted) -> None:
    """Adds the header fields of draft-ietf-httpapi-ratelimit-headers-11."""
    headers["RateLimit-Policy"] = f'"{policy}";q={quota};w={window_s}'
    headers["RateLimit"] = f'"{policy}";r={max(0, counted.left)};t={counted.reset_s}'


def _refuse(counted: Counted, detail: str) -> None:
    if counted.is_refused:
        raise RateLimited(detail, counted.reset_s)
