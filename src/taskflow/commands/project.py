"""Commands that change a project and its members.

While a project is archived, only its members, roles and invitations can change, and it can be unarchived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from taskflow.commands.access import require_role, require_user, role_rank
from taskflow.commands.declaration import (
    PROJECT_ID,
    CommandType,
    DecisionContext,
    RestRoute,
    TargetType,
    on_project,
)
from taskflow.commands.fields import MEMBERS_MAX, Command, Description, Name
from taskflow.errors import Forbidden, Rejected
from taskflow.streams import PROJECT, USER, Event
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    ProjectArchived,
    ProjectCreated,
    ProjectDescribed,
    ProjectRenamed,
    ProjectState,
    ProjectUnarchived,
    Role,
)

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork

SHARED_PROJECTS_READ_MAX: Final = 10
"""Projects that one command reads to find one that two people share by consent: nearly always the first is one."""
MUST_BE_INVITED: Final = (
    "only somebody who is in a project that both of you created or accepted an invitation to, and who did not leave "
    "this one, is added directly; send an invitation, which they accept"
)

# --- commands ------------------------------------------------------------------------------------


class Member(Struct, frozen=True):
    """The target of commands that change one member."""

    project_id: UUID
    user_id: UUID


class CreateProject(Command, frozen=True):
    name: Name
    description: Description = ""


class SetMember(Command, frozen=True):
    """Changes a member's role, or adds a person with whom the caller shares a project by the consent of both."""

    role: Role


class RemoveMember(Command, frozen=True):
    pass


class EditProject(Command, frozen=True):
    """A JSON merge patch: what is left out stays, `null` clears."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET


class ArchiveProject(Command, frozen=True):
    pass


class UnarchiveProject(Command, frozen=True):
    pass


# --- decide --------------------------------------------------------------------------------------


def create(owner: UUID, command: CreateProject) -> list[Event]:
    return [
        ProjectCreated(name=command.name, description=command.description, owner_id=owner, workflow=DEFAULT_WORKFLOW)
    ]


def set_member(project: ProjectState, actor: UUID, user_id: UUID, role: Role, *, acquainted: bool) -> list[Event]:
    """Adds a member or changes a role. Only an owner may give or take the roles admin and owner.

    Nobody is added to a stranger's project: `acquainted` says that actor and user are both members of some project by
    their own consent. A person who left can come back only by an invitation.
    """
    mine = require_role(project, actor, "admin")
    current = project.members.get(user_id)
    if current == role:
        return []
    if project.inbox:
        raise Rejected("inbox", "an Inbox cannot be shared")
    require_owner_for_owners(mine, role, current)
    if current == "owner":
        _not_the_last_owner(project)
    if current is None:
        if not acquainted or user_id in project.left:
            raise Rejected("must-be-invited", MUST_BE_INVITED)
        room_for_a_member(project)
        return [MemberAdded(user_id=user_id, role=role)]
    return [MemberRoleChanged(user_id=user_id, role=role)]


def remove_member(project: ProjectState, actor: UUID, user_id: UUID) -> list[Event]:
    """Removes a member. Any member may leave; removing another takes an admin, and removing an admin or owner an owner.

    Tasks stay assigned to a removed member until they are assigned to somebody else, but no new ones can be.
    """
    mine = require_role(project, actor, "viewer")
    current = project.members.get(user_id)
    if user_id != actor:
        require_role(project, actor, "admin")
        if current is None:
            return []
        require_owner_for_owners(mine, current, current)
    if current == "owner":
        _not_the_last_owner(project)
    return [MemberRemoved(user_id=user_id)]


def edit(project: ProjectState, command: EditProject) -> list[Event]:
    require_not_archived(project)
    events: list[Event] = []
    if command.name is not UNSET and command.name != project.name:
        events.append(ProjectRenamed(name=command.name))
    if command.description is not UNSET and (command.description or "") != project.description:
        events.append(ProjectDescribed(description=command.description or ""))
    return events


def archive(project: ProjectState) -> list[Event]:
    if project.inbox:
        raise Rejected("inbox", "an Inbox cannot be archived")
    return [] if project.archived_at is not None else [ProjectArchived()]


def unarchive(project: ProjectState) -> list[Event]:
    return [] if project.archived_at is None else [ProjectUnarchived()]


def require_not_archived(project: ProjectState) -> None:
    """Raises Rejected for an archived project."""
    if project.archived_at is not None:
        raise Rejected("project-archived", "the project is archived; unarchive it first")


def room_for_a_member(project: ProjectState) -> None:
    if len(project.members) >= MEMBERS_MAX:
        raise Rejected("too-many-members", f"a project has at most {MEMBERS_MAX} members")


def require_owner_for_owners(mine: Role, wanted: Role, current: Role | None) -> None:
    touched = max(role_rank(wanted), role_rank(current) if current else 0)
    if touched >= role_rank("admin") and mine != "owner":
        raise Forbidden("only an owner can add or remove admins and owners")


def _not_the_last_owner(project: ProjectState) -> None:
    if sum(role == "owner" for role in project.members.values()) == 1:
        raise Rejected("last-owner", "a project needs at least one owner; make another member an owner first")


# --- handlers ------------------------------------------------------------------------------------


async def create_project(unit: UnitOfWork, target: UUID | None, command: CreateProject) -> UUID:
    owner = require_user(unit)
    await unit.get(USER, owner)
    project_id = await unit.new(PROJECT, target)
    unit.expect_version(project_id)
    unit.append(PROJECT, project_id, *create(owner, command))
    return project_id


async def _set_member(on: DecisionContext[ProjectState, ProjectState, Member, SetMember]) -> list[Event]:
    project, actor, user_id = on.state, require_user(on.unit), on.target.user_id
    acquainted = user_id not in project.members and await _acquainted(on.unit, actor, user_id)
    return set_member(project, actor, user_id, on.command.role, acquainted=acquainted)


async def _acquainted(unit: UnitOfWork, one: UUID, other: UUID) -> bool:
    """Whether two people are members of some project by their own consent. This is decided on that project's stream,
    whose version the append checks."""
    for fresh in (False, True):
        for project_id in (await unit.hints.shared_projects(one, other, fresh=fresh))[:SHARED_PROJECTS_READ_MAX]:
            shared = await unit.read(PROJECT, project_id)
            if shared is not None and shared.consents(one, other):
                return True
    return False


# --- declared ------------------------------------------------------------------------------------

MEMBER: Final = TargetType("member", PROJECT_ID.path + "/members/{user_id:str}", Member)
COMMANDS: Final = (
    CommandType(
        body=CreateProject,
        target=None,
        handler=create_project,
        answer="project",
        rest=RestRoute("POST", "/projects", "Create a project"),
        creates=True,
    ),
    on_project(
        EditProject,
        PROJECT_ID,
        lambda on: edit(on.state, on.command),
        RestRoute("PATCH", "", "Change a project by a JSON merge patch"),
    ),
    on_project(ArchiveProject, PROJECT_ID, lambda on: archive(on.state), RestRoute("DELETE", "", "Archive a project")),
    on_project(
        UnarchiveProject,
        PROJECT_ID,
        lambda on: unarchive(on.state),
        RestRoute("POST", "/unarchive", "Unarchive a project"),
    ),
    on_project(
        SetMember,
        MEMBER,
        _set_member,
        RestRoute(
            "PUT",
            "",
            "Change a member's role, or add somebody directly who is in a project that both of us created or accepted "
            "an invitation to, and who did not leave this one; anybody else is invited (409 `must-be-invited`)",
        ),
    ),
    on_project(
        RemoveMember,
        MEMBER,
        lambda on: remove_member(on.state, require_user(on.unit), on.target.user_id),
        RestRoute("DELETE", "", "Remove a member, or leave"),
        role="viewer",
    ),
)
