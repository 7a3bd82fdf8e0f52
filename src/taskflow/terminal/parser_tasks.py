"""The arguments of `taskflow tasks`."""

from __future__ import annotations

import argparse
from typing import Final

from taskflow.terminal.parser_parts import (
    NONE,
    PRIORITIES,
    Commands,
    clearable,
    due,
    filters,
    group,
    leaf,
    limited,
    many,
    time,
)

KINDS: Final = ("blocks", "relates_to", "duplicates")

_EPILOG: Final = """\
TASK is an id, or the beginning or the end of one: lists show the last eight characters. Commands that take several
tasks print a list with --json.
Times are ISO 8601, like 2026-12-01 or 2026-12-01T17:00+01:00; without an offset they are local: in the zone of
--zone, else of your settings, else of this machine. A task due 2026-12-01 is due until the end of that day.

examples:
  taskflow tasks add 'Write the report' --priority high --due 2026-12-01T17:00 --label q4
  taskflow tasks add 'Water the plants' --due 2026-12-07 --repeat 'FREQ=WEEKLY;BYDAY=MO' --zone Europe/Berlin
  taskflow tasks list --assignee me --sort due_at
  taskflow tasks done 7a0754dd 12c4f0aa
  taskflow tasks check 7a0754dd 1
  taskflow tasks list --all --json | jq -r '.[].title'

"""


def add_tasks(commands: Commands) -> None:
    tasks = group(commands, "tasks", "show and change tasks", _EPILOG)
    _add_reading(tasks)
    _add_writing(tasks)
    _add_changing(tasks)
    _add_parts(tasks)


def _add_reading(tasks: Commands) -> None:
    filters(limited(leaf(tasks, "list", "list tasks: the open ones, unless a filter selects others")))
    searching = limited(leaf(tasks, "search", "search tasks by their text"))
    searching.add_argument("text", metavar="TEXT")
    many(searching, "--project", "P", "in this project: a name, or an id", None)
    show = _task(tasks, "show", "show a task")
    past = show.add_mutually_exclusive_group()
    past.add_argument("--version", type=int, metavar="N", help="the task at this version")
    past.add_argument("--at", type=time, metavar="TIME", help="the task at this time")
    _task(tasks, "history", "show what happened to a task")
    diff = _task(tasks, "diff", "show what changed between two versions of a task")
    diff.add_argument("from_version", type=int, metavar="FROM", help="a version from the task's history")
    diff.add_argument("to_version", type=int, nargs="?", metavar="TO", help="a later version (default: the newest)")


def _add_writing(tasks: Commands) -> None:
    add = leaf(tasks, "add", "add a task")
    add.add_argument("title", metavar="TITLE")
    add.add_argument("--project", metavar="P", help="a name, or an id (default: your Inbox)")
    edit = _task(
        tasks,
        "edit",
        "change a task",
        f"`{NONE}` clears the due date, assignee, parent, recurrence, or all labels.",
    )
    edit.add_argument("--title", metavar="TEXT")
    edit.add_argument("--expect", type=int, metavar="VERSION", help="only if this is still its version")
    for parser in (add, edit):
        parser.add_argument("--description", metavar="TEXT", help="Markdown; - reads the standard input")
        parser.add_argument("--status", metavar="KEY")
        parser.add_argument("--priority", choices=PRIORITIES, metavar="P", help=", ".join(PRIORITIES))
        parser.add_argument("--due", type=clearable(due), metavar="DAY|TIME", help="a day, or a time in the zone")
        parser.add_argument("--zone", metavar="NAME", help="like Europe/Berlin (default: the task's zone, else yours)")
        many(parser, "--label", "NAME", "a label; together they replace all labels", None)
        parser.add_argument("--assignee", metavar="WHO", help="me, a member's name, or an id")
        parser.add_argument("--parent", metavar="TASK", help="the parent task")
        parser.add_argument("--repeat", metavar="RULE", help="the rule by which it repeats, like FREQ=WEEKLY;BYDAY=MO")


def _add_changing(tasks: Commands) -> None:
    for verb, what in (
        ("start", "move tasks to the first status of category in_progress"),
        ("done", "move tasks to the first status of category done"),
        ("reopen", "move tasks back to the first status of category todo"),
        ("cancel", "move tasks to the first status of category cancelled"),
        ("trash", "move tasks to the trash, where they stay for 30 days"),
        ("restore", "restore tasks from the trash"),
    ):
        leaf(tasks, verb, what).add_argument(
            "tasks", nargs="+", metavar="TASK", help="its id, or the beginning or the end of it"
        )
    assign = _task(tasks, "assign", "assign a task")
    assign.add_argument("who", metavar="WHO", help=f"me, a member's name, an id, or {NONE}")
    move = _task(tasks, "move", "move a task into another project")
    move.add_argument("project", metavar="PROJECT", help="a name, or an id")
    move.add_argument("--status", metavar="KEY", help="its status in that project")
    place = _task(tasks, "rank", "move a task within its project's order").add_mutually_exclusive_group(required=True)
    place.add_argument("--after", metavar="TASK", help="after this task")
    place.add_argument("--before", metavar="TASK", help="before this task")
    undo = _task(
        tasks,
        "undo",
        "undo a task's newest change that is not undone yet; repeat it to undo earlier ones",
        "An undo is a change too: undoing it (--version) redoes what it undid.",
    )
    undo.add_argument("--version", type=int, metavar="N", help="the change that led to this version")


def _add_parts(tasks: Commands) -> None:
    comment = _task(tasks, "comment", "comment on a task")
    comment.add_argument("text", metavar="TEXT", help="Markdown; - reads the standard input")
    item = "its number in the list, its text, or its id"
    checklist = _task(tasks, "checklist", "show or change a task's checklist")
    many(checklist, "--add", "TEXT", "a new item, at the end", None)
    many(checklist, "--remove", "ITEM", f"an item to remove: {item}", None)
    for verb, what in (("check", "tick items of a task's checklist"), ("uncheck", "untick items")):
        _task(tasks, verb, what).add_argument("items", nargs="+", metavar="ITEM", help=item)
    for verb, what in (("link", "relate a task to another"), ("unlink", "remove a relation")):
        link = _task(tasks, verb, what)
        link.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
        link.add_argument("other", metavar="OTHER", help="the other task")


def _task(tasks: Commands, name: str, what: str, more: str = "") -> argparse.ArgumentParser:
    parser = leaf(tasks, name, what, more)
    parser.add_argument("task", metavar="TASK", help="its id, or the beginning or the end of it")
    return parser
