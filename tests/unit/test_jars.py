"""What is downloaded for Kafka is what the lock file names, to the byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from taskflow.local.jars import LOCK, WANTED, Jar, locked, verify
from taskflow.local.program import CannotStart

BYTES = b"the bytes of a jar"
JAR = Jar(hashlib.sha256(BYTES).hexdigest(), "org.example", "engine", "1.2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "engine-1.2.jar").write_bytes(BYTES)
    return tmp_path


def test_the_lock_file_holds_what_is_wanted_and_each_file_once() -> None:
    jars = locked(LOCK.read_text())
    assert set(WANTED) < {str(jar) for jar in jars}
    assert len({jar.file for jar in jars}) == len(jars)
    assert all(len(bytes.fromhex(jar.sha256)) == hashlib.sha256().digest_size for jar in jars)


def test_the_jars_of_the_lock_file_are_taken(folder: Path) -> None:
    verify([JAR], folder)


def test_a_jar_that_was_changed_is_refused(folder: Path) -> None:
    (folder / "engine-1.2.jar").write_bytes(BYTES + b"!")
    with pytest.raises(CannotStart, match=r"not what kafka.lock names: engine-1\.2\.jar"):
        verify([JAR], folder)


def test_a_jar_that_is_missing_is_refused(folder: Path) -> None:
    (folder / "engine-1.2.jar").unlink()
    with pytest.raises(CannotStart, match=r"engine-1\.2\.jar"):
        verify([JAR], folder)


def test_a_jar_too_many_is_refused(folder: Path) -> None:
    (folder / "other-1.jar").write_bytes(b"")
    with pytest.raises(CannotStart, match=r": other-1\.jar;"):
        verify([JAR], folder)
