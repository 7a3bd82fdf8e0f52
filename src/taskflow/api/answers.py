"""The answer to an accepted command: the resource that the command wrote, as of its version, and the resource's path.

A command that is stored must be acknowledged, so the answer is made of the decision's own result and of people's names,
which are null if they cannot be read. Only the answer to a repeated command is read from the event store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.api import encoding, render
from taskflow.api.calendar_secrets import calendar_secret
from taskflow.api.committed_state import committed
from taskflow.api.invitation_bodies import NewInvitation, WrittenInvitation, invitation_body
from taskflow.api.route import BASE
from taskflow.api.task_parts import WrittenComment, WrittenItem, comment_body, item_body, people_of
from taskflow.commands.access import require_role
from taskflow.commands.invitation_tokens import token_of
from taskflow.errors import NotFound
from taskflow.projections.declarations.tasks import shown
from taskflow.store.append import Outcome
from taskflow.store.time_travel import PointInTime, first_known_at
from taskflow.streams import PROJECT, SAVED_VIEW, TASK, USER
from taskflow.streams.project import MemberInvited
from taskflow.streams.task import ChecklistItemAdded, CommentAdded, TaskEventAnnulled
from taskflow.streams.user import UserCalendarOpened
from taskflow.turns import turn

if TYPE_CHECKING:
    from taskflow.api.context import Context
    from taskflow.commands.declaration import Resource
    from taskflow.commands.execute import Accepted
    from taskflow.streams.project import Statuses


Rendered = tuple[bytes, str]
"""A resource as JSON, with `version` and without `position`, and its path."""


async def render_answer(
    context: Context, caller: UUID, resource: Resource, target: Any, accepted: Accepted
) -> Rendered:
    """The whole resource of the stream or, for a few commands, the part that they wrote."""
    await turn()
    part = _PARTS.get(resource)
    if part is not None:
        return await part(context, caller, target, accepted)
    location = f"{BASE}/{accepted.kind.name}s/{accepted.receipt.stream_id}"
    state = accepted.state
    if accepted.kind is PROJECT:
        return encoding.ENCODER.encode(render.project(state, state.members.get(caller))), location
    if accepted.kind is USER:
        return encoding.ENCODER.encode(render.profile(state)), location
    if accepted.kind is SAVED_VIEW:
        return encoding.ENCODER.encode(render.saved_view(state)), f"{BASE}/views/{accepted.receipt.stream_id}"
    if accepted.kind is not TASK:
        raise AssertionError(f"no route shows a {accepted.kind.name}")
    statuses = await _statuses(context, accepted)
    names = await context.user_directory.stored_names({state.assignee_id} - {None})
    return bytes(render.task(shown(state), statuses, names)), location


def answer_headers(accepted: Accepted, resource: bytes) -> dict[str, str]:
    """The headers that tell a client the version and position of what it wrote, and whether this is a repeat."""
    receipt = accepted.receipt
    headers = {
        "ETag": encoding.resource_etag(receipt.version, resource),
        "Taskflow-Position": str(receipt.position),
    }
    if receipt.replayed:
        headers["Idempotency-Replayed"] = "true"
    return headers


async def _statuses(context: Context, accepted: Accepted) -> Statuses | None:
    """The statuses of the task's project when the command was accepted, so that a repeat gives the same answer as the
    first time, even if the workflow has changed since."""
    project = accepted.project
    if project is None:
        receipt = accepted.receipt
        # The receipt of a command without effect has the position of an older event.
        moment = (
            PointInTime("position", receipt.position)
            if receipt.outcome is Outcome.APPLIED
            else PointInTime("recorded", receipt.recorded_at)
        )
        project = await first_known_at(context.store, PROJECT, accepted.state.project_id, moment)
    return None if project is None else project.statuses


async def _calendar(context: Context, _caller: UUID, _target: Any, accepted: Accepted) -> Rendered:
    (event,) = accepted.events
    if not isinstance(event, UserCalendarOpened):
        raise AssertionError(f"a calendar is not opened by {type(event).__name__}")
    secret = calendar_secret(context.settings, accepted.receipt.stream_id, event.generation)
    location = f"{BASE}/calendar/{secret}.ics"
    url = f"{context.settings.public_url}{location}"
    return encoding.ENCODER.encode(render.CalendarBody(secret, url, accepted.receipt.version)), location


async def _comment(context: Context, _caller: UUID, target: Any, accepted: Accepted) -> Rendered:
    """The comment that was added or, if none was, the command's target."""
    added = next((event.comment_id for event in accepted.events if isinstance(event, CommentAdded)), None)
    comment_id = target.comment_id if added is None else added
    task = accepted.state
    project = accepted.project
    if project is None:
        project = await committed(context.store, PROJECT, task.project_id)
    members = () if project is None else project.members
    comment = task.comment(comment_id)
    names = await context.user_directory.stored_names(people_of(comment, members))
    body = encoding.ENCODER.encode(comment_body(task, comment, members, names))
    return body, f"{BASE}/tasks/{task.id}/comments/{comment_id}"


async def _added_item(_context: Context, _caller: UUID, _target: Any, accepted: Accepted) -> Rendered:
    (added,) = (event for event in accepted.events if isinstance(event, ChecklistItemAdded))
    task = accepted.state
    body = encoding.ENCODER.encode(item_body(task, task.item(added.item_id)))
    return body, f"{BASE}/tasks/{task.id}/checklist/{added.item_id}"


async def _annulment(_context: Context, _caller: UUID, target: Any, accepted: Accepted) -> Rendered:
    """The annulment. Its path is a page of the log that holds its event only: whoever may annul sees that page."""
    (event,) = (event for event in accepted.events if isinstance(event, TaskEventAnnulled))
    receipt = accepted.receipt
    body = render.AnnulmentBody(
        task_id=receipt.stream_id,
        annulled_position=int(target.position),
        annulled_version=event.version,
        reason=event.reason,
        version=receipt.version,
    )
    return encoding.ENCODER.encode(body), f"{BASE}/events?after={receipt.position - 1}&limit=1"


async def _invitation(context: Context, caller: UUID, _target: Any, accepted: Accepted) -> Rendered:
    """The invitation with its token, for callers who may still invite."""
    if accepted.receipt.replayed:
        today = await committed(context.store, PROJECT, accepted.receipt.stream_id)
        if today is None:
            raise NotFound("project", accepted.receipt.stream_id)
        require_role(today, caller, "admin")
    (event,) = (event for event in accepted.events if isinstance(event, MemberInvited))
    project = accepted.state
    body = invitation_body(project, project.invitation(event.invitation_id), event.email)
    token = token_of(context.settings.token_secret_bytes, project.id, event.invitation_id)
    answer = NewInvitation(**msgspec.structs.asdict(body), token=token)
    return encoding.ENCODER.encode(answer), f"{BASE}/projects/{project.id}/invitations/{event.invitation_id}"


async def _person(_context: Context, _caller: UUID, _target: Any, accepted: Accepted) -> Rendered:
    """A person whom an import created."""
    person = accepted.state
    body = encoding.ENCODER.encode(render.ImportedPerson(id=person.id, name=person.name, version=person.version))
    return body, f"{BASE}/users/{person.id}"


_PARTS: Final[dict[Resource, Callable[[Context, UUID, Any, Accepted], Awaitable[Rendered]]]] = {
    "comment": _comment,
    "checklist_item": _added_item,
    "calendar": _calendar,
    "invitation": _invitation,
    "person": _person,
    "annulment": _annulment,
}
"""Makers of the answers that are not a whole stream's resource."""
ANSWERS: Final[dict[Resource, type[Struct]]] = {
    "task": render.WrittenTask,
    "comment": WrittenComment,
    "checklist_item": WrittenItem,
    "project": render.WrittenProject,
    "invitation": WrittenInvitation,
    "user": render.WrittenProfile,
    "calendar": render.WrittenCalendar,
    "view": render.WrittenSavedView,
    "person": render.WrittenPerson,
    "annulment": render.WrittenAnnulment,
}
"""The type of each answer in the OpenAPI document, including `position`."""
