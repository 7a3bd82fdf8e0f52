"""Purges tasks whose retention time in the trash has passed.

The tasks view lists candidates; the write side decides, so a task restored meanwhile is not purged. The command id is
derived from the task's id and its version in the trash, so a repeated command takes effect once.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from taskflow.cancellation import raise_if_cancelled
from taskflow.commands.execute import Request
from taskflow.commands.purge import purge_task
from taskflow.errors import EpochChanged, Refusal, TaskflowError
from taskflow.ids import derived_id
from taskflow.store.append import NOBODY

if TYPE_CHECKING:
    from taskflow.commands.execute import Executor
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.readmodels.queries import Trashed, Views
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

_FINGERPRINT: Final = b"PurgeTask"


class TrashCollection:
    """Finds the tasks that are due for purging, and purges them."""

    def __init__(self, executor: Executor, views: Views, settings: Settings) -> None:
        self._executor = executor
        self._views = views
        self._settings = settings

    async def run(self) -> None:
        """Purges at every `purge_interval_ms` until cancelled."""
        while True:
            raise_if_cancelled()
            await asyncio.sleep(self._settings.purge_interval_ms / 1000)
            try:
                purged = await self.look(datetime.now(UTC))
                if purged:
                    log.info("tasks were purged", extra={"tasks": purged})
            except EpochChanged:
                raise  # the store has another epoch: the process must open it again
            except TaskflowError as error:
                log.warning("the trash was not emptied", extra={"error": repr(error)})
            except Exception:
                log.exception("the trash was not emptied")

    async def look(self, now: datetime) -> int:
        """Purges the due tasks batch by batch. Returns how many tasks this process purged.

        Raises EpochChanged, Unavailable and the executor's other errors, except refusals.
        """
        limit = now - timedelta(seconds=self._settings.trash_retention_s)
        last: Trashed | None = None
        purged = 0
        while True:
            due = await self._views.trashed_before(limit, after=last, limit=self._settings.purge_batch_max)
            before = purged
            for task in due:
                with suppress(Refusal):  # restored or purged already: the view is behind
                    purged += await self._purge(task, limit, now)
            # Nothing in this batch was left to purge: the view is far behind.
            if len(due) < self._settings.purge_batch_max or purged == before:
                return purged
            last = due[-1]

    async def _purge(self, task: Trashed, limit: datetime, now: datetime) -> bool:
        async def handler(unit: UnitOfWork) -> UUID:
            return await purge_task(unit, task.task_id, limit)

        request = Request(
            caller=NOBODY,
            command_id=derived_id(
                self._settings.token_secret_bytes, "purge-task", str(task.task_id), str(task.version)
            ),
            fingerprint=_FINGERPRINT,
            at=now,
            handler=handler,
        )
        accepted = await self._executor.execute(request)
        return not accepted.receipt.replayed
