"""What a process must know of the log to answer for anybody: folded, never stored by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct, field

from taskflow.streams.project import (
    InvitationAccepted,
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    ProjectArchived,
    ProjectCreated,
    ProjectUnarchived,
    ProjectWorkflowSet,
    Role,
)
from taskflow.streams.session import SessionEnded
from taskflow.streams.user import SystemRole, UserRenamed, UserRolesSet

if TYPE_CHECKING:
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import Event

FACT_TYPES: Final = frozenset(
    event.__name__
    for event in (
        *(ProjectCreated, MemberAdded, MemberRoleChanged, MemberRemoved, InvitationAccepted, ProjectWorkflowSet),
        *(ProjectArchived, ProjectUnarchived),
        *(SessionEnded, UserRenamed, UserRolesSet),
    )
)


class AccessState(Struct):
    """AccessState up to `position`, every event at or before it included."""

    position: int = 0
    members: dict[UUID, dict[UUID, Role]] = field(default_factory=dict)
    """Project → user → role."""
    projects_of: dict[UUID, set[UUID]] = field(default_factory=dict)
    """User → projects: the same facts from the other side."""
    consented: dict[UUID, set[UUID]] = field(default_factory=dict)
    """User → projects that they created or accepted an invitation to, and are members of."""
    granted: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    """Project → user → the position since which they are a member."""
    lost: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    """User → projects that they were a member of → the position at which that ended."""
    workflows: dict[UUID, int] = field(default_factory=dict)
    """Project → the position at which its workflow was last set: all its tasks read anew since."""
    archived: set[UUID] = field(default_factory=set)
    """Projects."""
    ended_sessions: dict[UUID, datetime] = field(default_factory=dict)
    """Kept until no access token of theirs can be alive."""
    renamed: dict[UUID, int] = field(default_factory=dict)
    """User → the position at which their name last changed, the newest last."""
    system_roles: dict[UUID, tuple[SystemRole, ...]] = field(default_factory=dict)

    def apply(self, recorded: RecordedEvent, event: Event) -> None:
        """The next event of the log, if it is one of FACT_TYPES; what was applied before changes nothing."""
        if recorded.position <= self.position:
            return
        stream = recorded.stream_id
        match event:
            case ProjectCreated(owner_id=owner):
                self.members[stream] = {owner: "owner"}
                self.granted[stream] = {owner: recorded.position}
                self.projects_of.setdefault(owner, set()).add(stream)
                self.consented.setdefault(owner, set()).add(stream)
            case MemberAdded(user_id=user, role=role) | MemberRoleChanged(user_id=user, role=role):
                self.members[stream][user] = role
                self.granted[stream].setdefault(user, recorded.position)
                self.projects_of.setdefault(user, set()).add(stream)
                self.lost.get(user, {}).pop(stream, None)
            case InvitationAccepted(user_id=user):
                self.consented.setdefault(user, set()).add(stream)
            case MemberRemoved(user_id=user):
                self.consented.get(user, set()).discard(stream)
                self.members[stream].pop(user, None)
                self.granted[stream].pop(user, None)
                self.projects_of[user].discard(stream)
                self.lost.setdefault(user, {})[stream] = recorded.position
            case ProjectWorkflowSet():
                self.workflows[stream] = recorded.position
            case ProjectArchived():
                self.archived.add(stream)
            case ProjectUnarchived():
                self.archived.discard(stream)
            case UserRenamed():
                self.renamed.pop(stream, None)
                self.renamed[stream] = recorded.position
            case SessionEnded():
                self.ended_sessions[stream] = recorded.recorded_at
            case UserRolesSet(roles=roles):
                self.system_roles[stream] = roles
            case _:
                raise AssertionError(f"{recorded.type} is no fact")

    def renamed_since(self, position: int) -> set[UUID]:
        """Whose name changed after a position."""
        return {user for user, _ in takewhile(lambda one: one[1] > position, reversed(self.renamed.items()))}

    def forget_sessions(self, now: datetime, token_ttl_s: int) -> None:
        """Drops ended sessions whose last access token has expired by itself."""
        horizon = now - timedelta(seconds=2 * token_ttl_s)
        self.ended_sessions = {sid: at for sid, at in self.ended_sessions.items() if at > horizon}
