"""Signing in and out. The client keeps the tokens and renews them by itself. An idempotency key counts for
nothing here, so each of these calls is sent once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from taskflow.client.answers import Registered, SignedIn
from taskflow.client.call import NOTHING, Call, at, given
from taskflow.client.resource import F, Resource, flow
from taskflow.client.session import Tokens
from taskflow.client.steps import Flow

A = TypeVar("A")


def _asks(path: str, answer: type[A], body: Mapping[str, Any]) -> Call[A]:
    """For tokens, and so without one."""
    return Call(method="POST", path=path, answer=answer, kind="once", body=body, signed_in=False)


class Auth(Resource[F]):
    @flow
    def register(self, email: str, password: str, name: str) -> Flow[Registered]:
        """A new account, signed in. Where addresses have to be confirmed first, the answer holds no tokens."""
        body = {"email": email, "password": password, "name": name}
        answer = yield from self._session.exchange(_asks(at("auth", "register"), Registered, body))
        if answer.access_token is not None:
            self._session.keep(Tokens(answer.access_token, answer.refresh_token))
        return answer

    @flow
    def login(
        self, email: str, password: str, otp: str | UnsetType = UNSET, *, device_token: str | UnsetType = UNSET
    ) -> Flow[SignedIn]:
        """Raises Unauthenticated, with `otp_required` where a second factor is missing. `device_token` is that of the
        last sign-in with this device: other people's wrong passwords then do not slow this one down."""
        body = given(email=email, password=password, otp=otp, device_token=device_token)
        answer = yield from self._session.exchange(_asks(at("auth", "login"), SignedIn, body))
        self._session.keep(Tokens(answer.access_token, answer.refresh_token))
        return answer

    @flow
    def refresh(self) -> Flow[None]:
        """New tokens now; otherwise they are renewed when the server refuses one."""
        yield from self._session.renew()

    @flow
    def logout(self) -> Flow[None]:
        """Ends this session, here and at the server, and forgets its tokens even where the server is away."""
        call = Call(method="POST", path=at("auth", "logout"), answer=NOTHING, kind="once")
        try:
            yield from self._session.exchange(call)
        finally:
            self._session.keep(None)
