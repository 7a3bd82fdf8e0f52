"""What an admin of the system does."""

from __future__ import annotations

from taskflow.client.answers import Annulment, Page, ProjectionStatus
from taskflow.client.call import Call, at, given, pages, write
from taskflow.client.resource import F, Resource, call


class Admin(Resource[F]):
    @call
    def projections(self) -> Call[Page[ProjectionStatus]]:
        """How far each projection is, all on one page."""
        return pages(at("admin", "projections"), ProjectionStatus, fresh=False)

    @call
    def annul_event(self, position: int, reason: str, *, expected_version: int | None = None) -> Call[Annulment]:
        """Annuls the event of a task at a position of the log: from the new version on, the task is as if it had not
        happened. The log keeps it. Raises Rejected with the code `cannot-annul`. `expected_version`: of the task."""
        path = at("admin", "events", str(position), "annul")
        return write("POST", path, Annulment, given(reason=reason), expected=expected_version)
