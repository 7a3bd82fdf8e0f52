"""AccessState: the state folded from the log that an API process needs to authorise requests."""

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

ENTRY_BYTES: Final = 256
"""Size of an entry of `lost` or `renamed` in memory, with its part of the dictionary."""


class AccessState(Struct):
    """Memberships, roles, archived projects and ended sessions, folded from every event at or before `position`."""

    position: int = 0
    members: dict[UUID, dict[UUID, Role]] = field(default_factory=dict)
    """Project → user → role."""
    projects_of: dict[UUID, set[UUID]] = field(default_factory=dict)
    """User → projects: the inverse of `members`."""
    consented: dict[UUID, set[UUID]] = field(default_factory=dict)
    """User → projects that the user is a member of, and created or joined by accepting an invitation."""
    granted: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    """Project → user → the position at which the user became a member."""
    lost: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    """User → project that the user was a member of → the position at which the membership ended."""
    workflows: dict[UUID, int] = field(default_factory=dict)
    """Project → the position at which its workflow was last set: since then all its tasks may read differently."""
    archived: set[UUID] = field(default_factory=set)
    """Archived projects."""
    ended_sessions: dict[UUID, datetime] = field(default_factory=dict)
    """Session → the time it ended. Kept until every access token of the session has expired."""
    known_since: int = 0
    """`lost` and `renamed` may lack what happened at or before this position: the oldest entries are dropped."""
    renamed: dict[UUID, int] = field(default_factory=dict)
    """User → the position at which the user's name last changed, the newest last."""
    system_roles: dict[UUID, tuple[SystemRole, ...]] = field(default_factory=dict)

    def apply(self, recorded: RecordedEvent, event: Event) -> None:
        """Applies the next event of the log, whose type is one of FACT_TYPES. An event applied before is ignored."""
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
        """Returns the users whose name changed after a position."""
        return {user for user, _ in takewhile(lambda one: one[1] > position, reversed(self.renamed.items()))}

    def forget_sessions(self, now: datetime, token_ttl_s: int) -> None:
        """Drops ended sessions whose access tokens have all expired."""
        horizon = now - timedelta(seconds=2 * token_ttl_s)
        self.ended_sessions = {sid: at for sid, at in self.ended_sessions.items() if at > horizon}

    def forget_oldest(self, bytes_max: int) -> None:
        """Drops the oldest entries of `lost` and `renamed` while they are larger than `bytes_max`; some more, so that
        this is rare."""
        entries_max = bytes_max // ENTRY_BYTES
        count = len(self.renamed) + sum(map(len, self.lost.values()))
        if count <= entries_max:
            return
        positions = sorted([*self.renamed.values(), *(at for lost in self.lost.values() for at in lost.values())])
        self.known_since = positions[count - entries_max * 3 // 4 - 1]
        self.renamed = {user: at for user, at in self.renamed.items() if at > self.known_since}
        kept = {
            user: {project: at for project, at in lost.items() if at > self.known_since}
            for user, lost in self.lost.items()
        }
        self.lost = {user: lost for user, lost in kept.items() if lost}
