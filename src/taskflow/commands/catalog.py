"""Every command that a client may send, by name: through its REST route or through `/commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.commands import (
    annul,
    checklist,
    comments,
    invitations,
    labels,
    move,
    project,
    project_import,
    ranking,
    relations,
    saved_view,
    task,
    task_import,
    undoing,
    user,
    workflow,
)

if TYPE_CHECKING:
    from taskflow.commands.declaration import CommandHandler, CommandType
    from taskflow.commands.fields import Command

COMMANDS: Final[dict[str, CommandType]] = {
    declared.body.__name__: declared
    for declared in (
        *user.COMMANDS,
        *project.COMMANDS,
        *workflow.COMMANDS,
        *labels.COMMANDS,
        *invitations.COMMANDS,
        *saved_view.COMMANDS,
        *task.COMMANDS,
        *comments.COMMANDS,
        *checklist.COMMANDS,
        *relations.COMMANDS,
        *move.COMMANDS,
        *ranking.COMMANDS,
        *undoing.COMMANDS,
        *annul.COMMANDS,
        *project_import.COMMANDS,
        *task_import.COMMANDS,
    )
}


def handler_of(body: type[Command]) -> CommandHandler:
    """The handler of a command, by the type of its body."""
    return COMMANDS[body.__name__].handler
