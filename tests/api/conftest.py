"""One stack of processes for all of these tests; clients and people of each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import pytest

from tests.api.beside import Beside, open_beside
from tests.api.stack import Caller, Stack, client, open_stack, register
from tests.conftest import Fleet

pytest.register_assert_rewrite("tests.api.model")  # a difference is told field by field


@pytest.fixture(scope="package")
def stack(fleet: Fleet, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(fleet, template, tmp_path_factory.mktemp("stack"), name="api", redis=15) as stack:
        yield stack


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the first API process."""
    async with client(stack.urls[0]) as http:
        yield http


@pytest.fixture
async def other_http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the second API process."""
    async with client(stack.urls[1]) as http:
        yield http


@pytest.fixture
def person(http: httpx.AsyncClient) -> Callable[[str], Awaitable[Caller]]:
    """`await person("Ada")` is somebody new, signed in."""

    async def make(name: str) -> Caller:
        return await register(http, name)

    return make


@pytest.fixture
async def ada(http: httpx.AsyncClient) -> Caller:
    return await register(http, "Ada Lovelace")


@pytest.fixture
async def beside(stack: Stack) -> AsyncIterator[Beside]:
    async with open_beside(stack.settings) as beside:
        yield beside


@pytest.fixture
async def bob(http: httpx.AsyncClient) -> Caller:
    return await register(http, "Bob")
