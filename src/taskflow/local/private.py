"""What the launcher keeps is its owner's alone: passwords, the log of everything, what processes wrote.

PostgreSQL may run as another user, who has to pass through the folder: then the folder itself can be
entered by others, and nothing in it can be read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any, Final, Literal

UMASK: Final = 0o077
"""Of every child: what it makes is for its user alone."""
OURS: Final = frozenset(("cache", "kafka", "lock", "logs", "mongodb", "postgres", "secrets", "valkey"))
"""What a launcher makes in its folder. PostgreSQL's own is private from its first moment."""
_OTHERS: Final = 0o077


def open_private(path: Path, mode: Literal["w", "ab"]) -> IO[Any]:
    """Opens a file that only its owner reads; also one that others could read before."""
    return open(path, mode, opener=_open)


def _open(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads."""
    with open_private(path, "w") as file:
        file.write(text)


def make_private(folder: Path) -> None:
    """Closes the launcher's folder to others, what releases before left open in it too. Whatever is not the
    launcher's stays as it is: the folder may be a person's, with more in it."""
    for name in OURS - {"postgres"}:
        place = folder / name
        if place.is_symlink() or not place.exists():
            continue
        _close(place)
        for below, folders, files in os.walk(place):
            for one in (*folders, *files):
                _close(Path(below, one))
    if {entry.name for entry in folder.iterdir()} <= OURS:
        # Root's PostgreSQL is another user: it passes, where it could before, and reads nothing.
        passing = 0o011 if os.geteuid() == 0 else 0
        _close(folder, _OTHERS & ~passing)


def _close(path: Path, bits: int = _OTHERS) -> None:
    try:
        found = path.lstat()
        if found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode) and found.st_mode & bits:
            path.chmod(stat.S_IMODE(found.st_mode) & ~bits)
    except FileNotFoundError:  # a server of a run before is still tidying up
        return
