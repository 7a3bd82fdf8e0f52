"""Judges the system roles of callers, as the log follower of this process knows them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from taskflow.commands.access import check_system_role
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.api.context import Context
    from taskflow.streams.user import SystemRole


async def require_system_role(context: Context, user: UUID, role: SystemRole) -> None:
    """Checks today's system role of a user. A role that was just given may not have been followed yet, so the log is
    polled before a refusal. Raises Forbidden."""
    follower = context.follower
    if role not in follower.system_roles(user):
        with suppress(*TRANSIENT_ERRORS):
            await follower.poll()
    check_system_role(follower.system_roles(user), role)
