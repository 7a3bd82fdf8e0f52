"""A broker that wants TLS and a password: everything works through it, and who is refused is told why."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from taskflow.kafka.connection import BrokerRefuses, connection, ping
from taskflow.kafka.topics import current_generation, open_topics
from taskflow.local.program import unused_port
from taskflow.projections import process as projections
from taskflow.projections.mongo import open_database
from taskflow.relay import process as relaying
from taskflow.settings import BadSettings, Settings
from taskflow.store.eventstore import EventStore
from tests.api.stack import Process
from tests.kafka.secured import PASSWORD, SCRAM, USER, Authority, secured_broker
from tests.projections.world import World, until

WAYS = ("SASL_SSL", "SSL", "SASL_PLAINTEXT")


class Place:
    """A secured broker and settings for each way in."""

    def __init__(self, folder: Path, base: Settings) -> None:
        self.folder = folder
        self.authority = Authority(folder, "authority")
        self.ports = {way: unused_port() for way in WAYS}
        self._base = base
        self._client = self.authority.issue("client")

    def by(self, way: str, mechanism: str = "SCRAM-SHA-512", **other: Any) -> Settings:
        given: dict[str, Any] = {
            "kafka_bootstrap": f"127.0.0.1:{self.ports[way]}",
            "kafka_security_protocol": way,
            "kafka_request_timeout_ms": 5_000,
        }
        if "SASL" in way:
            given |= {"kafka_sasl_mechanism": mechanism, "kafka_username": USER, "kafka_password": PASSWORD}
        if "SSL" in way:
            given |= {"kafka_ca_file": str(self.authority.file)}
        if way == "SSL":
            certificate, key = self._client
            given |= {"kafka_certificate_file": str(certificate), "kafka_certificate_key_file": str(key)}
        found = replace(self._base, **(given | other))
        # What a person would set makes just these settings.
        assert Settings.from_env(found.environ()) == found
        return found


@pytest.fixture
async def place(settings: Settings, tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path, settings)
    async with secured_broker(tmp_path, place.authority, place.ports):
        yield place


async def test_relay_and_projectors_work_by_tls_and_password_and_the_refused_are_told_why(
    place: Place, store: EventStore
) -> None:
    for way, mechanism in (("SASL_PLAINTEXT", "PLAIN"), ("SASL_SSL", "PLAIN"), *[("SASL_SSL", one) for one in SCRAM]):
        await ping(place.by(way, mechanism))
    await ping(place.by("SSL"))

    own = place.by("SASL_SSL")
    with pytest.raises(KafkaError):
        await ping(replace(own, kafka_security_protocol="PLAINTEXT", kafka_sasl_mechanism=""))
    stranger = Authority(place.folder, "stranger")
    for wrong, why in (
        ({"kafka_password": "guessed"}, "refuses the user name or the password .*TASKFLOW_KAFKA_PASSWORD"),
        ({"kafka_username": "nobody"}, "refuses the user name or the password .*TASKFLOW_KAFKA_PASSWORD"),
        ({"kafka_ca_file": str(stranger.file)}, r"certificate is not trusted \(.*; see TASKFLOW_KAFKA_CA_FILE"),
        ({"kafka_ca_file": ""}, "certificate is not trusted"),
        # Another name than the certificate's: 127.0.0.1 is there, localhost is not.
        ({"kafka_bootstrap": own.kafka_bootstrap.replace("127.0.0.1", "localhost")}, "certificate is not trusted"),
    ):
        for mechanism in ("PLAIN", *SCRAM):
            refused = replace(place.by("SASL_SSL", mechanism), **wrong)
            with pytest.raises(BrokerRefuses, match=why) as caught:
                await ping(refused)
            assert PASSWORD not in str(caught.value)
            # What health shows to anybody names no address.
            assert not re.search(r"127\.0\.0\.1|localhost|/", caught.value.why)
    with pytest.raises(BrokerRefuses, match="refuses"):
        async with open_topics(place.by("SASL_SSL", kafka_password="guessed")):
            pass

    works = [asyncio.create_task(work) for work in (relaying.run(own), projections.run(own))]
    try:
        async with open_database(own) as database:
            world = World(own, store, database)
            await world.reached(await world.tell(200))
            await world.assert_fold()
        generation = await current_generation(store.pool, own)
        async with open_topics(own) as topics:
            assert await topics.check(generation)
    finally:
        for work in works:
            work.cancel()
        await asyncio.wait(works)


async def test_a_process_with_a_wrong_password_says_so_and_goes_on_trying(place: Place, tmp_path: Path) -> None:
    wrong = place.by("SASL_SSL", kafka_password="guessed-by-nobody")
    started: dict[str, Process] = {}
    try:
        for name in ("relay", "projector"):
            started[name] = Process(wrong, tmp_path / f"{name}.log", name)

        async def told() -> bool:
            return all(
                one.alive and one.log.read_text().count("refuses the user name or the password") >= 2
                for one in started.values()
            )

        await until(told, "each says it, and tries again")
        assert not any("guessed-by-nobody" in one.log.read_text() for one in started.values())
    finally:
        for one in started.values():
            one.end()


@pytest.mark.parametrize("field", ["kafka_ca_file", "kafka_certificate_file", "kafka_certificate_key_file"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_is_none_of_its_kind_is_refused_by_name(tmp_path: Path, field: str, content: str | None) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("client")
    good = {
        "kafka_ca_file": str(authority.file),
        "kafka_certificate_file": str(certificate),
        "kafka_certificate_key_file": str(key),
    }
    bad = tmp_path / "bad"
    if content is not None:
        bad.write_text(content)
    settings = Settings(kafka_bootstrap="127.0.0.1:1", kafka_security_protocol="SSL", **good)  # type: ignore[arg-type]  # all are texts
    assert connection(settings)["ssl_context"].check_hostname
    with pytest.raises(BadSettings, match=f"TASKFLOW_{field.upper()}"):
        connection(replace(settings, **{field: str(bad)}))
