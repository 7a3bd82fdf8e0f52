"""A project: its members and their roles, its labels, its invitations; and what their rules are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tests.api.model.refusals import FORBIDDEN, NOT_FOUND, Reason, Refused, rule
from tests.api.model.times import read, written
from tests.api.model.workflow import DEFAULT, Workflow

ROLES: Final = ("viewer", "member", "admin", "owner")
INVITATION_LASTS: Final = timedelta(days=7)


class Invitation(Struct, frozen=True):
    """One that nobody has accepted yet."""

    id: str
    email: str
    role: str
    invited_by: str
    created_at: str

    @property
    def address(self) -> str:
        return self.email.strip().casefold()


class Project(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str = ""
    workflow: Workflow = DEFAULT
    labels: Mapping[str, str] = {}
    members: Mapping[str, str]
    consenting: frozenset[str] = frozenset()
    """Members who created it or accepted an invitation."""
    left: frozenset[str] = frozenset()
    """Who went by themselves and has accepted no invitation since."""
    invitations: tuple[Invitation, ...] = ()
    inbox: bool = False
    archived_at: str | None = None
    created_at: str
    updated_at: str
    version: int = 1
    position: int

    def observed(self, at: str, **changed: Any) -> Project:
        """After one event."""
        return replace(self, updated_at=at, version=self.version + 1, **changed)

    def must_allow(self, person: str, minimum: str) -> None:
        """Raises Refused: a stranger finds nothing, a role that is too low is forbidden."""
        role = self.members.get(person)
        if role is None:
            raise Refused(NOT_FOUND)
        if below(role, minimum):
            raise Refused(FORBIDDEN)

    def invitation(self, invitation_id: str) -> Invitation | None:
        return next((one for one in self.invitations if one.id == invitation_id), None)

    def shown(self, to: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "role": self.members.get(to),
            "workflow": self.workflow.shown(),
            "labels": [{"name": name, "colour": self.labels[name]} for name in sorted(self.labels)],
            "archived_at": self.archived_at,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "version": self.version,
        }

    def shown_invitation(self, invitation: Invitation) -> dict[str, Any]:
        return {
            "id": invitation.id,
            "project_id": self.id,
            "email": invitation.email.strip(),
            "role": invitation.role,
            "invited_by": invitation.invited_by,
            "created_at": invitation.created_at,
            "expires_at": written(read(invitation.created_at) + INVITATION_LASTS),
            "version": self.version,
        }


def below(role: str | None, other: str | None) -> bool:
    """Nobody is below everybody."""
    return _height(role) < _height(other)


def _height(role: str | None) -> int:
    return -1 if role is None else ROLES.index(role)


def against_archived(project: Project) -> Iterator[Reason]:
    if project.archived_at is not None:
        yield rule("project-archived")


def against_member(project: Project, actor: str, person: str, role: str | None) -> Iterator[Reason]:
    """What stands against a person's having a role, or none: only an owner touches admins and owners, an Inbox is
    its owner's alone, and there is always an owner. Who leaves asks nobody."""
    current = project.members.get(person)
    leaves = role is None and actor == person
    touches_high = not below(role, "admin") or not below(current, "admin")
    if touches_high and not leaves and project.members[actor] != "owner":
        yield FORBIDDEN
    if project.inbox and role is not None:
        yield rule("inbox")
    if current == "owner" and list(project.members.values()).count("owner") == 1:
        yield rule("last-owner")


def against_invitation(project: Project, actor: str, address: str, role: str) -> Iterator[Reason]:
    if not below(role, "admin") and project.members[actor] != "owner":
        yield FORBIDDEN
    if project.inbox:
        yield rule("inbox")
    if address in {one.address for one in project.invitations}:
        yield rule("already-invited")


def counts(project: Project, invitation: Invitation) -> bool:
    """Whether who sent it might send it today."""
    takes = "admin" if below(invitation.role, "admin") else "owner"
    return not below(project.members.get(invitation.invited_by), takes)
