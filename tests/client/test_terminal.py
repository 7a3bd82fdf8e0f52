"""How commands behave in a shell: exit codes, pipes, colours, interrupts, servers that restart."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shlex
import signal
import socket
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from taskflow.client import Client, Unauthenticated
from taskflow.local.program import unused_port
from tests.client.conftest import Account, OwnApi
from tests.client.person import PATIENCE_S, Person

ESCAPE = "\x1b"


@pytest.fixture
def grace(url: str, tmp_path: Path) -> Person:
    """Signed in, with an empty Inbox."""
    person = Person(tmp_path, url)
    person.signs_up(f"{uuid4().hex}@example.com", "correct horse battery", "Grace Hopper")
    return person


def at_a_terminal(person: Person, *words: str, columns: int = 100, **environment: str) -> str:
    """The output of a command on a terminal of this width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    done = subprocess.Popen(
        person.argv(*words),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=person.environment | {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | environment,
    )
    os.close(follower)
    shown = b""
    with suppress(OSError):  # the command has closed the terminal
        while piece := os.read(leader, 65_536):
            shown += piece
    os.close(leader)
    assert done.wait(PATIENCE_S) == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n")


class Typist:
    """A command on a pseudo-terminal, with a user who answers its prompts."""

    def __init__(self, person: Person, *words: str) -> None:
        self._leader, follower = pty.openpty()
        self._process = subprocess.Popen(
            person.argv(*words),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=person.environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no other thread holds a lock
        )
        os.close(follower)
        self.shown = ""

    def answers(self, question: str, text: str) -> None:
        while not self.shown.endswith(question):
            self.shown += os.read(self._leader, 4096).decode()
        os.write(self._leader, text.encode())

    def ends(self) -> int:
        with suppress(OSError):
            while piece := os.read(self._leader, 4096):
                self.shown += piece.decode()
        os.close(self._leader)
        return self._process.wait(PATIENCE_S)


class TestPrompts:
    def test_missing_values_are_prompted_for_and_a_password_is_not_shown(
        self, url: str, tmp_path: Path, account: Callable[[str], Account]
    ) -> None:
        ada, person = account("Ada"), Person(tmp_path, url)
        login = Typist(person, "login")
        login.answers("E-mail: ", f"{ada.email}\n")
        login.answers("Password: ", f"{ada.password}\n")
        assert login.ends() == 0
        assert f"signed in at {url} as Ada <{ada.email}>" in login.shown
        assert ada.password not in login.shown
        assert person.gets("whoami")["email"] == ada.email

    def test_two_different_passwords_create_no_account(self, url: str, tmp_path: Path) -> None:
        register = Typist(Person(tmp_path, url), "register", "a@example.com", "--name", "A")
        register.answers("Password: ", "correct horse\n")
        register.answers("Once more: ", "correct house\n")
        assert register.ends() == 2
        assert "the two passwords differ" in register.shown

    def test_an_unanswered_prompt_is_reported_in_one_line(self, url: str, tmp_path: Path) -> None:
        login = Typist(Person(tmp_path, url), "login", "a@example.com")
        login.answers("Password: ", "\x04")
        assert login.ends() == 2
        assert "taskflow: nothing was typed" in login.shown
        assert "Traceback" not in login.shown


class TestExitCodes:
    def test_2_for_wrong_arguments(self, grace: Person) -> None:
        for words in (["tasks"], ["tasks", "add"], ["tasks", "list", "--priority", "none"], ["tasks", "fly", "x"]):
            said = grace.types(*words)
            assert (said.code, said.out) == (2, ""), said
            assert "usage: " in said.err
        assert "expected a day like" in grace.types("tasks", "add", "x", "--due", "tomorrow").err
        assert "4 or more characters" in grace.fails(2, "tasks", "done", "abc")
        for url in ("nowhere", "ftp://x", "http://[::1"):
            assert "expected a URL" in grace.fails(2, "tasks", "list", "--url", url)
        for token in ("two words", "tökén", "a\nb"):
            assert "visible ASCII" in grace.fails(2, "tasks", "list", TASKFLOW_TOKEN=token)
        assert "expected text in UTF-8" in grace.fails(2, "tasks", "add", os.fsdecode(b"caf\xe9"))
        assert "nothing to change" in grace.fails(2, "tasks", "edit", str(uuid4()))
        assert "--password-stdin" in grace.fails(2, "login", "a@example.com")

    def test_3_for_something_not_found(self, grace: Person) -> None:
        assert "no task 1234abcd; `taskflow tasks list --all`" in grace.fails(3, "tasks", "show", "1234abcd")
        assert "no task" in grace.fails(3, "tasks", "done", str(uuid4()))
        assert "no project Nowhere" in grace.fails(3, "projects", "board", "Nowhere")
        assert "no project Nowhere" in grace.fails(3, "tasks", "add", "x", "--project", "Nowhere")

    def test_4_if_not_signed_in_or_forbidden(
        self, grace: Person, client: Client, tmp_path: Path, account: Callable[[str], Account]
    ) -> None:
        project = client.projects.create("Theirs")
        grace.joins(client, project.id, "viewer")
        task = client.tasks.create("Not yours to change", project_id=project.id)
        assert "ask an admin" in grace.fails(4, "tasks", "done", str(task.id))
        nobody = Person(tmp_path / "elsewhere", grace.environment["TASKFLOW_URL"])
        url = grace.environment["TASKFLOW_URL"]
        said = nobody.fails(4, "tasks", "list")
        assert said == f"taskflow: nobody is signed in at {url}; sign in with `taskflow login`\n"
        assert "does not accept the token in TASKFLOW_TOKEN" in nobody.fails(4, "tasks", "list", TASKFLOW_TOKEN="x.y.z")

    def test_5_for_a_conflict(self, grace: Person) -> None:
        task = grace.gets("tasks", "add", "x")["id"]
        grace.does("tasks", "edit", task, "--title", "y", "--expect", "1")
        said = grace.fails(5, "tasks", "edit", task, "--title", "z", "--expect", "1")
        assert said == (
            "taskflow: expected version 1, stream is at 2; look at `taskflow tasks history`, then change it again\n"
        )

    def test_6_if_the_server_does_not_answer(self, grace: Person) -> None:
        said = grace.fails(6, "tasks", "list", "--url", f"http://127.0.0.1:{unused_port()}", TASKFLOW_TOKEN="t")
        assert "does not answer" in said
        assert "check that it is running" in said

    def test_1_for_other_errors(self, grace: Person) -> None:
        assert "/title" in grace.fails(1, "tasks", "add", "")
        grace.file.write_text("{")
        assert "remove it and sign in again" in grace.fails(1, "tasks", "list")


class TestShortIds:
    def test_a_part_of_an_id_must_match_only_one_task(self, grace: Person) -> None:
        first, second = grace.gets("tasks", "add", "one"), grace.gets("tasks", "add", "two")
        for piece in (first["id"], first["id"][-8:], first["id"].replace("-", "")[:25], first["id"][-8:].upper()):
            assert grace.gets("tasks", "show", piece)["title"] == "one"
        # Created within a minute, so both ids begin with the same characters.
        said = grace.fails(2, "tasks", "show", first["id"][:4])
        assert "could be any of 2 tasks; type more of it" in said
        assert f"{first['id']} one" in said
        assert f"{second['id']} two" in said

    def test_a_task_in_the_trash_matches_last(self, grace: Person) -> None:
        task = grace.gets("tasks", "add", "one")["id"]
        grace.does("tasks", "trash", task[-8:])
        assert grace.gets("tasks", "restore", task[-8:])["trashed_at"] is None

    def test_people_and_projects_are_found_by_name(
        self, grace: Person, url: str, tmp_path: Path, account: Callable[[str], Account]
    ) -> None:
        project = grace.gets("projects", "add", "Website")
        bob = Person(tmp_path / "bob", url)
        bob.signs_up(f"{uuid4().hex}@example.com", "correct horse battery", "Bob")
        bob_id = bob.gets("whoami")["id"]
        token = json.loads(grace.file.read_text())["accounts"][url]["access"]
        said = grace.types("projects", "role", "Website", bob_id, "member")
        assert said.code == 5
        assert "invite them with `taskflow projects invite`" in said.err
        with Client(url, token=token) as client:
            bob.joins(client, project["id"], "member")
            assert len(list(client.projects.members(project["id"]))) == 2  # waits until the view has the new member
        task = grace.gets("tasks", "add", "x", "--project", "WEBSITE", "--assignee", "bob")
        assert task["assignee"] == {"id": bob_id, "name": "Bob"}
        assert "given to nobody" in grace.does("tasks", "assign", task["id"], "none")
        assert "given to Bob" in grace.does("tasks", "assign", task["id"], bob_id[-8:])
        assert "no member Alice" in grace.fails(3, "tasks", "assign", task["id"], "Alice")
        assert "only you are in your Inbox" in grace.fails(2, "tasks", "add", "x", "--assignee", "bob")


class TestOutput:
    def test_json_output_is_one_document(self, grace: Person) -> None:
        task = grace.gets("tasks", "add", "x 日本", "--priority", "low")
        assert (task["title"], task["version"]) == ("x 日本", 1)
        assert [one["id"] for one in grace.gets("tasks", "list")] == [task["id"]]
        assert [one["type"] for one in grace.gets("tasks", "history", task["id"])] == ["TaskCreated"]
        for verb, status in (("start", "in_progress"), ("done", "done"), ("reopen", "todo"), ("cancel", "cancelled")):
            assert grace.gets("tasks", verb, task["id"])["status"] == status
        assert grace.gets("tasks", "list") == []
        assert [one["name"] for one in grace.gets("projects", "list")] == ["Inbox"]
        assert {column["status"] for column in grace.gets("projects", "board", "inbox")["columns"]} >= {"todo", "done"}
        assert [one["role"] for one in grace.gets("projects", "members", "Inbox")] == ["owner"]
        assert grace.gets("logout")["signed_out"] is True

    def test_colours_are_only_for_a_terminal_that_supports_them(self, grace: Person) -> None:
        grace.does("tasks", "add", "Urgent", "--priority", "urgent")
        plain = grace.does("tasks", "list")
        assert ESCAPE not in plain
        assert f"{ESCAPE}[" in at_a_terminal(grace, "tasks", "list")
        assert ESCAPE not in at_a_terminal(grace, "tasks", "list", NO_COLOR="1")
        assert ESCAPE not in at_a_terminal(grace, "tasks", "list", TERM="dumb")
        assert json.loads(at_a_terminal(grace, "tasks", "list", "--json"))

    def test_a_table_fits_the_terminal_and_is_complete_in_a_pipe(self, grace: Person) -> None:
        title = "日本語の長い題名 👩‍👩‍👧‍👦 " * 12
        grace.does("tasks", "add", title, "--label", "q4")
        narrow = at_a_terminal(grace, "tasks", "list", columns=60, NO_COLOR="1").splitlines()
        assert len(narrow) == 2
        assert all(width(line) <= 60 for line in narrow), narrow
        assert "…" in narrow[1]
        assert narrow[1].rstrip().endswith("q4")
        assert title.strip() in grace.does("tasks", "list")

    def test_text_of_others_cannot_control_the_terminal(self, grace: Person) -> None:
        evil = f"{ESCAPE}]0;owned\x07{ESCAPE}[2J[red]x[/red] :smile: \u202egnp.exe \x9b31m\r\nnext"
        task = grace.gets("tasks", "add", evil, "--description", evil, "--label", f"{ESCAPE}[31m")["id"]
        for words in (["list"], ["show", task], ["history", task], ["done", task]):
            shown = grace.does("tasks", *words)
            assert not {ESCAPE, "\x07", "\x9b", "\u202e", "\r"} & set(shown), words
            if words[0] != "history":
                assert "[red]x[/red] :smile:" in shown

    def test_another_encoding_loses_only_characters_that_it_lacks(self, grace: Person) -> None:
        grace.does("tasks", "add", "tea 日本")
        said = grace.types("tasks", "list", PYTHONIOENCODING="ascii")
        assert (said.code, said.err) == (0, "")
        assert "tea ??" in said.out

    def test_a_closed_pipe_is_no_error(self, grace: Person, url: str) -> None:
        token = json.loads(grace.file.read_text())["accounts"][url]["access"]
        with Client(url, token=token) as client, ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: client.tasks.create(f"{number} {'x' * 400}"), range(200)))
        for words in (["--json"], []):
            command = shlex.join(grace.argv("tasks", "list", "--limit", "200", *words))
            done = subprocess.run(
                ["bash", "-c", f"{command} | head -c 10; echo ${{PIPESTATUS[0]}}"],
                env=grace.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
            )  # fmt: skip
            assert (done.stdout[10:].strip(), done.stderr) == ("0", ""), done

    def test_an_export_into_a_closed_pipe_is_no_error(self, grace: Person) -> None:
        grace.does("tasks", "add", "x", "--description", "-", stdin="x" * 90_000)
        for words in (["--csv"], []):
            command = shlex.join(grace.argv("projects", "export", "Inbox", *words))
            done = subprocess.run(
                ["bash", "-c", f"{command} | head -c 10; echo ${{PIPESTATUS[0]}}"],
                env=grace.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
            )  # fmt: skip
            assert (done.stdout[10:].strip(), done.stderr) == ("0", ""), done

    def test_a_file_is_unchanged_in_a_pipe_and_sanitised_at_a_terminal(self, grace: Person) -> None:
        evil = f"日本 {ESCAPE}[2J\u202e"
        grace.does("tasks", "add", evil)
        assert evil in grace.does("projects", "export", "Inbox", "--csv")
        shown = at_a_terminal(grace, "projects", "export", "Inbox", "--csv")
        assert "日本" in shown
        assert not {ESCAPE, "\u202e"} & set(shown)

    @pytest.mark.parametrize(
        ("closed", "words", "code", "line"),
        [
            ("<&-", "tasks list", 0, ""),
            ("<&-", "login a@example.com", 2, "there is no terminal to prompt for the password"),
            ("<&-", "login a@example.com --password-stdin", 2, "the standard input is closed"),
            ("<&-", "tasks add x --description -", 2, "the standard input is closed"),
            (">&-", "tasks list", 1, "the standard output is closed"),
            (">/dev/full", "tasks list --json", 1, "No space left on device"),
        ],
    )
    def test_closed_or_full_outputs_are_reported_in_one_line(
        self, grace: Person, closed: str, words: str, code: int, line: str
    ) -> None:
        done = subprocess.run(
            ["bash", "-c", f"{shlex.join(grace.argv(*words.split()))} {closed}"],
            env=grace.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, done
        assert line in done.stderr
        assert done.stderr.count("\n") == (1 if line else 0), done.stderr


def width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Child processes receive SIGINT, also if the tests run in the background of a shell, which ignores it for them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_the_command_at_once(tmp_path: Path, interruptible: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        person = Person(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}", TASKFLOW_TOKEN="t")
        waiting = subprocess.Popen(
            person.argv("tasks", "list"), env=person.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        connection, _ = silent.accept()
        connection.recv(1)
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=PATIENCE_S)
        connection.close()
    assert (waiting.returncode, out, err) == (130, "", "")


class TestRestarts:
    def test_a_restart_between_two_commands_has_no_effect(
        self, own_api: Callable[..., OwnApi], grace: Person, account: Callable[[str], Account]
    ) -> None:
        api, ada = own_api(), account("Ada")
        grace.environment["TASKFLOW_URL"] = api.url
        grace.does("login", ada.email, "--password-stdin", stdin=f"{ada.password}\n")
        task = grace.gets("tasks", "add", "before")["id"]
        api.end()
        grace.fails(6, "tasks", "done", task)
        api.start()
        api.wait_ready()
        assert grace.gets("tasks", "done", task)["version"] == 2

    def test_an_expired_token_is_renewed(
        self, own_api: Callable[..., OwnApi], grace: Person, account: Callable[[str], Account]
    ) -> None:
        api, ada = own_api(access_token_ttl_s=3), account("Ada")
        grace.environment["TASKFLOW_URL"] = api.url
        grace.does("login", ada.email, "--password-stdin", stdin=f"{ada.password}\n")

        def kept() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(grace.file.read_text())["accounts"][api.url]
            return found

        first = kept()
        with Client(api.url, token=first["access"]) as client:
            while True:
                try:
                    client.users.me()
                except Unauthenticated:
                    break
        # Several commands at once: each renews the token or finds it renewed, and none ends the session.
        running = [
            subprocess.Popen(
                grace.argv("tasks", "add", f"{number}"), env=grace.environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
            for number in range(4)
        ]  # fmt: skip
        for one in running:
            _, err = one.communicate(timeout=PATIENCE_S)
            assert (one.returncode, err) == (0, "")
        assert kept()["access"] != first["access"]
        assert len(grace.gets("tasks", "list")) == 4

    def test_a_token_from_the_environment_takes_precedence_and_is_not_stored(self, grace: Person, url: str) -> None:
        token = json.loads(grace.file.read_text())["accounts"][url]["access"]
        other = Person(grace.home / "other", url, TASKFLOW_TOKEN=token)
        assert other.gets("whoami") == grace.gets("whoami")
        task = other.gets("tasks", "add", "x")
        assert [one["id"] for one in other.gets("tasks", "list")] == [task["id"]]
        assert token not in other.file.read_text()


def test_completion_works_in_the_shell(tmp_path: Path) -> None:
    person = Person(tmp_path, "http://127.0.0.1:1")

    def completes(*words: str) -> list[str]:
        script = (
            f"source <({shlex.join(person.argv('completion', 'bash'))}); COMP_WORDS=({shlex.join(words)}); "
            'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_taskflow taskflow "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; '
            "printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run(
            ["bash", "-c", script], env=person.environment, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.split()

    assert completes("taskflow", "ta") == ["tasks"]
    assert completes("taskflow", "tasks", "un") == ["undo", "uncheck", "unlink"]
    assert completes("taskflow", "tasks", "list", "--due") == ["--due-before", "--due-after"]
    assert completes("taskflow", "tasks", "list", "--priority", "") == ["low", "medium", "high", "urgent"]
    assert completes("taskflow", "views", "") == ["list", "show", "run", "save", "rename", "delete"]
    assert completes("taskflow", "projects", "role", "x", "y", "") == ["viewer", "member", "admin", "owner"]
    assert completes("taskflow", "completion", "") == ["bash", "zsh", "fish"]
    (tmp_path / "issues.csv").touch()
    assert completes("taskflow", "import", f"{tmp_path}/iss") == [f"{tmp_path}/issues.csv"]
    assert completes("taskflow", "import", "--mapping", f"{tmp_path}/iss") == [f"{tmp_path}/issues.csv"]
