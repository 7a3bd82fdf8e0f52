"""Moves claims that older releases made of an address's earlier form to the canonical form (see `claims`).

If the earlier form of an address is equal to its canonical form, the claim is found either way, and it moves when the
person signs in. If the address has another spelling (full-width, decomposed, with `ß`), the claim is found only by that
exact spelling: until it has moved, somebody else could register the same address. So the log is read once, oldest
registration first, and registrations wait until this is done. The position reached is stored: a process that starts
later continues from there, and finds what an older release has registered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from taskflow.cancellation import raise_if_cancelled
from taskflow.commands.claims import move_claim
from taskflow.commands.execute import Request
from taskflow.errors import KeyMissing, TaskflowError, Unavailable
from taskflow.ids import derived_id
from taskflow.store.append import NOBODY
from taskflow.store.pool import RETRY_S, TRANSIENT_ERRORS
from taskflow.streams.claim import claim_id
from taskflow.streams.user import UserRegistered
from taskflow.text.addresses import BadAddress, canonical_address, earlier_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from taskflow.commands.execute import Executor
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore
    from taskflow.store.recorded import RecordedEvent

log = logging.getLogger(__name__)

SCAN_MAX: Final = 20_000
"""Positions of the log that one read covers."""
PAGE_EVENTS_MAX: Final = 500
"""Registrations that one read returns."""
WAIT_S: Final = 10.0
"""How long a registration waits for the move before it is refused as unavailable."""
_FINGERPRINT: Final = b"MoveClaim"
_NAME: Final = "earlier-claims"
_READ: Final = "select position from progress where name = $1"
_WRITE: Final = """
insert into progress as p (name, position, state) values ($1, $2, '')
on conflict (name) do update set position = excluded.position, updated_at = now() where p.position < excluded.position
"""


class EarlierClaims:
    """Moves claims of the earlier form. Every process that registers people runs it, and does what is left to do."""

    def __init__(self, store: EventStore, executor: Executor, settings: Settings) -> None:
        self._store = store
        self._executor = executor
        self._settings = settings
        self._done = asyncio.Event()

    async def moved(self) -> None:
        """Waits until all claims are moved. Raises Unavailable if that takes longer than `WAIT_S`."""
        if not self._done.is_set():
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._done.wait()
            except TimeoutError:
                raise Unavailable("claims of addresses are being moved; try again in a minute") from None

    async def run(self) -> None:
        """Calls `move` until it succeeds, again after each error."""
        while not self._done.is_set():
            raise_if_cancelled()
            try:
                await self.move()
            except (TaskflowError, *TRANSIENT_ERRORS) as error:
                log.warning("claims of e-mail addresses were not moved", extra={"error": repr(error)})
                await asyncio.sleep(RETRY_S)

    async def move(self) -> int:
        """Moves the claims of all registrations up to the head of the log; returns the number of people. Raises what
        the executor and the log raise."""
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
            log.info("claims of e-mail addresses were moved", extra={"claims": moved})
        return moved

    async def _hidden(self, page: Sequence[RecordedEvent]) -> list[UUID]:
        """The people on this page whose claim can be found only by the exact spelling of their address."""
        try:
            events = await self._store.mapper.decode(page)
        except KeyMissing:
            if len(page) > 1:
                return [user_id for recorded in page for user_id in await self._hidden([recorded])]
            # Damaged data: it fails every request that needs this person, but must not stop registrations.
            log.exception("a claim of an e-mail address cannot be moved", extra={"user": str(page[0].stream_id)})
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
            return False  # without a canonical form there is no stream to move the claim to
        return canonical != earlier_form(event.email) and event.claim_id != claim_id(
            self._settings.claim_secret_bytes, canonical
        )

    async def _move(self, user_id: UUID) -> None:
        async def handler(unit: UnitOfWork) -> UUID:
            return await move_claim(unit, self._settings.claim_secret_bytes, user_id)

        request = Request(
            caller=NOBODY,
            command_id=derived_id(self._settings.token_secret_bytes, "move-claim", str(user_id)),
            fingerprint=_FINGERPRINT,
            at=datetime.now(UTC),
            handler=handler,
        )
        await self._executor.execute(request)


@asynccontextmanager
async def open_earlier_claims(
    store: EventStore, executor: Executor, settings: Settings
) -> AsyncIterator[EarlierClaims]:
    """Moves claims in a background task until the context ends."""
    claims = EarlierClaims(store, executor, settings)
    task = asyncio.create_task(claims.run(), name="earlier claims")
    try:
        yield claims
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
