"""The one way from HTTP to a command: every REST write and `/commands` go through here.

headers and body ─▶ Sent ─▶ execute: the executor stores it ─▶ Written: the resource as of its version
                              └ a repeat: today's access is judged before the old answer is given
"""

from __future__ import annotations

import hmac
import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from litestar import Response
from msgspec import Struct

from taskflow.api import render
from taskflow.api.answers import answer_of
from taskflow.api.bodies import decode
from taskflow.api.committed_state import committed
from taskflow.api.json_response import JsonResponse
from taskflow.api.preferences import APPLIED, minimal, prefers_minimal
from taskflow.api.problems import Since
from taskflow.api.route import RequestContext
from taskflow.commands.access import require_role
from taskflow.commands.catalog import COMMANDS
from taskflow.commands.execute import Accepted, Handler, Judge, Request, Step, Target
from taskflow.commands.import_scope import ImportCommand, receipts_scope
from taskflow.commands.preview import preview
from taskflow.errors import Fault, KeyReused, Malformed, NotFound, Refusal, VersionConflict
from taskflow.ids import command_id_of_key, earlier_command_id_of_key, is_id, new_id
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import PROJECT, SAVED_VIEW, TASK, USER
from taskflow.timestamps import timestamp
from taskflow.turns import turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.api.context import Context
    from taskflow.commands.declaration import CommandType
    from taskflow.commands.fields import Command
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.store.eventstore import EventStore

KEY_MAX: Final = 255
EVENTS_SINCE_MAX: Final = 200
"""Events that a version conflict lists, the oldest of them."""

_IF_MATCH: Final = re.compile(r'(?:W/)?"([0-9]{1,18})(?:-[^"]*)?"')
_sorted: Final = msgspec.json.Encoder(order="sorted")


class Sent(Struct, frozen=True, kw_only=True):
    """A command as it came in. `plain` is its body as JSON gave it, `command` the same as its Struct."""

    name: str
    target: Any
    plain: dict[str, Any]
    command: Command
    command_id: UUID
    expected_version: int | None


class Written(Struct, frozen=True, kw_only=True):
    """An accepted command and the resource as of its version. `body` holds `version` and `position`."""

    accepted: Accepted
    body: bytes
    etag: str
    location: str | None
    """Of what a create made."""

    @property
    def position(self) -> int:
        return self.accepted.receipt.position

    @property
    def headers(self) -> dict[str, str]:
        headers = {"ETag": self.etag, "Taskflow-Position": str(self.position)}
        if self.accepted.receipt.replayed:
            headers["Idempotency-Replayed"] = "true"
        return headers


async def write(call: RequestContext, command: CommandType, target: Any) -> Response[bytes]:
    """A REST write: a command of this type on that target, its body being the request's. What is preferred of its
    answer changes nothing but the body."""
    plain = await call.json()
    sent = Sent(
        name=command.body.__name__,
        target=target,
        plain=plain,
        command=decode(plain, command.body),
        command_id=await _command_id(call, call.header(b"idempotency-key")),
        expected_version=expected_version(call.header(b"if-match")),
    )
    done = await send(call, sent)
    headers, status = done.headers, 200
    if done.location is not None:
        headers["Location"], status = done.location, 201
    body = done.body
    if prefers_minimal(call.request.scope["headers"]):
        body, headers = minimal(body, done.accepted), headers | APPLIED
    return JsonResponse(body, status_code=status, headers=headers)


async def send(call: RequestContext, sent: Sent) -> Written:
    """Executes a command for its caller and renders the answer. Raises what `execute` raises."""
    accepted = await execute(call, [step_of(call, sent)])
    return await written(call, sent, accepted[0])


def step_of(call: RequestContext, sent: Sent, handler: Handler | None = None, *, at: datetime | None = None) -> Step:
    """A command for the executor. `handler` takes the place of its own, `at` that of the clock's time."""
    entry = COMMANDS[sent.name]
    receipts, judge = call.user, None
    if isinstance(sent.command, ImportCommand):
        receipts = receipts_scope(call.context.settings.claim_secret_bytes, sent.target, sent.command.source)
        judge = partial(_judge_import, call, sent.target)
    request = Request(
        caller=receipts,
        command_id=sent.command_id,
        fingerprint=fingerprint(call.context, receipts, sent),
        at=at or datetime.now(UTC),
        correlation_id=call.correlation_id,
        expected_version=sent.expected_version,
        actor=call.user,
    )

    async def own(unit: UnitOfWork) -> Target:
        return await entry.handler(unit, sent.target, sent.command)

    return Step(request, handler or own, judge)


async def execute(call: RequestContext, steps: Sequence[Step]) -> list[Accepted]:
    """All of the commands, or none. A repeat is answered where its caller may have the answer today.

    Raises what the executor raises; a VersionConflict says what happened since.
    """
    context = call.context
    try:
        return await context.executor.execute_together(steps, _judge_of(call))
    except VersionConflict as conflict:
        conflict.since = await _since(context.store, conflict)
        raise


async def execute_in_order(call: RequestContext, steps: Sequence[Step]) -> list[Accepted | Refusal | KeyReused]:
    """As `execute`, but each of the commands has an outcome of its own."""
    context = call.context
    outcomes = await context.executor.execute_in_order(steps, _judge_of(call))
    for outcome in outcomes:
        if isinstance(outcome, VersionConflict):
            outcome.since = await _since(context.store, outcome)
    return outcomes


async def dry_run(call: RequestContext, steps: Sequence[Step]) -> list[Accepted | Refusal | KeyReused]:
    """What each of the commands would come to now. Nothing is stored."""
    return await preview(call.context.executor, steps, _judge_of(call))


def fingerprint(context: Context, caller: UUID, sent: Sent) -> bytes:
    """A keyed hash of who asks for what: of a command's content as it was sent, by whichever door."""
    target = _sorted.encode(sent.target)
    content = b"\x1f".join((caller.bytes, sent.name.encode(), target, _sorted.encode(sent.plain)))
    return hmac.digest(context.settings.token_secret_bytes, b"taskflow/fingerprint\x1f" + content, "sha256")


def expected_version(if_match: str | None) -> int | None:
    """The version of an `If-Match`: `"3"`, `"3-x"`, `W/"3"`; None for `*` and where there is none."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = _IF_MATCH.fullmatch(if_match.strip())
    if found is None:
        raise Malformed([Fault("If-Match", "format", 'expected one ETag that begins with a version, like "3", or *')])
    return int(found[1])


async def _command_id(call: RequestContext, key: str | None) -> UUID:
    if key is None:
        return new_id()
    if not 1 <= len(key) <= KEY_MAX:
        raise Malformed([Fault("Idempotency-Key", "length", f"expected 1 to {KEY_MAX} characters, found {len(key)}")])
    context = call.context
    if not is_id(key):
        # Accepted by a release that hashed keys: its receipt is the answer, for as long as there are events.
        earlier = earlier_command_id_of_key(key)
        if await context.store.accepted(call.user, [earlier]):
            return earlier
    return command_id_of_key(context.settings.claim_secret_bytes, call.user, key)


async def _judge_import(call: RequestContext, project_id: UUID, _: Accepted) -> None:
    """Whether the caller may import into the project today, once a request. Raises NotFound and Forbidden."""
    if project_id in call.judged:
        return
    context = call.context
    with suppress(*TRANSIENT_ERRORS):
        await context.follower.poll()
    project = await committed(context.store, PROJECT, project_id)
    if project is None:
        raise NotFound(PROJECT.name, project_id)
    require_role(project, call.user, "admin")
    call.judged.add(project_id)


def _judge_of(call: RequestContext) -> Judge:
    """Judges today's access to what earlier commands of a request's caller were answered with. The log is polled once
    for all of the request's commands, after it has arrived: a task may have moved, by another process."""
    polled = False

    async def judge(accepted: Accepted) -> None:
        nonlocal polled
        if not polled:
            with suppress(*TRANSIENT_ERRORS):
                await call.context.follower.poll()
            polled = True
        await _judge_replay(call.context, call.user, accepted)

    return judge


async def _judge_replay(context: Context, caller: UUID, accepted: Accepted) -> None:
    """Raises NotFound, as a read does."""
    store, stream_id = context.store, accepted.receipt.stream_id
    if accepted.kind is USER:
        allowed = stream_id == caller
    elif accepted.kind is SAVED_VIEW and accepted.state.project_id is None:
        allowed = accepted.state.owner_id == caller
    else:
        project_id = stream_id
        if accepted.kind is TASK:
            task = await committed(store, TASK, stream_id)
            if task is None or task.purged:
                raise NotFound(accepted.kind.name, stream_id)
            project_id = task.project_id
        elif accepted.kind is SAVED_VIEW:
            project_id = accepted.state.project_id
        project = await committed(store, PROJECT, project_id)
        allowed = project is not None and caller in project.members
    if not allowed:
        raise NotFound(accepted.kind.name, stream_id)


async def written(call: RequestContext, sent: Sent, accepted: Accepted) -> Written:
    """The answer to a command that was accepted."""
    entry = COMMANDS[sent.name]
    await turn()
    answer = await answer_of(call.context, call.user, entry.answer, sent.target, accepted)
    return Written(
        accepted=accepted,
        body=render.with_position(answer.body, accepted.receipt.position),
        etag=render.resource_etag(accepted.receipt.version, answer.body),
        location=answer.location if entry.creates else None,
    )


async def _since(store: EventStore, conflict: VersionConflict) -> tuple[Since, ...]:
    if conflict.expected >= conflict.current:
        return ()  # a version that is still to come, which may be beyond any that the store can count to
    events = await store.log.headers(conflict.stream_id, after=conflict.expected, limit=EVENTS_SINCE_MAX)
    return tuple(
        Since(event.version, event.type, str(event.actor or "system"), timestamp(event.occurred_at)) for event in events
    )
