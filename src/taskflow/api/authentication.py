"""Who calls, and whether they may call now: before any route, and for paths that no route has too."""

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
"""Their bodies say who calls: a known device or a session is not counted with the strangers of its network."""

_WITH_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""As some proxies write an address: `[::1]:80`, `192.0.2.1:80`."""


class Principal(Struct, frozen=True):
    """Whoever an access token stands for."""

    user_id: UUID
    session_id: UUID
    expires_at: float
    """When the token does, in seconds since 1970."""


async def admit(
    context: Context,
    *,
    under_api: bool,
    address: str,
    authorization: str | None,
    headers: dict[str, str],
    path: str,
) -> Principal | None:
    """The caller, once counted against their limit; None for nobody in particular.

    Adds to `headers` what the answer says about limits. Raises RateLimited, and Unauthenticated for
    a token that does not count.
    """
    if not under_api:
        return None
    counted = False
    if authorization is not None and not context.tokens.is_known(_token(authorization)):
        # The signature is not verified for whoever is past their limit.
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
        # Whoever brings a bad token is counted like whoever brings none.
        await context.limits.request(address, None, headers)
    if fault is not None:
        raise fault
    return principal


def _token(authorization: str) -> str:
    """What stands behind the scheme; nothing where the scheme is another."""
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
    """As far as this process has followed the log. Raises Unauthenticated."""
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
