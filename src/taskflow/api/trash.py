"""The trash is emptied: tasks that were in it for too long are purged, by every API process alike.

The tasks view names them, the write side decides: one that was restored meanwhile is not due, and the command's
id is made of the task and its version in the trash, so that it takes effect once, whoever sends it and however
often.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from taskflow.cancellation import heed_cancellation
from taskflow.commands.execute import Request, Target
from taskflow.commands.purging import purge_task
from taskflow.errors import Refusal, TaskflowError
from taskflow.ids import derived_id
from taskflow.store.append import NOBODY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.commands.execute import Executor
    from taskflow.commands.unit import Unit
    from taskflow.readmodels.queries import Trashed, Views
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

JITTER: Final = 0.2
"""The share by which a pause is longer or shorter, so that processes do not look all at once."""
_FINGERPRINT: Final = b"PurgeTask"


class TrashCollection:
    """Looks for what is due, and purges it."""

    def __init__(self, executor: Executor, views: Views, settings: Settings) -> None:
        self._executor = executor
        self._views = views
        self._settings = settings

    async def run(self) -> None:
        """Looks again and again until cancelled."""
        while True:
            heed_cancellation()
            pause_s = self._settings.trash_look_ms / 1000
            await asyncio.sleep(pause_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret
            try:
                purged = await self.look(datetime.now(UTC))
                if purged:
                    log.info("tasks were purged", extra={"tasks": purged})
            except TaskflowError as error:
                log.warning("the trash was not emptied", extra={"error": repr(error)})
            except Exception:
                log.exception("the trash was not emptied")

    async def look(self, now: datetime) -> int:
        """Purges what is due, a batch after the other. Answers how many tasks this process purged.

        Raises Unavailable, and what the executor raises beside refusals.
        """
        limit = now - timedelta(seconds=self._settings.trash_keep_s)
        last: Trashed | None = None
        purged = 0
        while True:
            due = await self._views.trashed_before(limit, after=last, limit=self._settings.trash_batch_max)
            before = purged
            for task in due:
                with suppress(Refusal):  # restored, or purged: the view is behind
                    purged += await self._purge(task, limit, now)
            # A batch in which nothing was left to do: the view is far behind, or another process is at it.
            if len(due) < self._settings.trash_batch_max or purged == before:
                return purged
            last = due[-1]

    async def _purge(self, task: Trashed, limit: datetime, now: datetime) -> bool:
        async def handler(unit: Unit) -> Target:
            return await purge_task(unit, task.task_id, limit)

        request = Request(
            caller=NOBODY,
            command_id=derived_id(
                self._settings.token_secret_bytes, "purge-task", str(task.task_id), str(task.version)
            ),
            fingerprint=_FINGERPRINT,
            at=now,
        )
        accepted = await self._executor.execute(request, handler)
        return not accepted.receipt.replayed


@asynccontextmanager
async def open_trash_collection(executor: Executor, views: Views, settings: Settings) -> AsyncIterator[TrashCollection]:
    """Empties the trash in the background for as long as it is open."""
    collection = TrashCollection(executor, views, settings)
    task = asyncio.create_task(collection.run(), name="trash collection")
    try:
        yield collection
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
