"""Inviting somebody to a project by their address, whether or not they are registered.

    invite ─▶ a token ─┬─▶ accept, by presenting the token: the user becomes a member
                       └─▶ revoke, or seven days pass: the token is no longer valid

The address is encrypted with the invitation's own key, which is destroyed in the append that ends the invitation;
expired invitations end when the next one is sent. An invitation is valid only while its sender may still send it: a
person who was removed, or has lost the necessary role, cannot come back by an invitation that they sent and kept.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from taskflow.commands.access import project_for, require_role, require_user, role_rank
from taskflow.commands.declaration import (
    PROJECT_ID,
    CommandType,
    DecisionContext,
    RestRoute,
    TargetType,
    on_project,
)
from taskflow.commands.fields import INVITATION_DAYS, INVITATIONS_MAX, Command, Email
from taskflow.commands.invitation_tokens import TOKEN_MAX, named_by
from taskflow.commands.project import require_owner_for_owners, room_for_a_member
from taskflow.errors import Invalid, NotFound, Rejected
from taskflow.streams import PROJECT, USER, Event
from taskflow.streams.project import (
    Invitation,
    InvitationAccepted,
    InvitationRevoked,
    MemberAdded,
    MemberInvited,
    MemberRoleChanged,
    ProjectState,
    Role,
)
from taskflow.text.addresses import BadAddress, canonical_address, same_address, trimmed

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from taskflow.commands.unit_of_work import UnitOfWork

INVITATION_LIFETIME: Final = timedelta(days=INVITATION_DAYS)

# --- commands ------------------------------------------------------------------------------------


class ProjectInvitation(Struct, frozen=True):
    project_id: UUID
    invitation_id: UUID


class InvitationToken(Struct, frozen=True):
    """The target of a route that is called with a token: the token alone identifies the invitation."""

    token: Annotated[str, Meta(min_length=1, max_length=TOKEN_MAX)]


class InviteMember(Command, frozen=True):
    """Makes a token for the person with the address `email`; the caller sends it to them."""

    email: Email
    role: Role


class RevokeInvitation(Command, frozen=True):
    pass


class AcceptInvitation(Command, frozen=True):
    pass


# --- decide --------------------------------------------------------------------------------------


def invite(
    project: ProjectState,
    actor: UUID,
    command: InviteMember,
    *,
    invitation_id: UUID,
    addresses: Collection[str],
    at: datetime,
) -> list[Event]:
    """`addresses`: of the invitations that can still be accepted. Only an owner may invite admins and owners."""
    mine = require_role(project, actor, "admin")
    if project.inbox:
        raise Rejected("inbox", "an Inbox cannot be shared")
    require_owner_for_owners(mine, command.role, None)
    try:
        canonical_address(command.email)
    except BadAddress as error:
        raise Invalid("/email", "format", str(error)) from None
    if any(same_address(command.email, address) for address in addresses):
        raise Rejected("already-invited", "an invitation of this address is pending; revoke it to send another")
    if len(pending(project, at)) >= INVITATIONS_MAX:
        raise Rejected(
            "too-many-invitations",
            f"a project has at most {INVITATIONS_MAX} pending invitations; revoke some first",
        )
    return [
        MemberInvited(
            invitation_id=invitation_id,
            email=trimmed(command.email),
            role=command.role,
            expires_at=at + INVITATION_LIFETIME,
        )
    ]


def pending(project: ProjectState, at: datetime) -> tuple[Invitation, ...]:
    """The invitations that have not expired."""
    return tuple(invitation for invitation in project.invitations if at < invitation.expires_at)


def accept(project: ProjectState, user: UUID, invitation_id: UUID, at: datetime) -> list[Event]:
    """Ends the invitation and makes the user a member; a user who is a member already keeps a higher role."""
    invitation = project.invitation(invitation_id)
    if invitation is None or at >= invitation.expires_at or not _counts(project, invitation):
        raise NotFound("invitation", invitation_id)
    ended = InvitationAccepted(invitation_id=invitation_id, user_id=user)
    mine = project.members.get(user)
    if mine is None:
        room_for_a_member(project)
        return [MemberAdded(user_id=user, role=invitation.role), ended]
    if role_rank(mine) >= role_rank(invitation.role):
        return [ended]
    return [MemberRoleChanged(user_id=user, role=invitation.role), ended]


def revoke(project: ProjectState, invitation_id: UUID) -> list[Event]:
    if project.invitation(invitation_id) is None:
        raise NotFound("invitation", invitation_id)
    return [InvitationRevoked(invitation_id=invitation_id)]


def _counts(project: ProjectState, invitation: Invitation) -> bool:
    """Whether the sender of the invitation would be allowed to send it now."""
    sender = project.members.get(invitation.invited_by) if invitation.invited_by is not None else None
    takes: Role = "owner" if role_rank(invitation.role) >= role_rank("admin") else "admin"
    return sender is not None and role_rank(sender) >= role_rank(takes)


# --- handlers ------------------------------------------------------------------------------------


async def invite_member(unit: UnitOfWork, target: UUID, command: InviteMember) -> UUID:
    project = await project_for(unit, target, "admin")
    unit.expect_version(target)
    versions = [invitation.version for invitation in pending(project, unit.at)]
    sent = await unit.history.events(target, versions) if versions else []
    addresses = [event.email for event in sent if isinstance(event, MemberInvited) and event.email is not None]
    invitation_id = unit.fresh_id()
    events = invite(project, require_user(unit), command, invitation_id=invitation_id, addresses=addresses, at=unit.at)
    unit.make_key(invitation_id)
    unit.append(PROJECT, target, *events)
    left = unit.streams[target].state
    for one in project.invitations:
        if left.invitation(one.id) is None:
            unit.destroy_key(one.id)
    return target


async def accept_invitation(unit: UnitOfWork, target: InvitationToken, _: AcceptInvitation) -> UUID:
    user = require_user(unit)
    named = named_by(unit.token_secret, target.token)
    if named is None:
        raise NotFound("invitation", "with this token")
    project_id, invitation_id = named
    project = await unit.read(PROJECT, project_id)
    if project is None:
        raise NotFound("invitation", "with this token")
    await unit.get(USER, user)
    events = accept(project, user, invitation_id, unit.at)
    unit.expect_version(project_id)
    unit.append(PROJECT, project_id, *events)
    unit.destroy_key(invitation_id)
    return project_id


def _revoke(on: DecisionContext[ProjectState, ProjectState, ProjectInvitation, RevokeInvitation]) -> list[Event]:
    events = revoke(on.state, on.target.invitation_id)
    on.unit.destroy_key(on.target.invitation_id)
    return events


# --- declared ------------------------------------------------------------------------------------

INVITATION: Final = TargetType("invitation", PROJECT_ID.path + "/invitations/{invitation_id:str}", ProjectInvitation)
INVITATION_TOKEN: Final = TargetType("invitation_token", "/invitations/{token:str}", InvitationToken)
COMMANDS: Final = (
    CommandType(
        body=InviteMember,
        target=PROJECT_ID,
        handler=invite_member,
        answer="invitation",
        rest=RestRoute("POST", "/invitations", "Invite somebody by their address"),
        creates=True,
    ),
    on_project(RevokeInvitation, INVITATION, _revoke, RestRoute("DELETE", "", "Revoke an invitation")),
    CommandType(
        body=AcceptInvitation,
        target=INVITATION_TOKEN,
        handler=accept_invitation,
        answer="project",
        rest=RestRoute("POST", "/accept", "Accept an invitation"),
    ),
)
