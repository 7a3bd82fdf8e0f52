"""`--dry-run`: commands are decided as ever, on what is in the store and what was decided before; none is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from taskflow.commands.execute import Accepted, Executor, Target
from taskflow.commands.unit import Unit
from taskflow.store.append import Outcome, Receipt
from taskflow.store.folds import Folded, Folds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskflow.commands.execute import Judge, Step
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore
    from taskflow.streams import Kind

SHOWN_MAX: Final = 50
"""Refused rows that a dry run tells of: it writes no file of them."""


class Imagined(Folds):
    """Streams as they are, or as what was decided so far would have left them."""

    def __init__(self, real: Folds) -> None:
        self._real = real
        self._left: dict[UUID, Folded] = {}

    async def load(self, kind: Kind[Any], stream_id: UUID) -> Folded:
        return self._left.get(stream_id) or await self._real.load(kind, stream_id)

    async def at_version(self, kind: Kind[Any], stream_id: UUID, version: int) -> Any:
        return await self._real.at_version(kind, stream_id, version)

    def presume_absent(self, stream_id: UUID) -> None:
        """Nothing: no append would lose where the stream is there after all."""

    def leave(self, stream_id: UUID, version: int, state: Any) -> None:
        self._left[stream_id] = Folded(version, state)


class Rehearsal(Executor):
    """Executes commands as far as their decision. A command that was accepted before is answered from its receipt."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._imagined = Imagined(store.folds)
        self.store: EventStore = msgspec.structs.replace(store, folds=self._imagined)
        """The store that its commands, and whoever asks what came of them, look at."""
        super().__init__(self.store, settings)

    async def _attempt(
        self,
        steps: Sequence[Step],
        before: Mapping[UUID, Accepted],  # noqa: ARG002 - an importer's commands come alone
        judge: Judge,
    ) -> dict[UUID, Accepted]:
        accepted: dict[UUID, Accepted] = {}
        for step in steps:
            request = step.request
            standing = await self.store.standing(request.caller, request.command_id, ())
            if standing.receipt is not None:
                accepted |= await self._replay_found([step], {request.command_id: standing.receipt}, judge)
                continue
            unit = Unit(self.store, actor=request.actor, at=request.at, token_secret=self._token_secret)
            accepted[request.command_id] = self._decided(unit, step, await step.handler(unit))
        return accepted

    def _decided(self, unit: Unit, step: Step, target: Target) -> Accepted:
        for stream_id, stream in unit.streams.items():
            if stream.version > stream.read_version:
                self._imagined.leave(stream_id, stream.version, stream.state)
        stream = unit.streams[target.stream_id]
        receipt = Receipt(
            fingerprint=step.request.fingerprint,
            outcome=Outcome.APPLIED if unit.staged else Outcome.UNCHANGED,
            stream_id=target.stream_id,
            version=stream.version,
            position=0,
            events=len(unit.staged),
            recorded_at=datetime.now(UTC),
            replayed=False,
            own=True,
        )
        return Accepted(receipt, target.kind, stream.state, tuple(one.event for one in unit.staged), ())
