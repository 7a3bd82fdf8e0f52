"""Sessions of a user at the command line, against the real servers."""

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
    """The short id in the output of a command that created a task."""
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


def test_grace_signs_in_and_out(url: str, tmp_path: Path) -> None:
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
    # The server of the last sign-in is used, also in a shell without TASKFLOW_URL.
    del grace.environment["TASKFLOW_URL"]
    assert grace.does("whoami") == f"Grace Hopper <{email}> at {url}\n"


def test_only_the_owner_can_read_the_tokens(url: str, tmp_path: Path) -> None:
    grace = Person(tmp_path, url)
    grace.signs_up(f"{uuid4().hex}@example.com", PASSWORD, "Grace")
    assert stat.S_IMODE(grace.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(grace.file.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in grace.file.parent.iterdir()) == ["accounts.json", "accounts.lock"]
    grace.file.chmod(0o644)
    grace.does("tasks", "add", "x")
    assert stat.S_IMODE(grace.file.stat().st_mode) == 0o600


def test_grace_saves_filters_as_views(url: str, tmp_path: Path) -> None:
    grace = signed_up(url, tmp_path)
    does = grace.does
    urgent = added(does("tasks", "add", "Put out the fire", "--priority", "urgent", "--label", "q4"))
    later = added(does("tasks", "add", "Tidy up", "--priority", "low"))
    assert does("tasks", "list", "--limit", "1").endswith("\nthese are the first 1; --limit shows more\n")
    assert "--limit" not in does("tasks", "list", "--limit", "2")
    assert does("views", "list") == "no views\n"
    saved = does("views", "save", "Now", "--priority", "high", "--priority", "urgent", "--sort", "due_at")
    assert re.fullmatch(
        r"saved  [0-9a-f]{8}  Now  \(category: todo, in_progress, waiting; priority: high, urgent; sort: due_at\)\n",
        saved,
    )
    assert [line.split()[0] for line in does("views", "run", "now").splitlines()[1:]] == [urgent]
    # Saving under the same name replaces all filters.
    assert does("views", "save", "NOW", "--priority", "low").startswith("changed  ")
    assert [line.split()[0] for line in does("views", "run", "Now").splitlines()[1:]] == [later]
    does("projects", "add", "Website")
    assert does("views", "run", "Now", "--limit", "1").count("\n") == 2
    does("views", "save", "Now", "--in", "Website", "--project", "Website", "--all")
    assert "could be any of 2 views" in grace.fails(2, "views", "run", "Now")
    shared = grace.gets("views", "list", "--in", "Website")
    assert [(view["name"], set(view["query"])) for view in shared] == [("Now", {"project"})]
    head, *rows = does("views", "list").splitlines()
    assert head.split() == ["ID", "NAME", "OF", "FILTERS"]
    assert {row.split()[2] for row in rows} == {"you", "Website"}
    assert grace.gets("views", "run", shared[0]["id"]) == []
    assert does("views", "rename", shared[0]["id"], "Site").split()[2] == "Site"
    assert does("views", "show", "Site").startswith("Site\n")
    assert does("views", "delete", "Site").startswith("deleted  ")
    assert "no view Site; `taskflow views list`" in grace.fails(3, "views", "run", "Site")


def test_grace_works_with_a_checklist_and_relations(url: str, tmp_path: Path) -> None:
    grace = signed_up(url, tmp_path)
    does = grace.does
    tea, cups = (added(does("tasks", "add", title)) for title in ("Make 日本茶", "Find cups"))
    assert does("tasks", "checklist", tea) == "the checklist is empty\n"
    assert does("tasks", "checklist", tea, "--add", "water", "--add", "leaves") == "  1 [ ] water\n  2 [ ] leaves\n"
    assert does("tasks", "check", tea, "2", "Water") == "  1 [x] water\n  2 [x] leaves\n"
    assert does("tasks", "uncheck", tea, "1") == "  1 [ ] water\n  2 [x] leaves\n"
    assert "\n  1 [ ] water\n" in does("tasks", "show", tea)
    assert "no item 3" in grace.fails(3, "tasks", "check", tea, "1", "3")
    assert [item["done"] for item in grace.gets("tasks", "checklist", tea, "--remove", "water")["checklist"]] == [True]
    assert does("tasks", "link", cups, "blocks", tea).startswith(f"blocks {tea}:  {cups}  Find cups")
    assert "already blocks this one" in grace.fails(5, "tasks", "link", tea, "blocks", cups)
    assert grace.gets("tasks", "unlink", cups, "blocks", tea)["relations"] == []
    does("tasks", "rank", cups, "--before", tea)
    assert [one["title"] for one in grace.gets("tasks", "list", "--sort", "rank")] == ["Find cups", "Make 日本茶"]
    does("tasks", "edit", tea, "--title", "Make 緑茶", "--repeat", "FREQ=WEEKLY;BYDAY=MO", "--due", "2026-12-01")
    diff = does("tasks", "diff", tea, "1")
    assert "title\n- Make 日本茶\n+ Make 緑茶\n" in diff
    assert "recurrence\n+ FREQ=WEEKLY;BYDAY=MO\n" in diff
    assert grace.gets("tasks", "edit", tea, "--repeat", "none")["recurrence"] is None
    both = does("tasks", "done", tea, cups).splitlines()
    assert [line.split()[:2] for line in both] == [["done", tea], ["done", cups]]
    assert [one["status"] for one in grace.gets("tasks", "reopen", tea, cups)] == ["todo", "todo"]
    # If one item does not exist, none is changed.
    grace.fails(3, "tasks", "trash", tea, "00000000")
    assert grace.gets("tasks", "show", tea)["trashed_at"] is None


def test_grace_and_bob_share_a_project(url: str, tmp_path: Path) -> None:
    grace, bob = signed_up(url, tmp_path / "grace"), signed_up(url, tmp_path / "bob")
    address = bob.gets("whoami")["email"]
    grace.does("projects", "add", "Website")
    grace.does("projects", "invite", "Website", "someone@example.com", "--role", "viewer")
    out = grace.does("projects", "invite", "Website", address)
    assert out.startswith(f"send this to {address}; it can be accepted until ")
    token = out.split()[-1]
    assert {line.split()[1] for line in grace.does("projects", "invitations", "Website").splitlines()[1:]} == {
        "someone@example.com",
        address,
    }
    grace.does("projects", "uninvite", "Website", "someone@example.com")
    joined = bob.does("projects", "accept", token)
    assert re.fullmatch(r"you are member of  [0-9a-f]{8}  Website\n", joined)
    assert grace.does("projects", "invitations", "Website") == "no invitations\n"
    bob_id = bob.gets("whoami")["id"]
    assert grace.gets("projects", "role", "Website", bob_id, "admin")["version"] > 1
    bob.does("tasks", "add", "Draw the logo", "--project", "Website")
    assert bob.does("projects", "stats", "Website").startswith("1 tasks, 1 unassigned\n")
    bob.does("projects", "label", "Website", "q4", "#ff8800")
    assert "q4" in grace.does("projects", "show", "Website")
    assert grace.gets("projects", "unlabel", "Website", "q4")["labels"] == []

    told = grace.does("activity", "Website").splitlines()
    assert told[0].split() == ["WHEN", "WHO", "WHAT", "ID", "OF", "HOW"]
    assert told[-1].split()[4] == "ProjectCreated"
    assert any("TaskCreated" in line and "Draw the logo" in line for line in told)
    every = grace.gets("activity", "--limit", "3")
    assert [one["position"] for one in every] == sorted([one["position"] for one in every], reverse=True)
    assert "PROJECT" in grace.does("activity")

    whole = grace.gets("projects", "export", "Website")
    assert [task["title"] for task in whole["tasks"]] == ["Draw the logo"]
    table = grace.does("projects", "export", "Website", "--csv")
    assert "Draw the logo" in table
    assert "found both" in grace.fails(2, "projects", "export", "Website", "--csv", "--json")

    assert bob.does("projects", "remove", "Website", "me").startswith("left  ")
    bob.fails(3, "projects", "show", "Website")
    assert grace.does("projects", "edit", "Website", "--name", "Site").split()[2] == "Site"
    grace.does("projects", "archive", "Site")
    assert [one["name"] for one in grace.gets("projects", "list", "--archived")] == ["Site"]
    assert grace.gets("projects", "unarchive", "Site")["archived_at"] is None


def test_grace_reads_her_due_tasks_in_a_calendar(url: str, tmp_path: Path) -> None:
    grace = signed_up(url, tmp_path)
    first = grace.does("calendar")
    assert re.fullmatch(r"http://\S+/api/v1/calendar/\S+\.ics\n", first)
    assert grace.gets("calendar")["url"] != first.strip()
