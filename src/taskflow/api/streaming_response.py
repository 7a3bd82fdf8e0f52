"""Answers without a known length, sent piece by piece, as fast as the client reads them.

An error before the first piece is answered with a problem. An error after it cuts off the connection without the final
chunk, so that the client cannot take the part for the whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Final

from litestar import Response
from litestar.response.base import ASGIResponse

from taskflow.errors import TaskflowError
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

log = logging.getLogger(__name__)

Pieces = AsyncGenerator[bytes, None]
Make = Callable[[Callable[[], None]], Pieces]
"""Makes the pieces; the argument is a function that cuts off the connection, whatever the client does."""
ABORT_TIMEOUT_S: Final = 1.0
"""How long closing a connection that was cut off may take."""


class Streamed(Response[bytes]):
    """An answer made of pieces."""

    def __init__(self, make: Make, *, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(b"", media_type=media_type, headers=headers)
        self._make = make

    def to_asgi_response(self, *_: Any, headers: Any = None, **__: Any) -> ASGIResponse:
        return _Answer(self._make, media_type=self.media_type, headers={**(headers or {}), **self.headers})


class _Answer(ASGIResponse):
    _should_set_content_length = False

    def __init__(self, make: Make, **more: Any) -> None:
        super().__init__(**more)
        self._make = make
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: dict[str, Any] = scope["state"]
        was_cut = False

        def cut() -> None:
            nonlocal was_cut
            was_cut = True
            pump.cancel()

        pieces = self._make(cut)
        pump = asyncio.create_task(self._pump(pieces, send, head=state.get("head", False)), name="streamed answer")
        gone = asyncio.create_task(_gone(receive), name="client of a streamed answer")
        try:
            try:
                await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                if not self._started:
                    raise
                was_cut = True  # the process is stopping, and has waited for this answer
            pump.cancel()
            await asyncio.wait({pump})
            fault = None if pump.cancelled() else pump.exception()
            if fault is not None and not (self._started and isinstance(fault, (TaskflowError, *TRANSIENT_ERRORS))):
                raise fault
            if was_cut or fault is not None:
                log.info("a streamed answer was aborted", extra={"error": None if fault is None else repr(fault)})
                state.get("abort", lambda: None)()
                await asyncio.wait({gone}, timeout=ABORT_TIMEOUT_S)
        finally:
            pump.cancel()
            gone.cancel()
            await asyncio.wait({pump, gone})
            await pieces.aclose()

    async def _pump(self, pieces: Pieces, send: Send, *, head: bool) -> None:
        first = await anext(pieces, b"")
        self._started = True
        await self.start_response(send)
        if not head:
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
