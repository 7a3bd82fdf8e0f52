"""Decisions: what handlers came to on one unit of work, and the appends that store it, together or not at all."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from taskflow.commands.created_ids import created_by_event
from taskflow.commands.sealed_events import sealed_events
from taskflow.errors import Erased, Refusal
from taskflow.store.append import Append, Outcome
from taskflow.streams.project import ProjectState
from taskflow.streams.task import TaskState
from taskflow.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from taskflow.commands.execute import Request
    from taskflow.commands.unit_of_work import Staged, UnitOfWork
    from taskflow.store.append import NewEvent
    from taskflow.streams import StreamType


class Decision(Struct, frozen=True):
    """The result of one handler: the stream that the answer shows, its state after the command, and the staged events.

    It is kept until the receipt arrives, because a later command of the same bundle may change the stream again.
    `project`: the project of a task.
    """

    kind: StreamType[Any]
    stream_id: UUID
    state: Any
    staged: tuple[Staged, ...]
    project: ProjectState | None = None


class Decided(Struct, frozen=True):
    """Commands that were decided on one unit, and the head of the bundle that stores them."""

    requests: Sequence[Request]
    unit: UnitOfWork
    decisions: Sequence[Decision]
    head: Append

    @property
    def unchanged(self) -> list[UUID]:
        """The ids of those that change nothing and count as such. Not of an import, whose receipts are nobody's alone:
        a row that changes nothing is a row of a file all the same."""
        pairs = zip(self.requests, self.decisions, strict=True)
        return [request.command_id for request, decision in pairs if not decision.staged and request.judge is None]


async def decide(unit: UnitOfWork, requests: Sequence[Request]) -> Decided:
    """Each on what those before it have staged.

    Raises a Refusal that names its command, StaleDecision, and KeyMissing where there is no key for what an event says
    of somebody.
    """
    decisions: list[Decision] = []
    request = requests[0]
    try:
        for request in requests:
            decisions.append(await decide_one(unit, request))
        if len(unit.staged) > 1:
            # A single event is sealed in the turn that decided it.
            await turn()
        events = await sealed_events(unit, correlation_id=requests[0].correlation_id)
    except Refusal as refusal:
        refused = requests[refusal.turn - 1] if isinstance(refusal, Erased) else request
        refusal.command_id = refused.command_id
        raise
    return Decided(requests, unit, decisions, _append(requests, decisions, unit, events))


async def decide_one(unit: UnitOfWork, request: Request) -> Decision:
    """On what the unit has read and staged. Raises what the handler raises."""
    first = len(unit.staged)
    await turn()
    unit.begin_command(at=request.at, expected_version=request.expected_version)
    stream_id = await request.handler(unit)
    staged = tuple(unit.staged[first:])
    unit.made[request.command_id] = created_by_event(stream_id, (one.event for one in staged))
    stream = unit.streams[stream_id]
    return Decision(stream.kind, stream_id, stream.state, staged, _project_of(unit, stream.state))


def _project_of(unit: UnitOfWork, state: Any) -> ProjectState | None:
    """That of a task: every decision about one has read it."""
    stream = unit.streams.get(state.project_id) if isinstance(state, TaskState) else None
    return stream.state if stream is not None and isinstance(stream.state, ProjectState) else None


def _append(
    requests: Sequence[Request], decisions: Sequence[Decision], unit: UnitOfWork, events: Iterable[NewEvent]
) -> Append:
    """The bundle's head. Everything that the unit read is checked there: the others have read what the head
    leaves, or what was checked with it."""
    sealed = iter(events)
    appends = [
        Append(
            caller=request.caller,
            command_id=request.command_id,
            fingerprint=request.fingerprint,
            outcome=Outcome.APPLIED if decision.staged else Outcome.UNCHANGED,
            result_stream=decision.stream_id,
            result_kind=decision.kind.name,
            checks=(),
            events=tuple(islice(sealed, len(decision.staged))),
        )
        for request, decision in zip(requests, decisions, strict=True)
    ]
    return replace(
        appends[0],
        checks=unit.checks,
        families=tuple(unit.families),
        keys=unit.keys,
        depends_on=tuple(unit.depends_on),
        others=tuple(appends[1:]),
    )
