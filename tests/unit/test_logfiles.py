"""`taskflow logs`: what was written, said with whose it is; a misspelt name is no empty log."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow import cli


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TASKFLOW_DATA_DIR", str(tmp_path))
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "api.log").write_text('{"process": "api"}\n')
    (logs / "postgres.log").write_text("ready\nnot UTF-8: \udcff\n", errors="surrogateescape")
    return logs


def test_lines_that_do_not_say_whose_they_are_are_told_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["logs"])
    assert capsys.readouterr().out == '{"process": "api"}\npostgres: ready\npostgres: not UTF-8: \ufffd\n'


def test_one_log_is_shown_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["logs", "postgres"])
    assert capsys.readouterr().out == "ready\nnot UTF-8: \ufffd\n"


def test_a_name_that_has_no_log_is_an_error_that_names_those_that_have(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        cli.main(["logs", "api", "relai"])
    said = capsys.readouterr()
    assert said.err == "taskflow: no log of relai; there are logs of api, postgres\n"
    assert said.out == ""
