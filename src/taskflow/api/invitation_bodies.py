"""Bodies of invitations. The address is stored only in the event, encrypted; the token is computed when it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.dates.timestamps import Timestamp, timestamp
from taskflow.streams.project import MemberInvited, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.store.eventstore import EventStore
    from taskflow.streams.project import Invitation, ProjectState


class InvitationBody(Struct, frozen=True, kw_only=True):
    """`version` is the project's. `email` is null once the invitation has ended."""

    id: UUID
    project_id: UUID
    email: str | None
    role: Role
    invited_by: UUID | None
    created_at: Timestamp
    expires_at: Timestamp
    version: int


class NewInvitation(InvitationBody, frozen=True, kw_only=True):
    """Whoever presents `token` may accept the invitation; the token is shown only in the answer to inviting."""

    token: str


class WrittenInvitation(NewInvitation, frozen=True, kw_only=True):
    position: int


def invitation_body(project: ProjectState, invitation: Invitation, email: str | None) -> InvitationBody:
    return InvitationBody(
        id=invitation.id,
        project_id=project.id,
        email=email,
        role=invitation.role,
        invited_by=invitation.invited_by,
        created_at=timestamp(invitation.created_at),
        expires_at=timestamp(invitation.expires_at),
        version=project.version,
    )


async def addresses_of(
    store: EventStore, project: ProjectState, invitations: Sequence[Invitation]
) -> dict[UUID, str | None]:
    """Addresses by the id of the invitation; None if its key was destroyed meanwhile."""
    recorded = await store.log.versions(project.id, [invitation.version for invitation in invitations])
    events = await store.mapper.decode(recorded)
    return {event.invitation_id: event.email for event in events if isinstance(event, MemberInvited)}
