"""Projects: members, workflow, labels, invitations, board, statistics, activity and export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import UNSET, UnsetType

from taskflow.client.answers import Board, Event, Invitation, Member, Page, Project, Stats, Status, Transition
from taskflow.client.call import Call, Id, Value, at, given, pages, read, write
from taskflow.client.effects import EmittingFlow
from taskflow.client.following import CSV, JSON, pieces
from taskflow.client.resource import F, Resource, call, listed, streaming
from taskflow.client.session import Session


class Projects(Resource[F]):
    def __init__(self, session: Session, face: F) -> None:
        super().__init__(session, face)
        self.invitations = Invitations(session, face)

    @call
    def create(self, name: str, *, description: str | UnsetType = UNSET) -> Call[Project]:
        return write("POST", at("projects"), Project, given(name=name, description=description))

    @call
    def get(self, project: Id) -> Call[Project]:
        return read(at("projects", project), Project)

    @listed
    def list(self, *, archived: bool | None = None, limit: int | None = None) -> Call[Page[Project]]:
        """The caller's projects. `limit`, here and in other lists, is the page size, not the length of the list."""
        return pages(at("projects"), Project, {"archived": archived, "limit": limit})

    @call
    def edit(
        self,
        project: Id,
        *,
        name: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        expected_version: int | None = None,
    ) -> Call[Project]:
        body = given(name=name, description=description)
        return write("PATCH", at("projects", project), Project, body, expected=expected_version)

    @call
    def archive(self, project: Id, *, expected_version: int | None = None) -> Call[Project]:
        return write("DELETE", at("projects", project), Project, expected=expected_version)

    @call
    def unarchive(self, project: Id, *, expected_version: int | None = None) -> Call[Project]:
        return write("POST", at("projects", project, "unarchive"), Project, expected=expected_version)

    # --- members

    @listed
    def members(self, project: Id, *, limit: int | None = None) -> Call[Page[Member]]:
        return pages(at("projects", project, "members"), Member, {"limit": limit})

    @call
    def set_member(self, project: Id, user: Id, role: str, *, expected_version: int | None = None) -> Call[Project]:
        """Changes a member's role, or adds a person who shares another project with the caller, which each of them
        created or accepted an invitation to. Anybody else must be invited: Rejected with the code `must-be-invited`."""
        path = at("projects", project, "members", user)
        return write("PUT", path, Project, {"role": role}, expected=expected_version)

    @call
    def remove_member(self, project: Id, user: Id, *, expected_version: int | None = None) -> Call[Project]:
        """Removes a member; with one's own id, leaves the project."""
        return write("DELETE", at("projects", project, "members", user), Project, expected=expected_version)

    # --- workflow and labels

    @call
    def set_workflow(
        self,
        project: Id,
        statuses: Sequence[Status],
        transitions: Sequence[Transition] | UnsetType = UNSET,
        *,
        mapping: Mapping[str, str] | UnsetType = UNSET,
        expected_version: int | None = None,
    ) -> Call[Project]:
        """Replaces the workflow. Without `transitions` every change of status is allowed. `mapping` gives a replacement
        for each removed status that tasks are in."""
        body = given(statuses=statuses, transitions=transitions, mapping=mapping)
        return write("PUT", at("projects", project, "workflow"), Project, body, expected=expected_version)

    @call
    def set_label(self, project: Id, name: str, colour: str, *, expected_version: int | None = None) -> Call[Project]:
        path = at("projects", project, "labels", name)
        return write("PUT", path, Project, {"colour": colour}, expected=expected_version)

    @call
    def remove_label(self, project: Id, name: str, *, expected_version: int | None = None) -> Call[Project]:
        return write("DELETE", at("projects", project, "labels", name), Project, expected=expected_version)

    # --- what is going on

    @call
    def board(self, project: Id, *, at_time: datetime | None = None, clock: str | None = None) -> Call[Board]:
        """The board now, or as it was at `at_time`, from the event store; `clock` as in `tasks.get`."""
        past: dict[str, Value] = {"at": at_time, "clock": clock}
        return read(at("projects", project, "board"), Board, past, fresh=at_time is None)

    @call
    def stats(self, project: Id) -> Call[Stats]:
        return read(at("projects", project, "stats"), Stats)

    @listed
    def activity(self, project: Id, *, limit: int | None = None) -> Call[Page[Event]]:
        """The events of the project and of everything in it today, newest first, including every acknowledged write."""
        return pages(at("projects", project, "activity"), Event, {"limit": limit}, fresh=False)

    @streaming
    def export(self, project: Id, *, csv: bool = False) -> EmittingFlow[bytes]:
        """The whole project as a JSON or CSV file, in pieces: `file.writelines(client.projects.export(id))`. Raises
        Unreachable if the answer breaks off; the file is then incomplete."""
        whole = read(at("projects", project, "export"), bytes)
        yield from pieces(self._session, whole, CSV if csv else JSON)


class Invitations(Resource[F]):
    @call
    def create(self, project: Id, email: str, role: str, *, expected_version: int | None = None) -> Call[Invitation]:
        """Creates an invitation; only this answer holds its token. `expected_version` is the project's."""
        path = at("projects", project, "invitations")
        return write("POST", path, Invitation, {"email": email, "role": role}, expected=expected_version)

    @call
    def get(self, project: Id, invitation: Id) -> Call[Invitation]:
        return read(at("projects", project, "invitations", invitation), Invitation)

    @listed
    def list(self, project: Id, *, limit: int | None = None) -> Call[Page[Invitation]]:
        return pages(at("projects", project, "invitations"), Invitation, {"limit": limit})

    @call
    def withdraw(self, project: Id, invitation: Id, *, expected_version: int | None = None) -> Call[Project]:
        path = at("projects", project, "invitations", invitation)
        return write("DELETE", path, Project, expected=expected_version)

    @call
    def accept(self, token: str) -> Call[Project]:
        return write("POST", at("invitations", token, "accept"), Project)
