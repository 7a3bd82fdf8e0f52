"""Registration, sign-in, refresh of tokens, sign-out. These commands get new ids: an `Idempotency-Key` is ignored."""

from __future__ import annotations

import asyncio
import hmac
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

from litestar import Response
from msgspec import Meta, Struct, structs

from taskflow.api import encoding, render
from taskflow.api.bodies import decode
from taskflow.api.committed_state import committed
from taskflow.api.rate_limits import network_of
from taskflow.api.render import Profile
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.commands.claims import claimed_address, holders, new_address
from taskflow.commands.execute import Request
from taskflow.commands.fields import PASSWORD_MAX, PASSWORD_MIN, Command
from taskflow.commands.session import NewSession, end_session, refresh_session, start_session
from taskflow.commands.user import RegisterUser, Registration, register_user
from taskflow.errors import TaskflowError, Unauthenticated
from taskflow.ids import new_id
from taskflow.privacy.passwords import judge_password
from taskflow.store.append import NOBODY
from taskflow.streams import USER

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.commands.claims import ClaimedAddress
    from taskflow.commands.execute import Accepted, Handler
    from taskflow.streams.user import UserState

AGENT_MAX: Final = 200
LOOKUP_MS: Final = 20
"""The minimum time of looking up an address. Known addresses may be in memory and unknown ones are not; their times
must not differ."""
C = TypeVar("C", bound=Command)
_WRONG: Final = "wrong address or password"


class Login(Command, frozen=True):
    email: Annotated[str, Meta(max_length=1000)]
    password: Annotated[str, Meta(max_length=PASSWORD_MAX)]
    otp: Annotated[str, Meta(max_length=20)] | None = None
    """Ignored: there is no second factor yet."""
    device_token: Annotated[str, Meta(max_length=1000)] | None = None
    """From the answer to the last sign-in with this device: strangers' failed attempts then do not block this
    device."""


class Refresh(Command, frozen=True):
    refresh_token: Annotated[str, Meta(max_length=1000)]


class Logout(Command, frozen=True):
    refresh_token: Annotated[str, Meta(max_length=1000)] | None = None
    """Optional; must belong to the session."""


class TokenPair(Struct, frozen=True, kw_only=True):
    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the kind, not a token
    expires_in: int
    """In seconds."""


class SignedIn(TokenPair, frozen=True, kw_only=True):
    user: Profile


class LoggedIn(SignedIn, frozen=True, kw_only=True):
    device_token: str
    """To be sent with the next sign-in; a secret of this device, but not a credential."""


async def register(call: RequestContext) -> Response[bytes]:
    context = call.context
    body = decode(await call.json(), RegisterUser)
    address = new_address(context.settings.claim_secret_bytes, body.email, "/email")
    judge_password(body.password, body.email, "/password", least=PASSWORD_MIN)
    await context.sign_in_limits.register(call.address)
    await context.earlier_claims.moved()
    session = _new_session(call)
    registration = Registration(
        user_id=new_id(),
        address=address,
        inbox_id=new_id(),
        password_hash=await context.passwords.hash(body.password, lane=network_of(call.address)),
        session=session,
    )
    accepted = await _execute(call, lambda unit: register_user(unit, registration, body))
    return _answer(_pair(call, render.profile(accepted.state), session.session_id), accepted, 201)


async def login(call: RequestContext) -> Response[bytes]:
    context = call.context
    body = await _body_or_count_as_stranger(call, Login)
    secret = context.settings.claim_secret_bytes
    address = claimed_address(secret, body.email)
    device = context.device_tokens.read(body.device_token, address.key)
    if device is None:
        await call.count_as_stranger()
    attempt = await context.sign_in_limits.attempt(address.key, call.address, device)
    lane = network_of(call.address) if device is None else str(device.device_id)
    try:
        person = await _person(call, address, body.password, lane)
    except Exception:
        await attempt.give_back()  # the password was not checked
        raise
    if person is None:
        raise Unauthenticated(_WRONG)
    await context.sign_in_limits.signed_in(person.id)
    await attempt.give_back()
    session = _new_session(call)
    accepted = await _execute(call, lambda unit: start_session(unit, secret, address, person, session))
    user = await committed(context.store, USER, person.id) or person
    pair = _pair(call, render.profile(user), session.session_id)
    answer = LoggedIn(**structs.asdict(pair), device_token=context.device_tokens.make(address.key, device))
    return _answer(answer, accepted)


async def _body_or_count_as_stranger(call: RequestContext, body: type[C]) -> C:
    """The body. A request whose body cannot be parsed is counted against its network, since nobody is identified.
    Raises Malformed, UnsupportedMedia and RateLimited."""
    try:
        return decode(await call.json(), body)
    except TaskflowError:
        await call.count_as_stranger()
        raise


async def _person(call: RequestContext, address: ClaimedAddress, password: str, lane: str) -> UserState | None:
    """The person with this address and password; None if there is none. Takes as long for an unknown address."""
    context = call.context
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await holders(partial(committed, context.store), address)
    await asyncio.sleep(began + LOOKUP_MS / 1000 - loop.time())
    for password_hash in [one.password_hash for one in found] or [None]:
        if await context.passwords.check(password, password_hash, lane=lane):
            return next(one for one in found if one.password_hash == password_hash)
    return None


async def refresh(call: RequestContext) -> Response[bytes]:
    context = call.context
    body = await _body_or_count_as_stranger(call, Refresh)
    try:
        session_id, generation = context.tokens.read_refresh(body.refresh_token)
    except Unauthenticated:
        await call.count_as_stranger()
        raise
    await context.limits.refresh(session_id)
    accepted = await _execute(call, lambda unit: refresh_session(unit, session_id, generation))
    session = accepted.state
    if session.ended_at is not None:
        # The session has just ended because of the reuse; this process accepts its access tokens no longer.
        raise Unauthenticated("the refresh token was used before; the session has ended, sign in again")
    pair = TokenPair(
        access_token=context.tokens.access(session.user_id, session_id),
        refresh_token=context.tokens.refresh(session_id, session.generation),
        expires_in=context.tokens.ttl_s,
    )
    return _answer(pair, accepted)


async def logout(call: RequestContext) -> Response[bytes]:
    context = call.context
    session_id = call.principal.session_id
    body = decode(await call.json(), Logout)
    if body.refresh_token is not None and context.tokens.read_refresh(body.refresh_token)[0] != session_id:
        raise Unauthenticated("the refresh token is of another session")
    accepted = await _execute(call, lambda unit: end_session(unit, session_id), actor=call.user)
    return Response(b"", status_code=204, headers={"Taskflow-Position": str(accepted.receipt.position)})


async def jwks(call: RequestContext) -> Response[bytes]:
    return Response(
        encoding.ENCODER.encode(call.context.tokens.jwks()),
        headers={"Cache-Control": "public, max-age=300"},
        media_type="application/json",
    )


async def _execute(call: RequestContext, handler: Handler, *, actor: UUID | None = None) -> Accepted:
    """Executes a command under a new id, without an actor or with the session's user as actor."""
    command_id = new_id()
    request = Request(
        caller=NOBODY if actor is None else actor,
        command_id=command_id,
        fingerprint=hmac.digest(call.context.settings.token_secret_bytes, command_id.bytes, "sha256"),
        at=datetime.now(UTC),
        correlation_id=call.correlation_id,
        actor=actor,
        handler=handler,
    )
    return await call.context.executor.execute(request)


def _new_session(call: RequestContext) -> NewSession:
    agent = call.header(b"user-agent")
    return NewSession(
        session_id=new_id(), address=call.address or None, agent=None if agent is None else agent[:AGENT_MAX]
    )


def _pair(call: RequestContext, profile: Profile, session_id: UUID) -> SignedIn:
    tokens = call.context.tokens
    return SignedIn(
        user=profile,
        access_token=tokens.access(profile.id, session_id),
        refresh_token=tokens.refresh(session_id, 1),
        expires_in=tokens.ttl_s,
    )


def _answer(body: Struct, accepted: Accepted, status: int = 200) -> Response[bytes]:
    headers = {"Taskflow-Position": str(accepted.receipt.position)} if accepted.events else {}
    return Response(encoding.ENCODER.encode(body), status_code=status, headers=headers, media_type="application/json")


AUTH: Final = f"{BASE}/auth"
ROUTES: Final = (
    Route(
        "POST", f"{AUTH}/register", register, "Register", RegisterUser, SignedIn, 201, signed_in=False, refusals=(409,)
    ),
    Route("POST", f"{AUTH}/login", login, "Sign in", Login, LoggedIn, signed_in=False),
    Route("POST", f"{AUTH}/refresh", refresh, "A new pair of tokens", Refresh, TokenPair, signed_in=False),
    Route("POST", f"{AUTH}/logout", logout, "End this session", Logout, status=204),
    Route("GET", "/.well-known/jwks.json", jwks, "Public keys of access tokens", signed_in=False),
)
