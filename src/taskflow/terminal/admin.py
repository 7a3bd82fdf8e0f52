"""`taskflow admin annul`: what an admin of the system does through the API."""

from __future__ import annotations

from taskflow.terminal.command_context import CommandContext
from taskflow.terminal.output import short


def annul(context: CommandContext) -> None:
    typed = context.typed
    annulled = context.client.admin.annul_event(typed.position, typed.reason, expected_version=typed.expect)
    if context.json:
        context.screen.document(annulled)
        return
    context.screen.say(
        f"annulled version {annulled.annulled_version} of task {short(annulled.task_id)};"
        f" the task is at version {annulled.version}, position {annulled.position}"
    )
