"""The state that a client keeps between calls (tokens, position of its last write), and the flow of every call with
retries.

Nothing here does I/O: flows yield effects (`effects`), which `transports` performs.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar
from uuid import uuid4

import httpx
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from taskflow import __version__
from taskflow.client.answers import Paged, TokenPair
from taskflow.client.call import NOTHING, Call, at
from taskflow.client.effects import Alone, Emit, EmittingFlow, Flow, Open, Pause, Send
from taskflow.client.errors import ClientError, Invalid, Unauthenticated, Unreachable, Unreadable, problem_of
from taskflow.client.retries import ONCE, Outcome, Retries

A = TypeVar("A")
T = TypeVar("T")

BASE: Final = "/api/v1"
WAIT_MS: Final = 5_000
"""How long the server may wait for a view to reach the position that a read asks for."""
REFRESH_S: Final = 8.0
"""A refresh is not retried later than this: the server accepts a used refresh token for 10 s, then it ends the session."""


class Timeouts(Struct, frozen=True, kw_only=True):
    connect_s: float = 5.0
    read_s: float = 30.0
    """Longer than WAIT_MS, for which the server may delay the answer to a read."""
    write_s: float = 30.0
    pool_s: float = 30.0
    silence_s: float = 45.0
    """How long a live stream may be silent; the server sends a heartbeat every 15 s."""

    refresh_read_s: float = 3.0
    """Less than half of REFRESH_S, so that there is time to retry a refresh whose answer was lost."""

    def extension(self, call: Call[Any], *, streamed: bool) -> dict[str, Any]:
        read_s = self.silence_s if streamed else self.refresh_read_s if call.kind == "refresh" else self.read_s
        timeout = httpx.Timeout(connect=self.connect_s, read=read_s, write=self.write_s, pool=self.pool_s)
        return {"timeout": timeout.as_dict()}


class Tokens(Struct, frozen=True):
    """An access token and its refresh token; `refresh` is None for a token that cannot be renewed, like a personal one."""

    access: str
    refresh: str | None = None

    def __repr__(self) -> str:
        return "Tokens(…)"


class TokenStore(Protocol):
    """Where tokens are stored. Clients may share one: before a refresh, the client looks for newer tokens in it."""

    def read(self) -> Tokens | None: ...

    def write(self, tokens: Tokens | None) -> None: ...


class MemoryTokenStore:
    """Stores tokens in memory, for the lifetime of the client."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    def read(self) -> Tokens | None:
        return self._tokens

    def write(self, tokens: Tokens | None) -> None:
        self._tokens = tokens


class Session:
    """The state shared by all calls of one client, across its threads or tasks."""

    def __init__(
        self,
        url: str,
        *,
        token_store: TokenStore,
        retries: Retries,
        timeouts: Timeouts,
        read_your_writes: bool,
        position: int,
    ) -> None:
        self.url = _server(url)
        self._base = f"{url.rstrip('/')}{BASE}"
        self.retries = retries
        self._token_store = token_store
        self._tokens = token_store.read()
        self._timeouts = timeouts
        self._read_your_writes = read_your_writes
        self._position = position
        self._moving = threading.Lock()

    # --- what is known

    @property
    def position(self) -> int:
        """The log position of the last write; reads wait for at least that position."""
        return self._position

    @property
    def signed_in(self) -> bool:
        return self._tokens is not None

    def keep(self, tokens: Tokens | None) -> None:
        self._tokens = tokens
        self._token_store.write(tokens)

    @property
    def refresh_token(self) -> str | None:
        return None if self._tokens is None else self._tokens.refresh

    def _advance_position(self, position: str | None) -> None:
        if position is not None and position.isascii() and position.isdigit():
            with self._moving:
                self._position = max(self._position, int(position))

    # --- flows

    def exchange(self, call: Call[A]) -> Flow[A]:
        """Makes a call and returns its answer. Raises ClientError."""
        response = yield from self.answered(call)
        if call.answer is NOTHING:
            return None  # type: ignore[return-value]  # A is None here
        if call.answer is bytes:
            return response.content  # type: ignore[return-value]  # A is bytes here
        try:
            return msgspec.json.decode(response.content, type=call.answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unreadable(f"{call.method} {call.path}: expected {call.answer.__name__}: {error}") from error

    def pages(self, call: Call[Paged[T]]) -> EmittingFlow[T]:
        """Emits all items of a list, page by page."""
        while True:
            page = yield from self.exchange(call)
            for item in page.items:
                yield Emit(item)
            if page.next_cursor is None:
                return
            call = replace(call, query={**call.query, "cursor": page.next_cursor})

    def answered(self, call: Call[Any], *, streamed: bool = False) -> Flow[httpx.Response]:
        """The successful response, after as many attempts as allowed. Raises ClientError."""
        retries = self._retries(call)
        key = str(uuid4()) if call.kind == "write" else None
        began, attempts, refreshed, looked_back = time.monotonic(), 0, False, False
        while True:
            tokens = self._tokens
            request = self._request(call, key, tokens, streamed=streamed)
            outcome: Outcome = yield Open(request) if streamed else Send(request)
            attempts += 1
            if isinstance(outcome, httpx.Response):
                if outcome.is_success:
                    if call.kind != "read":
                        self._advance_position(outcome.headers.get("taskflow-position"))
                    return outcome
                if _not_signed_in(outcome) and not refreshed and call.signed_in and _renewable(tokens):
                    refreshed = True
                    yield Alone(self._refresh(tokens))
                    attempts -= 1
                    continue
                if _past_head(outcome) and not looked_back:
                    # The server lost its newest events (a restored log), so the position of our last write is not in it.
                    looked_back, self._position = True, 0
                    attempts -= 1
                    continue
            pause = retries.pause(outcome, attempts=attempts, spent_s=time.monotonic() - began)
            if pause is None:
                raise _error(self.url, outcome, attempts)
            yield Pause(pause)

    def renew(self) -> Flow[None]:
        """Renews the tokens, whether or not the present ones are still valid."""
        yield Alone(self._refresh(self._tokens))

    def _retries(self, call: Call[Any]) -> Retries:
        match call.kind:
            case "once":
                return ONCE
            case "refresh":
                return replace(self.retries, total_s=min(self.retries.total_s, REFRESH_S))
            case _:
                return self.retries

    def _request(self, call: Call[Any], key: str | None, tokens: Tokens | None, *, streamed: bool) -> httpx.Request:
        headers = {"User-Agent": f"taskflow-python/{__version__}", "Accept": "application/json"}
        content = None
        if tokens is not None and call.signed_in:
            headers["Authorization"] = f"Bearer {tokens.access}"
        if key is not None:
            headers["Idempotency-Key"] = key
        if call.expected_version is not None:
            headers["If-Match"] = f'"{call.expected_version}"'
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(call.body)
        parameters = call.parameters
        if call.fresh and self._read_your_writes and self._position:
            parameters += [("min_position", str(self._position)), ("wait_ms", str(WAIT_MS))]
        return httpx.Request(
            call.method,
            f"{self._base}{call.path}",
            params=tuple(parameters) or None,
            headers={**headers, **call.headers},
            content=content,
            extensions=self._timeouts.extension(call, streamed=streamed),
        )

    def _refresh(self, refused: Tokens | None) -> Flow[None]:
        """Renews tokens that the server refused, unless another call, or another client with the same token store,
        already has. Raises Unauthenticated if the session has ended."""
        kept = self._token_store.read()
        if kept is not None and kept != refused:
            self._tokens = kept
            return
        if refused is None or refused.refresh is None:
            return
        body = {"refresh_token": refused.refresh}
        path = at("auth", "refresh")
        call = Call(method="POST", path=path, answer=TokenPair, kind="refresh", body=body, signed_in=False)
        try:
            pair = yield from self.exchange(call)
        except Unauthenticated:
            self.keep(None)
            raise
        self.keep(Tokens(pair.access_token, pair.refresh_token))


def _server(url: str) -> httpx.URL:
    with suppress(httpx.InvalidURL):
        parsed = httpx.URL(url.rstrip("/"))
        if parsed.scheme in {"http", "https"} and parsed.host:
            return parsed
    raise ValueError(f"expected a URL like http://127.0.0.1:8000, found {url}")


def _renewable(tokens: Tokens | None) -> bool:
    return tokens is not None and tokens.refresh is not None


def _not_signed_in(response: httpx.Response) -> bool:
    return response.status_code == httpx.codes.UNAUTHORIZED


def _past_head(response: httpx.Response) -> bool:
    if response.status_code != httpx.codes.BAD_REQUEST:
        return False
    problem = problem_of(response)
    return isinstance(problem, Invalid) and any(fault.code == "past-head" for fault in problem.errors)


def _error(url: httpx.URL, outcome: Outcome, attempts: int) -> ClientError:
    if isinstance(outcome, httpx.Response):
        return problem_of(outcome)
    tried = "" if attempts == 1 else f" ({attempts} attempts)"
    error = Unreachable(f"{url} does not answer{tried}: {outcome or type(outcome).__name__}")
    error.__cause__ = outcome
    return error
