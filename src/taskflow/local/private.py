"""Keeps the launcher's files private to their owner: passwords, the event log, log files.

PostgreSQL may run as another user, who has to traverse the data folder: then others may enter the folder itself, but
cannot read anything in it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any, Final, Literal

UMASK: Final = 0o077
"""The umask of all child processes: only their user can read what they create."""
LAUNCHER_ENTRIES: Final = frozenset(("cache", "kafka", "lock", "logs", "mongodb", "postgres", "secrets", "valkey"))
"""The entries that a launcher creates in its folder. PostgreSQL makes its own folder private by itself."""
_GROUP_AND_OTHERS: Final = 0o077


def open_private(path: Path, mode: Literal["w", "ab"]) -> IO[Any]:
    """Opens a file so that only its owner can read it, also if others could read it before."""
    return open(path, mode, opener=_open)


def _open(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read."""
    with open_private(path, "w") as file:
        file.write(text)


def make_private(folder: Path) -> None:
    """Makes the launcher's files in the folder private, also those that earlier releases left readable. Other entries
    stay as they are, because the folder may be used for other things too."""
    for name in LAUNCHER_ENTRIES - {"postgres"}:
        place = folder / name
        if place.is_symlink() or not place.exists():
            continue
        _close(place)
        for below, folders, files in os.walk(place):
            for one in (*folders, *files):
                _close(Path(below, one))
    if {entry.name for entry in folder.iterdir()} <= LAUNCHER_ENTRIES:
        # If the launcher is root, PostgreSQL runs as another user, who must still be able to traverse the folder.
        passing = 0o011 if os.geteuid() == 0 else 0
        _close(folder, _GROUP_AND_OTHERS & ~passing)


def _close(path: Path, bits: int = _GROUP_AND_OTHERS) -> None:
    try:
        found = path.lstat()
        if found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode) and found.st_mode & bits:
            path.chmod(stat.S_IMODE(found.st_mode) & ~bits)
    except FileNotFoundError:  # a server of an earlier run is still removing its files
        return
