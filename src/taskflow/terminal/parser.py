"""What a person may type, and the help that says so. Nothing is imported here that takes time."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

PRIORITIES: Final = ("low", "medium", "high", "urgent")
CATEGORIES: Final = ("todo", "in_progress", "waiting", "done", "cancelled")
SORTS: Final = ("created_at", "updated_at", "due_at", "priority", "rank")
SHELLS: Final = ("bash", "zsh", "fish")
LIMIT: Final = 50
LIMIT_MAX: Final = 10_000
NONE: Final = "none"
"""What clears a field."""
PEOPLES: Final = frozenset(("register", "login", "logout", "whoami", "tasks", "projects"))
"""The commands that call a server, instead of being one."""

EXIT_CODES: Final = """\
exit codes:
  0 done                       4 not signed in, or forbidden
  1 failed                     5 conflict: what is there forbids it
  2 wrong arguments            6 the server is unavailable
  3 not found                  130 interrupted"""

Commands = Any
"""argparse's sub-parsers, whose type has no public name."""


def add_people(commands: Commands) -> None:
    """The commands for people, beside those that run processes."""
    _account(commands)
    _tasks(_group(commands, "tasks", "look at tasks and change them", _TASKS_MORE))
    _projects(_group(commands, "projects", "look at projects and make them", _PROJECTS_MORE))
    shells = commands.add_parser(
        "completion",
        help="print a script that completes commands in a shell",
        description="Prints a script that completes taskflow's commands.",
        epilog='examples:\n  bash   eval "$(taskflow completion bash)"    in ~/.bashrc\n'
        '  zsh    eval "$(taskflow completion zsh)"     in ~/.zshrc, after compinit\n'
        "  fish   taskflow completion fish > ~/.config/fish/completions/taskflow.fish",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shells.add_argument("shell", choices=SHELLS)


_TASKS_MORE: Final = """\
TASK is an id, or the beginning or the end of one: lists show the last eight characters.
Times are ISO 8601, like 2026-12-01 or 2026-12-01T17:00+01:00; without a zone they are local.

examples:
  taskflow tasks add 'Write the report' --priority high --due 2026-12-01T17:00 --label q4
  taskflow tasks list --assignee me --sort due_at
  taskflow tasks done 7a0754dd
  taskflow tasks list --all --json | jq -r '.[].title'

"""
_PROJECTS_MORE: Final = """\
PROJECT is a name, an id, or the beginning or the end of an id.

examples:
  taskflow projects add Website
  taskflow projects board Website

"""


def _group(commands: Commands, name: str, what: str, more: str) -> Commands:
    parser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=more + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser.add_subparsers(dest="action", required=True, metavar="COMMAND")


def _leaf(commands: Commands, name: str, what: str, more: str = "") -> argparse.ArgumentParser:
    """A command that calls the server."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=more or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    parser.add_argument("--url", help="the server (default: $TASKFLOW_URL, else where you signed in last)")
    return parser


def _account(commands: Commands) -> None:
    register = _leaf(commands, "register", "make an account and sign in")
    register.add_argument("email", metavar="EMAIL")
    register.add_argument("--name", required=True, help="what others see")
    login = _leaf(
        commands,
        "login",
        "sign in",
        "The tokens are kept in a file that only you may read, and renewed when they expire. TASKFLOW_URL and\n"
        "TASKFLOW_TOKEN, where they are set, come first.",
    )
    login.add_argument("email", nargs="?", metavar="EMAIL", help="asked for where it is missing")
    login.add_argument("--otp", metavar="CODE", help="the second factor; asked for where it is needed")
    for parser in (register, login):
        parser.add_argument("--password-stdin", action="store_true", help="read the password from the standard input")
    _leaf(commands, "logout", "end the session and forget its tokens")
    _leaf(commands, "whoami", "say who is signed in, and where")


def _tasks(tasks: Commands) -> None:
    listing = _leaf(tasks, "list", "list tasks: the open ones, unless a filter says otherwise")
    _many(listing, "--project", "P", "in these projects: a name, or an id", None)
    _many(listing, "--status", "KEY", "in these statuses", None)
    _many(listing, "--category", "C", f"of these kinds: {', '.join(CATEGORIES)}", CATEGORIES)
    _many(listing, "--assignee", "WHO", "given to: me, or a person's id", None)
    _many(listing, "--label", "NAME", "with any of these labels", None)
    _many(listing, "--priority", "P", f"of these priorities: {', '.join(PRIORITIES)}", PRIORITIES)
    listing.add_argument("--due-before", type=_time, metavar="TIME")
    listing.add_argument("--due-after", type=_time, metavar="TIME")
    listing.add_argument("--all", action="store_true", help="done and cancelled ones too")
    listing.add_argument("--trashed", action="store_true", help="what is in the trash instead")
    listing.add_argument("--sort", choices=(*SORTS, *(f"-{sort}" for sort in SORTS)), metavar="FIELD",
                         help=f"{', '.join(SORTS)}; with - in front, descending (--sort=-due_at)")  # fmt: skip
    searching = _leaf(tasks, "search", "find tasks by their text")
    searching.add_argument("text", metavar="TEXT")
    _many(searching, "--project", "P", "in these projects: a name, or an id", None)
    for parser in (listing, searching):
        parser.add_argument("--limit", type=_limit, default=LIMIT, metavar="N", help=f"at most (default: {LIMIT})")

    show = _task(tasks, "show", "show a task")
    past = show.add_mutually_exclusive_group()
    past.add_argument("--version", type=int, metavar="N", help="as it was at a version")
    past.add_argument("--at", type=_time, metavar="TIME", help="as it was at a time")
    _task(tasks, "history", "show what happened to a task")

    add = _leaf(tasks, "add", "add a task")
    add.add_argument("title", metavar="TITLE")
    add.add_argument("--project", metavar="P", help="a name, or an id (default: your Inbox)")
    edit = _task(tasks, "edit", "change a task", f"`{NONE}` clears a due time, an assignee, a parent, or all labels.")
    edit.add_argument("--title", metavar="TEXT")
    edit.add_argument("--expect", type=int, metavar="VERSION", help="only if it is still at this version")
    for parser in (add, edit):
        parser.add_argument("--description", metavar="TEXT", help="Markdown; - reads the standard input")
        parser.add_argument("--status", metavar="KEY")
        parser.add_argument("--priority", choices=PRIORITIES, metavar="P", help=", ".join(PRIORITIES))
        parser.add_argument("--due", type=_clearable(_time), metavar="TIME")
        _many(parser, "--label", "NAME", "all the labels that it is to have", None)
        parser.add_argument("--assignee", metavar="WHO", help="me, a member's name, or an id")
        parser.add_argument("--parent", metavar="TASK", help="the task that it is a part of")

    for verb, what in (
        ("start", "move a task to the first status in progress"),
        ("done", "move a task to the first status of done"),
        ("reopen", "move a task back to the first status of to do"),
        ("cancel", "move a task to the first status of cancelled"),
        ("trash", "put a task in the trash, for 30 days"),
        ("restore", "take a task out of the trash"),
    ):
        _task(tasks, verb, what)
    assign = _task(tasks, "assign", "give a task to somebody")
    assign.add_argument("who", metavar="WHO", help=f"me, a member's name, an id, or {NONE}")
    comment = _task(tasks, "comment", "say something about a task")
    comment.add_argument("text", metavar="TEXT", help="Markdown; - reads the standard input")
    move = _task(tasks, "move", "move a task into another project")
    move.add_argument("project", metavar="PROJECT", help="a name, or an id")
    move.add_argument("--status", metavar="KEY", help="the status that it takes there")
    undo = _task(
        tasks, "undo", "undo a task's newest change that still stands; repeated, it walks back",
        "An undo is a change too: undoing it (--version) redoes what it undid.",
    )  # fmt: skip
    undo.add_argument("--version", type=int, metavar="N", help="the change that made this version instead")


def _projects(projects: Commands) -> None:
    _leaf(projects, "list", "list your projects").add_argument(
        "--limit", type=_limit, default=LIMIT, metavar="N", help=f"at most (default: {LIMIT})"
    )
    add = _leaf(projects, "add", "make a project")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--description", metavar="TEXT", help="- reads the standard input")
    for name, what in (
        ("show", "show a project: its workflow and labels"),
        ("board", "show a project's tasks by status"),
        ("members", "list who is in a project"),
    ):
        _leaf(projects, name, what).add_argument("project", metavar="PROJECT", help="a name, or an id")


def _task(tasks: Commands, name: str, what: str, more: str = "") -> argparse.ArgumentParser:
    parser = _leaf(tasks, name, what, more)
    parser.add_argument("task", metavar="TASK", help="its id, or the beginning or the end of it")
    return parser


def _many(parser: argparse.ArgumentParser, flag: str, metavar: str, what: str, choices: tuple[str, ...] | None) -> None:
    parser.add_argument(
        flag, action="append", default=[], metavar=metavar, choices=choices, help=f"{what}; may be repeated"
    )


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a time like 2026-12-01T17:00, found {text}") from None
    return at if at.tzinfo is not None else at.astimezone()


def _clearable(read: Callable[[str], datetime]) -> Callable[[str], datetime | str]:
    def value(text: str) -> datetime | str:
        return NONE if text == NONE else read(text)

    return value


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= len(text) <= len(str(LIMIT_MAX)) and 1 <= int(text) <= LIMIT_MAX:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to {LIMIT_MAX}, found {text}")
