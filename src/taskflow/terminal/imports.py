"""`taskflow import` and `taskflow demo`: as whoever is signed in, over HTTP as everything else at a terminal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from taskflow.client import AsyncClient, Retries
from taskflow.importer import demo, process
from taskflow.terminal.accounts import TOKEN, Kept, reached

if TYPE_CHECKING:
    from taskflow.terminal.command_context import CommandContext

ONCE: Final = Retries(attempts_max=1)
"""An import knows by itself what it has sent, and for how long a server may be away."""


def import_(context: CommandContext) -> int:
    return _run(context, lambda client: process.run(client, context.typed))


def show(context: CommandContext) -> int:
    return _run(context, lambda client: demo.run(client, context.url))


def _run(context: CommandContext, work: Callable[[AsyncClient], Awaitable[int]]) -> int:
    async def run() -> int:
        token = os.environ.get(TOKEN) or None
        token_store = None if token else Kept(context.accounts, context.url)
        async with AsyncClient(context.url, token=token, token_store=token_store, retries=ONCE) as client:
            working = asyncio.ensure_future(work(client))
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, working.cancel)
            try:
                return await working
            except asyncio.CancelledError:
                return process.INTERRUPTED
            finally:
                if client.position:
                    reached(context.accounts, context.url, client.position)

    return asyncio.run(run())
