"""Whether today's caller may get the answer to a command that was accepted before.

Access may have been withdrawn since the first copy was accepted, so each repeat is judged as a read is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from taskflow.api.committed_state import committed
from taskflow.api.route import RequestContext
from taskflow.commands.access import check_system_role, require_role
from taskflow.commands.execute import Accepted, Judge
from taskflow.errors import NotFound
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import PROJECT, SAVED_VIEW, TASK, USER

if TYPE_CHECKING:
    from taskflow.api.context import Context
    from taskflow.streams.user import SystemRole


def judge_of(call: RequestContext) -> Judge:
    """Judges today's access to what earlier commands of a request's caller were answered with. The log is polled once
    for all of the request's commands, after it has arrived: a task may have moved, by another process."""
    polled = False

    async def judge(accepted: Accepted) -> None:
        nonlocal polled
        if not polled:
            with suppress(*TRANSIENT_ERRORS):
                await call.context.follower.poll()
            polled = True
        await _judge(call.context, call.user, accepted)

    return judge


async def _judge(context: Context, caller: UUID, accepted: Accepted) -> None:
    """Raises NotFound, as a read does."""
    store, stream_id = context.store, accepted.receipt.stream_id
    if accepted.kind is USER:
        allowed = stream_id == caller
    elif accepted.kind is SAVED_VIEW and accepted.state.project_id is None:
        allowed = accepted.state.owner_id == caller
    else:
        project_id = stream_id
        if accepted.kind is TASK:
            task = await committed(store, TASK, stream_id)
            if task is None or task.purged:
                raise NotFound(accepted.kind.name, stream_id)
            project_id = task.project_id
        elif accepted.kind is SAVED_VIEW:
            project_id = accepted.state.project_id
        project = await committed(store, PROJECT, project_id)
        allowed = project is not None and caller in project.members
    if not allowed:
        raise NotFound(accepted.kind.name, stream_id)


async def judge_import(call: RequestContext, project_id: UUID, _: Accepted) -> None:
    """Whether the caller may import into the project today, once a request. Raises NotFound and Forbidden."""
    if project_id in call.judged:
        return
    context = call.context
    with suppress(*TRANSIENT_ERRORS):
        await context.follower.poll()
    project = await committed(context.store, PROJECT, project_id)
    if project is None:
        raise NotFound(PROJECT.name, project_id)
    require_role(project, call.user, "admin")
    call.judged.add(project_id)


async def judge_system_role(call: RequestContext, role: SystemRole, _: Accepted) -> None:
    """Whether the caller has a system role today. Raises Forbidden."""
    with suppress(*TRANSIENT_ERRORS):
        await call.context.follower.poll()
    check_system_role(call.context.follower.system_roles(call.user), role)
