"""Prepares Apache Kafka (KRaft, one node) from its Maven artifacts."""

from __future__ import annotations

import asyncio
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from msgspec import Struct

from taskflow.local.jars import fetch_jars
from taskflow.local.java import java
from taskflow.local.private import write_private
from taskflow.local.program import Program, finish

_HEAP: Final = "-Xmx512m"
_QUICK_START: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class Proxied(Struct, frozen=True):
    """An additional listener for clients behind a proxy, because a broker tells its clients which address to connect
    to."""

    port: int
    advertised: int


async def prepare(
    folder: Path, cache: Path, port: int, controller_port: int, log: Path, *, proxied: Sequence[Proxied] = ()
) -> tuple[Program, str]:
    """Fetches the jars and formats the storage if needed; returns the program and its bootstrap address."""
    bootstrap = f"127.0.0.1:{port}"
    libs = await fetch_jars(cache)
    data = folder / "kafka"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    listeners = advertised = f"PLAINTEXT://127.0.0.1:{port}"
    protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    for number, one in enumerate(proxied):
        listeners += f",PROXIED{number}://127.0.0.1:{one.port}"
        advertised += f",PROXIED{number}://127.0.0.1:{one.advertised}"
        protocols += f",PROXIED{number}:PLAINTEXT"
    properties = data / "server.properties"
    write_private(
        properties,
        "\n".join(
            f"{key}={value}"
            for key, value in {
                "process.roles": "broker,controller",
                "node.id": 1,
                "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
                "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller_port}",
                "advertised.listeners": advertised,
                "listener.security.protocol.map": protocols,
                "controller.listener.names": "CONTROLLER",
                "log.dirs": data / "logs",
                "auto.create.topics.enable": "false",
                "offsets.topic.replication.factor": 1,
                "offsets.topic.num.partitions": 8,
                "transaction.state.log.replication.factor": 1,
                "transaction.state.log.min.isr": 1,
                "group.initial.rebalance.delay.ms": 0,
                # A killed broker may rejoin after its old session has expired: 11 s with the default of 9 s, measured.
                "broker.session.timeout.ms": 2_000,
                "broker.heartbeat.interval.ms": 500,
                "log.retention.check.interval.ms": 60_000,
            }.items()
        ),
    )
    java_ = [java(), _HEAP, *_QUICK_START, "-cp", f"{libs}/*"]
    if not (data / "logs" / "meta.properties").exists():
        format_ = ["kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties)]
        await finish([*java_, *format_], what="formatting Kafka's storage", log=log)
    return (
        Program(
            name="kafka",
            argv=[*java_, "kafka.Kafka", str(properties)],
            log=log,
            ready=lambda: ready(bootstrap),
            folder=data,
            stop_timeout_s=15,
        ),
        bootstrap,
    )


async def ready(bootstrap: str) -> bool:
    """Whether the broker answers for its cluster."""
    host, _, port = bootstrap.partition(":")
    try:  # checked first, because aiokafka would log every failed attempt while the broker starts
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
    except OSError:
        return False
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000)
    try:
        await asyncio.wait_for(admin.start(), 3)
        await asyncio.wait_for(admin.list_topics(), 3)
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()
    return True


def _cluster_id() -> str:
    # With a fixed first letter, because a leading "-" would be parsed as an option.
    return "T" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
