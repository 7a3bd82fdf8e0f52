"""A user of the command line, whose commands run as real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from msgspec import Struct

from taskflow.client import Client
from tests.api.stack import ROOT

PATIENCE_S = 60.0


class Said(Struct, frozen=True):
    """The output and the exit code of a command."""

    code: int
    out: str
    err: str


class Person:
    """A user with their own home folder and a minimal environment."""

    def __init__(self, home: Path, url: str, **environment: str) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKFLOW_", "XDG_"))}
        kept.pop("NO_COLOR", None)
        self.environment = kept | {
            "HOME": str(home),
            "PYTHONPATH": str(ROOT / "src"),
            "TASKFLOW_URL": url,
            "TZ": "UTC",
            **environment,
        }

    @property
    def file(self) -> Path:
        """The path of the accounts file."""
        return self.home / ".config" / "taskflow" / "accounts.json"

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "taskflow", *words]

    def types(self, *words: str, stdin: str = "", **environment: str) -> Said:
        done = subprocess.run(
            self.argv(*words),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            env=self.environment | environment,
            timeout=PATIENCE_S,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def joins(self, client: Client, project: UUID | str, role: str) -> None:
        """Accepts an invitation of somebody else, whose reads include it from then on."""
        invitation = client.projects.invitations.create(project, f"{uuid4().hex}@example.com", role)
        self.does("projects", "accept", str(invitation.token))
        client.projects.set_member(project, self.gets("whoami")["id"], role)

    def does(self, *words: str, stdin: str = "", **environment: str) -> str:
        """As `types`, for a command that must succeed without output on standard error."""
        said = self.types(*words, stdin=stdin, **environment)
        assert (said.code, said.err) == (0, ""), f"{words}: {said}"
        return said.out

    def gets(self, *words: str) -> Any:
        """Runs a command with `--json` and returns its document."""
        return json.loads(self.does(*words, "--json"))

    def fails(self, code: int, *words: str, stdin: str = "", **environment: str) -> str:
        """Runs a command that must fail, and returns its error line."""
        said = self.types(*words, stdin=stdin, **environment)
        assert said.code == code, f"{words}: {said}"
        assert said.out == ""
        assert said.err.startswith("taskflow: ")
        assert said.err.count("\n") == 1, said.err
        return said.err

    def signs_up(self, email: str, password: str, name: str) -> None:
        self.does("register", email, "--name", name, "--password-stdin", stdin=f"{password}\n")
