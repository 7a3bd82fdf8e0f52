"""Dry runs: what commands would come to. Each is decided as it would be executed, and nothing is appended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskflow.commands.created_ids import created_by_event
from taskflow.commands.decision import decide_one
from taskflow.commands.execute import Accepted, accepted
from taskflow.errors import Refusal, StaleDecision, Unavailable
from taskflow.store.append import Outcome, Receipt
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.commands.decision import Decision
    from taskflow.commands.execute import Executor, Judge, Request
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.errors import KeyReused


async def preview(
    executor: Executor, requests: Sequence[Request], judge: Judge
) -> list[Accepted | Refusal | KeyReused]:
    """What the commands would come to now, each decided on what those before it would leave.

    The outcomes are of one moment: they are given after nothing that any of them has read was found to have moved. They
    promise nothing for later: another write may come before the commands are sent. Commands that were accepted before are
    answered as they were. The receipts of the others do not exist in the store: their position is 0. Raises Unavailable or
    StoreError.
    """
    try:
        for _ in range(executor.attempts_max):
            known = await executor.repeats(requests, judge)
            new = [request for request in requests if request.command_id not in known]
            unit = executor.unit_of_work(requests[0])
            unit.made = {
                command_id: created_by_event(outcome.receipt.stream_id, outcome.events)
                for command_id, outcome in known.items()
                if isinstance(outcome, Accepted)
            }
            try:
                outcomes = known | {request.command_id: await _outcome(unit, request) for request in new}
            except StaleDecision:
                executor.invalidate_reads(unit)
                continue
            if not new or await executor.confirms(unit, new):
                return [outcomes[request.command_id] for request in requests]
    except TRANSIENT_ERRORS as error:
        raise Unavailable("the event store does not answer; repeat the dry run") from error
    raise Unavailable(
        f"other commands changed the same streams during each of {executor.attempts_max} attempts; send it again"
    )


async def _outcome(unit: UnitOfWork, request: Request) -> Accepted | Refusal:
    """A command that is refused leaves nothing on the unit but what it has read."""
    before = unit.saved()
    try:
        decision = await decide_one(unit, request)
    except Refusal as refusal:
        unit.restore(before)
        return refusal
    return accepted(decision, _receipt(request, decision))


def _receipt(request: Request, decision: Decision) -> Receipt:
    return Receipt(
        fingerprint=request.fingerprint,
        outcome=Outcome.APPLIED if decision.staged else Outcome.UNCHANGED,
        stream_id=decision.stream_id,
        version=decision.state.version,
        position=0,
        events=len(decision.staged),
        recorded_at=request.at,
        replayed=False,
        own=True,
    )
