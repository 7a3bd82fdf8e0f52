"""Access decisions of one process: the state folded from the log, overlaid with this process's own commits.

A commit is acknowledged even if the log cannot be read at that moment, and access that the commit revokes must end at
once in the process that answers. So each commit stores here the access granted by the streams it wrote. Each entry
comes from the stream's whole state, so it includes earlier writes of other processes. An entry overrides the folded
state until the follower has passed the entry's position, and is then dropped. Access never falls back to an older
version of a stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Struct

from taskflow.follower.access_state import AccessState
from taskflow.streams.project import ProjectState, Role
from taskflow.streams.session import SessionState
from taskflow.streams.user import SystemRole, UserState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet


class ProjectAccess(Struct, frozen=True):
    """The access to a project at a version. `position` is the position of the version's event, or of a later event of
    the same append."""

    version: int
    position: int
    members: dict[UUID, Role]
    consenting: frozenset[UUID]
    archived: bool


class SystemRoles(Struct, frozen=True):
    """The system roles of a user at a version. `position`: as in ProjectAccess."""

    version: int
    position: int
    roles: tuple[SystemRole, ...]


class Access:
    """AccessState, and the few entries of this process that are newer."""

    def __init__(self) -> None:
        self.access_state = AccessState()
        self._projects: dict[UUID, ProjectAccess] = {}
        self._ended_sessions: dict[UUID, int] = {}
        """Session → position at which the session ended. An ended session never becomes active again."""
        self._system_roles: dict[UUID, SystemRoles] = {}

    # --- what is known

    def session_ended(self, session_id: UUID) -> bool:
        return session_id in self.access_state.ended_sessions or session_id in self._ended_sessions

    def system_roles(self, user_id: UUID) -> tuple[SystemRole, ...]:
        own = self._system_roles.get(user_id)
        return self.access_state.system_roles.get(user_id, ()) if own is None else own.roles

    def role(self, project_id: UUID, user_id: UUID) -> Role | None:
        own = self._projects.get(project_id)
        members = self.access_state.members.get(project_id, {}) if own is None else own.members
        return members.get(user_id)

    def projects_of(self, user_id: UUID) -> Mapping[UUID, Role]:
        """Returns the user's projects and the user's role in each."""
        members, own = self.access_state.members, self._projects
        followed = self.access_state.projects_of.get(user_id, ())
        roles = {project: members[project][user_id] for project in followed if project not in own}
        return roles | {project: one.members[user_id] for project, one in own.items() if user_id in one.members}

    def consented(self, user_id: UUID) -> set[UUID]:
        """Returns the user's projects that the user created or joined by accepting an invitation."""
        own = self._projects
        followed = {project for project in self.access_state.consented.get(user_id, ()) if project not in own}
        return followed | {project for project, one in own.items() if user_id in one.consenting}

    def archived(self) -> AbstractSet[UUID]:
        """Returns all archived projects."""
        own = self._projects
        if not own:
            return self.access_state.archived
        followed = {project for project in self.access_state.archived if project not in own}
        return followed | {project for project, one in own.items() if one.archived}

    # --- what this process writes

    def note_commit(self, states: Iterable[Any], position: int) -> None:
        """Stores the access granted by the states after a commit whose last event is at `position`. A state older than
        its entry, or than the folded state, is ignored."""
        if position <= self.access_state.position:
            return
        for state in states:
            match state:
                case ProjectState():
                    self._wrote_project(state, position)
                case SessionState() if state.ended_at is not None:
                    self._ended_sessions[state.id] = max(position, self._ended_sessions.get(state.id, 0))
                case UserState():
                    self._wrote_user(state, position)

    # An entry equal to the folded state is stored too: other processes may have written between the two versions.
    def _wrote_project(self, state: ProjectState, position: int) -> None:
        held = self._projects.get(state.id)
        if held is None or held.version < state.version:
            self._projects[state.id] = ProjectAccess(
                state.version, position, state.members, frozenset(state.consenting), state.archived_at is not None
            )

    def _wrote_user(self, state: UserState, position: int) -> None:
        held = self._system_roles.get(state.id)
        if held is None or held.version < state.version:
            self._system_roles[state.id] = SystemRoles(state.version, position, state.roles)

    def followed(self) -> None:
        """Drops the entries that the folded state now includes."""
        position = self.access_state.position
        for held in (self._projects, self._system_roles):
            for stream_id in [one for one, entry in held.items() if entry.position <= position]:
                del held[stream_id]
        for session_id in [one for one, at in self._ended_sessions.items() if at <= position]:
            del self._ended_sessions[session_id]
