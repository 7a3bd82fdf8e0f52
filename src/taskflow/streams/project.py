"""A project: its members and their roles, its workflow and its labels."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.streams.kind import Event, Happened, Kind

Category = Literal["todo", "in_progress", "waiting", "done", "cancelled"]
Role = Literal["viewer", "member", "admin", "owner"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "member", "admin", "owner")
"""From the weakest to the strongest."""


class Status(Struct, frozen=True, gc=False):
    key: str
    name: str
    category: Category


class Transition(Struct, frozen=True, gc=False, rename={"from_": "from"}):
    from_: str
    to: str


class Workflow(Struct, frozen=True, gc=False):
    """Statuses in order; `transitions` of None allows every change."""

    statuses: tuple[Status, ...]
    transitions: tuple[Transition, ...] | None = None

    def status(self, key: str) -> Status | None:
        return next((status for status in self.statuses if status.key == key), None)

    def first(self, category: Category) -> Status | None:
        return next((status for status in self.statuses if status.category == category), None)

    def initial(self) -> Status:
        return self.first("todo") or self.statuses[0]

    def allows(self, from_status: str, to_status: str) -> bool:
        """A status that left the workflow may be left for any other."""
        if self.transitions is None or self.status(from_status) is None:
            return True
        return Transition(from_status, to_status) in self.transitions


DEFAULT_WORKFLOW: Final = Workflow(
    (
        Status("todo", "To do", "todo"),
        Status("in_progress", "In progress", "in_progress"),
        Status("done", "Done", "done"),
        Status("cancelled", "Cancelled", "cancelled"),
    )
)

# --- events --------------------------------------------------------------------------------------


class ProjectCreated(Event, frozen=True):
    """`owner_id` is its first member. `inbox`: the personal project that comes with a registration."""

    name: str
    owner_id: UUID
    workflow: Workflow
    description: str = ""
    inbox: bool = False


class ProjectRenamed(Event, frozen=True):
    name: str


class ProjectDescribed(Event, frozen=True):
    description: str


class ProjectArchived(Event, frozen=True):
    pass


class ProjectUnarchived(Event, frozen=True):
    pass


class MemberAdded(Event, frozen=True):
    user_id: UUID
    role: Role


class MemberRoleChanged(Event, frozen=True):
    user_id: UUID
    role: Role


class MemberRemoved(Event, frozen=True):
    user_id: UUID


# --- state ---------------------------------------------------------------------------------------


class Label(Struct, frozen=True, gc=False):
    name: str
    colour: str | None


class ProjectState(Struct, frozen=True, kw_only=True, gc=False):
    id: UUID
    name: str
    description: str
    workflow: Workflow
    labels: tuple[Label, ...]
    members: dict[UUID, Role]
    inbox: bool
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


def evolve(state: ProjectState | None, event: Event, happened: Happened) -> ProjectState:
    at = happened.occurred_at
    if isinstance(event, ProjectCreated):
        return ProjectState(
            id=happened.stream_id,
            name=event.name,
            description=event.description,
            workflow=event.workflow,
            labels=(),
            members={event.owner_id: "owner"},
            inbox=event.inbox,
            archived_at=None,
            created_at=at,
            updated_at=at,
            version=happened.version,
        )
    if state is None:
        raise AssertionError(f"stream {happened.stream_id} does not begin with ProjectCreated")
    changed: dict[str, Any]
    match event:
        case ProjectRenamed(name=name):
            changed = {"name": name}
        case ProjectDescribed(description=description):
            changed = {"description": description}
        case ProjectArchived():
            changed = {"archived_at": at}
        case ProjectUnarchived():
            changed = {"archived_at": None}
        case MemberAdded(user_id=user_id, role=role) | MemberRoleChanged(user_id=user_id, role=role):
            changed = {"members": state.members | {user_id: role}}
        case MemberRemoved(user_id=user_id):
            changed = {"members": {who: role for who, role in state.members.items() if who != user_id}}
        case _:
            raise AssertionError(f"a project has no {type(event).__name__}")
    return replace(state, updated_at=at, version=happened.version, **changed)


PROJECT: Final = Kind(
    name="project",
    state=ProjectState,
    events=(
        ProjectCreated,
        ProjectRenamed,
        ProjectDescribed,
        ProjectArchived,
        ProjectUnarchived,
        MemberAdded,
        MemberRoleChanged,
        MemberRemoved,
    ),
    evolve=evolve,
)
