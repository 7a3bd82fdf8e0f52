"""`POST /commands/batch`: up to a hundred commands in one request, in order or all or nothing.

body ─▶ read: every fault of every command, and nothing runs ─▶ Batched, one a command
          ├ in order     a chain: each has its own outcome and is decided on what those before it leave; they share
          │              commits
          └ atomic       decided on one unit, stored as one bundle; one refusal refuses them all
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import UUID

from litestar import Response
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import replace

from taskflow.api import encoding
from taskflow.api.answers import render_answer
from taskflow.api.bodies import FAULTS_MAX, decode
from taskflow.api.command_messages import (
    CommandBody,
    CommandOutcome,
    ParsedCommand,
    outcome_of,
    parse_command,
    pointing_below,
    request_for,
)
from taskflow.api.command_references import references, with_ids
from taskflow.api.concurrency_limits import Work
from taskflow.api.preferences import APPLIED, prefers_minimal
from taskflow.api.problems import problem_of
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.targets import target_as_text
from taskflow.api.writes import dry_run, execute, execute_in_order
from taskflow.commands.catalog import COMMANDS
from taskflow.commands.created_ids import created_by_event
from taskflow.commands.execute import Accepted, AppendedEvent
from taskflow.commands.import_scope import ImportCommand
from taskflow.errors import BatchRefused, Fault, KeyReused, Malformed, Refusal
from taskflow.ids import parse_id
from taskflow.off_loop import run_off_loop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskflow.commands.execute import Request
    from taskflow.commands.unit_of_work import UnitOfWork

COMMANDS_MAX: Final = 100
RESULTS_BYTES_MAX: Final = 4_194_304
"""Of the results in one answer: the one that goes beyond it is null, and so are those after it, to be read where their
resources are."""
_NULL: Final = Raw(b"null")
TICK: Final = timedelta(microseconds=1)
"""Between two commands of a batch: none happened at the same moment as the one before it."""

_Size: Final = Meta(min_length=1, max_length=COMMANDS_MAX)


class BatchBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Commands in the order in which they are to happen. A later one names what an earlier one makes by
    `$` and that one's id, wherever an id is expected. `atomic`: all of them, or none. `dry_run`: what they would come to
    is answered, each decided on what those before it would leave, and nothing is stored. The outcomes of a dry run are of
    one moment: when they were decided, nothing that they depend on had changed. What comes later may change them."""

    atomic: bool = False
    dry_run: bool = False
    commands: Annotated[tuple[CommandBody, ...], _Size]


class _Envelope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A BatchBody whose commands have not been looked at."""

    atomic: bool = False
    dry_run: bool = False
    commands: Annotated[tuple[Any, ...], _Size]


class BatchOutcome(Struct, frozen=True, kw_only=True):
    """What `POST /commands` would have answered; where that is no outcome, the `problem` alone. A `result` is null
    once those before it have filled the answer, and under `Prefer: return=minimal`. What a dry run came to has the
    position 0."""

    id: UUID
    outcome: Literal["applied", "unchanged", "rejected"]
    replayed: bool | UnsetType = UNSET
    events: tuple[AppendedEvent, ...] | UnsetType = UNSET
    version: int | UnsetType = UNSET
    position: int | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    problem: Raw | UnsetType = UNSET


class BatchAnswer(Struct, frozen=True):
    """One outcome a command, in their order."""

    results: list[BatchOutcome]


class Batched(Struct, frozen=True, kw_only=True):
    """A command of a batch. `sent` is what its fingerprint is made of: where `refers`, the references themselves,
    and what it means is known only once those that it names are accepted."""

    sent: ParsedCommand
    plain: dict[str, Any]
    place: str
    refers: bool

    def meant(self, made: Mapping[UUID, UUID]) -> ParsedCommand:
        """With the ids of what earlier commands made. Raises Rejected where one that is named was refused."""
        return parse_command(with_ids(self.plain, made), self.place) if self.refers else self.sent

    def shown(self, made: Mapping[UUID, UUID]) -> ParsedCommand:
        """With the target that it was done to, which is all that an answer takes of it: what else it names may have
        been withdrawn since. Raises Rejected as `meant` does."""
        if not isinstance(self.sent.target, str):
            return self.sent
        target = with_ids({"target": self.sent.target}, made)["target"]
        return replace(self.sent, target=target_as_text(self.sent.type, target, f"{self.place}/target"))

    async def decide(self, unit: UnitOfWork) -> UUID:
        """Its handler, once it is known what earlier commands made. Raises what that and `meant` raise."""
        meant = self.meant(unit.made)
        with pointing_below(f"{self.place}/data"):
            return await meant.type.handler(unit, meant.target, meant.body)


async def post_batch(call: RequestContext) -> Response[bytes]:
    call.hold(Work.BATCH)
    envelope = decode(await call.json(), _Envelope)
    await call.context.limits.batch(call.user, len(envelope.commands))
    batch = await run_off_loop(len(call.body), read, envelope.commands)
    outcomes: Sequence[Accepted | Refusal | KeyReused]
    if envelope.dry_run:
        outcomes = await tried(call, batch, atomic=envelope.atomic)
    elif envelope.atomic:
        outcomes = await all_or_nothing(call, batch)
    else:
        outcomes = await execute_in_order(call, requests_of(call, batch))
    accepted = [one for one in outcomes if isinstance(one, Accepted)]
    made = {
        one.sent.command_id: created_by_event(outcome.receipt.stream_id, outcome.events)
        for one, outcome in zip(batch, outcomes, strict=True)
        if isinstance(outcome, Accepted)
    }
    results: list[CommandOutcome | BatchOutcome] = []
    headers: dict[str, str] = {}
    bytes_left = RESULTS_BYTES_MAX
    if prefers_minimal(call.request.scope["headers"]):
        headers |= APPLIED
        bytes_left = -1
    for one, outcome in zip(batch, outcomes, strict=True):
        result = await _result(call, one, outcome, made, bytes_left=bytes_left)
        if isinstance(result, CommandOutcome) and bytes_left >= 0:
            bytes_left -= len(bytes(result.result))
            if bytes_left < 0:
                result = replace(result, result=_NULL)
        results.append(result)
    if accepted and not envelope.dry_run:
        headers["Taskflow-Position"] = str(max(one.receipt.position for one in accepted))
    if len(accepted) == len(batch) and all(one.receipt.replayed for one in accepted):
        headers["Idempotency-Replayed"] = "true"
    return Response(encoding.ENCODER.encode({"results": results}), headers=headers, media_type="application/json")


# --- reading


def read(commands: Sequence[Any]) -> list[Batched]:
    """Raises Malformed with what is wrong with any of them."""
    batch: list[Batched] = []
    faults: list[Fault] = []
    earlier: dict[UUID, str] = {}
    for index, plain in enumerate(commands):
        place = f"/commands/{index}"
        command_id: UUID | None
        try:
            read_one = _read_one(plain, place, earlier)
            command_id = read_one.sent.command_id
            batch.append(read_one)
        except Malformed as error:
            command_id = _id_of(plain)
            faults += error.faults
            if len(faults) >= FAULTS_MAX:
                break
        if command_id in earlier:
            faults.append(
                Fault(
                    f"{place}/id",
                    "repeated",
                    "an earlier command of this batch has the same id",
                )
            )
        elif command_id is not None:
            earlier[command_id] = str(plain.get("type"))
    if faults:
        raise Malformed(faults[:FAULTS_MAX])
    return batch


def _read_one(plain: Any, place: str, earlier: Mapping[UUID, str]) -> Batched:
    if not isinstance(plain, dict):
        raise Malformed([Fault(place, "type", "expected a command, a JSON object")])
    try:
        named = list(references(plain))
        # To see whether it is well formed, any id does in the place of those that are not known yet.
        meant = with_ids(plain, {command_id: command_id for _, command_id in named}) if named else plain
    except RecursionError:
        raise Malformed([Fault(f"{place}/data", "json", "this is nested too deep")]) from None
    faults = [
        Fault(place + pointer, "reference", fault)
        for pointer, command_id in named
        if (fault := _reference_fault(command_id, earlier)) is not None
    ]
    try:
        sent = parse_command(meant, place)
    except Malformed as error:
        raise Malformed([*error.faults, *faults]) from None
    if faults:
        raise Malformed(faults)
    if not named:
        return Batched(sent=sent, plain=plain, place=place, refers=False)
    target = sent.target if meant.get("target") == plain.get("target") else plain["target"]
    if target is not sent.target and isinstance(sent.body, ImportCommand):
        raise Malformed([Fault(f"{place}/target", "reference", "an import names its project by the project's id")])
    sent = replace(sent, target=target, plain=plain.get("data", {}))
    return Batched(sent=sent, plain=plain, place=place, refers=True)


def _reference_fault(command_id: UUID, earlier: Mapping[UUID, str]) -> str | None:
    if command_id not in earlier:
        return f"no earlier command of this batch has the id {command_id}"
    entry = COMMANDS.get(earlier[command_id])
    if entry is not None and not entry.creates:
        return f"command {command_id} creates nothing that a reference could name: it is a {earlier[command_id]}"
    return None


def _id_of(plain: Any) -> UUID | None:
    try:
        return parse_id(plain["id"])
    except (TypeError, KeyError, ValueError):
        return None


# --- running


def requests_of(call: RequestContext, batch: Sequence[Batched]) -> list[Request]:
    """Each at a moment of its own, in their order."""
    now = datetime.now(UTC)
    return [request_for(call, one.sent, one.decide, at=now + index * TICK) for index, one in enumerate(batch)]


async def all_or_nothing(call: RequestContext, batch: Sequence[Batched]) -> list[Accepted]:
    """Raises BatchRefused, and what is no command's own fault."""
    try:
        return await execute(call, requests_of(call, batch))
    except (Refusal, KeyReused) as refusal:
        raise BatchRefused(refusal) from refusal


async def tried(
    call: RequestContext, batch: Sequence[Batched], *, atomic: bool
) -> list[Accepted | Refusal | KeyReused]:
    """What the commands would come to. Raises BatchRefused where one refusal would refuse them all."""
    outcomes = await dry_run(call, requests_of(call, batch))
    for one, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, Refusal | KeyReused) and atomic:
            outcome.command_id = one.sent.command_id
            raise BatchRefused(outcome) from outcome
    return outcomes


async def _result(
    call: RequestContext,
    one: Batched,
    outcome: Accepted | Refusal | KeyReused,
    made: Mapping[UUID, UUID],
    *,
    bytes_left: int,
) -> CommandOutcome | BatchOutcome:
    """Where no bytes are left, what was written is not shown, and not even rendered."""
    if isinstance(outcome, Accepted):
        if bytes_left < 0:
            return outcome_of(one.sent.command_id, outcome)
        try:
            shown = one.shown(made)
            resource, _ = await render_answer(call.context, call.user, shown.type.answer, shown.target, outcome)
            result = encoding.with_position(resource, outcome.receipt.position)
            return outcome_of(one.sent.command_id, outcome, result)
        except Refusal as refusal:
            outcome = refusal
    problem = problem_of(outcome).body(call.request.scope["path"])
    return BatchOutcome(id=one.sent.command_id, outcome="rejected", problem=Raw(problem))


ROUTES: Final = (
    Route("POST", f"{BASE}/commands/batch", post_batch, "Send up to a hundred commands", BatchBody, BatchAnswer),
)
