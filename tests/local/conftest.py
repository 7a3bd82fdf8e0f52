"""A launcher's folder and ports of the test's own: these tests break launchers, not the shared servers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow.local.program import unused_port
from taskflow.settings import Settings


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not `tmp_path`, which is closed to others: PostgreSQL runs as another user where the tests run as root.
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
