"""Invitations over HTTP, read from the event store, so that they are visible at once."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from litestar import Response
from msgspec import Struct

from taskflow.api.committed_state import committed
from taskflow.api.cursors import page_of, to_cursor
from taskflow.api.invitation_bodies import InvitationBody, addresses_of, invitation_body
from taskflow.api.reads import COMMON, PAGED, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.commands.access import require_role
from taskflow.commands.invitations import pending
from taskflow.errors import NotFound
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import PROJECT

if TYPE_CHECKING:
    from taskflow.api.reads import Reading
    from taskflow.streams.project import ProjectState


async def list_invitations(call: RequestContext) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    reading = await begin(call, paged=True)
    project = await _managed(reading, project_id)
    found = pending(project, datetime.now(UTC))
    page, next_cursor = page_of(reading, "invitations", [one.id for one in found])
    invitations = [one for one in found if one.id in set(page)]
    addresses = await addresses_of(reading.context.store, project, invitations)
    shown = {one.id: invitation_body(project, one, addresses.get(one.id)) for one in invitations}
    items = [shown[one] for one in page]
    return reading.page(items, next_cursor, cursor_after=lambda index: to_cursor("invitations", str(page[index])))


async def get_invitation(call: RequestContext) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    invitation_id = call.id("invitation_id", "invitation")
    reading = await begin(call)
    project = await _managed(reading, project_id)
    invitation = project.invitation(invitation_id)
    if invitation not in pending(project, datetime.now(UTC)):
        raise NotFound("invitation", invitation_id)
    addresses = await addresses_of(reading.context.store, project, [invitation])
    return reading.resource(invitation_body(project, invitation, addresses.get(invitation.id)), project.version)


async def _managed(reading: Reading, project_id: UUID) -> ProjectState:
    """The project in its present state. Raises unless the caller may manage its members."""
    with suppress(*TRANSIENT_ERRORS):
        await reading.context.follower.poll()
    reading.answer_from_log()
    project = await committed(reading.context.store, PROJECT, project_id)
    if project is None:
        raise NotFound("project", project_id)
    require_role(project, reading.caller, "admin")
    return project


class InvitationPage(Struct, frozen=True):
    items: list[InvitationBody]
    next_cursor: str | None


ALL: Final = f"{BASE}/projects/{{project_id:str}}/invitations"
ONE: Final = f"{ALL}/{{invitation_id:str}}"
ROUTES: Final = (
    Route("GET", ALL, list_invitations, "Invitations that can be accepted", answer=InvitationPage, query=PAGED),
    Route("GET", ONE, get_invitation, "An invitation", answer=InvitationBody, query=COMMON),
)
