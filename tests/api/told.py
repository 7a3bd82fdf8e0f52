"""Events of any kind appended to what the API made: for what no route of it does, or not at that time."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from taskflow.commands.execute import Accepted, Executor, Target
from taskflow.commands.unit import Unit
from taskflow.store.eventstore import open_event_store
from taskflow.streams import Event, Kind
from tests.api.stack import Caller, Stack
from tests.commands.world import send


async def tell(stack: Stack, by: Caller, kind: Kind[Any], stream_id: str, *events: Event) -> Accepted:
    """One command that appends these."""

    async def handler(unit: Unit) -> Target:
        await unit.get(kind, UUID(stream_id))
        unit.append(kind, UUID(stream_id), *events)
        return Target(kind, UUID(stream_id))

    return await command(stack, by, handler)


async def command(stack: Stack, by: Caller, handler: Any, *arguments: Any, at: datetime | None = None) -> Accepted:
    """A command by another process than the APIs, at whatever time."""
    async with open_event_store(stack.settings, "test") as store:
        circumstances = {} if at is None else {"at": at}
        return await send(Executor(store, stack.settings), UUID(by.id), handler, *arguments, **circumstances)
