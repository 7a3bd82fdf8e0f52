"""Signing in and out. The client keeps the tokens and renews them by itself. An idempotency key counts for
nothing here, so each of these calls is sent once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from taskflow.client.answers import NewToken, Page, PersonalToken, Registered, SignedIn, SignedInSession
from taskflow.client.call import NOTHING, Call, Id, at, given, pages
from taskflow.client.resource import F, Resource, call, flow, listed
from taskflow.client.session import Tokens
from taskflow.client.steps import Flow

A = TypeVar("A")


def _asks(path: str, answer: type[A], body: Mapping[str, Any]) -> Call[A]:
    """For tokens, and so without one."""
    return Call(method="POST", path=path, answer=answer, kind="once", body=body, signed_in=False)


def once(method: str, path: str, answer: type[A], body: Mapping[str, Any] | None = None) -> Call[A]:
    return Call(method=method, path=path, answer=answer, kind="once", body=body)


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
    def login(self, email: str, password: str, otp: str | UnsetType = UNSET) -> Flow[SignedIn]:
        """Raises Unauthenticated, with `otp_required` where a second factor is missing."""
        body = given(email=email, password=password, otp=otp)
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
        try:
            yield from self._session.exchange(once("POST", at("auth", "logout"), NOTHING))
        finally:
            self._session.keep(None)

    @call
    def change_password(self, current: str, new: str) -> Call[None]:
        """Every other session ends."""
        body = {"current_password": current, "new_password": new}
        return once("POST", at("auth", "password"), NOTHING, body)

    # --- sessions and personal access tokens

    @listed
    def sessions(self) -> Call[Page[SignedInSession]]:
        return pages(at("auth", "sessions"), SignedInSession, fresh=False)

    @call
    def end_session(self, session: Id) -> Call[None]:
        return once("DELETE", at("auth", "sessions", session), NOTHING)

    @call
    def create_token(self, name: str, scopes: list[str], expires_at: datetime | UnsetType = UNSET) -> Call[NewToken]:
        """The answer holds the token, which is shown this once."""
        body = given(name=name, scopes=scopes, expires_at=expires_at)
        return once("POST", at("auth", "tokens"), NewToken, body)

    @listed
    def tokens(self) -> Call[Page[PersonalToken]]:
        return pages(at("auth", "tokens"), PersonalToken, fresh=False)

    @call
    def revoke_token(self, token: Id) -> Call[None]:
        return once("DELETE", at("auth", "tokens", token), NOTHING)
