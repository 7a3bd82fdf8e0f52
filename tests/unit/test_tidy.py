"""Habits that a reader relies on, kept by a test."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LINES_MAX = 500
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "core", "lib"}
ELSEWHERE = re.compile(
    r"https?://[^\s'\"]*(?:pypi|pythonhosted|npmjs|repo\d?\.maven|crates\.io|proxy\.golang|deb\.debian)|/root/|/home/\w+/|/work/"
)
"""Registries' hosts and one machine's paths."""


def files(*suffixes: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in found if path.exists() and (not suffixes or path.suffix in suffixes)]


def code() -> list[Path]:
    return files(".py")


@pytest.mark.parametrize("path", code(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_idea(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_MAX
    assert path.stem not in VAGUE
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a file says in its first line what it is"


@pytest.mark.parametrize("path", code(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_silenced_has_a_reason(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for mark in ("# type: ignore", "# noqa"):
            if mark in line and "mark" not in line:
                after = line.split(mark, 1)[1]
                assert re.search(r"\s(#|-) ?\S", after), f"line {number}: {mark} without a reason"


def test_nothing_names_a_registry_or_a_path_of_one_machine() -> None:
    for path in files():
        if path == Path(__file__) or path.suffix in {".gz", ".png", ".zip"}:
            continue
        found = ELSEWHERE.search(path.read_text(errors="replace"))
        assert found is None, f"{path.relative_to(ROOT)}: {found and found[0]}"
