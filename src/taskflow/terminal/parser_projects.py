"""The arguments of `taskflow projects`."""

from __future__ import annotations

import argparse
from typing import Final

from taskflow.terminal.parser_parts import ROLES, Commands, group, leaf, limited

_EPILOG: Final = """\
PROJECT is a name, an id, or the beginning or the end of an id.

examples:
  taskflow projects add Website
  taskflow projects board Website
  taskflow projects invite Website bob@example.com --role member
  taskflow projects export Website > website.json
  taskflow projects export Website --csv > website.csv

"""


def add_projects(commands: Commands) -> None:
    projects = group(commands, "projects", "show, create and share projects", _EPILOG)
    listing = limited(leaf(projects, "list", "list your projects"))
    listing.add_argument("--archived", action="store_true", help="only archived projects")
    add = leaf(projects, "add", "create a project")
    add.add_argument("name", metavar="NAME", help="its name")
    edit = _project(projects, "edit", "change a project's name or description")
    edit.add_argument("--name", metavar="TEXT")
    edit.add_argument("--expect", type=int, metavar="VERSION", help="only if this is still its version")
    for parser in (add, edit):
        parser.add_argument("--description", metavar="TEXT", help="- reads the standard input")
    for name, what in (
        ("show", "show a project: its workflow and labels"),
        ("board", "show a project's tasks by status"),
        ("stats", "count a project's tasks"),
        ("archive", "archive a project: it can be read but not changed"),
        ("unarchive", "unarchive a project"),
    ):
        _project(projects, name, what)
    export = _project(
        projects,
        "export",
        "export a project to the standard output",
        "The file is complete if the exit code is 0. `taskflow import --format taskflow` reads it.",
    )
    export.add_argument(
        "--csv", action="store_true", help="only its tasks, as a CSV table, instead of everything as JSON"
    )
    _people(projects)
    label = _project(projects, "label", "give a label a colour")
    label.add_argument("name", metavar="NAME", help="the label's name")
    label.add_argument("colour", metavar="COLOUR", help="like #ff8800")
    _project(projects, "unlabel", "remove a label's colour; tasks keep the label").add_argument("name", metavar="NAME")


def _people(projects: Commands) -> None:
    _project(projects, "members", "list the members of a project")
    role = _project(projects, "role", "change a member's role, or add somebody with whom you share a project")
    role.add_argument("who", metavar="WHO", help="a member's name, or somebody's id")
    role.add_argument("role", choices=ROLES, metavar="ROLE", help=", ".join(ROLES))
    remove = _project(projects, "remove", "remove a person from a project; me: leave it")
    remove.add_argument("who", metavar="WHO", help="me, a member's name, or an id")
    invite = _project(projects, "invite", "create an invitation, for you to send")
    invite.add_argument("email", metavar="EMAIL")
    invite.add_argument("--role", choices=ROLES, default="member", metavar="ROLE",
                        help=f"{', '.join(ROLES)} (default: member)")  # fmt: skip
    _project(projects, "invitations", "list the invitations that nobody has accepted yet")
    uninvite = _project(projects, "uninvite", "withdraw an invitation")
    uninvite.add_argument("invitation", metavar="INVITATION", help="its e-mail address, its id, or a part of the id")
    accept = leaf(projects, "accept", "accept an invitation")
    accept.add_argument("token", metavar="TOKEN", help="the token that you were sent")


def _project(projects: Commands, name: str, what: str, more: str = "") -> argparse.ArgumentParser:
    parser = leaf(projects, name, what, more)
    parser.add_argument("project", metavar="PROJECT", help="a name, or an id")
    return parser
