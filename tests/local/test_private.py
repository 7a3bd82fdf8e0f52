"""The servers' files are private to their owner, and each server requires its password."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from taskflow.local import mongodb
from taskflow.local.addresses import remember
from taskflow.local.dev_secrets import with_secrets
from taskflow.local.private import make_private
from taskflow.local.program import CannotStart, Program, Running
from taskflow.local.servers import Servers
from taskflow.settings import SECRETS, Settings
from tests.local.processes import below
from tests.local.test_servers import only, started


@pytest.fixture
def _open_umask() -> Iterator[None]:
    """A umask of 0: files are readable by everybody unless the launcher prevents it."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Everything below a folder, except links, that its group or others have any access to."""
    found = []
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                found.append(f"{stat.filemode(mode)} {path}")
    return found


@pytest.mark.usefixtures("_open_umask")
async def test_all_files_of_the_servers_are_private_and_no_password_is_visible(own: Settings) -> None:
    # Files as an earlier release left them.
    for name in ("logs/kafka.log", "logs/mongodb.log", "kafka/old", "secrets/addresses"):
        left = own.data_path / name
        left.parent.mkdir(exist_ok=True)
        left.write_text("left\n")
    settings = with_secrets(own, SECRETS)
    for _ in range(2):
        async with started(settings) as servers:
            remember(servers.settings)
            await _use(servers.settings)
            folders = {own.data_path, *[one.program.folder for one in servers.running.values() if one.program.folder]}
            assert [found for folder in folders for found in open_to_others(folder)] == []
            passwords = [path.read_bytes() for path in (own.data_path / "secrets").iterdir()]
            assert len(passwords) >= len(SECRETS) + 4
            pids = [pid for one in servers.running.values() for pid in (one.pid, *below(one.pid))]
            for pid in pids:
                for kind in ("cmdline", "environ"):
                    seen = Path(f"/proc/{pid}/{kind}").read_bytes()
                    assert not [one for one in passwords if one in seen], f"{kind} of {seen[:60]!r}"
            logs = b"".join(path.read_bytes() for path in (own.data_path / "logs").iterdir())
            assert not [one for one in passwords if one in logs]
    # After stopping, nothing readable is left.
    assert open_to_others(own.data_path) == []


async def _use(settings: Settings) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(settings.mongodb_url)
    await client.things.things.insert_one({"what": "this"})
    await client.close()


def test_a_folder_used_only_by_the_launcher_is_made_private_and_another_is_left_alone(tmp_path: Path) -> None:
    mine, persons = tmp_path / "mine", tmp_path / "persons"
    for folder in (mine, persons):
        for name in ("logs", "cache"):
            (folder / name).mkdir(parents=True, mode=0o755)
        (folder / "logs" / "api.log").write_text("said")
        folder.chmod(0o755)
    (persons / "thesis.txt").write_text("theirs")
    (persons / "thesis.txt").chmod(0o644)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("linked")
    elsewhere.chmod(0o644)
    (mine / "logs" / "link").symlink_to(elsewhere)
    for folder in (mine, persons):
        make_private(folder)
        assert open_to_others(folder / "logs") == open_to_others(folder / "cache") == []
    # If the launcher is root, PostgreSQL runs as another user, who must traverse the folder.
    assert stat.S_IMODE(mine.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)
    assert stat.S_IMODE(persons.stat().st_mode) == 0o755
    assert stat.S_IMODE((persons / "thesis.txt").stat().st_mode) == 0o644
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


async def test_mongodb_and_valkey_require_the_password(own: Settings) -> None:
    async with started(only(own, "mongodb_url", "redis_url")):
        for login in ("", "taskflow:guess@"):
            client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                f"mongodb://{login}127.0.0.1:{own.mongodb_port}/?directConnection=true&authSource=admin"
            )
            with pytest.raises(OperationFailure, match=r"[Aa]uthenticat"):
                await client.taskflow.tasks.find_one()
            with pytest.raises(OperationFailure, match=r"[Aa]uthenticat"):
                await client.taskflow.tasks.insert_one({})
            with pytest.raises(OperationFailure, match=r"[Aa]uthenticat"):
                await client.admin.command("createUser", "me", pwd="me", roles=["root"])
            await client.close()
        for login in ("", ":guess@"):
            redis = Redis.from_url(f"redis://{login}127.0.0.1:{own.redis_port}/0")
            with pytest.raises(RedisError, match=r"(?i)authenticat|wrongpass|invalid username"):
                await redis.get("board:one")
            await redis.aclose()


async def test_mongodb_data_of_a_release_without_passwords_gets_one(own: Settings) -> None:
    data = own.data_path / "mongodb"
    data.mkdir()
    port = own.mongodb_port

    async def primary() -> bool:
        client = mongodb.client_of(port)
        try:
            return await mongodb.has_primary(client, port)
        except PyMongoError:
            return False
        finally:
            await client.close()

    argv = [str(mongodb.binary()), "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"]
    argv += ["--replSet", mongodb.REPLICA_SET, "--nounixsocket", "--quiet"]
    before = Running(Program(name="mongodb", argv=argv, log=own.data_path / "m.log", ready=primary, folder=data))
    await before.start()
    client = mongodb.client_of(port)
    await client.kept.things.insert_one({"what": "this"})
    await client.close()
    await before.stop()

    settings = only(own, "mongodb_url")
    for _ in range(2):
        async with started(settings) as servers:
            known: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.settings.mongodb_url)
            assert await known.kept.things.count_documents({}) == 1
            await known.close()
            stranger = mongodb.client_of(port)
            with pytest.raises(OperationFailure, match="requires authentication"):
                await stranger.kept.things.find_one()
            await stranger.close()
    (own.data_path / "secrets" / "mongodb-password").unlink()
    with pytest.raises(CannotStart, match=f"{data} does not take the password in"):
        await Servers(replace(settings)).start()
