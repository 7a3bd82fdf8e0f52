"""The arguments of those commands of `taskflow admin` that call the API."""

from __future__ import annotations

from typing import Final

from taskflow.terminal.parser_parts import EXIT_CODES, Commands, leaf

_ANNUL: Final = """\
Only events of tasks are annulled, and none that creates, moves or purges a task. Exit code 5 says why one cannot be.
POSITION stands in `taskflow tasks history TASK --json`, and in every event that the API shows.

examples:
  taskflow admin annul 1234 --reason 'Imported twice'

"""


_PROJECTIONS: Final = """\
BEHIND: events of the log that a projection has not applied; AGE: of the oldest of them; LEFT: the time that they take at
the present RATE. STATE: running, catching_up, stopped (no worker), halted or refused (what to do stands below the table).
Takes the system role admin.

"""


def add_projections(commands: Commands) -> None:
    projections = leaf(commands, "projections", "show how far each projection is", _PROJECTIONS + EXIT_CODES)
    projections.add_argument("--watch", action="store_true", help="show it again every two seconds, until interrupted")
    projections.add_argument("--count", type=int, metavar="N", help="with --watch: stop after this many times")


def add_admin(commands: Commands) -> None:
    annul = leaf(
        commands,
        "annul",
        "annul an event of a task: the log keeps it, and later states of the task are without it",
        _ANNUL + EXIT_CODES,
    )
    annul.add_argument("position", type=int, metavar="POSITION", help="the event's position in the log")
    annul.add_argument(
        "--reason", required=True, metavar="TEXT", help="stored with the annulment, in the task's history"
    )
    annul.add_argument("--expect", type=int, metavar="VERSION", help="only if the task is still at this version")
