"""Rate limits, counted in Redis for all processes together.

Without Redis nobody is refused: a limit protects the service, and is no reason for an outage.
"""

from __future__ import annotations

from importlib import resources
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from taskflow.errors import RateLimited

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.cache.cache import Cache
    from taskflow.settings import Settings

_ANONYMOUS: Final = "anonymous"
_USER: Final = "user"
_SIGN_IN: Final = "sign-in"
_FAILURES: Final = "failures"


def _script(name: str) -> str:
    return (resources.files("taskflow.api") / name).read_text()


class RateLimits:
    """The limits of every request, of signing in, and of wrong passwords."""

    def __init__(self, cache: Cache, settings: Settings) -> None:
        self._cache = cache
        self._settings = settings
        self._on = settings.rate_limits == "on"
        self._window = cache.redis.register_script(_script("window.lua"))
        self._bucket = cache.redis.register_script(_script("bucket.lua"))

    async def request(self, address: str, user_id: UUID | None, headers: dict[str, str]) -> None:
        """Counts a request and tells in `headers` what is left. Raises RateLimited."""
        if not self._on:
            return
        settings = self._settings
        if user_id is None:
            quota, window_s = settings.anonymous_requests_max, settings.anonymous_window_s
            left = await self._count(f"limit:{_ANONYMOUS}:{network_of(address)}", quota, window_s)
            _tell(headers, _ANONYMOUS, quota, window_s, left)
            _refuse(left, f"at most {quota} requests in {window_s} s without a token; sign in for more")
            return
        quota, rate = settings.user_burst_max, settings.user_requests_per_s
        left = await self._cache.attempt(lambda: self._bucket(keys=[f"limit:{_USER}:{user_id}"], args=[quota, rate]))
        _tell(headers, _USER, quota, max(1, quota // rate), left)
        _refuse(left, f"at most {rate} requests a second, {quota} at once")

    async def sign_in(self, address: str) -> None:
        """Counts a registration or a sign-in from an address. Raises RateLimited."""
        quota, window_s = self._settings.login_attempts_max, self._settings.login_window_s
        if self._on:
            left = await self._count(f"limit:{_SIGN_IN}:{network_of(address)}", quota, window_s)
            _refuse(left, f"at most {quota} sign-ins and registrations in {window_s} s from one address")

    async def may_try(self, account: UUID) -> None:
        """Before a password is checked. Raises RateLimited after too many wrong ones for an account."""
        if not self._on:
            return
        failures: Any = await self._cache.attempt(lambda: self._cache.redis.get(_failures(account)))
        if failures is not None and int(failures) >= self._settings.login_failures_max:
            raise RateLimited(
                "too many wrong passwords for this account; try again later", self._settings.login_window_s
            )

    async def failed(self, account: UUID) -> None:
        """Notes a wrong password. They become no events: a stranger must not be able to fill the log."""
        if self._on:
            await self._count(_failures(account), self._settings.login_failures_max, self._settings.login_window_s)

    async def succeeded(self, account: UUID) -> None:
        if self._on:
            await self._cache.attempt(lambda: self._cache.redis.delete(_failures(account)))

    async def _count(self, key: str, quota: int, window_s: int) -> Any:
        """[left, seconds to the reset]; -1 left: refused; None: Redis does not answer."""
        return await self._cache.attempt(lambda: self._window(keys=[key], args=[quota, window_s]))


def network_of(address: str) -> str:
    """What is counted as one caller: an IPv4 address, or the /64 that one IPv6 host usually has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


def _failures(account: UUID) -> str:
    return f"limit:{_FAILURES}:{account}"


def _tell(headers: dict[str, str], policy: str, quota: int, window_s: int, left: Any) -> None:
    """The header fields of draft-ietf-httpapi-ratelimit-headers-11."""
    headers["RateLimit-Policy"] = f'"{policy}";q={quota};w={window_s}'
    if left is not None:
        headers["RateLimit"] = f'"{policy}";r={max(0, left[0])};t={left[1]}'


def _refuse(left: Any, detail: str) -> None:
    if left is not None and left[0] < 0:
        raise RateLimited(detail, max(1, left[1]))
