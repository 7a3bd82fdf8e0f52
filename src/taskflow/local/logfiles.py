"""What the processes of `taskflow up` wrote: a file a process, JSON lines where they are ours."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from taskflow.errors import TaskflowError

POLL_S: Final = 0.3


class NoSuchLog(TaskflowError):
    """A process was named that has written nothing here; the message names those that have."""


def show(folder: Path, processes: list[str], *, follow: bool) -> None:
    """Prints the log files of some or all processes; with `follow`, goes on until interrupted, and waits for
    one that is not there yet. Raises NoSuchLog."""
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
