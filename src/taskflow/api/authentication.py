"""Authentication and rate limiting of requests, before any route, and for paths without a route too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskflow.api.context import Context

COUNTED_BY_ROUTE: Final = frozenset(("/api/v1/auth/login", "/api/v1/auth/refresh"))
"""Paths whose routes count requests themselves, since the body tells who calls: a known device or session is not
counted against its network."""

_WITH_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""An address with a port, as some proxies write it: `[::1]:80`, `192.0.2.1:80`."""


class Principal(Struct, frozen=True):
    """The user and the session that an access token was made for."""

    user_id: UUID
    session_id: UUID
    expires_at: float
    """Expiry of the token, in seconds since 1970."""


async def admit(
    context: Context,
    *,
    under_api: bool,
    address: str,
    authorization: str | None,
    headers: dict[str, str],
    path: str,
) -> Principal | None:
    """Authenticates a request and counts it against the caller's limit; None for a request without a token.

    Adds the rate limit fields of the answer to `headers`. Raises RateLimited, and Unauthenticated for a token that is
    not valid.
    """
    if not under_api:
        return None
    counted = False
    if authorization is not None and not context.tokens.is_known(_token(authorization)):
        # A network that is over its limit gets no signature verified.
        counted = not context.token_checks.take(address)
        if counted:
            await context.limits.request(address, None, headers)
    principal, fault = None, None
    try:
        principal = _principal(context, authorization)
    except Unauthenticated as error:
        fault = error
    if principal is not None:
        await context.limits.request(address, principal.user_id, headers)
    elif not counted and (fault is not None or path not in COUNTED_BY_ROUTE):
        # A request with an invalid token is counted like one without a token.
        await context.limits.request(address, None, headers)
    if fault is not None:
        raise fault
    return principal


def _token(authorization: str) -> str:
    """The token after the scheme `Bearer`; empty for another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


def _principal(context: Context, authorization: str | None) -> Principal | None:
    if authorization is None:
        return None
    token = _token(authorization)
    if not token:
        raise Unauthenticated("expected Authorization: Bearer and a token")
    claims = context.tokens.verify(token)
    must_be_signed_in(context, claims.session_id)
    return Principal(claims.user_id, claims.session_id, claims.expires_at)


def must_be_signed_in(context: Context, session_id: UUID) -> None:
    """Raises Unauthenticated if the session has ended, as far as this process has followed the log."""
    if context.follower.session_ended(session_id):
        raise Unauthenticated("the session has ended; sign in again")


def address_of(peer: str, forwarded_for: str | None, *, trusted_proxies: int) -> str:
    """The client's address: the one that the outermost trusted proxy saw, else the connection's."""
    if trusted_proxies and forwarded_for:
        hops = [hop.strip() for hop in forwarded_for.split(",")]
        hop = hops[-min(trusted_proxies, len(hops))]
        with_port = _WITH_PORT.fullmatch(hop)
        return hop if with_port is None else with_port[1] or with_port[2]
    return peer


def header(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
