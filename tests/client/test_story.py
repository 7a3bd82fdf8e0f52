"""Five minutes of somebody at a terminal, against the real servers."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from uuid import uuid4

from tests.client.person import Person

PASSWORD = "correct horse battery"


def signed_up(url: str, home: Path) -> Person:
    grace = Person(home, url)
    grace.signs_up(f"{uuid4().hex}@example.com", PASSWORD, "Grace Hopper")
    return grace


def added(out: str) -> str:
    """The piece of an id that a new task is told with."""
    found = re.match(r"added  ([0-9a-f]{8})  ", out)
    assert found is not None, out
    return found[1]


def test_grace_works_through_a_task(url: str, tmp_path: Path) -> None:
    grace = signed_up(url, tmp_path)
    does = grace.does
    assert does("tasks", "list") == "no tasks\n"
    due = ("--due", "2026-12-01T17:00")
    out = does("tasks", "add", "Write the report", "--priority", "high", *due, "--label", "q4")
    task = added(out)
    assert out == f"added  {task}  Write the report  (todo, version 1)\n"
    does("tasks", "add", "Buy 日本茶 🍵", "--assignee", "me")

    head, *rows = does("tasks", "list", "--sort", "created_at").splitlines()
    assert head.split() == ["ID", "STATUS", "PRIORITY", "DUE", "ASSIGNEE", "TITLE", "LABELS"]
    assert rows[0].split() == [task, "todo", "high", "2026-12-01", "17:00", "Write", "the", "report", "q4"]
    assert rows[1].split() == [rows[1][:8], "todo", "medium", "Grace", "Hopper", "Buy", "日本茶", "🍵"]

    assert does("tasks", "start", task) == f"started  {task}  Write the report  (in_progress, version 2)\n"
    changes = ("--title", "Write the whole report", "--due", "none", "--label", "none")
    assert (
        does("tasks", "edit", task, *changes) == f"edited  {task}  Write the whole report  (in_progress, version 5)\n"
    )
    assert does("tasks", "done", task) == f"done  {task}  Write the whole report  (done, version 6)\n"
    assert task not in does("tasks", "list")
    assert task in does("tasks", "list", "--all")
    assert task in does("tasks", "list", "--category", "done")

    shown = does("tasks", "show", task)
    assert shown.startswith("Write the whole report\n")
    assert re.search(r"^  status +done$", shown, re.MULTILINE)
    history = does("tasks", "history", task).splitlines()
    assert [line.split()[0] for line in history[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert "TaskCreated" in history[1]
    assert "Grace Hopper" in history[1]

    assert does("tasks", "reopen", task).startswith(f"reopened  {task}")
    assert does("tasks", "cancel", task).startswith(f"cancelled  {task}")
    assert does("tasks", "trash", task).startswith(f"in the trash  {task}")
    assert task in does("tasks", "list", "--trashed")
    assert does("tasks", "restore", task).startswith(f"restored  {task}")


def test_grace_makes_a_project(url: str, tmp_path: Path) -> None:
    grace = signed_up(url, tmp_path)
    does = grace.does
    assert re.fullmatch(r"added  [0-9a-f]{8}  Website\n", does("projects", "add", "Website"))
    logo = added(
        does("tasks", "add", "Draw the logo", "--project", "website", "--description", "-", stdin="In *two* colours\n")
    )
    part = added(does("tasks", "add", "Choose them", "--project", "Website", "--parent", logo))
    board = does("projects", "board", "Website").splitlines()
    assert board[0] == "To do (2)"
    assert {line.split()[0] for line in board[2:4]} == {logo, part}
    assert board[4:] == ["", "In progress (0)", "", "Done (0)", "", "Cancelled (0)"]
    shown = does("tasks", "show", logo)
    assert shown.endswith("\nIn *two* colours\n")
    projects = does("projects", "list").splitlines()
    assert {line.split()[1] for line in projects[1:]} == {"Inbox", "Website"}
    assert "Grace Hopper" in does("projects", "members", "Website")
    assert "in_progress" in does("projects", "show", "Website")


def test_grace_comes_and_goes(url: str, tmp_path: Path) -> None:
    grace = Person(tmp_path, url)
    email = f"{uuid4().hex}@example.com"
    secret = f"{PASSWORD}\n"
    out = grace.does("register", email, "--name", "Grace Hopper", "--password-stdin", stdin=secret)
    assert out == f"signed in at {url} as Grace Hopper <{email}>\n"
    assert grace.does("whoami") == f"Grace Hopper <{email}> at {url}\n"
    assert grace.does("logout") == f"signed out of {url}\n"
    assert "sign in with `taskflow login`" in grace.fails(4, "tasks", "list")
    assert grace.does("logout") == f"nobody was signed in at {url}\n"
    assert "wrong address or password" in grace.fails(4, "login", email, "--password-stdin", stdin="another one\n")
    assert grace.does("login", email, "--password-stdin", stdin=secret) == out
    # Where she signed in last is where she is, whatever the next shell's environment.
    del grace.environment["TASKFLOW_URL"]
    assert grace.does("whoami") == f"Grace Hopper <{email}> at {url}\n"


def test_the_tokens_are_for_their_owner_alone(url: str, tmp_path: Path) -> None:
    grace = Person(tmp_path, url)
    grace.signs_up(f"{uuid4().hex}@example.com", PASSWORD, "Grace")
    assert stat.S_IMODE(grace.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(grace.file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in grace.file.parent.iterdir()) == ["accounts.json", "accounts.lock"]
    grace.file.chmod(0o644)
    grace.does("tasks", "add", "x")
    assert stat.S_IMODE(grace.file.stat().st_mode) == 0o600
