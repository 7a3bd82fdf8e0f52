"""`taskflow projects members`, `role`, `remove`, `invite` …: members and invitations."""

from __future__ import annotations

from unicodedata import normalize

from rich.text import Text

from taskflow.terminal import short_ids
from taskflow.terminal.command_context import PAGE_MAX, CommandContext
from taskflow.terminal.output import clean, short, when
from taskflow.terminal.projects import named, report_project


def members(context: CommandContext) -> None:
    found = list(context.client.projects.members(named(context).id, limit=PAGE_MAX))
    if context.json:
        context.screen.document(found)
        return
    rows = [[short(one.user.id), one.user.name or "", one.role] for one in found]
    context.screen.table(("ID", "NAME", "ROLE"), rows, flexible=("NAME",))


def role(context: CommandContext) -> None:
    project = named(context)
    user = short_ids.person_id(context.client, context.typed.who, project.id)
    report_project(
        context,
        f"{context.typed.who} is {context.typed.role} of",
        context.client.projects.set_member(project.id, user, context.typed.role),
    )


def remove(context: CommandContext) -> None:
    project, who = named(context), context.typed.who
    user = short_ids.person_id(context.client, who, project.id)
    left = context.client.projects.remove_member(project.id, user)
    report_project(context, "left" if left.role is None else f"{who} is no longer in", left)


def invite(context: CommandContext) -> None:
    typed = context.typed
    invitation = context.client.projects.invitations.create(named(context).id, typed.email, typed.role)
    if context.json:
        context.screen.document(invitation)
        return
    context.screen.say(f"send this to {typed.email}; it can be accepted until {when(invitation.expires_at)}:")
    context.screen.say(f"taskflow projects accept {invitation.token}")


def invitations(context: CommandContext) -> None:
    found = list(context.client.projects.invitations.list(named(context).id, limit=PAGE_MAX))
    if context.json:
        context.screen.document(found)
    elif found:
        rows = [[short(one.id), one.email or "", one.role or "", when(one.expires_at)] for one in found]
        context.screen.table(("ID", "EMAIL", "ROLE", "UNTIL"), rows, flexible=("EMAIL",))
    else:
        context.screen.say("no invitations")


def uninvite(context: CommandContext) -> None:
    project, text = named(context), context.typed.invitation
    piece = short_ids.piece_of(text)
    pending = list(context.client.projects.invitations.list(project.id, limit=PAGE_MAX))
    found = [one for one in pending if _plain(one.email or "") == _plain(text)]
    found = found or [one for one in pending if piece is not None and short_ids.fits(piece, one.id)]
    only = short_ids.one_of(((one.id, one.email or "") for one in found), text, "invitation")
    if only is None:
        raise short_ids.NoSuch(f"no invitation {text}; `taskflow projects invitations` lists them")
    report_project(
        context, f"{text} is no longer invited to", context.client.projects.invitations.withdraw(project.id, only)
    )


def _plain(address: str) -> str:
    """An approximate form for comparing addresses; the server decides which addresses are the same."""
    return normalize("NFKC", address).strip().casefold()


def accept(context: CommandContext) -> None:
    joined = context.client.projects.invitations.accept(context.typed.token)
    if context.json:
        context.screen.document(joined)
    else:
        context.screen.say(f"you are {joined.role} of", short(joined.id), Text(clean(joined.name), style="bold"))
