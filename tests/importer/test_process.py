"""`taskflow import` and `taskflow admin grant` as they are typed: exit codes, and words that help."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from taskflow.cli import main
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor, Request, Target
from taskflow.commands.project import ArchiveProject, CreateProject, create_project
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import Rejected
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.streams import USER
from tests.importer.world import INCIDENTS, MAPPING, OWNER, head, register, rows_of, run, streams, write

ROWS = rows_of(INCIDENTS)


def taskflow(env: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskflow", *map(str, arguments)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_it_reports_what_it_did_and_the_new_password_once(subprocess_env: dict[str, str]) -> None:
    first = taskflow(subprocess_env, "import", INCIDENTS, "--mapping", MAPPING)
    assert (first.returncode, first.stderr) == (0, "")
    assert "392 rows in" in first.stdout
    assert "0 already there" in first.stdout
    assert "40 new tasks" in first.stdout
    assert f"made the account {OWNER} with the password " in first.stdout
    second = taskflow(subprocess_env, "import", INCIDENTS, "--mapping", MAPPING)
    assert second.returncode == 0
    assert "0 applied, 392 already there" in second.stdout
    assert "password" not in second.stdout


async def test_rejected_rows_make_it_exit_with_1(subprocess_env: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path / "bad.csv", [*ROWS, ["short"]])
    done = taskflow(subprocess_env, "import", file, "--mapping", MAPPING)
    assert done.returncode == 1
    assert "1 rejected" in done.stdout
    assert str(tmp_path / "bad.csv.rejects.csv") in done.stdout
    assert '394,"expected 12 fields, found 1",short' in (tmp_path / "bad.csv.rejects.csv").read_text()


async def test_what_is_wrong_is_said_before_anything_is_written(
    subprocess_env: dict[str, str], store: EventStore, tmp_path: Path
) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text(MAPPING.read_text().replace('column = "Product"', 'column = "Goods"'))
    empty = tmp_path / "empty.csv"
    empty.touch()
    cases: list[tuple[tuple[object, ...], str]] = [
        ((INCIDENTS, "--mapping", tmp_path / "none.toml"), "No such file or directory"),
        ((tmp_path / "none.csv", "--mapping", MAPPING), "No such file or directory"),
        ((INCIDENTS, "--mapping", mapping), "the file has no column 'Goods'"),
        ((empty, "--mapping", MAPPING), "expected a header"),
        ((INCIDENTS, "--mapping", MAPPING, "--as", "who@example.com"), "nobody is registered as who@example.com"),
        ((INCIDENTS, "--mapping", MAPPING, "--project", "mine"), "expected a project's id, a UUID, found 'mine'"),
        ((INCIDENTS, "--mapping", MAPPING, "--project", uuid4()), f"nobody is registered as {OWNER}"),
        ((INCIDENTS, "--mapping", MAPPING, "--rejects", INCIDENTS), "expected a file of its own"),
        ((INCIDENTS, "--mapping", MAPPING, "--rejects", tmp_path / "a" / "b"), "no such folder"),
    ]
    for arguments, expected in cases:
        done = taskflow(subprocess_env, "import", *arguments)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert done.stderr.startswith("taskflow: "), done.stderr
        assert expected in done.stderr
    assert await head(store) == 0


async def test_a_truncated_gzip_is_said_after_what_could_be_read(
    settings: Settings, subprocess_env: dict[str, str], tmp_path: Path
) -> None:
    import gzip

    file = tmp_path / "cut.csv.gz"
    file.write_bytes(gzip.compress(INCIDENTS.read_bytes())[:-100])
    done = taskflow(subprocess_env, "import", file, "--mapping", MAPPING)
    assert done.returncode == 1
    assert "cannot be read past line" in done.stderr
    whole = await run(settings, INCIDENTS, tmp_path)
    assert whole.counts.already_there > 0
    assert whole.counts.rows == len(ROWS) - 1


async def test_no_account_is_made_for_a_project_that_others_founded(
    settings: Settings, store: EventStore, tmp_path: Path
) -> None:
    await register(store, settings, "first@example.com")
    await run(settings, INCIDENTS, tmp_path, user="first@example.com")
    before = await head(store)
    with pytest.raises(Rejected, match=f"nobody is registered as {OWNER}; --as names who imports"):
        await run(settings, INCIDENTS, tmp_path)
    assert await head(store) == before


class TestIntoAnExistingProject:
    async def test_it_needs_the_mapped_statuses(self, settings: Settings, store: EventStore, tmp_path: Path) -> None:
        user = await register(store, settings, OWNER)

        async def handler(unit: UnitOfWork) -> Target:
            return await create_project(unit, None, CreateProject(name="mine"))

        request = Request(caller=user, command_id=uuid4(), fingerprint=b"", at=datetime.now(UTC), actor=user)
        project = (await Executor(store, settings).execute(request, handler)).receipt.stream_id
        before = await head(store)
        with pytest.raises(Rejected, match=r"lacks 'Queued/Awaiting Assignment', .* it has 'todo', 'in_progress'"):
            await run(settings, INCIDENTS, tmp_path, project=str(project))
        assert await head(store) == before

    async def test_it_takes_the_rows_of_another_source(
        self, settings: Settings, store: EventStore, tmp_path: Path
    ) -> None:
        first = await run(settings, write(tmp_path / "a.csv", ROWS[:100]), tmp_path)
        again = await run(settings, INCIDENTS, tmp_path, project=str(first.project_id))
        assert again.project_id == first.project_id
        assert again.counts.already_there == 99
        assert len(await streams(store, "task")) == 40

    async def test_an_archived_one_takes_none(self, settings: Settings, store: EventStore, tmp_path: Path) -> None:
        first = await run(settings, write(tmp_path / "a.csv", ROWS[:100]), tmp_path)
        user, project = first.who.user_id, first.project_id
        assert project is not None

        async def handler(unit: UnitOfWork) -> Target:
            return await handler_of(ArchiveProject)(unit, project, ArchiveProject())

        request = Request(caller=user, command_id=uuid4(), fingerprint=b"", at=datetime.now(UTC), actor=user)
        await Executor(store, settings).execute(request, handler)
        with pytest.raises(Rejected, match="is archived; unarchive it first"):
            await run(settings, INCIDENTS, tmp_path)


class TestGrant:
    async def test_it_adds_a_role_once(
        self, settings: Settings, store: EventStore, subprocess_env: dict[str, str]
    ) -> None:
        user = await register(store, settings, "ops@example.com")
        for role, typed in (("admin", " Ops@example.com"), ("analyst", "\uff4fps@EXAMPLE\u3002com")):
            done = taskflow(subprocess_env, "admin", "grant", typed, role)
            assert done.returncode == 0, done.stderr
            assert f"now has the role {role}" in done.stdout
        before = await head(store)
        again = taskflow(subprocess_env, "admin", "grant", "ops@example.com", "admin")
        assert "already had the role admin" in again.stdout
        assert await head(store) == before
        store.state_cache.drop_stale(user, before)
        assert (await store.state_cache.load(USER, user)).state.roles == ("admin", "analyst")

    async def test_an_address_that_nobody_has_is_said(self, store: EventStore, subprocess_env: dict[str, str]) -> None:
        done = taskflow(subprocess_env, "admin", "grant", "nobody@example.com", "admin")
        assert done.returncode == 1
        assert done.stderr.startswith("taskflow: nobody is registered as nobody@example.com")
        assert await head(store) == 0

    def test_a_role_that_there_is_not_is_a_wrong_argument(self) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["admin", "grant", "ops@example.com", "king"])
