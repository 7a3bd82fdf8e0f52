"""Commands on their way into the store, from an importer that waits for a store which is away."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from taskflow.commands.execute import Request
from taskflow.errors import QueueFull, Unavailable
from taskflow.store.pool import AWAY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from taskflow.commands.execute import Accepted, Executor, Handler
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")


class Sender:
    """Sends one import's commands. `position` is that of the last event that it appended, or met again."""

    def __init__(self, executor: Executor, settings: Settings, user_id: UUID) -> None:
        self._executor = executor
        self._settings = settings
        self._user_id = user_id
        self._away_since: float | None = None
        self.position = 0

    async def execute(
        self, caller: UUID, command_id: UUID, fingerprint: bytes, handler: Handler
    ) -> tuple[Accepted, bool]:
        """The accepted command, and whether this run is the one that made it so."""
        request = Request(
            caller=caller, command_id=command_id, fingerprint=fingerprint, at=datetime.now(UTC), actor=self._user_id
        )
        sent = 0

        async def send() -> Accepted:
            nonlocal sent
            sent += 1
            return await self._executor.execute(request, handler)

        accepted = await self.answered(send)
        self.position = max(self.position, accepted.receipt.position)
        # Found on a second sending: most likely its own first one, whose answer was lost.
        return accepted, sent > 1 or not accepted.receipt.replayed

    async def answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until the store answers; raises what it last said once it was away for `import_away_max_s`."""
        pause_s = self._settings.import_backoff_min_ms / 1000
        clock = asyncio.get_running_loop().time
        while True:
            try:
                answer = await ask()
            except (Unavailable, QueueFull, *AWAY) as error:
                if self._away_since is None:
                    self._away_since = clock()
                    log.warning("the event store does not answer; the import waits for it: %s", error)
                elif clock() - self._away_since > self._settings.import_away_max_s:
                    raise Unavailable(
                        f"the event store did not answer for {self._settings.import_away_max_s} s ({error}); "
                        "run the import again: it goes on where it stopped"
                    ) from error
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._settings.import_backoff_max_ms / 1000)
            else:
                self._away_since = None
                return answer
