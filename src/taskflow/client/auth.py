"""Signing in and out. The client stores the tokens and renews them by itself. The server ignores idempotency keys for
these calls, so they are not retried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from taskflow.client.answers import Registered, SignedIn
from taskflow.client.call import NOTHING, Call, at, given
from taskflow.client.effects import Flow
from taskflow.client.resource import F, Resource, flow
from taskflow.client.session import Tokens

A = TypeVar("A")


def _token_call(path: str, answer: type[A], body: Mapping[str, Any]) -> Call[A]:
    """A call that asks for tokens, and therefore sends none."""
    return Call(method="POST", path=path, answer=answer, kind="once", body=body, signed_in=False)


class Auth(Resource[F]):
    @flow
    def register(self, email: str, password: str, name: str) -> Flow[Registered]:
        """Creates an account and signs in. If addresses must be confirmed first, the answer holds no tokens."""
        body = {"email": email, "password": password, "name": name}
        answer = yield from self._session.exchange(_token_call(at("auth", "register"), Registered, body))
        if answer.access_token is not None:
            self._session.keep(Tokens(answer.access_token, answer.refresh_token))
        return answer

    @flow
    def login(
        self, email: str, password: str, otp: str | UnsetType = UNSET, *, device_token: str | UnsetType = UNSET
    ) -> Flow[SignedIn]:
        """Signs in. Raises Unauthenticated, with `otp_required` if a second factor is missing. `device_token` is the
        one from the last sign-in on this device; with it, wrong passwords sent by others do not lock this device
        out."""
        body = given(email=email, password=password, otp=otp, device_token=device_token)
        answer = yield from self._session.exchange(_token_call(at("auth", "login"), SignedIn, body))
        self._session.keep(Tokens(answer.access_token, answer.refresh_token))
        return answer

    @flow
    def refresh(self) -> Flow[None]:
        """Renews the tokens now. Without this call they are renewed when the server refuses one."""
        yield from self._session.renew()

    @flow
    def logout(self) -> Flow[None]:
        """Ends the session on the server and deletes its tokens here, also if the server cannot be reached."""
        call = Call(method="POST", path=at("auth", "logout"), answer=NOTHING, kind="once")
        try:
            yield from self._session.exchange(call)
        finally:
            self._session.keep(None)
