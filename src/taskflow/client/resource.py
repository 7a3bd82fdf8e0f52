"""Turns a method that describes a call into a method that makes it, in both clients.

    class Tasks(Resource[F]):
        @call
        def get(self, task: Id) -> Call[Task]: ...

`Client.tasks` is a `Tasks[Sync]`, so `client.tasks.get(id)` is a `Task`; `AsyncClient.tasks` is a `Tasks[Async]`, so
`await client.tasks.get(id)` is one. Type checkers learn this from the overloads of the descriptors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import update_wrapper, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from taskflow.client.answers import Paged
from taskflow.client.call import Call
from taskflow.client.effects import EmittingFlow, Flow
from taskflow.client.session import Session
from taskflow.client.transports import Async, Sync

F = TypeVar("F", bound=Sync | Async)
P = ParamSpec("P")
A = TypeVar("A")
T = TypeVar("T")


class Resource(Generic[F]):
    """A group of methods that share a session and a transport."""

    def __init__(self, session: Session, face: F) -> None:
        self._session = session
        self._face = face


class SingleAnswer(Generic[P, A]):
    """Descriptor of a method with one answer."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Flow[A]]) -> None:
        self._flow = flow
        update_wrapper(self, flow)  # type: ignore[arg-type]  # it is no function, and called like one

    @overload
    def __get__(self, resource: Resource[Sync], owner: type) -> Callable[P, A]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: type) -> Callable[P, Coroutine[Any, Any, A]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        if resource is None:
            return self

        @wraps(self._flow)
        def ask(*args: P.args, **kwargs: P.kwargs) -> Any:
            return resource._face.run(self._flow(resource, *args, **kwargs))  # noqa: SLF001 - a resource's own descriptor

        return ask


class StreamedAnswer(Generic[P, T]):
    """Descriptor of a method that returns an iterator."""

    def __init__(self, flow: Callable[Concatenate[Any, P], EmittingFlow[T]]) -> None:
        self._flow = flow
        update_wrapper(self, flow)  # type: ignore[arg-type]  # it is no function, and called like one

    @overload
    def __get__(self, resource: Resource[Sync], owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        if resource is None:
            return self

        @wraps(self._flow)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return resource._face.each(self._flow(resource, *args, **kwargs))  # noqa: SLF001 - a resource's own descriptor

        return method


def call(describe: Callable[Concatenate[Any, P], Call[A]]) -> SingleAnswer[P, A]:
    """Decorates a method that describes one call."""

    @wraps(describe)
    def flow(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Flow[A]:
        answer: A = yield from self._session.exchange(describe(self, *args, **kwargs))
        return answer

    return SingleAnswer(flow)


def listed(describe: Callable[Concatenate[Any, P], Call[Paged[T]]]) -> StreamedAnswer[P, T]:
    """Decorates a method that describes the first page of a list; it iterates over the items of all pages."""

    @wraps(describe)
    def flow(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> EmittingFlow[T]:
        yield from self._session.pages(describe(self, *args, **kwargs))

    return StreamedAnswer(flow)


def flow(make: Callable[Concatenate[Any, P], Flow[A]]) -> SingleAnswer[P, A]:
    """Decorates a method that is a flow of several calls itself."""
    return SingleAnswer(make)


def streaming(make: Callable[Concatenate[Any, P], EmittingFlow[T]]) -> StreamedAnswer[P, T]:
    """Decorates a method that is a flow which emits items."""
    return StreamedAnswer(make)
