"""States as the bodies that the API answers with: every field always there, names joined, times in UTC
with six digits. A body's ETag begins with its version; what follows covers everything else in it."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from taskflow.projections.declarations.tasks import TaskFacts
from taskflow.streams.project import Category, Label, Role, Statuses, Workflow
from taskflow.streams.saved_view import Query
from taskflow.streams.user import Settings
from taskflow.timestamps import Timestamp, timestamp, timestamp_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskflow.projections.declarations.tasks import ShownTask
    from taskflow.streams.project import ProjectState
    from taskflow.streams.saved_view import SavedViewState
    from taskflow.streams.user import UserState

ENCODER: Final = msgspec.json.Encoder()


class Person(Struct, frozen=True):
    """Whoever is named in another resource."""

    id: UUID
    name: str | None


class ImportedPerson(Struct, frozen=True):
    """Somebody whom an import named."""

    id: UUID
    name: str | None
    version: int


class WrittenPerson(ImportedPerson, frozen=True):
    position: int


class TaskBody(TaskFacts, frozen=True, kw_only=True):
    """A task's facts with what is joined; only the document is made from it, see `task`."""

    status: str
    status_category: Category
    assignee: Person | None


class WrittenTask(TaskBody, frozen=True, kw_only=True):
    """What a write answers; only the document is made from it, see `with_position`."""

    position: int


class ProjectBody(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    description: str
    role: Role | None
    """The caller's; null in the answer to leaving."""
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
    """Whether there are others after these: a board is bounded in tasks and in bytes."""


class BoardBody(Struct, frozen=True):
    columns: list[Column]


class SavedViewBody(Struct, frozen=True, kw_only=True):
    """`project_id` of null: its owner's alone."""

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
    """What people who share a project may know of each other."""

    id: UUID
    name: str | None
    avatar_url: str | None


class Profile(Struct, frozen=True, kw_only=True):
    """What a person sees of themselves."""

    id: UUID
    name: str | None
    email: str | None
    avatar_url: str | None
    settings: Settings
    created_at: Timestamp
    version: int


class CalendarBody(Struct, frozen=True):
    """A feed of due tasks. Whoever knows the secret reads it."""

    secret: str
    url: str
    version: int


class WrittenCalendar(CalendarBody, frozen=True):
    position: int


class WrittenProfile(Profile, frozen=True, kw_only=True):
    position: int


class Listing(Struct, frozen=True):
    """A page of a list as it is sent, with its opaque ETag."""

    body: bytes
    etag: str
    next_cursor: str | None


def listing(items: Sequence[Any], next_cursor: str | None) -> Listing:
    body = ENCODER.encode({"items": items, "next_cursor": next_cursor})
    return Listing(body, f'"{digest(body)}"', next_cursor)


def person(user_id: UUID | None, names: Mapping[UUID, str | None]) -> Person | None:
    return None if user_id is None else Person(user_id, names.get(user_id))


def task(shown: ShownTask, statuses: Statuses | None, names: Mapping[UUID, str | None]) -> Raw:
    """The JSON of a TaskBody. `statuses` are the project's present ones; one that left them without another in
    its place keeps the category it had."""
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


def digest(body: bytes) -> str:
    """Sixteen characters that change with the body."""
    return blake2b(body, digest_size=8).hexdigest()


def resource_etag(version: int, body: bytes) -> str:
    return f'"{version}-{digest(body)}"'


def with_position(body: bytes, position: int) -> bytes:
    """A resource's JSON with the field `position` at its end: what a write answers."""
    return b'%b,"position":%d}' % (body[:-1], position)
