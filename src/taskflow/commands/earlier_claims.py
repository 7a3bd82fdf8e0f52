"""Moving the claims of addresses that are older than the canonical form, and that nobody would find under it.

A claim whose form before is the canonical form is found under either, and moves as its person signs in. One of another
spelling (full-width, decomposed, with `ß`) is found by who types that very spelling, and by nobody else: until it has
moved, somebody could register the same address. So the log is read along once, oldest registration first, and
registering waits for it. Where that stands is kept: a process that starts later reads on from there, and finds what
the release before this one has registered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from taskflow.addresses import BadAddress, canonical_address, earlier_form
from taskflow.cancellation import raise_if_cancelled
from taskflow.commands.claims import move_claim
from taskflow.commands.execute import Request
from taskflow.errors import KeyMissing, TaskflowError, Unavailable
from taskflow.ids import derived_id
from taskflow.store.append import NOBODY
from taskflow.store.pool import RETRY_S, TRANSIENT_ERRORS
from taskflow.streams.claim import claim_id
from taskflow.streams.user import UserRegistered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from taskflow.commands.execute import Executor, Target
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore
    from taskflow.store.recorded import RecordedEvent

log = logging.getLogger(__name__)

SCAN_MAX: Final = 20_000
"""Positions that one look at the log passes over."""
PAGE_EVENTS_MAX: Final = 500
"""Registrations that one look takes."""
WAIT_S: Final = 10.0
"""How long somebody who registers waits for the move, before they are told to come again."""
_FINGERPRINT: Final = b"MoveClaim"
_NAME: Final = "earlier-claims"
_READ: Final = "select position from progress where name = $1"
_WRITE: Final = """
insert into progress as p (name, position, state) values ($1, $2, '')
on conflict (name) do update set position = excluded.position, updated_at = now() where p.position < excluded.position
"""


class EarlierClaims:
    """The move, by every process that registers people, each doing what is left."""

    def __init__(self, store: EventStore, executor: Executor, settings: Settings) -> None:
        self._store = store
        self._executor = executor
        self._settings = settings
        self._done = asyncio.Event()

    async def moved(self) -> None:
        """Returns once everything is moved. Raises Unavailable where that takes longer than `WAIT_S`."""
        if not self._done.is_set():
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._done.wait()
            except TimeoutError:
                raise Unavailable("claims of addresses are being moved; try again in a minute") from None

    async def run(self) -> None:
        """Moves until it is done, whatever stands in the way meanwhile."""
        while not self._done.is_set():
            raise_if_cancelled()
            try:
                await self.move()
            except (TaskflowError, *TRANSIENT_ERRORS) as error:
                log.warning("claims of addresses were not moved", extra={"error": repr(error)})
                await asyncio.sleep(RETRY_S)

    async def move(self) -> int:
        """Moves what there is up to the head of the log, and answers of how many people. Raises what the executor
        and the log raise."""
        moved = 0
        after: int = await self._store.pool.fetchval(_READ, _NAME) or 0
        head = (await self._store.log.head()).position
        while after < head:
            to = min(head, after + SCAN_MAX)
            page = await self._store.log.read(after, to=to, limit=PAGE_EVENTS_MAX, types=[UserRegistered.__name__])
            for user_id in await self._hidden(page):
                await self._move(user_id)
                moved += 1
            after = page[-1].position if len(page) == PAGE_EVENTS_MAX else to
            await self._store.pool.execute(_WRITE, _NAME, after)
        self._done.set()
        if moved:
            log.info("claims of addresses were moved", extra={"claims": moved})
        return moved

    async def _hidden(self, page: Sequence[RecordedEvent]) -> list[UUID]:
        """Those of these people whose claim is found by who types their very spelling, and by nobody else."""
        try:
            events = await self._store.mapper.decode(page)
        except KeyMissing:
            if len(page) > 1:
                return [user_id for recorded in page for user_id in await self._hidden([recorded])]
            # Damage, which stops whatever needs that person, and is no reason to register nobody.
            log.exception("a claim cannot be moved", extra={"user": str(page[0].stream_id)})
            return []
        return [
            recorded.stream_id
            for recorded, event in zip(page, events, strict=True)
            if isinstance(event, UserRegistered) and self._is_hidden(event)
        ]

    def _is_hidden(self, event: UserRegistered) -> bool:
        if event.email is None:
            return False
        try:
            canonical = canonical_address(event.email)
        except BadAddress:
            return False  # there is no canonical form to claim it under
        return canonical != earlier_form(event.email) and event.claim_id != claim_id(
            self._settings.claim_secret_bytes, canonical
        )

    async def _move(self, user_id: UUID) -> None:
        async def handler(unit: UnitOfWork) -> Target:
            return await move_claim(unit, self._settings.claim_secret_bytes, user_id)

        request = Request(
            caller=NOBODY,
            command_id=derived_id(self._settings.token_secret_bytes, "move-claim", str(user_id)),
            fingerprint=_FINGERPRINT,
            at=datetime.now(UTC),
        )
        await self._executor.execute(request, handler)


@asynccontextmanager
async def open_earlier_claims(
    store: EventStore, executor: Executor, settings: Settings
) -> AsyncIterator[EarlierClaims]:
    """Moves in the background for as long as it is open."""
    claims = EarlierClaims(store, executor, settings)
    task = asyncio.create_task(claims.run(), name="earlier claims")
    try:
        yield claims
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
