"""Renders states as bodies of answers: every field is always present, names are joined, times are in UTC with six
digits."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Raw, Struct

from taskflow.api.encoding import ENCODER
from taskflow.dates.timestamps import Timestamp, timestamp, timestamp_or_none
from taskflow.projections.declarations.tasks import TaskFacts
from taskflow.streams.project import Category, Label, Role, Statuses, Workflow
from taskflow.streams.saved_view import Query
from taskflow.streams.user import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskflow.projections.declarations.tasks import ShownTask
    from taskflow.streams.project import ProjectState
    from taskflow.streams.saved_view import SavedViewState
    from taskflow.streams.user import UserState


class Person(Struct, frozen=True):
    """A person who is named in another resource."""

    id: UUID
    name: str | None


class ImportedPerson(Struct, frozen=True):
    """A person whom an import created."""

    id: UUID
    name: str | None
    version: int


class WrittenPerson(ImportedPerson, frozen=True):
    position: int


class AnnulmentBody(Struct, frozen=True, kw_only=True):
    """An annulment of a task's event. `version` is that of the task after it."""

    task_id: UUID
    annulled_position: int
    annulled_version: int
    """The version of the task that the annulled event produced."""
    reason: str
    version: int


class WrittenAnnulment(AnnulmentBody, frozen=True, kw_only=True):
    position: int


class TaskBody(TaskFacts, frozen=True, kw_only=True):
    """A task's facts with the joined fields. Used for the OpenAPI document only, see `task`."""

    status: str
    status_category: Category
    assignee: Person | None


class WrittenTask(TaskBody, frozen=True, kw_only=True):
    """The answer to a write. Used for the OpenAPI document only, see `encoding.with_position`."""

    position: int


class ProjectBody(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    description: str
    role: Role | None
    """The caller's role; null in the answer to leaving the project."""
    workflow: Workflow
    labels: tuple[Label, ...]
    archived_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class WrittenProject(ProjectBody, frozen=True, kw_only=True):
    position: int


class MemberBody(Struct, frozen=True):
    user: Person
    role: Role


class Column(Struct, frozen=True, kw_only=True):
    status: str
    name: str
    category: Category
    count: int
    tasks: list[TaskBody]
    more: bool
    """Whether the status has more tasks: a board is limited in tasks and in bytes."""


class BoardBody(Struct, frozen=True):
    columns: list[Column]


class SavedViewBody(Struct, frozen=True, kw_only=True):
    """A saved view. `project_id` null: a personal view of its owner."""

    id: UUID
    name: str
    query: Query
    project_id: UUID | None
    owner_id: UUID
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class WrittenSavedView(SavedViewBody, frozen=True, kw_only=True):
    position: int


class PublicProfile(Struct, frozen=True, kw_only=True):
    """The profile that people who share a project can read of each other."""

    id: UUID
    name: str | None
    avatar_url: str | None


class Profile(Struct, frozen=True, kw_only=True):
    """A person's own profile."""

    id: UUID
    name: str | None
    email: str | None
    avatar_url: str | None
    settings: Settings
    created_at: Timestamp
    version: int


class CalendarBody(Struct, frozen=True):
    """A feed of due tasks. Whoever knows the secret can read it."""

    secret: str
    url: str
    version: int


class WrittenCalendar(CalendarBody, frozen=True):
    position: int


class WrittenProfile(Profile, frozen=True, kw_only=True):
    position: int


def person(user_id: UUID | None, names: Mapping[UUID, str | None]) -> Person | None:
    return None if user_id is None else Person(user_id, names.get(user_id))


def task(shown: ShownTask, statuses: Statuses | None, names: Mapping[UUID, str | None]) -> Raw:
    """The JSON of a TaskBody. `statuses`: of the task's project; a status that is not resolved by them keeps its key
    and category."""
    today = None if statuses is None else statuses.resolve(shown.status)
    key, category = (shown.status, shown.category) if today is None else (today.key, today.category)
    joined = (ENCODER.encode(key), category.encode(), ENCODER.encode(person(shown.assignee_id, names)))
    return Raw(b'%b,"status":%b,"status_category":"%b","assignee":%b}' % (bytes(shown.facts)[:-1], *joined))


def project(state: ProjectState, role: Role | None) -> ProjectBody:
    return ProjectBody(
        id=state.id,
        name=state.name,
        description=state.description,
        role=role,
        workflow=state.workflow,
        labels=state.labels,
        archived_at=timestamp_or_none(state.archived_at),
        created_at=timestamp(state.created_at),
        updated_at=timestamp(state.updated_at),
        version=state.version,
    )


def saved_view(state: SavedViewState) -> SavedViewBody:
    return SavedViewBody(
        id=state.id,
        name=state.name,
        query=state.query,
        project_id=state.project_id,
        owner_id=state.owner_id,
        created_at=timestamp(state.created_at),
        updated_at=timestamp(state.updated_at),
        version=state.version,
    )


def public_profile(state: UserState) -> PublicProfile:
    return PublicProfile(id=state.id, name=state.name, avatar_url=state.avatar_url)


def profile(state: UserState) -> Profile:
    return Profile(
        id=state.id,
        name=state.name,
        email=state.email,
        avatar_url=state.avatar_url,
        settings=state.settings or {},
        created_at=timestamp(state.created_at),
        version=state.version,
    )
