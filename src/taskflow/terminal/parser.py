"""The argument parser of the commands for people, with their help. It and `parser_…` import only what loads fast."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from taskflow.terminal.parser_parts import (
    AT_ONCE,
    EXIT_CODES,
    Commands,
    at_once,
    calling,
    filters,
    group,
    leaf,
    limited,
)
from taskflow.terminal.parser_projects import add_projects
from taskflow.terminal.parser_tasks import add_tasks

SHELLS: Final = ("bash", "zsh", "fish")
_VIEWS_MORE: Final = """\
VIEW is a name, an id, or the beginning or the end of an id.

examples:
  taskflow views save Mine --assignee me --priority high --priority urgent --sort due_at
  taskflow views run Mine
  taskflow views save 'Next release' --in Website --project Website --label release

"""


def add_client_commands(commands: Commands) -> None:
    """Adds the commands for people to those that run processes."""
    _account(commands)
    add_tasks(commands)
    add_projects(commands)
    _imports(commands)
    _views(group(commands, "views", "save filters of tasks under a name, and run them", _VIEWS_MORE))
    activity = limited(
        leaf(commands, "activity", "show what happened in a project, or in all of yours, newest first", EXIT_CODES)
    )
    activity.add_argument("project", nargs="?", metavar="PROJECT", help="a name, or an id (default: all of yours)")
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


def _account(commands: Commands) -> None:
    register = leaf(commands, "register", "create an account and sign in")
    register.add_argument("email", metavar="EMAIL")
    register.add_argument("--name", required=True, help="the name that others see")
    login = leaf(
        commands,
        "login",
        "sign in",
        "The tokens are stored in a file that only you can read, and renewed when they expire. If TASKFLOW_URL and\n"
        "TASKFLOW_TOKEN are set, they take precedence.",
    )
    login.add_argument("email", nargs="?", metavar="EMAIL", help="prompted for if missing")
    login.add_argument("--otp", metavar="CODE", help="the code of the second factor; prompted for if needed")
    for parser in (register, login):
        parser.add_argument("--password-stdin", action="store_true", help="read the password from the standard input")
    leaf(commands, "logout", "end the session and delete its tokens")
    leaf(commands, "whoami", "show who is signed in, and at which server")
    leaf(
        commands,
        "calendar",
        "create an address from which calendars read your due tasks",
        "Whoever knows the address can read them. It is shown only once; an earlier address stops working.",
    )


def _imports(commands: Commands) -> None:
    importing = calling(
        commands,
        "import",
        "import another system's log as tasks with their history",
        "The signed-in person imports into a project that they own or are an admin of. Run again, it continues where it\n"
        "stopped, and imports nothing twice.",
    )
    importing.add_argument(
        "file", type=Path, metavar="FILE", help="a CSV or JSON Lines file, plain or gzipped; or the format of --format"
    )
    importing.add_argument(
        "--format",
        choices=["csv", "taskflow", "todoist"],
        default="csv",
        help="taskflow: an exported project; todoist: a backup of one; either as CSV or JSON",
    )
    importing.add_argument(
        "--mapping", type=Path, metavar="FILE", help="a TOML file that describes the columns of a CSV file"
    )
    importing.add_argument("--project", metavar="ID", help="an existing project (default: your own of that source)")
    importing.add_argument("--name", help="the name of a Todoist project here (default: that of its file)")
    importing.add_argument("--dry-run", action="store_true", help="show what it would do, and write nothing")
    importing.add_argument("--rejects", type=Path, metavar="FILE", help="where bad rows go (default: FILE.rejects.csv)")
    importing.add_argument(
        "--at-once", type=at_once, default=AT_ONCE, metavar="N", help=f"batches sent at once (default: {AT_ONCE})"
    )
    calling(commands, "demo", "import a small example into a running system and show what to try")


def _views(views: Commands) -> None:
    listing = limited(leaf(views, "list", "list your views and those of your projects"))
    listing.add_argument("--in", dest="shared", metavar="PROJECT", help="only the views of this project")
    _view(views, "show", "show the filters of a view")
    limited(_view(views, "run", "list the tasks of a view"))
    save = leaf(
        views,
        "save",
        "save filters under a name; an existing view of that name is changed",
        "Unless a filter selects others, it shows the open tasks, as `taskflow tasks list` does.",
    )
    save.add_argument("name", metavar="NAME", help="its name")
    save.add_argument("--in", dest="shared", metavar="PROJECT", help="for all members of a project, not only for you")
    filters(save)
    rename = _view(views, "rename", "rename a view")
    rename.add_argument("name", metavar="NAME", help="its new name")
    _view(views, "delete", "delete a view")


def _view(views: Commands, name: str, what: str) -> argparse.ArgumentParser:
    parser = leaf(views, name, what)
    parser.add_argument("view", metavar="VIEW", help="a name, or an id")
    return parser
