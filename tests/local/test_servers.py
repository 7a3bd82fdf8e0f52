"""The real servers through crashes, restarts and conflicts on a developer's machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace
from pymongo import AsyncMongoClient

from taskflow.local.program import CannotStart, unused_port
from taskflow.local.servers import Servers
from taskflow.settings import Settings
from tests.conftest import CACHE
from tests.local.processes import alive

_LAUNCHER = """
import asyncio, pathlib, sys
from taskflow.local.servers import Servers
from taskflow.settings import Settings
async def main():
    servers = Servers(Settings.from_env(), cache=pathlib.Path(sys.argv[1]))
    await servers.start()
    print(*[running.pid for running in servers.running.values()], flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def only(settings: Settings, *fields: str) -> Settings:
    """Settings with which only these servers are started."""
    all_fields = {"postgres_url", "kafka_bootstrap", "mongodb_url", "redis_url"}
    return replace(settings, **dict.fromkeys(all_fields - set(fields), "elsewhere"))


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Servers]:
    servers = Servers(settings, cache=CACHE)
    await servers.start()
    try:
        yield servers
    finally:
        await servers.stop()


def launch(settings: Settings) -> tuple[subprocess.Popen[str], list[int]]:
    """Starts a launcher in a process of its own; returns it and the servers' process ids."""
    launcher = subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, str(CACHE)],
        env=os.environ | settings.environ(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    pids = [int(word) for word in launcher.stdout.readline().split()]
    launcher.stdout.close()
    return launcher, pids


async def test_a_killed_launcher_leaves_no_process_and_the_next_start_finds_its_data(own: Settings) -> None:
    launcher, pids = launch(own)
    assert len(pids) == 4
    # The launcher is in another process: the password is in the file from which the next launcher reads it.
    password = (own.data_path / "secrets" / "postgres-password").read_text()
    kept = await asyncpg.connect(f"postgresql://taskflow:{password}@127.0.0.1:{own.postgres_port}/taskflow")
    await kept.execute("create table kept (what text)")
    await kept.execute("insert into kept values ('this')")
    launcher.kill()
    launcher.wait()

    async with started(own) as servers:  # immediately, while the old servers are still stopping
        assert not any(alive(pid) for pid in pids)
        connection = await asyncpg.connect(servers.settings.postgres_url)
        assert await connection.fetchval("select what from kept") == "this"
        await connection.close()
    kept.terminate()


async def test_all_servers_start_again_after_they_were_killed(own: Settings) -> None:
    launcher, pids = launch(own)
    for pid in [launcher.pid, *pids]:
        os.kill(pid, signal.SIGKILL)
    launcher.wait()
    async with started(own) as servers:
        assert all(running.alive for running in servers.running.values())


async def test_postgresql_starts_again_after_it_was_killed_with_busy_sessions(own: Settings) -> None:
    async with started(only(own, "postgres_url")) as servers:
        running = servers.running["postgres"]
        for _ in range(3):
            sessions = [await asyncpg.connect(servers.settings.postgres_url) for _ in range(8)]
            busy = [asyncio.create_task(s.execute("select count(*) from generate_series(1, 1e9)")) for s in sessions]
            await asyncio.sleep(0)
            await running.kill()
            await running.start()
            await asyncio.gather(*busy, return_exceptions=True)


@pytest.mark.parametrize("left", ["", "another process's"])
async def test_a_stale_pid_file_does_not_prevent_postgresql_from_starting(own: Settings, left: str) -> None:
    settings = only(own, "postgres_url")
    async with started(settings) as servers:
        program = servers.running["postgres"].program
    lock = (program.folder or Path()) / "postmaster.pid"
    user = {} if program.user is None else {"user": program.user.uid, "group": program.user.gid, "extra_groups": []}
    other = subprocess.Popen(["sleep", "600"], **user)  # type: ignore[call-overload]  # of PostgreSQL's own user
    try:
        lock.write_text(f"{other.pid}\n{lock.parent}\n" if left else "")
        if program.user is not None:
            os.chown(lock, program.user.uid, program.user.gid)
        async with started(settings):
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")
async def test_postgresql_runs_if_its_user_cannot_enter_the_data_folder(
    own: Settings, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder.chmod(0o700)
    settings = only(own, "postgres_url")
    place = Path()
    try:
        for _ in range(2):
            async with started(settings) as servers:
                data = servers.running["postgres"].program.folder or place
                place = data.parent
                assert folder not in data.parents
                assert f"its data is in {place}" in capfd.readouterr().out
        (folder / "secrets" / "postgres-password").unlink()
        with pytest.raises(CannotStart, match=f"the password of {data} is gone"):
            await Servers(settings).start()
    finally:
        shutil.rmtree(place)


async def test_postgresql_requires_the_password(own: Settings) -> None:
    async with started(only(own, "postgres_url")):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://taskflow:guess@127.0.0.1:{own.postgres_port}/taskflow")


async def test_postgresql_runs_with_full_durability(own: Settings) -> None:
    async with started(only(own, "postgres_url")) as servers:
        connection = await asyncpg.connect(servers.settings.postgres_url)
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await connection.fetchval(f"show {setting}") == "on"
        await connection.close()


async def test_mongodb_adapts_to_a_changed_port(own: Settings) -> None:
    settings = only(own, "mongodb_url")
    async with started(settings) as servers:
        await _documents(servers.settings.mongodb_url, insert=True)
    async with started(replace(settings, mongodb_port=unused_port())) as servers:
        assert await _documents(servers.settings.mongodb_url) == 1


async def test_a_folder_can_have_only_one_launcher(own: Settings) -> None:
    settings = only(own, "redis_url")
    async with started(settings):
        with pytest.raises(CannotStart, match=f"another taskflow runs its servers in {own.data_dir}"):
            await Servers(replace(settings, redis_port=unused_port())).start()
    async with started(settings):
        pass


async def test_all_taken_ports_are_reported_and_no_server_is_left(own: Settings) -> None:
    settings = only(own, "redis_url", "mongodb_url", "postgres_url")
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", own.mongodb_port))
        second.bind(("127.0.0.1", own.redis_port))
        servers = Servers(settings)
        with pytest.raises(CannotStart) as caught:
            await servers.start()
    assert "TASKFLOW_MONGODB_PORT" in str(caught.value)
    assert "TASKFLOW_REDIS_PORT" in str(caught.value)
    assert not any(running.alive for running in servers.running.values())


async def test_a_server_with_a_url_is_not_started(own: Settings) -> None:
    async with started(only(own)) as servers:
        assert servers.running == {}
        assert servers.settings == only(own)


async def _documents(url: str, *, insert: bool = False) -> int:
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(url, serverSelectionTimeoutMS=5_000)
    async with client.start_session() as session, await session.start_transaction():
        if insert:
            await client["kept"]["things"].insert_one({"what": "this"}, session=session)
        found = await client["kept"]["things"].count_documents({}, session=session)
    await client.close()
    return found
