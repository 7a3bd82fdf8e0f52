"""The one way from HTTP to a command: every REST write and `/commands` go through here.

headers and body ─▶ Request ─▶ execute: the executor stores it ─▶ Accepted ─▶ the resource as of its version
                              └ a repeat: today's access is judged before the old answer is given
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from litestar import Response

from taskflow.api import encoding
from taskflow.api.answers import answer_headers, render_answer
from taskflow.api.bodies import decode
from taskflow.api.json_response import JsonResponse
from taskflow.api.preferences import APPLIED, minimal, prefers_minimal
from taskflow.api.problems import Since
from taskflow.api.repeats import judge_import, judge_of, judge_system_role
from taskflow.api.route import RequestContext
from taskflow.api.system_roles import require_system_role
from taskflow.commands.execute import Accepted, Handler, Request
from taskflow.commands.import_scope import ImportCommand, receipts_scope
from taskflow.commands.preview import preview
from taskflow.dates.timestamps import timestamp
from taskflow.errors import Fault, KeyReused, Malformed, Refusal, VersionConflict
from taskflow.ids import command_id_of_key, earlier_command_id_of_key, is_id, new_id

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


async def write(call: RequestContext, command: CommandType, target: Any) -> Response[bytes]:
    """A REST write: a command of this type on that target, its body being the request's. What is preferred of its
    answer changes nothing but the body."""
    if command.system_role is not None:
        await require_system_role(call.context, call.user, command.system_role)
    plain = await call.json()
    request = request_of(
        call,
        command,
        target,
        plain,
        decode(plain, command.body),
        command_id=await _command_id(call, call.header(b"idempotency-key")),
        expected_version=expected_version(call.header(b"if-match")),
    )
    [accepted] = await execute(call, [request])
    resource, path = await render_answer(call.context, call.user, command.answer, target, accepted)
    headers, status = answer_headers(accepted, resource), 200
    if command.creates:
        headers["Location"], status = path, 201
    if prefers_minimal(call.request.scope["headers"]):
        body, headers = minimal(resource, accepted), headers | APPLIED
    else:
        body = encoding.with_position(resource, accepted.receipt.position)
    return JsonResponse(body, status_code=status, headers=headers)


def request_of(
    call: RequestContext,
    command: CommandType,
    target: Any,
    plain: dict[str, Any],
    body: Command,
    *,
    command_id: UUID,
    expected_version: int | None,
    handler: Handler | None = None,
    at: datetime | None = None,
) -> Request:
    """A command for the executor: `plain` is its body as it was sent, `body` the same as its Struct. `handler` replaces
    the handler of the command's declaration, `at` the current time."""
    receipts, judge = call.user, None
    if command.system_role is not None:
        judge = partial(judge_system_role, call, command.system_role)
    if isinstance(body, ImportCommand):
        receipts = receipts_scope(call.context.settings.claim_secret_bytes, target, body.source)
        judge = partial(judge_import, call, target)

    async def declared(unit: UnitOfWork) -> UUID:
        return await command.handler(unit, target, body)

    return Request(
        handler=handler or declared,
        judge=judge,
        caller=receipts,
        command_id=command_id,
        fingerprint=fingerprint(call.context, receipts, command.body.__name__, target, plain),
        at=at or datetime.now(UTC),
        correlation_id=call.correlation_id,
        expected_version=expected_version,
        actor=call.user,
    )


async def execute(call: RequestContext, requests: Sequence[Request]) -> list[Accepted]:
    """All of the commands, or none. A repeat is answered where its caller may have the answer today.

    Raises what the executor raises; a VersionConflict says what happened since.
    """
    context = call.context
    try:
        return await context.executor.execute_together(requests, judge_of(call))
    except VersionConflict as conflict:
        conflict.since = await _since(context.store, conflict)
        raise


async def execute_in_order(call: RequestContext, requests: Sequence[Request]) -> list[Accepted | Refusal | KeyReused]:
    """As `execute`, but each of the commands has an outcome of its own."""
    context = call.context
    outcomes = await context.executor.execute_in_order(requests, judge_of(call))
    for outcome in outcomes:
        if isinstance(outcome, VersionConflict):
            outcome.since = await _since(context.store, outcome)
    return outcomes


async def dry_run(call: RequestContext, requests: Sequence[Request]) -> list[Accepted | Refusal | KeyReused]:
    """What each of the commands would come to now. Nothing is stored."""
    return await preview(call.context.executor, requests, judge_of(call))


def fingerprint(context: Context, caller: UUID, name: str, target: Any, plain: dict[str, Any]) -> bytes:
    """A keyed hash of a command's caller, name, target and body as sent, by its own route or to `/commands`."""
    content = b"\x1f".join((caller.bytes, name.encode(), _sorted.encode(target), _sorted.encode(plain)))
    mac = _fingerprinting(context.settings.token_secret_bytes).copy()
    mac.update(content)
    return mac.digest()


@cache
def _fingerprinting(secret: bytes) -> hmac.HMAC:
    """The beginning of every fingerprint, of which a copy goes on: a process has one secret."""
    return hmac.new(secret, b"taskflow/fingerprint\x1f", "sha256")


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


async def _since(store: EventStore, conflict: VersionConflict) -> tuple[Since, ...]:
    if conflict.expected >= conflict.current:
        return ()  # a version that is still to come, which may be beyond any that the store can count to
    events = await store.log.headers(conflict.stream_id, after=conflict.expected, limit=EVENTS_SINCE_MAX)
    return tuple(
        Since(event.version, event.type, str(event.actor or "system"), timestamp(event.occurred_at)) for event in events
    )
