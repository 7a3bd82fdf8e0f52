"""Prints the log files of `taskflow up`: one file for each process; taskflow's own are JSON lines."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from taskflow.errors import TaskflowError

POLL_S: Final = 0.3


class NoSuchLog(TaskflowError):
    """The named process has no log file; the message lists those that exist."""


def show(folder: Path, processes: list[str], *, follow: bool) -> None:
    """Prints the log files of the named processes, or of all. With `follow`, keeps printing new lines until
    interrupted, and waits for files that do not exist yet. Raises NoSuchLog."""
    missing = [name for name in processes if not (folder / f"{name}.log").exists()]
    if missing and not follow:
        raise NoSuchLog(f"no log of {', '.join(missing)}; there are logs of {_names(folder)}")
    positions: dict[Path, int] = {}
    while True:
        files = [folder / f"{name}.log" for name in processes] or sorted(folder.glob("*.log"))
        for path in files:
            if not path.exists():
                continue
            with path.open(errors="replace") as file:
                file.seek(positions.get(path, 0))
                for line in file:
                    print(line if len(files) == 1 or line.startswith("{") else f"{path.stem}: {line}", end="")
                positions[path] = file.tell()
        if not follow:
            return
        sys.stdout.flush()
        time.sleep(POLL_S)


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.stem for path in folder.glob("*.log"))) or "nobody"
