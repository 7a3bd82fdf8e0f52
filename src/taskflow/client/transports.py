"""Performs the effects of a flow, blocking (`Sync`) or with `await` (`Async`): the only module that does I/O.

The two classes correspond line by line, and neither decides anything.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

import httpx

from taskflow.client.effects import Alone, Emit, EmittingFlow, Flow, Open, Pause, Piece, Send, Step

A = TypeVar("A")
T = TypeVar("T")


class Sync:
    """Performs effects blockingly; any number of threads may share it."""

    def __init__(self, transport: httpx.BaseTransport | None) -> None:
        self._http = httpx.Client(transport=transport)
        self._alone = threading.Lock()

    def close(self) -> None:
        self._http.close()

    def run(self, flow: Flow[A]) -> A:
        came: Any = None
        while True:
            try:
                step = flow.send(came)
            except StopIteration as end:
                answer: A = end.value
                return answer
            came = self._take(step)

    def _take(self, step: Step) -> Any:
        match step:
            case Send(request):
                try:
                    return self._http.send(request)
                except httpx.TransportError as error:
                    return error
            case Pause(seconds):
                time.sleep(seconds)
            case Alone(flow):
                with self._alone:
                    self.run(flow)
            case _:
                raise AssertionError(f"{step} is a step of iterators")
        return None

    def each(self, flow: EmittingFlow[T]) -> Iterator[T]:
        came: Any = None
        opened: httpx.Response | None = None
        pieces: Iterator[bytes] = iter(())
        try:
            while True:
                try:
                    step = flow.send(came)
                except StopIteration:
                    return
                came = None
                try:
                    match step:
                        case Emit(item):
                            yield item
                        case Open(request):
                            if opened is not None:
                                opened.close()
                            came = opened = self._http.send(request, stream=True)
                            pieces = opened.iter_bytes()
                            if not opened.is_success:
                                opened.read()
                        case Piece():
                            came = next(pieces, None)
                        case _:
                            came = self._take(step)
                except httpx.TransportError as error:
                    came = error
        finally:
            flow.close()
            if opened is not None:
                opened.close()


class Async:
    """Performs effects with `await`; any number of tasks of one event loop may share it."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None) -> None:
        self._http = httpx.AsyncClient(transport=transport)
        self._alone = asyncio.Lock()

    async def close(self) -> None:
        await self._http.aclose()

    async def _run(self, flow: Flow[A]) -> A:
        came: Any = None
        while True:
            try:
                step = flow.send(came)
            except StopIteration as end:
                answer: A = end.value
                return answer
            came = await self._take(step)

    def run(self, flow: Flow[A]) -> Coroutine[Any, Any, A]:
        return self._run(flow)

    async def _take(self, step: Step) -> Any:
        match step:
            case Send(request):
                try:
                    return await self._http.send(request)
                except httpx.TransportError as error:
                    return error
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Alone(flow):
                async with self._alone:
                    await self._run(flow)
            case _:
                raise AssertionError(f"{step} is a step of iterators")
        return None

    async def each(self, flow: EmittingFlow[T]) -> AsyncIterator[T]:
        came: Any = None
        opened: httpx.Response | None = None
        pieces: AsyncIterator[bytes] | None = None
        try:
            while True:
                try:
                    step = flow.send(came)
                except StopIteration:
                    return
                came = None
                try:
                    match step:
                        case Emit(item):
                            yield item
                        case Open(request):
                            if opened is not None:
                                await opened.aclose()
                            came = opened = await self._http.send(request, stream=True)
                            pieces = opened.aiter_bytes()
                            if not opened.is_success:
                                await opened.aread()
                        case Piece():
                            came = None if pieces is None else await anext(pieces, None)
                        case _:
                            came = await self._take(step)
                except httpx.TransportError as error:
                    came = error
        finally:
            flow.close()
            if opened is not None:
                await opened.aclose()
