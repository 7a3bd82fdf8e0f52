"""Reads all tasks of a project from one snapshot, however long the read takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from pymongo.errors import ConnectionFailure
from pymongo.read_concern import ReadConcern

from taskflow.errors import Unavailable
from taskflow.page_bounds import PAGE_BYTES_MAX
from taskflow.projections.declarations.task_fields import CREATED_AT, PROJECT_ID, TRASHED
from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.queries import in_order_of
from taskflow.streams.task import TaskState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from taskflow.projections.mongo import Database
    from taskflow.readmodels.mongo_breaker import MongoBreaker

PAGE: Final = 100
FETCH: Final = 20
"""Tasks fetched at once: a MongoDB response holds at most 16 MB."""
_state: Final = msgspec.json.Decoder(TaskState)


class Exported:
    """Reads the tasks view from a snapshot. MongoDB keeps a snapshot for some minutes; a longer read fails."""

    def __init__(self, database: Database, breaker: MongoBreaker) -> None:
        self._breaker = breaker
        self._tasks = database[PROJECTIONS["tasks"].collection].with_options(read_concern=ReadConcern("snapshot"))

    async def tasks(self, project_id: UUID) -> AsyncGenerator[list[TaskState], None]:
        """Yields pages of the tasks outside the trash, the oldest first. A page ends after PAGE tasks, or with the task
        that reaches PAGE_BYTES_MAX. Raises Unavailable if MongoDB does not answer."""
        self._breaker.require_available()
        cursor = self._tasks.find({PROJECT_ID: project_id, TRASHED: False}, {"state": 1}, batch_size=FETCH)
        try:
            async with cursor.sort([(CREATED_AT, 1), ("_id", 1)]).hint(in_order_of(CREATED_AT)) as found:
                page: list[TaskState] = []
                size = 0
                async for document in found:
                    page.append(_state.decode(document["state"]))
                    size += len(document["state"])
                    if len(page) == PAGE or size >= PAGE_BYTES_MAX:
                        yield page
                        page, size = [], 0
                yield page
        except ConnectionFailure as error:
            raise Unavailable("the views do not answer; try again shortly") from error
