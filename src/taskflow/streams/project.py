"""The project stream: members and their roles, invitations, workflow and labels."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from taskflow.streams.stream_type import PERSONAL, Event, EventMetadata, StreamType

Category = Literal["todo", "in_progress", "waiting", "done", "cancelled"]
CATEGORIES: Final[tuple[Category, ...]] = ("todo", "in_progress", "waiting", "done", "cancelled")
CLOSED: Final[tuple[Category, ...]] = ("done", "cancelled")
"""The categories of finished work."""
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
        """Whether a task may change from one status to another. From a status that was removed from the workflow,
        every change is allowed."""
        if self.transitions is None or self.status(from_status) is None:
            return True
        return Transition(from_status, to_status) in self.transitions


class Statuses(Struct, frozen=True, gc=False):
    """Resolves the status stored in a task to a status of the project's current workflow."""

    workflow: Workflow
    mapped: dict[str, str] = {}

    def resolve(self, key: str) -> Status | None:
        """Returns the status with this key, or its replacement; None if it was removed without a replacement."""
        return self.workflow.status(self.mapped.get(key, key))

    def aliases_of(self, key: str) -> tuple[str, ...]:
        """Returns every stored key that resolves to this status: its own key first, then the replaced ones."""
        return (key, *sorted(old for old, to in self.mapped.items() if to == key))


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
    """A project was created. `owner_id` is the first member. `inbox`: the personal project made at registration."""

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


class ProjectWorkflowSet(Event, frozen=True):
    """The workflow was replaced. `mapped`: removed status → the status that its tasks are in from now on."""

    workflow: Workflow
    mapped: dict[str, str] = field(default_factory=dict)


class LabelSet(Event, frozen=True):
    name: str
    colour: str | None


class LabelRemoved(Event, frozen=True):
    name: str


class MemberInvited(Event, frozen=True):
    """A person was invited. The address is sealed with a key of this invitation alone, deleted when the invitation
    ends."""

    person_field = "invitation_id"
    part_field = "invitation_id"
    invitation_id: UUID
    email: Annotated[str | None, PERSONAL]
    role: Role
    expires_at: datetime


class InvitationAccepted(Event, frozen=True):
    """A user accepted an invitation and thereby consented to the membership. The membership itself is a separate
    `MemberAdded` event, earlier in the same append."""

    invitation_id: UUID
    user_id: UUID


class InvitationRevoked(Event, frozen=True):
    invitation_id: UUID


class MemberAdded(Event, frozen=True):
    """A user became a member. This event does not record consent: `InvitationAccepted` does."""

    user_id: UUID
    role: Role


class MemberRoleChanged(Event, frozen=True):
    user_id: UUID
    role: Role


class MemberRemoved(Event, frozen=True):
    """A member was removed, or left: then the event's actor is the member."""

    user_id: UUID


# --- state ---------------------------------------------------------------------------------------


class Label(Struct, frozen=True, gc=False):
    name: str
    colour: str | None


class Invitation(Struct, frozen=True, gc=False):
    """A pending invitation; it may have expired. The address is stored only in the event with this `version`."""

    id: UUID
    role: Role
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime
    version: int


class ProjectState(Struct, frozen=True, kw_only=True, gc=False):
    id: UUID
    name: str
    description: str
    workflow: Workflow
    labels: tuple[Label, ...]
    members: dict[UUID, Role]
    consenting: tuple[UUID, ...] = ()
    """Members who created the project or accepted an invitation to it, sorted. Other members were added directly."""
    left: tuple[UUID, ...] = ()
    """Users who removed themselves and have accepted no invitation since, sorted."""
    mapped: dict[str, str] = {}
    """Status removed from the workflow → the status that replaces it now."""
    invitations: tuple[Invitation, ...] = ()
    inbox: bool
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def statuses(self) -> Statuses:
        return Statuses(self.workflow, self.mapped)

    def consents(self, *users: UUID) -> bool:
        """Whether all these users are members who consented."""
        return all(user in self.consenting for user in users)

    def invitation(self, invitation_id: UUID) -> Invitation | None:
        return next((one for one in self.invitations if one.id == invitation_id), None)


def _mapped(state: ProjectState, event: ProjectWorkflowSet) -> dict[str, str]:
    """Merges the event's mapping into the state's: earlier mappings follow the new replacements, and a status that is
    in the workflow again is no longer mapped."""
    mapped = {key: event.mapped.get(to, to) for key, to in state.mapped.items()} | event.mapped
    return {key: to for key, to in mapped.items() if event.workflow.status(key) is None}


def _with(users: tuple[UUID, ...], user: UUID) -> tuple[UUID, ...]:
    return users if user in users else tuple(sorted((*users, user)))


def _except(users: tuple[UUID, ...], user: UUID) -> tuple[UUID, ...]:
    return tuple(one for one in users if one != user)


def _without(invitations: tuple[Invitation, ...], ended: UUID) -> tuple[Invitation, ...]:
    return tuple(one for one in invitations if one.id != ended)


def evolve(state: ProjectState | None, event: Event, metadata: EventMetadata) -> ProjectState:
    at = metadata.occurred_at
    if isinstance(event, ProjectCreated):
        return ProjectState(
            id=metadata.stream_id,
            name=event.name,
            description=event.description,
            workflow=event.workflow,
            labels=(),
            members={event.owner_id: "owner"},
            consenting=(event.owner_id,),
            inbox=event.inbox,
            archived_at=None,
            created_at=at,
            updated_at=at,
            version=metadata.version,
        )
    if state is None:
        raise AssertionError(f"stream {metadata.stream_id} does not begin with ProjectCreated")
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
        case ProjectWorkflowSet(workflow=workflow):
            changed = {"workflow": workflow, "mapped": _mapped(state, event)}
        case LabelSet(name=name, colour=colour):
            others = [label for label in state.labels if label.name != name]
            changed = {"labels": tuple(sorted([*others, Label(name, colour)], key=lambda label: label.name))}
        case LabelRemoved(name=name):
            changed = {"labels": tuple(label for label in state.labels if label.name != name)}
        case MemberInvited():
            invitation = Invitation(
                event.invitation_id, event.role, metadata.actor, at, event.expires_at, metadata.version
            )
            # Expired invitations are dropped here: nobody can accept them any more.
            changed = {"invitations": (*[one for one in state.invitations if at < one.expires_at], invitation)}
        case InvitationAccepted(invitation_id=ended, user_id=user_id):
            changed = {
                "invitations": _without(state.invitations, ended),
                "consenting": _with(state.consenting, user_id),
                "left": _except(state.left, user_id),
            }
        case InvitationRevoked(invitation_id=ended):
            changed = {"invitations": _without(state.invitations, ended)}
        case MemberAdded(user_id=user_id, role=role) | MemberRoleChanged(user_id=user_id, role=role):
            changed = {"members": state.members | {user_id: role}}
        case MemberRemoved(user_id=user_id):
            changed = {
                "members": {who: role for who, role in state.members.items() if who != user_id},
                "consenting": _except(state.consenting, user_id),
                "left": _with(state.left, user_id) if metadata.actor == user_id else state.left,
            }
        case _:
            raise AssertionError(f"a project has no {type(event).__name__}")
    return replace(state, updated_at=at, version=metadata.version, **changed)


PROJECT: Final = StreamType(
    name="project",
    state=ProjectState,
    events=(
        ProjectCreated,
        ProjectRenamed,
        ProjectDescribed,
        ProjectArchived,
        ProjectUnarchived,
        ProjectWorkflowSet,
        LabelSet,
        LabelRemoved,
        MemberInvited,
        InvitationAccepted,
        InvitationRevoked,
        MemberAdded,
        MemberRoleChanged,
        MemberRemoved,
    ),
    evolve=evolve,
    state_version=3,  # 1: no invitations, no status mapping; 2: no consent
)
