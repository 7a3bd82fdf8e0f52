"""Fixtures: a data folder and ports for each test, because these tests break launchers and their servers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow.local.program import unused_port
from taskflow.settings import Settings


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not `tmp_path`, which only its owner can enter: PostgreSQL runs as another user if the tests run as root.
    with tempfile.TemporaryDirectory(prefix="taskflow-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def own(folder: Path) -> Settings:
    return Settings(
        data_dir=str(folder),
        postgres_port=unused_port(),
        kafka_port=unused_port(),
        kafka_controller_port=unused_port(),
        mongodb_port=unused_port(),
        redis_port=unused_port(),
    )
