"""Headers of a history are read once: what comes later is all that is read later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskflow.ids import new_id
from taskflow.store.headers import Headers
from tests.store.test_append import append, commit

if TYPE_CHECKING:
    from uuid import UUID

    import pytest

    from taskflow.store.eventstore import EventStore
    from taskflow.store.log import EventHeader


async def test_only_what_is_new_is_read(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = new_id()
    await commit(store, *[append((stream, version)) for version in range(5)])
    read: list[int] = []
    read_headers = store.log.headers

    async def noted(stream_id: UUID, *, after: int = 0, to: int | None = None, limit: int) -> list[EventHeader]:
        found = await read_headers(stream_id, after=after, to=to, limit=limit)
        read.extend(one.version for one in found)
        return found

    monkeypatch.setattr(store.log, "headers", noted)
    headers = Headers(store.log)
    assert [one.version for one in await headers.up_to(stream, 3)] == [1, 2, 3]
    assert [one.version for one in await headers.up_to(stream, 5)] == [1, 2, 3, 4, 5]
    assert [one.version for one in await headers.up_to(stream, 2)] == [1, 2]
    assert [one.version for one in await headers.up_to(stream, 9)] == [1, 2, 3, 4, 5]
    assert read == [1, 2, 3, 4, 5]
    await commit(store, append((stream, 5)))
    assert await headers.up_to(stream, 6) == tuple(await read_headers(stream, limit=10))
    assert await headers.up_to(new_id(), 1) == ()
