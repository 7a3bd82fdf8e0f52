"""A projection is added by one file, which nothing else has to name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import taskflow
from taskflow.projections.registry import PROJECTIONS

PACKAGE = Path(taskflow.__file__).parent
ADDED = """
from taskflow.projections.projection import Projection
from taskflow.streams import SESSION

SESSIONS = Projection(name="sessions", version=1, kind=SESSION, document=lambda session: {}, indexes=())
"""


def test_what_there_is() -> None:
    assert set(PROJECTIONS) == {"tasks", "projects", "users", "views"}


def test_one_file_declares_a_projection(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "taskflow", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "taskflow" / "projections" / "declarations" / "sessions.py").write_text(ADDED)
    names = subprocess.run(
        [sys.executable, "-c", "from taskflow.projections.registry import PROJECTIONS; print(*PROJECTIONS)"],
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert set(names) == {*PROJECTIONS, "sessions"}
