"""Runs one command, from parsed arguments to an exit code.

    0 done   1 failed   2 wrong arguments   3 not found   4 not signed in, or forbidden   5 conflict   6 unavailable

An error is one line on standard error, which also says what to do.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from taskflow.client import (
    Client,
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Rejected,
    Unauthenticated,
    Unavailable,
    Unreachable,
    VersionConflict,
)
from taskflow.importer.failures import ImportFailure, ServerAway
from taskflow.terminal import account, admin, imports, members, parts, projections, projects, tasks, views
from taskflow.terminal.accounts import TOKEN, URL, Accounts, BadFile, Kept, config_folder, reached, url_of
from taskflow.terminal.activity import activity
from taskflow.terminal.command_context import CommandContext
from taskflow.terminal.output import Screen, clean
from taskflow.terminal.short_ids import NoSuch, Unclear

FAILED, USAGE, NOT_FOUND, FORBIDDEN, CONFLICT, UNAVAILABLE = 1, 2, 3, 4, 5, 6

Action = Callable[[CommandContext], int | None]
"""Done, or an exit code of its own."""

_TASKS: Final[Mapping[str, Action]] = {
    "list": tasks.list_tasks,
    "search": tasks.search,
    "show": tasks.show,
    "history": tasks.history,
    "diff": tasks.diff,
    "add": tasks.add,
    "edit": tasks.edit,
    "start": tasks.start,
    "done": tasks.done,
    "reopen": tasks.reopen,
    "cancel": tasks.cancel,
    "trash": tasks.trash,
    "restore": tasks.restore,
    "assign": tasks.assign,
    "move": tasks.move,
    "rank": tasks.rank,
    "undo": tasks.undo,
    "comment": parts.comment,
    "checklist": parts.checklist,
    "check": parts.check,
    "uncheck": parts.uncheck,
    "link": parts.link,
    "unlink": parts.unlink,
}
_PROJECTS: Final[Mapping[str, Action]] = {
    "list": projects.list_projects,
    "add": projects.add,
    "edit": projects.edit,
    "show": projects.show,
    "board": projects.board,
    "stats": projects.stats,
    "archive": projects.archive,
    "unarchive": projects.unarchive,
    "export": projects.export,
    "label": projects.label,
    "unlabel": projects.unlabel,
    "members": members.members,
    "role": members.role,
    "remove": members.remove,
    "invite": members.invite,
    "invitations": members.invitations,
    "uninvite": members.uninvite,
    "accept": members.accept,
}
_VIEWS: Final[Mapping[str, Action]] = {
    "list": views.list_views,
    "show": views.show,
    "run": views.run,
    "save": views.save,
    "rename": views.rename,
    "delete": views.delete,
}
_ADMIN: Final[Mapping[str, Action]] = {"annul": admin.annul}
GROUPS: Final[Mapping[str, Mapping[str, Action]]] = {
    "tasks": _TASKS,
    "projects": _PROJECTS,
    "views": _VIEWS,
    "admin": _ADMIN,
}
ALONE: Final[Mapping[str, Action]] = {
    "register": account.register,
    "login": account.login,
    "logout": account.logout,
    "whoami": account.whoami,
    "calendar": account.calendar,
    "activity": activity,
    "projections": projections.list_projections,
    "import": imports.import_,
    "demo": imports.show,
}
UNSIGNED: Final = frozenset(("register", "login", "logout", "demo"))
"""What may be typed where nobody is signed in."""


class NobodyHere(Exception):
    """The command needs a signed-in user."""


def run(typed: argparse.Namespace) -> int:
    """Runs the command and returns its exit code. Raises BrokenPipeError if the reader of the output is gone."""
    try:
        return _do(typed) or 0
    except BrokenPipeError:
        raise
    except EOFError:  # Ctrl-D at a prompt
        print("\ntaskflow: nothing was typed; try again", file=sys.stderr)
        return USAGE
    except UnicodeError:
        print("taskflow: expected text in UTF-8, found something else", file=sys.stderr)
        return USAGE
    except (ClientError, Unclear, NoSuch, NobodyHere, BadFile, ImportFailure, OSError) as error:
        print(f"taskflow: {one_line(error)}", file=sys.stderr)
        return exit_code(error)


def _do(typed: argparse.Namespace) -> int | None:
    accounts = Accounts(config_folder())
    known = accounts.read()
    url = url_of(typed.url, known, local=typed.command == "demo")
    signing_in = typed.command in {"register", "login"}
    token = None if signing_in or typed.command == "logout" else os.environ.get(TOKEN) or None
    token_store = None if token else Kept(accounts, url)
    position = known.accounts[url].position if url in known.accounts else 0
    try:
        client = Client(url, token=token, token_store=token_store, position=position)
    except ValueError as error:
        raise Unclear(str(error)) from None
    with client:
        if not (client.signed_in or typed.command in UNSIGNED):
            raise NobodyHere(f"nobody is signed in at {url}; sign in with `taskflow login`")
        try:
            return _action(typed)(CommandContext(client, Screen(json=typed.json), accounts, url, typed))
        finally:
            if client.position > position:
                reached(accounts, url, client.position)


def _action(typed: argparse.Namespace) -> Action:
    if typed.command in GROUPS:
        return GROUPS[typed.command][typed.action]
    return ALONE[typed.command]


def exit_code(error: Exception) -> int:
    match error:
        case Unclear():
            return USAGE
        case NotFound() | NoSuch():
            return NOT_FOUND
        case Unauthenticated() | Forbidden() | NobodyHere():
            return FORBIDDEN
        case Conflict():
            return CONFLICT
        case Unreachable() | Unavailable() | RateLimited() | ServerAway():
            return UNAVAILABLE
        case _:
            return FAILED


def one_line(error: Exception) -> str:
    """The error and what to do about it, in one line."""
    said = " ".join(clean(line) for line in str(error).split("\n"))
    what = _what_to_do(error)
    return said if what is None else f"{said}; {what}"


def _what_to_do(error: Exception) -> str | None:
    match error:
        case Unauthenticated():
            given = os.environ.get(TOKEN)
            return f"the server does not accept the token in {TOKEN}" if given else "sign in with `taskflow login`"
        case Forbidden():
            return "ask an admin for another role"
        case Rejected(code="must-be-invited"):
            return "invite them with `taskflow projects invite`"
        case NotFound():
            return "`taskflow tasks list --all` and `taskflow projects list` list what exists"
        case VersionConflict():
            return "look at `taskflow tasks history`, then change it again"
        case RateLimited(retry_after_s=seconds) if seconds:
            return f"try again in {seconds:.0f} s"
        case Unavailable() | RateLimited():
            return "try again in a moment"
        case Unreachable():
            return f"check that it is running; set another server with --url or {URL}"
        case Invalid(errors=faults) if len(faults) == 1 and faults[0].pointer and faults[0].pointer not in str(error):
            return f"see {faults[0].pointer}"
        case _:
            return None
