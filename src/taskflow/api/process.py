"""`taskflow api`: one HTTP server over one context, until cancelled."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from taskflow.api.app import make_app
from taskflow.api.context import open_context
from taskflow.errors import TaskflowError
from taskflow.settings import variable
from taskflow.store.migrate import wait_for_schema
from taskflow.store.pool import AWAY, RETRY_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
IDLE_S: Final = 75
"""Longer than a proxy keeps an idle connection, so that the proxy is the one to close it."""
STOP_S: Final = 1
"""What is under way may end within this; then it is cut off."""


class PortTaken(TaskflowError):
    """The API's port is another process's."""


class _Server(uvicorn.Server):
    """Signals are the command line's, for every process alike."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(settings: Settings) -> None:
    """Serves until cancelled, then answers what is under way. Raises PortTaken and StoreError."""
    _allow_many_connections()
    listener = _listen(settings)
    await wait_for_schema(settings)
    while True:
        try:
            async with open_context(settings) as context:
                await _serve(make_app(context), listener)
            return
        except AWAY as error:
            # Before the first request: one that starts before its store is not a fault.
            log.warning("the event store does not answer", extra={"error": repr(error)})
            await asyncio.sleep(RETRY_S)


async def _serve(app: Any, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe is a setting of ours: `trusted_proxies`
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=STOP_S,
        http="httptools",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http server")
    host, port = listener.getsockname()[:2]
    log.info("listening", extra={"host": host, "port": port})
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.api_host, settings.api_port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"{settings.api_host}:{settings.api_port} cannot be listened on ({error.strerror}); "
            f"stop what holds it, or set {variable('api_port')} to another"
        ) from error
    listener.listen(BACKLOG)
    return listener


def _allow_many_connections() -> None:
    """As many open files as the machine allows: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
