"""`taskflow admin grant`, as it is typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from taskflow.cli import main
from taskflow.commands.execute import Executor
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.streams import USER
from tests.commands.world import register


def taskflow(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskflow", *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


async def head(store: EventStore) -> int:
    return (await store.log.head()).position


async def test_it_adds_a_role_once(settings: Settings, store: EventStore, subprocess_env: dict[str, str]) -> None:
    user = await register(Executor(store, settings), settings, "ops@example.com")
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


async def test_an_address_that_nobody_has_is_said(store: EventStore, subprocess_env: dict[str, str]) -> None:
    done = taskflow(subprocess_env, "admin", "grant", "nobody@example.com", "admin")
    assert done.returncode == 1
    assert done.stderr.startswith("taskflow: nobody is registered as nobody@example.com")
    assert await head(store) == 0


def test_a_role_that_there_is_not_is_a_wrong_argument() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["admin", "grant", "ops@example.com", "king"])
