"""The two clients, `Client` and `AsyncClient`. They have the same methods; those of `AsyncClient` are awaited."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Final, Generic, Self

import httpx

from taskflow.client import events
from taskflow.client.admin import Admin
from taskflow.client.auth import Auth
from taskflow.client.commands import Commands
from taskflow.client.events import Events
from taskflow.client.projects import Projects
from taskflow.client.resource import F
from taskflow.client.retries import Retries
from taskflow.client.session import MemoryTokenStore, Session, Timeouts, Tokens, TokenStore
from taskflow.client.tasks import Tasks
from taskflow.client.transports import Async, Sync
from taskflow.client.users import Users
from taskflow.client.views import Views

_TOKEN: Final = re.compile(r"[!-~]+")


class Resources(Generic[F]):
    """The resources of both clients."""

    def __init__(self, session: Session, face: F) -> None:
        self._session = session
        self._face = face
        self.auth = Auth(session, face)
        self.users = Users(session, face)
        self.projects = Projects(session, face)
        self.tasks = Tasks(session, face)
        self.views = Views(session, face)
        self.commands = Commands(session, face)
        self.events = Events(session, face)
        self.admin = Admin(session, face)
        self.sync = events.Sync(session, face)

    @property
    def position(self) -> int:
        """The log position of the last write through this client; its reads wait for at least that position. Pass it to
        another client as `position` if that one is to read what this one wrote."""
        return self._session.position

    @property
    def signed_in(self) -> bool:
        """Whether the client has a token; only the server knows whether it is still valid."""
        return self._session.signed_in


class Client(Resources[Sync]):
    """The blocking client; threads may share it.

    A `token` (an access token or a personal one) is never renewed; tokens from signing in or from a `token_store` are.
    Raises ValueError for a bad URL or token.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        token_store: TokenStore | None = None,
        retries: Retries | None = None,
        timeouts: Timeouts | None = None,
        read_your_writes: bool = True,
        position: int = 0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        session = Session(
            url,
            token_store=_token_store(token, token_store),
            retries=retries or Retries(),
            timeouts=timeouts or Timeouts(),
            read_your_writes=read_your_writes,
            position=position,
        )
        super().__init__(session, Sync(transport))

    def close(self) -> None:
        self._face.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(Resources[Async]):
    """The asynchronous client; the tasks of one event loop may share it. Wrap an iteration in `contextlib.aclosing` to
    free its connection at once if you may leave it early."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        token_store: TokenStore | None = None,
        retries: Retries | None = None,
        timeouts: Timeouts | None = None,
        read_your_writes: bool = True,
        position: int = 0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        session = Session(
            url,
            token_store=_token_store(token, token_store),
            retries=retries or Retries(),
            timeouts=timeouts or Timeouts(),
            read_your_writes=read_your_writes,
            position=position,
        )
        super().__init__(session, Async(transport))

    async def close(self) -> None:
        await self._face.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _token_store(token: str | None, token_store: TokenStore | None) -> TokenStore:
    if token_store is None:
        if token is not None and not _TOKEN.fullmatch(token):
            raise ValueError("expected a token of visible ASCII characters, found others")
        return MemoryTokenStore(None if token is None else Tokens(token))
    if token is not None:
        raise ValueError("expected a token or a token store, found both")
    return token_store
