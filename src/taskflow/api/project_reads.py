"""Reads projects, from their projection or from the event store."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from taskflow.api.committed_state import committed_many, committed_parts
from taskflow.api.reads import LATE_TIMEOUT_S, Source
from taskflow.errors import NotFound, Unavailable
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from uuid import UUID

    from taskflow.api.reads import Reading
    from taskflow.streams.project import ProjectState

T = TypeVar("T")


async def load(reading: Reading, ids: Sequence[UUID]) -> dict[UUID, ProjectState]:
    """Projects by id. A project that the projection does not have yet (such as an Inbox right after the registration)
    is read from the event store, so that new access works at once. While MongoDB is down, all are read from there."""
    if not ids:
        return {}
    found: dict[UUID, ProjectState] = {}
    try:
        found = await reading.read(lambda models: models.views.projects(ids), Source("projects", ids))
    except Unavailable:
        reading.answer_from_log()
    missing = [project_id for project_id in ids if project_id not in found]
    return found | await committed_many(reading.context.store, PROJECT, missing)


async def load_one(reading: Reading, project_id: UUID) -> ProjectState:
    """The project. Raises NotFound if the caller is not a member."""
    await reading.require_member(project_id, "project", project_id)
    project = (await load(reading, [project_id])).get(project_id)
    if project is None:
        raise NotFound("project", project_id)
    return project


async def of_projects(reading: Reading, ids: Collection[UUID], part: Callable[[ProjectState], T]) -> dict[UUID, T]:
    """A part of each of any number of projects, from the event store, as fresh as this process's position in the log;
    from the projection if the event store does not answer."""
    try:
        found = await committed_parts(reading.context.store, PROJECT, ids, part, within_s=LATE_TIMEOUT_S)
    except (*TRANSIENT_ERRORS, Unavailable):
        return await reading.read(
            lambda models: models.views.parts_of_projects(list(ids), part), Source("projects", ids)
        )
    reading.note_position(reading.context.follower.position)
    return found
