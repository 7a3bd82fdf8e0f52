"""The server's answers as Structs. Unknown fields are ignored, and fields that only newer servers send have defaults,
so that client and server may be of different releases."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Paged(Protocol[T_co]):
    """Any page of a list."""

    @property
    def items(self) -> tuple[T_co, ...]: ...

    @property
    def next_cursor(self) -> str | None: ...


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    items: tuple[T, ...]
    next_cursor: str | None = None


# --- people


class Person(Struct, frozen=True):
    """A person as named in another resource; `name` is None once their data was erased."""

    id: UUID
    name: str | None = None


class Profile(Struct, frozen=True, kw_only=True):
    """The signed-in person's own profile. `position` is set in answers to writes, here and in the other Structs."""

    id: UUID
    name: str | None
    email: str | None
    avatar_url: str | None = None
    settings: dict[str, Any] = {}
    created_at: datetime
    version: int
    position: int | None = None


class Calendar(Struct, frozen=True, kw_only=True):
    """A calendar feed of due tasks. Anybody who knows the secret can read it."""

    secret: str
    url: str
    version: int
    position: int | None = None

    def __repr__(self) -> str:
        return "Calendar(…)"


class PublicProfile(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str | None
    avatar_url: str | None = None


class TokenPair(Struct, frozen=True, kw_only=True):
    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 - the kind, not a token
    expires_in: int
    """Seconds."""

    def __repr__(self) -> str:
        return "TokenPair(…)"


class SignedIn(TokenPair, frozen=True, kw_only=True):
    user: Profile
    device_token: str
    """For the next `login` on this device. It grants no access, but should be kept private."""

    def __repr__(self) -> str:
        return f"SignedIn(user={self.user.id}, …)"


class Registered(Struct, frozen=True, kw_only=True):
    """The answer to `register`; it holds no tokens if the address must be confirmed first."""

    user: Profile | None = None
    access_token: str | None = None
    refresh_token: str | None = None
    token_type: str | None = None
    expires_in: int | None = None

    def __repr__(self) -> str:
        return f"Registered(user={self.user and self.user.id}, …)"


# --- projects


class Status(Struct, frozen=True):
    key: str
    name: str
    category: str


class Transition(Struct, frozen=True, rename={"from_": "from"}):
    from_: str
    to: str


class Workflow(Struct, frozen=True):
    """The statuses of a project. If `transitions` is None, every change of status is allowed."""

    statuses: tuple[Status, ...]
    transitions: tuple[Transition, ...] | None = None


class Label(Struct, frozen=True):
    name: str
    colour: str | None = None


class Project(Struct, frozen=True, kw_only=True):
    """A project. `role` is the caller's own; None in the answer to leaving the project."""

    id: UUID
    name: str
    description: str = ""
    role: str | None
    workflow: Workflow
    labels: tuple[Label, ...] = ()
    archived_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    position: int | None = None


class Member(Struct, frozen=True):
    user: Person
    role: str


class Invitation(Struct, frozen=True, kw_only=True):
    """An invitation. `token` is only in the answer that created it."""

    id: UUID
    project_id: UUID | None = None
    email: str | None = None
    role: str | None = None
    invited_by: UUID | None = None
    token: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    version: int | None = None
    position: int | None = None


# --- tasks


class ChecklistItem(Struct, frozen=True, kw_only=True):
    id: UUID
    text: str
    done: bool
    version: int | None = None
    position: int | None = None


class Relation(Struct, frozen=True):
    type: str
    task_id: UUID


class Task(Struct, frozen=True, kw_only=True):
    id: UUID
    project_id: UUID
    external_id: str | None = None
    title: str
    description: str = ""
    status: str
    status_category: str
    priority: str
    due_at: datetime | None = None
    due_on: date | None = None
    """Set instead of `due_at` for a task due on a whole day, which ends at midnight in `time_zone`."""
    time_zone: str | None = None
    labels: tuple[str, ...] = ()
    assignee: Person | None = None
    parent_id: UUID | None = None
    rank: str = ""
    recurrence: str | None = None
    created_by: UUID | None = None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    comment_count: int = 0
    checklist: tuple[ChecklistItem, ...] = ()
    relations: tuple[Relation, ...] = ()
    trashed_at: datetime | None = None
    version: int
    position: int | None = None


class Comment(Struct, frozen=True, kw_only=True):
    id: UUID
    task_id: UUID
    body: str
    mentions: tuple[Person, ...] = ()
    author: Person | None = None
    created_at: datetime
    edited_at: datetime | None = None
    version: int
    position: int | None = None


class HaltedPartition(Struct, frozen=True):
    partition: int
    reason: str


class ProjectionWorker(Struct, frozen=True):
    id: str
    partitions: list[int]
    seen_at: datetime


class ProjectionStatus(Struct, frozen=True, kw_only=True):
    """Everything at or before `position` is applied; `lag_events` of the log are not, the oldest for `lag_seconds`.
    `rebuild` is None: no other attempt is being built."""

    name: str
    version: int
    attempt: int
    state: str
    reason: str | None
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    rate: float
    rebuild: None
    dead_letters: int
    halted: list[HaltedPartition]
    workers: list[ProjectionWorker]


class Annulment(Struct, frozen=True, kw_only=True):
    """An event of a task that was annulled; `version` is that of the task after it."""

    task_id: UUID
    annulled_position: int
    annulled_version: int
    reason: str
    version: int
    position: int


class Change(Struct, frozen=True, rename={"from_": "from"}):
    field: str
    from_: Any
    to: Any


class Diff(Struct, frozen=True):
    changes: tuple[Change, ...]


class Column(Struct, frozen=True, kw_only=True):
    """One status of a board: `count` of all its tasks, the first `tasks` by rank, and whether there are `more`."""

    status: str
    name: str
    category: str
    count: int
    tasks: tuple[Task, ...]
    more: bool


class Board(Struct, frozen=True):
    columns: tuple[Column, ...]


class StatusCount(Struct, frozen=True, kw_only=True):
    status: str
    name: str
    category: str
    count: int


class AssigneeCount(Struct, frozen=True):
    assignee: Person
    count: int


class Stats(Struct, frozen=True, kw_only=True):
    """Counts of a project's tasks; only `trashed` counts those in the trash."""

    total: int
    trashed: int = 0
    unassigned: int = 0
    overdue: int = 0
    by_status: tuple[StatusCount, ...] = ()
    by_category: dict[str, int] = {}
    by_priority: dict[str, int] = {}
    by_assignee: tuple[AssigneeCount, ...] = ()


class SavedView(Struct, frozen=True, kw_only=True):
    """A named set of filters for tasks. If `project_id` is None, only its owner sees it."""

    id: UUID
    name: str
    query: dict[str, str | bool | tuple[str, ...]]
    project_id: UUID | None = None
    owner_id: UUID | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    position: int | None = None


# --- events, commands, sync


class Event(Struct, frozen=True, kw_only=True):
    """One event of the log. `actor` is a user's id or `system`."""

    position: int
    event_id: UUID
    stream_id: UUID
    stream_version: int
    type: str
    schema_version: int = 1
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    command_id: UUID
    correlation_id: str | None = None
    causation_id: UUID | None = None
    data: dict[str, Any]


class EventPage(Struct, frozen=True, kw_only=True):
    """A page of events. `position` is the last one examined, to be used as the next `after`."""

    items: tuple[Event, ...]
    next_cursor: str | None = None
    position: int


class Appended(Struct, frozen=True):
    type: str
    version: int
    position: int
    stream_id: UUID | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """The outcome of a command: `applied` or `unchanged`; in a batch also `rejected`, with a `problem`."""

    id: UUID
    outcome: str
    replayed: bool = False
    """Whether an earlier copy was accepted, and this is its outcome."""
    events: tuple[Appended, ...] = ()
    version: int | None = None
    position: int | None = None
    result: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class Outcomes(Struct, frozen=True):
    results: tuple[Outcome, ...]


class CommandKind(Struct, frozen=True, kw_only=True):
    """A command type. `schema` is the JSON Schema of `data`. If it `creates` something, later commands of a batch may
    refer to the new id (`Command.made`)."""

    type: str
    creates: bool = False
    target: str | None = None
    target_schema: dict[str, Any] = {}
    schema: dict[str, Any]


class Removed(Struct, frozen=True):
    """A `task`, `project` or `view` that was trashed or purged, or that the caller may no longer see."""

    kind: str
    id: UUID


class Changes(Struct, frozen=True, kw_only=True):
    """One answer of `/sync`; if `more`, the next one follows at once."""

    token: str
    projects: tuple[Project, ...] = ()
    tasks: tuple[Task, ...] = ()
    removed: tuple[Removed, ...] = ()
    more: bool = False
