"""How many views may be saved: counted in the view of them, once that shows every write acknowledged before.

No stream stands for all the views of a person or a project, so there is nothing to guard: creates that run at
the very same time may go past the limit by as many as they are. It keeps lists short; nothing rests on it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from taskflow.commands.fields import SAVED_VIEWS_MAX
from taskflow.commands.saved_view import CreateView
from taskflow.errors import Behind, Rejected, Unavailable
from taskflow.store.pool import AWAY

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.api.context import Context
    from taskflow.commands.fields import Command

WAIT_S: Final = 2.0
"""A view that is further behind is counted as it is."""


async def within_limits(context: Context, caller: UUID, command: Command) -> None:
    """Raises Rejected where one view more would be too many. Part of deciding: a repeat has its receipt."""
    if not isinstance(command, CreateView):
        return
    project_id = command.project_id
    if project_id is not None and await context.follower.role(project_id, caller) is None:
        return  # whoever decides the command says that there is no such project
    # The limit alone is no reason to refuse while nobody can count.
    with suppress(Behind, Unavailable, *AWAY):
        await context.follower.poll()
        await context.freshness.wait(["views"], context.follower.position, timeout_s=WAIT_S)
        count = await context.saved.count(owner=caller, project_id=project_id, most=SAVED_VIEWS_MAX)
        if count >= SAVED_VIEWS_MAX:
            whose = "a person" if project_id is None else "a project"
            raise Rejected("too-many-views", f"{whose} has at most {SAVED_VIEWS_MAX} saved views; delete one first")
