"""What a type checker knows of the clients: one description serves both, and each has its own types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

USE = """
from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from taskflow.client import AsyncClient, Client
from taskflow.client.answers import Event, SignedIn, Task

def blocking(client: Client) -> None:
    assert_type(client.tasks.get("x", version=3), Task)
    assert_type(client.tasks.comments.list("x").__next__().body, str)
    assert_type(client.tasks.list(label=["q4"]), Iterator[Task])
    assert_type(client.events.stream(), Iterator[Event])
    assert_type(client.projects.export("x"), Iterator[bytes])
    assert_type(client.users.calendar("x"), bytes)
    assert_type(client.views.tasks(client.views.create("v", {"label": ["q4"], "trashed": True})), Iterator[Task])
    assert_type(client.auth.login("a", "b"), SignedIn)
    client.tasks.edit("x", due_at=None)

async def waiting(client: AsyncClient) -> None:
    assert_type(await client.tasks.get("x", version=3), Task)
    assert_type(client.tasks.list(label=["q4"]), AsyncIterator[Task])
    assert_type(client.events.stream(), AsyncIterator[Event])
    assert_type(client.projects.export("x"), AsyncIterator[bytes])
    assert_type(await client.auth.login("a", "b"), SignedIn)
"""
MISUSE = {
    'client.tasks.get("x", versoin=3)': 'Unexpected keyword argument "versoin"',
    "client.tasks.get(3)": "incompatible type",
    'client.tasks.edit("x", title=None)': "incompatible type",
    'client.tasks.get("x").titel': 'no attribute "titel"',
}


def checked(text: str, place: Path) -> str:
    place.write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(place)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_right_use_is_right_and_wrong_use_is_told(tmp_path: Path) -> None:
    start = USE.count("\n") + 2
    lines = [f"    {line}" for line in MISUSE]
    found = checked(f"{USE}\ndef wrong(client: Client) -> None:\n" + "\n".join(lines) + "\n", tmp_path / "use.py")
    told = found.splitlines()
    assert len(told) == len(MISUSE), found
    for number, (line, message) in enumerate(MISUSE.items(), start + 1):
        assert any(f"use.py:{number}: " in one and message in one for one in told), (line, found)
