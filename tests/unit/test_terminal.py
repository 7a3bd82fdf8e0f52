"""What a person types and is shown, as far as no server is asked: the file of tokens, ids, text, exit codes, help."""

from __future__ import annotations

import argparse
import os
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from taskflow.cli import parser
from taskflow.client import Tokens, Unreachable, errors
from taskflow.client.answers import Event
from taskflow.client.errors import Problem, ProblemBody
from taskflow.settings import Settings
from taskflow.terminal import run, short_ids
from taskflow.terminal.accounts import Account, Accounts, BadFile, Kept, StoredAccounts, reached, url_of
from taskflow.terminal.completion import script
from taskflow.terminal.event_format import describe
from taskflow.terminal.output import Screen, clean, lines, short
from taskflow.terminal.parser import SHELLS

URL, OTHER = "http://one.test", "http://other.test"
ONE = UUID("01a20e8c-46be-743b-ace1-62ad7a0754dd")
TWO = UUID("01a20e8c-46be-743b-ace1-62ad7a0754de")
NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "new" / "taskflow")


class TestAccounts:
    def test_tokens_are_kept_for_each_server(self, accounts: Accounts) -> None:
        assert accounts.read() == StoredAccounts()
        assert Kept(accounts, URL).read() is None
        Kept(accounts, URL).write(Tokens("a", "r"))
        Kept(accounts, OTHER).write(Tokens("b", "s"))
        assert Kept(accounts, URL).read() == Tokens("a", "r")
        assert Kept(accounts, OTHER).read() == Tokens("b", "s")
        assert accounts.read().current == OTHER
        Kept(accounts, URL).write(None)
        assert Kept(accounts, URL).read() is None
        assert accounts.read().current == OTHER

    def test_nobody_else_may_read_them_whatever_the_umask(self, accounts: Accounts) -> None:
        before = os.umask(0)
        try:
            Kept(accounts, URL).write(Tokens("a", "r"))
        finally:
            os.umask(before)
        assert stat.S_IMODE(accounts.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(accounts.path.parent.stat().st_mode) == 0o700

    def test_a_half_that_somebody_left_is_not_read_and_not_in_the_way(self, accounts: Accounts) -> None:
        Kept(accounts, URL).write(Tokens("a", "r"))
        accounts.path.with_suffix(".part").write_text('{"acc')
        Kept(accounts, URL).write(Tokens("b", "s"))
        assert Kept(accounts, URL).read() == Tokens("b", "s")

    def test_of_many_writers_none_is_lost(self, accounts: Accounts) -> None:
        """Each command rewrites the whole file: without the lock one would bring another's spent token back."""

        def write(number: int) -> None:
            Kept(accounts, f"{URL}/{number}").write(Tokens(str(number), "r"))
            reached(accounts, URL, number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        known = accounts.read().accounts
        assert {one.access for one in known.values()} - {None} == {str(number) for number in range(40)}
        assert known[URL].position == 39

    def test_a_position_is_kept_beside_the_tokens(self, accounts: Accounts) -> None:
        Kept(accounts, URL).write(Tokens("a", "r"))
        reached(accounts, URL, 9)
        reached(accounts, URL, 7)
        assert accounts.of(URL) == Account("a", "r", 9)
        Kept(accounts, URL).write(Tokens("b", "s"))
        assert accounts.of(URL) == Account("b", "s", 9)

    def test_a_folder_that_may_not_be_written_to_is_no_fault(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        reached(Accounts(tmp_path / "file" / "taskflow"), URL, 1)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"accounts": {"x": 1}}'])
    def test_one_that_cannot_be_read_says_what_to_do(self, accounts: Accounts, content: str) -> None:
        Kept(accounts, URL).write(None)
        accounts.path.write_text(content)
        with pytest.raises(BadFile, match="remove it and sign in again"):
            accounts.read()

    def test_a_newer_release_is_understood(self, accounts: Accounts) -> None:
        Kept(accounts, URL).write(None)
        accounts.path.write_text('{"current": null, "accounts": {"x": {"access": "a", "scopes": []}}, "theme": "dark"}')
        assert accounts.of("x") == Account("a")

    def test_no_secret_is_shown(self) -> None:
        assert "secret" not in repr(StoredAccounts(URL, {URL: Account("secret", "secret")}))

    def test_the_server_is_the_one_named_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("TASKFLOW_URL", "TASKFLOW_API_PORT"):
            monkeypatch.delenv(name, raising=False)
        assert url_of(None, StoredAccounts()) == "http://127.0.0.1:8000"
        assert url_of(None, StoredAccounts(OTHER)) == url_of(None, StoredAccounts(OTHER), local=True) == OTHER
        monkeypatch.setenv("TASKFLOW_API_PORT", "8123")
        assert (
            url_of(None, StoredAccounts()) == url_of(None, StoredAccounts(OTHER), local=True) == "http://127.0.0.1:8123"
        )
        assert url_of(None, StoredAccounts(OTHER)) == OTHER
        monkeypatch.setenv("TASKFLOW_URL", f"{URL}/")
        assert url_of(None, StoredAccounts(OTHER), local=True) == URL
        assert url_of(None, StoredAccounts(OTHER)) == URL
        assert url_of(OTHER, StoredAccounts()) == OTHER

    def test_its_variables_may_be_set_where_a_server_runs(self) -> None:
        environment = {"TASKFLOW_URL": URL, "TASKFLOW_TOKEN": "t", "TASKFLOW_API_PORT": "1"}
        assert Settings.from_env(environment) == replace(Settings(), api_port=1)


class TestShortIds:
    @pytest.mark.parametrize("typed", ["01a2", "54dd", "7A0754DD", "62ad7a0754dd", "01a20e8c-46be-743b", ONE.hex])
    def test_a_beginning_or_an_end_fits(self, typed: str) -> None:
        piece = short_ids.piece_of(typed)
        assert piece is not None
        assert short_ids.fits(piece, ONE)

    @pytest.mark.parametrize("typed", ["", "4dd", "xyz1", "0e8c-46be ", "01a2*", "0" * 33, "٠١٢٣"])
    def test_what_is_no_piece_is_none(self, typed: str) -> None:
        assert short_ids.piece_of(typed) is None

    def test_one_alone_is_taken(self) -> None:
        assert short_ids.one_of([(ONE, "one")], "54dd", "task") == str(ONE)
        assert short_ids.one_of([], "54dd", "task") is None

    def test_of_several_the_candidates_are_listed(self) -> None:
        with pytest.raises(short_ids.Unclear) as unclear:
            short_ids.one_of([(ONE, "one"), (TWO, "two\x1b")], "01a2", "task")
        assert str(unclear.value) == (
            f"01a2 could be any of 2 tasks; type more of it: {ONE} one; {TWO} two\ufffd"
        )  # fmt: skip
        many = [(UUID(int=number), "x") for number in range(9)]
        with pytest.raises(short_ids.Unclear, match=r"any of 9 tasks.*, and 4 more$"):
            short_ids.one_of(many, "0000", "task")

    def test_the_shown_end_is_found_again(self) -> None:
        assert short_ids.fits(short_ids.piece_of(short(ONE)) or "", ONE)


class TestText:
    def test_a_terminal_obeys_nothing_that_is_shown(self) -> None:
        assert clean("a\x1b[2J\x07\r\n\t\x9b\u202eb\u2028") == "a\ufffd[2J\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdb\ufffd"
        assert clean("日本 é 👩‍👩‍👧 ✈️") == "日本 é 👩‍👩‍👧 ✈️"
        assert lines("a\r\nb\tc\n\x1bd") == ["a", "b    c", "\ufffdd"]

    def test_empty_columns_are_left_out_and_no_line_ends_with_blanks(self, capsys: pytest.CaptureFixture[str]) -> None:
        Screen(json=False).table(
            ("ID", "DUE", "TITLE"), [["1", "", "one"], ["22", "", "[b]日本[/b]"]], flexible=("TITLE",)
        )
        assert capsys.readouterr().out == "ID  TITLE\n1   one\n22  [b]日本[/b]\n"

    def test_a_narrow_terminal_is_shared_between_columns(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        screen = Screen(json=False)
        monkeypatch.setattr(screen, "_width", 44)
        screen.table(
            ("ID", "TITLE", "LABELS"), [["12345678", "日本" * 20, "q4, reports, more"]], flexible=("TITLE", "LABELS")
        )
        _, row = capsys.readouterr().out.splitlines()
        assert cell_len(row) <= 44
        assert row == "12345678  日本日本日本日 …  q4, reports, mo…"
        screen.table(
            ("ID", "TITLE", "LABELS"), [["1234", "a title of thirty characters..", "q4, reports, more"]],
            flexible=("TITLE",), droppable=("LABELS",),
        )  # fmt: skip
        assert capsys.readouterr().out.splitlines()[1] == "1234  a title of thirty character…  q4, rep…"
        screen.table(
            ("ID", "TITLE", "LABELS"), [["12345678901234", "a title of thirty characters..", "q4, reports"]],
            flexible=("TITLE",), droppable=("LABELS",),
        )  # fmt: skip
        assert capsys.readouterr().out.splitlines()[0].split() == ["ID", "TITLE"]
        screen.table(("ID", "TITLE"), [["x" * 60, "a long title"]], flexible=("TITLE",))
        assert capsys.readouterr().out.splitlines()[1].endswith("  a long …")

    def test_a_document_is_json_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        Screen(json=True).document([Account("a", None, 3)])
        assert capsys.readouterr().out == '[\n  {\n    "access": "a",\n    "position": 3\n  }\n]\n'


class TestWords:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ({"status": "done", "category": "done"}, "status: done, category: done"),
            ({"comment_id": "1", "body": "a\n\n b"}, "body: a b"),
            ({"assignee_id": "1"}, "assignee_id: 1"),
            ({"labels": ["a", "b"], "due_at": None, "parts": [], "archived": True}, "labels: a, b, archived: yes"),
            ({"mapped": {"todo": "new"}}, "mapped: todo: new"),
            ({"title": "x" * 200}, f"title: {'x' * 92}…"),
        ],
    )
    def test_an_event_says_what_it_holds(self, data: dict[str, Any], words: str) -> None:
        event = Event(
            position=1, event_id=ONE, stream_id=ONE, stream_version=1, type="X", occurred_at=NOW, recorded_at=NOW,
            actor="system", command_id=ONE, data=data,
        )  # fmt: skip
        assert describe(event) == words


def problem(kind: type[Problem], status: int, detail: str = "said", **more: float | None) -> Problem:
    return kind(ProblemBody(detail=detail), status=status, **more)  # type: ignore[arg-type]  # one number by name


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "code", "line"),
        [
            (problem(errors.Invalid, 400), 1, "said"),
            (problem(errors.ServerFault, 500), 1, "said"),
            (errors.Unreadable("what is this"), 1, "what is this"),
            (BadFile("remove it"), 1, "remove it"),
            (short_ids.Unclear("which"), 2, "which"),
            (short_ids.NoSuch("none"), 3, "none"),
            (run.NobodyHere("nobody"), 4, "nobody"),
            (problem(errors.NotFound, 404), 3, "said; `taskflow tasks list --all` and `taskflow projects list`"),
            (problem(errors.Forbidden, 403), 4, "said; ask an admin"),
            (problem(errors.Unauthenticated, 401), 4, "said; sign in with `taskflow login`"),
            (problem(errors.Rejected, 409), 5, "said"),
            (problem(errors.NothingToUndo, 409), 5, "said"),
            (problem(errors.KeyReused, 422), 5, "said"),
            (problem(errors.VersionConflict, 412), 5, "said; look at `taskflow tasks history`"),
            (problem(errors.RateLimited, 429, retry_after_s=30.0), 6, "said; try again in 30 s"),
            (problem(errors.RateLimited, 429), 6, "said; try again in a moment"),
            (problem(errors.Unavailable, 503), 6, "said; try again in a moment"),
            (problem(errors.Behind, 503), 6, "said; try again in a moment"),
            (
                Unreachable("no answer"),
                6,
                "no answer; check that it is running; set another server with --url or TASKFLOW_URL",
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_each_has_its_exit_code_and_says_what_to_do(
        self, error: Exception, code: int, line: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("TASKFLOW_TOKEN", raising=False)
        assert run.exit_code(error) == code
        assert run.one_line(error).startswith(line)

    def test_it_is_one_harmless_line(self) -> None:
        assert run.one_line(problem(errors.Rejected, 409, "a\nb\x1b[2J")) == "a b\ufffd[2J"

    def test_a_token_of_the_environment_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TASKFLOW_TOKEN", "t")
        assert (
            run.one_line(problem(errors.Unauthenticated, 401))
            == "said; the server does not accept the token in TASKFLOW_TOKEN"
        )


def commands(
    root: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield path, root
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from commands(below, (*path, name))


EVERY = dict(commands(parser()))
CLIENT_COMMANDS = {path for path, one in EVERY.items() if "--url" in one.format_help()}
"""Those that call a server; all others run at its machine."""


class TestTyping:
    @pytest.mark.parametrize(
        "path", [path for path in EVERY if path and path[0] in {*run.GROUPS, *run.ALONE}], ids=" ".join
    )
    def test_every_command_explains_itself(self, path: tuple[str, ...]) -> None:
        text = EVERY[path].format_help()
        assert (EVERY[path].description or "").endswith(".")
        if path in CLIENT_COMMANDS and len(path) == 2:
            assert "--json" in text
        for action in EVERY[path]._actions:
            shown = action.help or action.metavar
            assert shown or isinstance(action, argparse._SubParsersAction), f"{path}: {action.dest}"

    def test_every_command_of_people_is_done_somewhere(self) -> None:
        grouped = {(group, name) for group, actions in run.GROUPS.items() for name in actions}
        assert {(name,) for name in run.ALONE} | grouped == CLIENT_COMMANDS

    def test_a_due_is_a_day_or_a_time_with_or_without_an_offset(self) -> None:
        def due(text: str) -> object:
            return parser().parse_args(["tasks", "add", "x", "--due", text]).due

        assert due("2026-12-01T17:00+02:00") == datetime(2026, 12, 1, 15, tzinfo=UTC)
        assert due("2026-12-01T17:00") == datetime(2026, 12, 1, 17)  # noqa: DTZ001 - of a zone that is asked for later
        assert (due("2026-12-01"), type(due("2026-12-01"))) == (date(2026, 12, 1), date)
        assert due("2026-12-01T23:59:59.999999999Z") == datetime(2026, 12, 1, 23, 59, 59, 999_999, tzinfo=UTC)
        assert due("none") == "none"

    @pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "2026-12-01T25:00", ""])
    def test_anything_else_is_none(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            parser().parse_args(["tasks", "edit", "x", "--due", text])
        assert "expected a day like 2026-12-01 or a time" in capsys.readouterr().err

    def test_a_time_without_an_offset_elsewhere_is_of_this_machine(self) -> None:
        local = parser().parse_args(["tasks", "list", "--due-before", "2026-12-01"]).due_before
        assert (local.hour, local.tzinfo is not None) == (0, True)

    @pytest.mark.parametrize("limit", ["0", "-1", "10001", "x", "٣", "1" * 5000])
    def test_a_limit_is_a_sensible_number(self, limit: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as wrong:
            parser().parse_args(["tasks", "list", f"--limit={limit}"])
        assert wrong.value.code == 2
        assert "expected a number from 1 to 10000" in capsys.readouterr().err


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_command_and_flag(shell: str) -> None:
    text = script(parser(), shell)
    for path, below in EVERY.items():
        assert (" ".join(path) if shell == "fish" else "_".join(path)) in text
        for action in below._actions:
            for name in action.option_strings:
                assert (name.lstrip("-") if shell == "fish" else name) in text
