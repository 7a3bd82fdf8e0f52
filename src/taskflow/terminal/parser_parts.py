"""Parts of the argument parser that all groups of commands share: commands, repeated options, times, limits."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

PRIORITIES: Final = ("low", "medium", "high", "urgent")
CATEGORIES: Final = ("todo", "in_progress", "waiting", "done", "cancelled")
SORTS: Final = ("created_at", "updated_at", "due_at", "priority", "rank")
ROLES: Final = ("viewer", "member", "admin", "owner")
LIMIT: Final = 50
AT_ONCE: Final = 4
"""Batches of an import."""
AT_ONCE_MAX: Final = 16
"""A server takes no more of one caller's than some twenty at once."""
LIMIT_MAX: Final = 10_000
NONE: Final = "none"
"""The argument that clears a field."""

EXIT_CODES: Final = """\
exit codes:
  0 done                       4 not signed in, or forbidden
  1 failed                     5 conflict: the present state forbids it
  2 wrong arguments            6 the server is unavailable
  3 not found                  130 interrupted"""

Commands = Any
"""argparse's sub-parsers, whose type has no public name."""


def group(commands: Commands, name: str, what: str, more: str) -> Commands:
    parser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=more + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser.add_subparsers(dest="action", required=True, metavar="COMMAND")


def leaf(commands: Commands, name: str, what: str, more: str = "") -> argparse.ArgumentParser:
    """Adds a command that calls the server, and answers in text or JSON."""
    parser = calling(commands, name, what, more)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    return parser


def calling(commands: Commands, name: str, what: str, more: str = "") -> argparse.ArgumentParser:
    """Adds a command that calls the server."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=more or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(json=False)
    parser.add_argument(
        "--url",
        help="the server (default: $TASKFLOW_URL, else the server of your last sign-in, else port $TASKFLOW_API_PORT here)",
    )
    return parser


def calls_server(typed: argparse.Namespace) -> bool:
    """Whether `leaf` made the command that was typed; all others run on the server's machine."""
    return hasattr(typed, "url")


def filters(parser: argparse.ArgumentParser) -> None:
    """Adds the filters for tasks, of `tasks list` and `views save`."""
    many(parser, "--project", "P", "in this project: a name, or an id", None)
    many(parser, "--status", "KEY", "in this status", None)
    many(parser, "--category", "C", f"in this category: {', '.join(CATEGORIES)}", CATEGORIES)
    many(parser, "--assignee", "WHO", f"assigned to: me, a person's id, or {NONE}", None)
    many(parser, "--label", "NAME", "with this label", None)
    many(parser, "--priority", "P", f"with this priority: {', '.join(PRIORITIES)}", PRIORITIES)
    many(parser, "--parent", "TASK", "subtasks of this task", None)
    parser.add_argument("--due-before", type=time, metavar="TIME")
    parser.add_argument("--due-after", type=time, metavar="TIME")
    parser.add_argument("--text", metavar="TEXT", help="containing these words")
    parser.add_argument("--all", action="store_true", help="include done and cancelled tasks")
    parser.add_argument("--trashed", action="store_true", help="the tasks in the trash instead")
    parser.add_argument("--archived", action="store_true", help="the tasks of archived projects instead")
    parser.add_argument("--sort", choices=(*SORTS, *(f"-{sort}" for sort in SORTS)), metavar="FIELD",
                        help=f"{', '.join(SORTS)}; with - in front, descending (--sort=-due_at)")  # fmt: skip


def many(parser: argparse.ArgumentParser, flag: str, metavar: str, what: str, choices: tuple[str, ...] | None) -> None:
    parser.add_argument(
        flag, action="append", default=[], metavar=metavar, choices=choices, help=f"{what}; may be repeated"
    )


def limited(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--limit", type=limit, default=LIMIT, metavar="N", help=f"at most (default: {LIMIT})")
    return parser


def time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a time like 2026-12-01T17:00, found {text}") from None
    return at if at.tzinfo is not None else at.astimezone()


def due(text: str) -> date:
    """Parses a day, or a time. A time without an offset stays without one: its zone is determined later."""
    try:
        return date.fromisoformat(text) if len(text) == len("2026-12-01") else datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a day like 2026-12-01 or a time like 2026-12-01T17:00, found {text}"
        ) from None


def clearable(read: Callable[[str], date]) -> Callable[[str], date | str]:
    def value(text: str) -> date | str:
        return NONE if text == NONE else read(text)

    return value


def limit(text: str) -> int:
    return _number(text, LIMIT_MAX)


def at_once(text: str) -> int:
    return _number(text, AT_ONCE_MAX)


def _number(text: str, most: int) -> int:
    if text.isascii() and text.isdigit() and 1 <= len(text) <= len(str(most)) and 1 <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to {most}, found {text}")
