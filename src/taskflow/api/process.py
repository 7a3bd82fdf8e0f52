"""`taskflow api`: one HTTP server over one context, until cancelled."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from taskflow.api.app import make_app
from taskflow.api.context import open_context
from taskflow.api.protocol import BoundedConfig, check_all
from taskflow.errors import TaskflowError
from taskflow.settings import variable
from taskflow.store.migrate import wait_for_schema
from taskflow.store.pool import RETRY_S, TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskflow.api.context import Context
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
CHECK_TICKS: Final = 3
"""Ticks between two checks of the connections' deadlines; uvicorn ticks ten times a second."""
FILES_ELSEWHERE: Final = 256
"""Open files other than clients' connections: servers, logs, libraries."""
DRAIN_S: Final = 0.4
"""How long a process that was told to stop still takes requests, and closes each connection after its answer. Meanwhile
load balancers see that `/readyz` fails, and no client writes into a connection that is just being closed."""
STOP_S: Final = 1
"""How long requests that are still running after that may take; then they are cut off."""
FIRST_S: Final = 0.3
"""How long clients that are connected when the listener closes have to send a request."""
_CLOSE: Final = (b"connection", b"close")


class PortTaken(TaskflowError):
    """Another process uses the API's port."""


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the command line handles signals for every kind of process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % CHECK_TICKS == 0:
            check_all(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def close_after_answers(self) -> None:
        """Makes every answer from now on close its connection."""
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the listener, after accepting the connections that are in the kernel's queue: the kernel would reset
        them. Clients that are connected by then are answered."""
        waiting = [connection for listener in sockets or () for connection in _waiting(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        until = loop.time() + FIRST_S
        while True:
            await asyncio.sleep(0.01)  # lets the connections read what has arrived
            silent = any(connection.cycle is None for connection in self._connections)
            if not silent or loop.time() > until:
                break
        await super().shutdown(sockets)

    @property
    def _connections(self) -> Iterable[Any]:
        return list(self.server_state.connections)

    def _protocol(self) -> Any:
        protocol: Any = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accepts the connections in the kernel's queue."""
    listener.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]


async def run(settings: Settings) -> None:
    """Serves until cancelled, then finishes the running requests. Raises PortTaken and StoreError."""
    files_max = _allow_many_files()
    listener = _bind(settings)
    await wait_for_schema(settings)
    while True:
        try:
            async with open_context(settings) as context:
                # Only now: as long as this process cannot answer, clients must connect to another one.
                _listen(listener, settings)
                await _serve(context, listener, connections_max=min(settings.connections_max, files_max))
            return
        except TRANSIENT_ERRORS as error:
            # Before the first request: a process may start before its event store does.
            log.warning("the event store does not answer", extra={"error": repr(error)})
            await asyncio.sleep(RETRY_S)


async def _serve(context: Context, listener: socket.socket, *, connections_max: int) -> None:
    config = BoundedConfig(
        make_app(context),
        context.settings,
        connections_max=connections_max,
        backlog=BACKLOG,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # our own setting `trusted_proxies` is used instead
        timeout_graceful_shutdown=STOP_S,
        ws="none",
    )
    server = _Server(config)
    server.server_state.connections = context.connections
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http server")
    host, port = listener.getsockname()[:2]
    log.info("listening", extra={"host": host, "port": port})
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        log.info("stopping")
        context.stopping.set()
        context.sse_hub.end()
        server.close_after_answers()
        await asyncio.sleep(DRAIN_S)
        server.should_exit = True
        await serving
        raise


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.api_host, settings.api_port))
    except OSError as error:
        listener.close()
        raise _taken(settings, error) from error
    return listener


def _listen(listener: socket.socket, settings: Settings) -> None:
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _taken(settings, error) from error


def _taken(settings: Settings, error: OSError) -> PortTaken:
    return PortTaken(
        f"{settings.api_host}:{settings.api_port} cannot be listened on ({error.strerror}); "
        f"stop what holds it, or set {variable('api_port')} to another"
    )


def _allow_many_files() -> int:
    """Raises the limit of open files, of which each connection is one, to the maximum; returns the number of
    connections that it allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return max(1, most - FILES_ELSEWHERE)
