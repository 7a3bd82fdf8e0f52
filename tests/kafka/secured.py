"""An Apache Kafka that lets in by TLS and password alone, and the certificates for it."""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import NameOID

from taskflow.local.jars import fetch_jars
from taskflow.local.java import java
from taskflow.local.kafka import ready
from taskflow.local.program import Program, Running, finish, unused_port
from tests.conftest import CACHE

USER, PASSWORD = "taskflow", "correct-horse_1"
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_LOGIN = "org.apache.kafka.common.security"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Authority:
    """Signs certificates; `file` is what its clients trust."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = _name(name)
        self.file = folder / f"{name}.pem"
        certificate = self._certificate(self._name, self._key, is_authority=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, address: str = "127.0.0.1") -> tuple[Path, Path]:
        """A certificate for an address, and its key."""
        key = generate_private_key(SECP256R1())
        certificate = self._certificate(_name(name), key, address=address)
        files = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(_pem(key))
        return files

    def _certificate(
        self,
        name: x509.Name,
        key: EllipticCurvePrivateKey,
        *,
        is_authority: bool = False,
        address: str = "127.0.0.1",
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        status_counts = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        ) | {"encipher_only": False, "decipher_only": False}
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority, **status_counts
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )


@asynccontextmanager
async def secured_broker(folder: Path, authority: Authority, ports: dict[str, int]) -> AsyncIterator[Running]:
    """A broker with a listener for each way in: `ports` by `SASL_SSL`, `SSL`, `SASL_PLAINTEXT`. `SSL` asks for a
    certificate."""
    certificate, key = authority.issue("broker")
    keystore = folder / "broker.pem"
    keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
    plain, controller = unused_port(), unused_port()
    ways = {**ports, "PLAINTEXT": plain}
    listeners = ",".join(f"{protocol}://127.0.0.1:{port}" for protocol, port in ways.items())
    properties: dict[str, Any] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(f"{way}:{way}" for way in ways) + ",CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": folder / "logs",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "sasl.enabled.mechanisms": ",".join(["PLAIN", *SCRAM]),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": keystore,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.file,
        "listener.name.ssl.ssl.client.auth": "required",
    }
    for way in ("sasl_ssl", "sasl_plaintext"):
        prefix = f"listener.name.{way}"
        properties[f"{prefix}.plain.sasl.jaas.config"] = (
            f'{_LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        )
        for one in SCRAM:
            properties[f"{prefix}.{one.lower()}.sasl.jaas.config"] = f"{_LOGIN}.scram.ScramLoginModule required;"
    file = folder / "server.properties"
    file.write_text("\n".join(f"{name}={value}" for name, value in properties.items()))
    java_ = [java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{await fetch_jars(CACHE)}/*"]
    cluster = "T" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    people = [word for one in SCRAM for word in ("--add-scram", f"{one}=[name={USER},password={PASSWORD}]")]
    log = folder / "kafka.log"
    tool = [*java_, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(file), *people]
    await finish(tool, what="formatting", log=log)

    running = Running(
        Program(
            name="kafka",
            argv=[*java_, "kafka.Kafka", str(file)],
            log=log,
            ready=lambda: ready(f"127.0.0.1:{plain}"),
            folder=folder,
        )
    )
    await running.start()
    try:
        yield running
    finally:
        await running.kill()
