"""Decisions: what handlers came to on one unit of work, and the appends that store it, together or not at all."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from taskflow.commands.created_ids import created_by_event
from taskflow.errors import Erased, Refusal
from taskflow.store.append import Append, Outcome
from taskflow.streams.project import ProjectState
from taskflow.streams.task import TaskState
from taskflow.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from taskflow.commands.execute import Step, Target
    from taskflow.commands.unit_of_work import Staged, UnitOfWork
    from taskflow.store.append import NewEvent


class Decision(Struct, frozen=True):
    """What a handler came to: the target as it leaves it, and the events that it staged. `project`: of a task."""

    target: Target
    state: Any
    staged: tuple[Staged, ...]
    project: ProjectState | None = None


class Decided(Struct, frozen=True):
    """Commands that were decided on one unit, and the head of the bundle that stores them."""

    steps: Sequence[Step]
    unit: UnitOfWork
    decisions: Sequence[Decision]
    head: Append

    @property
    def unchanged(self) -> list[UUID]:
        """The ids of those that change nothing and count as such. Not of an import, whose receipts are nobody's alone:
        a row that changes nothing is a row of a file all the same."""
        pairs = zip(self.steps, self.decisions, strict=True)
        return [step.request.command_id for step, decision in pairs if not decision.staged and step.judge is None]


async def decide(unit: UnitOfWork, steps: Sequence[Step]) -> Decided:
    """Each on what those before it have staged.

    Raises a Refusal that names its command, StaleDecision, and KeyMissing where there is no key for what an event says
    of somebody.
    """
    decisions: list[Decision] = []
    step = steps[0]
    try:
        for step in steps:
            decisions.append(await decide_one(unit, step))
        if len(unit.staged) > 1:
            # A single event is sealed in the turn that decided it.
            await turn()
        events = await unit.sealed(correlation_id=steps[0].request.correlation_id, causation_id=None)
    except Refusal as refusal:
        refused = steps[refusal.turn - 1] if isinstance(refusal, Erased) else step
        refusal.command_id = refused.request.command_id
        raise
    return Decided(steps, unit, decisions, _append(steps, decisions, unit, events))


async def decide_one(unit: UnitOfWork, step: Step) -> Decision:
    """On what the unit has read and staged. Raises what the handler raises."""
    first = len(unit.staged)
    await turn()
    unit.begin_command(at=step.request.at, expected_version=step.request.expected_version)
    target = await step.handler(unit)
    staged = tuple(unit.staged[first:])
    unit.made[step.request.command_id] = created_by_event(target.stream_id, (one.event for one in staged))
    state = unit.streams[target.stream_id].state
    return Decision(target, state, staged, _project_of(unit, state))


def _project_of(unit: UnitOfWork, state: Any) -> ProjectState | None:
    """That of a task: every decision about one has read it."""
    stream = unit.streams.get(state.project_id) if isinstance(state, TaskState) else None
    return stream.state if stream is not None and isinstance(stream.state, ProjectState) else None


def _append(
    steps: Sequence[Step], decisions: Sequence[Decision], unit: UnitOfWork, events: Iterable[NewEvent]
) -> Append:
    """The bundle's head. Everything that the unit read is checked there: the others have read what the head
    leaves, or what was checked with it."""
    sealed = iter(events)
    appends = [
        Append(
            caller=step.request.caller,
            command_id=step.request.command_id,
            fingerprint=step.request.fingerprint,
            outcome=Outcome.APPLIED if decision.staged else Outcome.UNCHANGED,
            result_stream=decision.target.stream_id,
            result_kind=decision.target.kind.name,
            checks=(),
            events=tuple(islice(sealed, len(decision.staged))),
        )
        for step, decision in zip(steps, decisions, strict=True)
    ]
    return replace(
        appends[0],
        checks=unit.checks,
        families=tuple(unit.families),
        keys=unit.keys,
        depends_on=tuple(unit.depends_on),
        others=tuple(appends[1:]),
    )
