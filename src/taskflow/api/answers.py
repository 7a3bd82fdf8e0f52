"""What an accepted command answers: the resource that it wrote, as of its version, and where that is.

What is stored is acknowledged: the answer to a command that was decided here is made of what was decided, and of names,
which are null where nobody can tell them just now. Only a repeat is read from the event store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.api import render
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
from taskflow.streams.task import ChecklistItemAdded, CommentAdded
from taskflow.streams.user import UserCalendarOpened

if TYPE_CHECKING:
    from taskflow.api.context import Context
    from taskflow.commands.declaration import Resource
    from taskflow.commands.execute import Accepted
    from taskflow.streams.project import Statuses


class Answer(Struct, frozen=True):
    """A body with `version` and without `position`, and its path."""

    body: bytes
    location: str


async def answer_of(context: Context, caller: UUID, resource: Resource, target: Any, accepted: Accepted) -> Answer:
    """The stream's whole resource, but for the few commands that answer a part of it."""
    part = _PARTS.get(resource)
    if part is not None:
        return await part(context, caller, target, accepted)
    location = f"{BASE}/{accepted.kind.name}s/{accepted.receipt.stream_id}"
    state = accepted.state
    if accepted.kind is PROJECT:
        return Answer(render.ENCODER.encode(render.project(state, state.members.get(caller))), location)
    if accepted.kind is USER:
        return Answer(render.ENCODER.encode(render.profile(state)), location)
    if accepted.kind is SAVED_VIEW:
        return Answer(render.ENCODER.encode(render.saved_view(state)), f"{BASE}/views/{accepted.receipt.stream_id}")
    if accepted.kind is not TASK:
        raise AssertionError(f"no route shows a {accepted.kind.name}")
    statuses = await _statuses(context, accepted)
    names = await context.user_directory.stored_names({state.assignee_id} - {None})
    return Answer(bytes(render.task(shown(state), statuses, names)), location)


async def _statuses(context: Context, accepted: Accepted) -> Statuses | None:
    """What the statuses of a task's project stood for as the command was accepted. A repeat says what the first
    answer said, whatever the workflow has become."""
    project = accepted.project
    if project is None:
        receipt = accepted.receipt
        # Of what changed nothing, the position is older than the answer.
        moment = (
            PointInTime("position", receipt.position)
            if receipt.outcome is Outcome.APPLIED
            else PointInTime("recorded", receipt.recorded_at)
        )
        project = await first_known_at(context.store, PROJECT, accepted.state.project_id, moment)
    return None if project is None else project.statuses


async def _calendar(context: Context, _caller: UUID, _target: Any, accepted: Accepted) -> Answer:
    (event,) = accepted.events
    if not isinstance(event, UserCalendarOpened):
        raise AssertionError(f"a calendar is not opened by {type(event).__name__}")
    secret = calendar_secret(context.settings, accepted.receipt.stream_id, event.generation)
    location = f"{BASE}/calendar/{secret}.ics"
    url = f"{context.settings.public_url}{location}"
    return Answer(render.ENCODER.encode(render.CalendarBody(secret, url, accepted.receipt.version)), location)


async def _comment(context: Context, _caller: UUID, target: Any, accepted: Accepted) -> Answer:
    """The comment that was added, or else the target."""
    added = next((event.comment_id for event in accepted.events if isinstance(event, CommentAdded)), None)
    comment_id = target.comment_id if added is None else added
    task = accepted.state
    project = accepted.project
    if project is None:
        project = await committed(context.store, PROJECT, task.project_id)
    members = () if project is None else project.members
    comment = task.comment(comment_id)
    names = await context.user_directory.stored_names(people_of(comment, members))
    body = render.ENCODER.encode(comment_body(task, comment, members, names))
    return Answer(body, f"{BASE}/tasks/{task.id}/comments/{comment_id}")


async def _added_item(_context: Context, _caller: UUID, _target: Any, accepted: Accepted) -> Answer:
    (added,) = (event for event in accepted.events if isinstance(event, ChecklistItemAdded))
    task = accepted.state
    body = render.ENCODER.encode(item_body(task, task.item(added.item_id)))
    return Answer(body, f"{BASE}/tasks/{task.id}/checklist/{added.item_id}")


async def _invitation(context: Context, caller: UUID, _target: Any, accepted: Accepted) -> Answer:
    """With its token: for those who may still invite."""
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
    return Answer(render.ENCODER.encode(answer), f"{BASE}/projects/{project.id}/invitations/{event.invitation_id}")


async def _person(_context: Context, _caller: UUID, _target: Any, accepted: Accepted) -> Answer:
    """Somebody whom an import named."""
    person = accepted.state
    body = render.ENCODER.encode(render.ImportedPerson(id=person.id, name=person.name, version=person.version))
    return Answer(body, f"{BASE}/users/{person.id}")


_PARTS: Final[dict[Resource, Callable[[Context, UUID, Any, Accepted], Awaitable[Answer]]]] = {
    "comment": _comment,
    "checklist_item": _added_item,
    "calendar": _calendar,
    "invitation": _invitation,
    "person": _person,
}
"""What is a part of a stream, or made for its answer."""
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
}
"""What the document says of each: with its `position`."""
