"""Every command that a client may send, by name: REST routes and `/commands` are two doors to these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from taskflow.commands import (
    checklist,
    comments,
    invitations,
    labels,
    moving,
    project,
    ranking,
    relations,
    saved_view,
    task,
    undo,
    undoing,
    user,
    workflow,
)
from taskflow.commands.execute import Target
from taskflow.commands.fields import Command
from taskflow.commands.unit import Unit


class CommandType(Struct, frozen=True):
    """A command: its body's type, what its target is (None: it has none), and its handler."""

    body: type[Command]
    target: str | None
    handler: Callable[[Unit, Any, Any], Awaitable[Target]]
    creates: bool = False


class Member(Struct, frozen=True):
    project_id: UUID
    user_id: UUID


TARGETS: Final[dict[str, type[Struct]]] = {
    "member": Member,
    "comment": comments.TaskComment,
    "checklist_item": checklist.TaskItem,
    "relation": relations.TaskRelation,
    "label": labels.ProjectLabel,
    "invitation": invitations.ProjectInvitation,
    "invitation_token": invitations.InvitationToken,
}
"""Targets that take more than an id. As text their parts stand in this order, with a slash between."""


async def _set_member(unit: Unit, target: Member, command: project.SetMember) -> Target:
    return await project.set_project_member(unit, target.project_id, target.user_id, command)


async def _remove_member(unit: Unit, target: Member, _: project.RemoveMember) -> Target:
    return await project.remove_project_member(unit, target.project_id, target.user_id)


COMMANDS: Final[dict[str, CommandType]] = {
    entry.body.__name__: entry
    for entry in (
        CommandType(user.EditProfile, None, user.edit_profile),
        CommandType(user.OpenCalendar, None, user.open_calendar, creates=True),
        CommandType(project.CreateProject, None, project.create_project, creates=True),
        CommandType(project.EditProject, "project", project.edit_project),
        CommandType(project.ArchiveProject, "project", project.archive_project),
        CommandType(project.UnarchiveProject, "project", project.unarchive_project),
        CommandType(project.SetMember, "member", _set_member),
        CommandType(project.RemoveMember, "member", _remove_member),
        CommandType(workflow.SetWorkflow, "project", workflow.set_project_workflow),
        CommandType(labels.SetLabel, "label", labels.set_project_label),
        CommandType(labels.RemoveLabel, "label", labels.remove_project_label),
        CommandType(invitations.InviteMember, "project", invitations.invite_member, creates=True),
        CommandType(invitations.RevokeInvitation, "invitation", invitations.revoke_invitation),
        CommandType(invitations.AcceptInvitation, "invitation_token", invitations.accept_invitation),
        CommandType(saved_view.CreateView, None, saved_view.create_view, creates=True),
        CommandType(saved_view.EditView, "view", saved_view.edit_view),
        CommandType(saved_view.DeleteView, "view", saved_view.delete_view),
        CommandType(task.CreateTask, None, task.create_task, creates=True),
        CommandType(task.EditTask, "task", task.edit_task),
        CommandType(task.StartTask, "task", task.intend_task),
        CommandType(task.CompleteTask, "task", task.intend_task),
        CommandType(task.ReopenTask, "task", task.intend_task),
        CommandType(task.CancelTask, "task", task.intend_task),
        CommandType(task.AssignTask, "task", task.assign_task),
        CommandType(task.TrashTask, "task", task.trash_task),
        CommandType(task.RestoreTask, "task", task.restore_task),
        CommandType(comments.AddComment, "task", comments.add_comment, creates=True),
        CommandType(comments.EditComment, "comment", comments.edit_comment),
        CommandType(comments.DeleteComment, "comment", comments.delete_comment),
        CommandType(checklist.AddChecklistItem, "task", checklist.add_item, creates=True),
        CommandType(checklist.EditChecklistItem, "checklist_item", checklist.edit_item),
        CommandType(checklist.RemoveChecklistItem, "checklist_item", checklist.remove_item),
        CommandType(relations.AddRelation, "task", relations.add_relation),
        CommandType(relations.RemoveRelation, "relation", relations.remove_relation),
        CommandType(moving.MoveTask, "task", moving.move_task),
        CommandType(ranking.RankTask, "task", ranking.rank_task),
        CommandType(undo.UndoTask, "task", undoing.undo_task),
    )
}
