"""Checks of roles, on the project's own stream: a change of its members meanwhile is a conflict for the append."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from taskflow.errors import Forbidden, NotFound, Unauthenticated
from taskflow.streams import PROJECT, TASK, USER
from taskflow.streams.project import ROLES, ProjectState, Role

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.task import TaskState
    from taskflow.streams.user import SystemRole


def role_rank(role: Role) -> int:
    """A number to compare roles by: viewer 0 … owner 3."""
    return ROLES.index(role)


def require_role(project: ProjectState, user: UUID | None, minimum: Role) -> Role:
    """The user's role. Raises NotFound for a user who is not a member, and Forbidden for a role below `minimum`."""
    role = project.members.get(user) if user is not None else None
    if role is None:
        raise NotFound("project", project.id)
    if role_rank(role) < role_rank(minimum):
        raise Forbidden(f"this requires the role {minimum}; your role in this project is {role}")
    return role


def require_user(unit: UnitOfWork) -> UUID:
    """The user who sent the command. Raises Unauthenticated if there is none."""
    if unit.actor is None:
        raise Unauthenticated("this requires a signed-in user")
    return unit.actor


def check_system_role(roles: Collection[SystemRole], role: SystemRole) -> None:
    """Raises Forbidden if a system role is not among somebody's."""
    if role not in roles:
        raise Forbidden(f"this takes the system role {role}, which `taskflow admin grant` gives at the machine")


async def require_system_role(unit: UnitOfWork, role: SystemRole) -> None:
    """Checks the system role of the user who sent the command, on their own stream. Raises Forbidden."""
    user = await unit.get(USER, require_user(unit))
    check_system_role(user.roles, role)


async def project_for(unit: UnitOfWork, project_id: UUID, minimum: Role) -> ProjectState:
    """The project. Raises as `require_role` for the caller."""
    project = await unit.get(PROJECT, project_id)
    require_role(project, unit.actor, minimum)
    return project


async def task_for(unit: UnitOfWork, task_id: UUID, minimum: Role) -> tuple[TaskState, ProjectState]:
    """The task, in its current status (`with_current_status`), and its project. Raises NotFound for a purged task and
    for a task of a project that the caller is not a member of, and Forbidden for a role below `minimum`."""
    task = await unit.get(TASK, task_id)
    if task.purged:
        raise NotFound("task", task_id)
    try:
        project = await project_for(unit, task.project_id, minimum)
    except NotFound:
        raise NotFound("task", task_id) from None
    return with_current_status(task, project), project


def with_current_status(task: TaskState, project: ProjectState) -> TaskState:
    """The task with its status replaced by the status that the current workflow maps it to."""
    today = project.statuses.resolve(task.status)
    if today is None or today.key == task.status:
        return task
    return replace(task, status=today.key, category=today.category)
