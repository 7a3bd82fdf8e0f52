"""States as the bodies that the API answers with: every field always there, names joined, times in UTC
with six digits. A body's ETag begins with its version; what follows covers everything else in it."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from taskflow.streams.project import Category, Label, Role, Workflow
from taskflow.streams.task import Priority
from taskflow.streams.user import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import TaskState
    from taskflow.streams.user import UserState

Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

ENCODER: Final = msgspec.json.Encoder()


class Person(Struct, frozen=True):
    """Whoever is named in another resource."""

    id: UUID
    name: str | None


class TaskBody(Struct, frozen=True, kw_only=True):
    id: UUID
    project_id: UUID
    external_id: str | None
    title: str
    description: str
    status: str
    status_category: Category
    priority: Priority
    due_at: Timestamp | None
    labels: tuple[str, ...]
    assignee: Person | None
    parent_id: UUID | None
    rank: str
    recurrence: str | None
    created_by: UUID | None
    created_at: Timestamp
    updated_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    comment_count: int
    checklist: tuple[Any, ...]
    relations: tuple[Any, ...]
    trashed_at: Timestamp | None
    version: int


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


class BoardBody(Struct, frozen=True):
    columns: list[Column]


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


class WrittenProfile(Profile, frozen=True, kw_only=True):
    position: int


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, `Z`, always six digits."""
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def maybe(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def person(user_id: UUID | None, names: Mapping[UUID, str | None]) -> Person | None:
    return None if user_id is None else Person(user_id, names.get(user_id))


def task(state: TaskState, workflow: Workflow | None, names: Mapping[UUID, str | None]) -> TaskBody:
    """`workflow` is the project's present one; a status that left it keeps the category it had."""
    status = workflow.status(state.status) if workflow is not None else None
    return TaskBody(
        id=state.id,
        project_id=state.project_id,
        external_id=state.external_id,
        title=state.title,
        description=state.description,
        status=state.status,
        status_category=status.category if status is not None else state.category,
        priority=state.priority,
        due_at=maybe(state.due_at),
        labels=state.labels,
        assignee=person(state.assignee_id, names),
        parent_id=state.parent_id,
        rank=state.rank,
        recurrence=state.recurrence,
        created_by=state.created_by,
        created_at=timestamp(state.created_at),
        updated_at=timestamp(state.updated_at),
        started_at=maybe(state.started_at),
        completed_at=maybe(state.completed_at),
        comment_count=0,
        checklist=(),
        relations=(),
        trashed_at=maybe(state.trashed_at),
        version=state.version,
    )


def project(state: ProjectState, role: Role | None) -> ProjectBody:
    return ProjectBody(
        id=state.id,
        name=state.name,
        description=state.description,
        role=role,
        workflow=state.workflow,
        labels=state.labels,
        archived_at=maybe(state.archived_at),
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
        settings=state.settings,
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
