"""The jars of Apache Kafka: `kafka.lock` lists each with its SHA-256; Maven or `jgo` downloads them.

Maven is preferred if installed, because it is configured for the machine's mirrors and proxies. Otherwise jgo downloads
what the local Maven repository does not have; its own configuration file can name a mirror.

`python -m taskflow.local.jars` prints a new lock file: `WANTED` with all dependencies.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from taskflow.local.java import installed_java
from taskflow.local.program import CannotStart, finish

if TYPE_CHECKING:
    from jgo.maven import MavenContext

WANTED: Final = ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")
LOCK: Final = Path(__file__).with_name("kafka.lock")
_DOWNLOADS: Final = 8
_TIMEOUT_S: Final = 60


class Jar(Struct, frozen=True):
    """One artifact of a Maven repository, with the required SHA-256 of its file."""

    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def file(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def locked(text: str) -> list[Jar]:
    """The jars of a lock file."""
    return [Jar(sha256, *name.split(":")) for sha256, name in map(str.split, text.splitlines())]


async def fetch_jars(cache: Path) -> Path:
    """The folder with all jars, downloaded once for each machine and moved into place only when complete.

    Raises CannotStart if a jar cannot be downloaded or does not match the lock file.
    """
    release = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]  # another lock file, other jars
    libs = cache / f"kafka-libs-{release}"
    if libs.exists():
        return libs
    jars = locked(LOCK.read_text())
    cache.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else waits on a launcher
    with tempfile.TemporaryDirectory(dir=cache, prefix="kafka-", ignore_cleanup_errors=True) as folder:
        fetched = Path(folder) / "libs"
        if shutil.which("mvn") and installed_java():
            await _fetch_with_maven(jars, fetched, cache / "maven.log")
        else:
            await asyncio.to_thread(_fetch_with_jgo, jars, fetched)
        verify(jars, fetched)
        with suppress(OSError):  # another launcher was faster
            fetched.rename(libs)
    return libs


def verify(jars: Sequence[Jar], folder: Path) -> None:
    """Raises CannotStart unless the folder holds exactly the jars of the lock file."""
    expected = {jar.file: jar.sha256 for jar in jars}
    found = {path.name: _sha256(path) for path in folder.iterdir()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise CannotStart(
            f"downloaded for Apache Kafka, and not what {LOCK.name} names: {', '.join(wrong)}; remove them from the "
            "local Maven repository if they are there, and try again"
        )


async def _fetch_with_maven(jars: Sequence[Jar], folder: Path, log: Path) -> None:
    # Every jar is listed, so transitive dependencies are excluded.
    dependencies = "".join(
        f"<dependency><groupId>{jar.group}</groupId><artifactId>{jar.artifact}</artifactId>"
        f"<version>{jar.version}</version><exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId>"
        "</exclusion></exclusions></dependency>"
        for jar in jars
    )
    pom = folder.with_name("pom.xml")
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>taskflow</groupId><artifactId>local-kafka</artifactId><version>1</version>"
        f"<packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    )
    await finish(
        ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"],
        what="fetching Apache Kafka with Maven",
        log=log,
    )


def _fetch_with_jgo(jars: Sequence[Jar], folder: Path) -> None:
    if importlib.util.find_spec("jgo") is None:
        raise CannotStart(
            "no jgo to fetch Apache Kafka with: install taskflow-server[local], or set TASKFLOW_KAFKA_BOOTSTRAP"
        )
    context = _maven_context(folder.with_name("repository"))
    folder.mkdir()

    def fetch(jar: Jar) -> None:
        try:
            file = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        except (OSError, RuntimeError) as error:  # those of `requests` are OSErrors
            raise CannotStart(f"fetching Apache Kafka failed: {jar}: {error}") from error
        shutil.copy(file, folder / jar.file)

    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        list(pool.map(fetch, jars))


def _maven_context(repository: Path) -> MavenContext:
    """Looks in Maven's local repository first, then in Maven Central or the configured mirror of it."""
    from jgo.config import GlobalSettings  # noqa: PLC0415 - of the extra `local`
    from jgo.constants import MAVEN_CENTRAL_URL, default_maven_repo  # noqa: PLC0415 - as above
    from jgo.maven import MavenContext  # noqa: PLC0415 - as above

    return MavenContext(
        repo_cache=repository,
        local_repos=[default_maven_repo()],
        remote_repos={"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories,
        timeout=_TIMEOUT_S,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _print_lock() -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = _maven_context(Path(folder))
        # "!": dependency management of one of them does not apply to the others.
        wanted = [context.create_dependency(f"{name}!") for name in WANTED]
        found, needed = context.resolver.resolve(wanted)
        for one in sorted((each.artifact for each in (*found, *needed)), key=str):
            print(_sha256(one.resolve()), f"{one.groupId}:{one.artifactId}:{one.version}")


if __name__ == "__main__":
    _print_lock()
