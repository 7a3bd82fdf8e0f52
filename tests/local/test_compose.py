"""The commands of the compose file, run on the real servers.

There is no Docker engine on the development machines, so each command is run with the locally installed binary of the
same server, with the environment that the engine would set.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.tools import path_with_node
from redis import Redis
from redis.exceptions import ConnectionError as NotThere
from ruamel.yaml import YAML

from taskflow.local import mongodb, postgres, valkey
from taskflow.local.jars import fetch_jars
from taskflow.local.java import java
from taskflow.local.program import unused_port
from tests.local.processes import until

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".taskflow" / "cache"
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "docker-compose.kafka.yml")["services"]
PASSWORD = "not-a-secret_1"


def run(*argv: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=60, env=os.environ | (environ or {})
    )


def script(command: list[str]) -> str:
    """The shell script of an entry point, with compose's `$$` unescaped."""
    return command[-1].replace("$$", "$")


class TestPostgresql:
    def test_it_accepts_its_settings(self, tmp_path: Path) -> None:
        (tmp_path / "postgresql.conf").touch()
        program, *flags = SERVICES["postgres"]["command"]
        assert program == "postgres"

        def value(name: str, *given: str) -> str:
            """The value as the server reports it, in its own unit."""
            said = run(str(postgres.binaries() / "bin/postgres"), "-C", name, "-D", str(tmp_path), *given)
            assert said.returncode == 0, said.stderr
            return said.stdout.strip()

        for setting in (flag for flag in flags if flag != "-c"):
            name, wanted = setting.split("=")
            # The server accepts the value, and the value differs from the default.
            assert value(name, *flags) == value(name, "-c", f"{name}={wanted}") != value(name)

    def test_initdb_knows_its_flags(self) -> None:
        known = run(str(postgres.binaries() / "bin/initdb"), "--help").stdout
        for flag in SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split():
            assert flag.partition("=")[0] in known

    def test_its_health_check_calls_a_server(self) -> None:
        _, program, *flags = SERVICES["postgres"]["healthcheck"]["test"]
        said = run(str(postgres.binaries() / "bin" / program), *flags, f"--port={unused_port()}")
        # 2: no response; 3: wrong arguments.
        assert said.returncode == 2, said.stderr


class TestMongodb:
    def test_it_accepts_its_flags(self) -> None:
        [line] = [line for line in script(SERVICES["mongodb"]["entrypoint"]).splitlines() if line.startswith("exec ")]
        _, _, program, *flags = shlex.split(line)
        assert program == "mongod"
        said = run(str(mongodb.binary()), *flags, "--outputConfig")
        assert said.returncode == 0, said.stderr
        assert f"replSet: {mongodb.REPLICA_SET}" in said.stdout
        assert "keyFile: /tmp/replica-set.key" in said.stdout

    def test_only_the_server_can_read_the_key_file(self, tmp_path: Path) -> None:
        lines = script(SERVICES["mongodb"]["entrypoint"]).splitlines()
        path = tmp_path / "replica-set.key"
        here = "\n".join(lines[:2]).replace("/tmp/replica-set.key", str(path)).replace("-o mongodb -g mongodb", "")
        said = run("bash", "-ec", here, environ={"MONGODB_KEY": PASSWORD})
        assert said.returncode == 0, said.stderr
        assert path.read_text() == PASSWORD
        assert path.stat().st_mode & 0o777 == 0o400

    def test_its_health_check_creates_the_replica_set_and_waits_for_a_primary(self, tmp_path: Path) -> None:
        command = shlex.split(script(SERVICES["mongodb"]["healthcheck"]["test"]))
        assert command[0] == "mongosh"
        check = command[command.index("--eval") + 1]
        stand_in = tmp_path / "shell.js"
        # A stand-in for mongosh with the three calls that the script makes, and no server behind it.
        stand_in.write_text(f"""
            const [made, primary] = JSON.parse(process.argv[2]), said = [];
            const rs = {{
              status() {{ if (!made || signedIn !== 'admintaskflow,{PASSWORD}') throw new Error('NotYetInitialized') }},
              initiate(set) {{ said.push(set) }},
            }};
            let signedIn;
            const db = {{
              hello: () => ({{ isWritablePrimary: primary }}),
              getSiblingDB: name => ({{ auth: (...who) => {{ signedIn = name + who.join() }} }}),
            }};
            const quit = code => {{ console.log(JSON.stringify([code, said])) }};
            {check}
        """)

        environ = SERVICES["mongodb"]["environment"]
        signed_in = {name: environ[name] for name in environ if "USERNAME" in name}
        signed_in |= {name: PASSWORD for name in environ if "PASSWORD" in name}
        signed_in["PATH"] = path_with_node()

        def outcome(*, made: bool, primary: bool) -> list[Any]:
            said = run("node", str(stand_in), json.dumps([made, primary]), environ=signed_in)
            assert said.returncode == 0, said.stderr
            answer: list[Any] = json.loads(said.stdout)
            return answer

        members = [{"_id": 0, "host": "mongodb:27017"}]
        assert outcome(made=False, primary=False) == [1, [{"_id": "rs0", "members": members}]]
        assert outcome(made=True, primary=False) == [1, []]
        assert outcome(made=True, primary=True) == [0, []]


class TestValkey:
    @pytest.fixture
    def url(self, tmp_path: Path) -> Iterator[str]:
        """Runs the command of the service on a free port."""
        port = unused_port()
        server = tmp_path / "valkey-server"
        server.write_text(f'#!/bin/sh\nexec {valkey.binary()} "$@" --bind 127.0.0.1 --port {port} --dir {tmp_path}\n')
        server.chmod(0o755)
        shell, *flags = SERVICES["valkey"]["command"][:-1]
        environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VALKEY_PASSWORD": PASSWORD}
        with subprocess.Popen(
            [shell, *flags, script(SERVICES["valkey"]["command"])], env=environ, stdout=subprocess.DEVNULL
        ) as process:
            try:
                yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
            finally:
                process.terminate()

    def test_it_is_a_bounded_cache_with_a_password(self, url: str) -> None:
        def answers(client: Redis) -> bool:
            try:
                return bool(client.ping())
            except NotThere:
                return False

        with Redis.from_url(url) as client:
            until(lambda: answers(client))
            found = client.config_get("maxmemory*", "save", "appendonly", "requirepass")
        assert found["maxmemory"] == str(256 * 1024 * 1024)
        assert found["maxmemory-policy"] == "allkeys-lru"
        assert (found["save"], found["appendonly"]) == ("", "no")
        assert found["requirepass"] == PASSWORD


class TestKafka:
    @pytest.fixture
    async def with_jars(self) -> list[str]:
        return [java(), "-cp", f"{await fetch_jars(CACHE)}/*"]

    async def test_the_start_script_of_the_image_formats_the_storage_from_the_environment(
        self, with_jars: list[str], tmp_path: Path
    ) -> None:
        environ = {name: str(value) for name, value in SERVICES["kafka"]["environment"].items()}
        environ |= {"KAFKA_LOG_DIRS": str(tmp_path / "data"), "CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw"}
        folders = {name: tmp_path / name for name in ("default", "mounted", "final")}
        for folder in folders.values():
            folder.mkdir()
        (folders["default"] / "server.properties").touch()
        # The image converts its environment into properties and formats the storage before it starts the broker.
        made = run(
            *[*with_jars, "kafka.docker.KafkaDockerWrapper", "setup"],
            *[word for name, folder in folders.items() for word in (f"--{name}-configs-dir", str(folder))],
            environ=environ,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        properties = dict(
            line.split("=", 1) for line in (folders["final"] / "server.properties").read_text().splitlines() if line
        )
        # The heap size is an option of Java, not a property.
        assert len(properties) == len(SERVICES["kafka"]["environment"]) - 1
        assert properties["auto.create.topics.enable"] == "false"
        assert (tmp_path / "data" / "meta.properties").exists()

        listed = run(*with_jars, "kafka.server.KafkaConfig")
        known = set(re.findall(r'id="brokerconfigs_([\w.]+)"', listed.stdout))
        assert set(properties) <= known, "a property that the broker does not know is ignored in silence"
