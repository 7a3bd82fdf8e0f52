"""Calls the stored function append_group_v1: a group as arrays, the connection that sends them, rows as outcomes.

A bundle is sent as commands that depend on each other. The head depends on all others, which come later in the group: the
function looks up all receipts before it judges the first command, so if any command of the bundle was accepted before, the
head is refused. The others depend on the head, which has the checks: if one check fails, the whole bundle is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from taskflow.ids import shard_of
from taskflow.store.append import Append, Conflict, Receipt, receipt
from taskflow.store.pool import connect_writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from taskflow.settings import Settings

Arguments = tuple[list[Any], ...]

CALL: Final = f"select * from append_group_v1({', '.join(f'${n}' for n in range(1, 34))})"
_APPLIED, _FOUND, _MISSED, _FELL = 1, 2, 3, 4


class Writer:
    """The append path's connection, made when it is needed."""

    def __init__(self, settings: Settings, epoch: int) -> None:
        self._settings = settings
        self._epoch = epoch
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def send(self, arguments: Arguments) -> list[asyncpg.Record]:
        """Appends a group in one transaction and one round trip; returns one row per command, in order. Raises what the driver
        raises."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect_writer(self._settings)
        return await self._connection.fetch(
            CALL, self._epoch, *arguments, timeout=self._settings.append_timeout_ms / 1000
        )

    def drop(self) -> None:
        """Ends the connection, after which the outcome of the last call is unknown."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def flat(group: Iterable[Append]) -> list[Append]:
    """All commands of a group, heads and others, in the order of the function's arrays and rows."""
    appends: list[Append] = []
    for head in group:
        appends.append(head)
        if head.others:
            appends += head.others
    return appends


def arguments(group: Sequence[Append]) -> tuple[list[Any], ...]:
    """The arguments of the function, without the epoch, for a group of heads: parallel arrays."""
    streams: dict[UUID, int] = {}
    kinds: list[str] = []

    def index(stream_id: UUID, kind: str) -> int:
        known = streams.get(stream_id)
        if known is None:
            kinds.append(kind)
            known = streams[stream_id] = len(kinds)
        return known

    appends = flat(group)
    ordinals = {id(append): ordinal for ordinal, append in enumerate(appends, 1)}
    heads = {id(other): ordinals[id(head)] for head in group if head.others for other in head.others}
    commands: list[tuple[Any, ...]] = []
    stands: list[int] = []
    checks: list[tuple[int, int]] = []
    families: list[int] = []
    events: list[tuple[Any, ...]] = []
    keys: list[tuple[Any, ...]] = []
    for ordinal, append in enumerate(appends, 1):
        stands += [ordinals[id(other)] for other in append.depends_on if id(other) in ordinals]
        if append.others:
            stands += range(ordinal + 1, ordinal + 1 + len(append.others))
        elif heads and id(append) in heads:
            stands.append(heads[id(append)])
        checks += [(index(stream, kind), version) for stream, kind, version in append.checks]
        if append.families:
            # Each of these streams was read, so the checks have named it already.
            families += [streams[stream] for stream in append.families]
        events += [
            (
                index(event.stream_id, event.kind),
                event.version,
                ordinal,
                shard_of(event.stream_id),
                event.type,
                event.schema_version,
                event.event_id,
                event.occurred_at,
                event.actor,
                event.correlation_id,
                event.causation_id,
                event.data,
                event.project,
                event.parent,
            )
            for event in append.events
        ]
        keys += [(ordinal, key.person, key.wrapped) for key in append.keys]
        commands.append(
            (
                append.caller,
                append.command_id,
                append.fingerprint,
                int(append.outcome),
                index(append.result_stream, append.result_kind),
                len(stands),
                len(checks),
                len(families),
                len(events),
            )
        )
    caller, command_id, fingerprint, outcome, result, stand_ends, check_ends, family_ends, event_ends = _columns(
        commands, 9
    )
    check_streams, check_versions = _columns(checks, 2)
    event_columns = _columns(events, 14)
    return (
        list(streams),
        kinds,
        caller,
        command_id,
        fingerprint,
        outcome,
        result,
        stand_ends,
        stands,
        check_ends,
        check_streams,
        check_versions,
        family_ends,
        families,
        event_ends,
        *event_columns,
        *_columns(keys, 3),
    )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def outcome(row: asyncpg.Record, *, resent: bool) -> Receipt | Conflict:
    if row["status"] == _MISSED:
        return Conflict(UUID(int=row["missed_stream"].int), row["missed_version"])
    if row["status"] == _FELL:
        return Conflict(None, 0)
    # A receipt that is found when a group is sent again is most likely from its own first sending.
    replayed = row["status"] == _FOUND and not resent
    return receipt(row, replayed=replayed, own=row["status"] == _APPLIED)
