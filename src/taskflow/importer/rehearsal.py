"""`--dry-run`: commands are decided as ever, on what is in the store and what was decided before; none is stored."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.unit_of_work import HistoryBounds, UnitOfWork
from taskflow.store.append import Outcome, Receipt

if TYPE_CHECKING:
    from taskflow.commands.execute import Handler, Request
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore


class Rehearsal:
    """Decides one command after the other on one unit, as a bundle is, which nobody ever appends."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store = store
        self._executor = Executor(store, settings)
        self._unit = UnitOfWork(
            store,
            actor=None,
            at=datetime.now(UTC),
            token_secret=settings.token_secret_bytes,
            claim_secret=settings.claim_secret_bytes,
            history=HistoryBounds(settings.history_events_max, settings.history_bytes_max),
            move_tasks_max=settings.move_tasks_max,
        )
        self._turn = asyncio.Lock()

    async def execute(self, request: Request, handler: Handler) -> Accepted:
        """As an Executor, which answers what was accepted before: to that nothing can be added."""
        if await self._store.receipts([(request.caller, request.command_id)]):
            return await self._executor.execute(request, handler)
        unit = self._unit
        async with self._turn:
            unit.staged.clear()
            unit.actor = request.actor
            unit.begin_command(at=request.at, expected_version=request.expected_version)
            target = await handler(unit)
            events = tuple(staged.event for staged in unit.staged)
        stream = unit.streams[target.stream_id]
        receipt = Receipt(
            fingerprint=request.fingerprint,
            outcome=Outcome.APPLIED if events else Outcome.UNCHANGED,
            stream_id=target.stream_id,
            version=stream.version,
            position=0,
            events=len(events),
            recorded_at=request.at,
            replayed=False,
            own=True,
        )
        return Accepted(receipt, target.kind, stream.state, events, ())
