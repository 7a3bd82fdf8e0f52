"""`taskflow projects members`, `role`, `remove`, `invite` …: members and invitations."""

from __future__ import annotations

from unicodedata import normalize

from rich.text import Text

from taskflow.terminal import short_ids
from taskflow.terminal.desk import PAGE_MAX, Desk
from taskflow.terminal.projects import named, told
from taskflow.terminal.shown import clean, short, when


def members(desk: Desk) -> None:
    found = list(desk.client.projects.members(named(desk).id, limit=PAGE_MAX))
    if desk.json:
        desk.screen.document(found)
        return
    rows = [[short(one.user.id), one.user.name or "", one.role] for one in found]
    desk.screen.table(("ID", "NAME", "ROLE"), rows, flexible=("NAME",))


def role(desk: Desk) -> None:
    project = named(desk)
    user = short_ids.person_id(desk.client, desk.typed.who, project.id)
    told(
        desk,
        f"{desk.typed.who} is {desk.typed.role} of",
        desk.client.projects.set_member(project.id, user, desk.typed.role),
    )


def remove(desk: Desk) -> None:
    project, who = named(desk), desk.typed.who
    user = short_ids.person_id(desk.client, who, project.id)
    left = desk.client.projects.remove_member(project.id, user)
    told(desk, "left" if left.role is None else f"{who} is no longer in", left)


def invite(desk: Desk) -> None:
    typed = desk.typed
    invitation = desk.client.projects.invitations.create(named(desk).id, typed.email, typed.role)
    if desk.json:
        desk.screen.document(invitation)
        return
    desk.screen.say(f"send this to {typed.email}; it can be accepted until {when(invitation.expires_at)}:")
    desk.screen.say(f"taskflow projects accept {invitation.token}")


def invitations(desk: Desk) -> None:
    found = list(desk.client.projects.invitations.list(named(desk).id, limit=PAGE_MAX))
    if desk.json:
        desk.screen.document(found)
    elif found:
        rows = [[short(one.id), one.email or "", one.role or "", when(one.expires_at)] for one in found]
        desk.screen.table(("ID", "EMAIL", "ROLE", "UNTIL"), rows, flexible=("EMAIL",))
    else:
        desk.screen.say("no invitations")


def uninvite(desk: Desk) -> None:
    project, text = named(desk), desk.typed.invitation
    piece = short_ids.piece_of(text)
    pending = list(desk.client.projects.invitations.list(project.id, limit=PAGE_MAX))
    found = [one for one in pending if _plain(one.email or "") == _plain(text)]
    found = found or [one for one in pending if piece is not None and short_ids.fits(piece, one.id)]
    only = short_ids.one_of(((one.id, one.email or "") for one in found), text, "invitation")
    if only is None:
        raise short_ids.NoSuch(f"no invitation {text}; `taskflow projects invitations` shows those there are")
    told(desk, f"{text} is no longer invited to", desk.client.projects.invitations.withdraw(project.id, only))


def _plain(address: str) -> str:
    """An approximate form for comparing addresses; the server decides which addresses are the same."""
    return normalize("NFKC", address).strip().casefold()


def accept(desk: Desk) -> None:
    joined = desk.client.projects.invitations.accept(desk.typed.token)
    if desk.json:
        desk.screen.document(joined)
    else:
        desk.screen.say(f"you are {joined.role} of", short(joined.id), Text(clean(joined.name), style="bold"))
