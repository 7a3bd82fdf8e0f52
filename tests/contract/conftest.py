"""A stack of these tests' own, with somebody who has one of everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template
from uuid import uuid4

import httpx
import pytest
from msgspec import Struct

from taskflow.settings import Settings
from tests.api.beside import grant_at_the_machine
from tests.api.stack import Stack, accepted, open_stack
from tests.conftest import Fleet

FOLDER = Path(__file__).parent
TIMEOUT_S = 30.0


@pytest.fixture(scope="session")
def stack(fleet: Fleet, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(fleet, template, tmp_path_factory.mktemp("stack"), name="contract", redis=13) as stack:
        yield stack


class World(Struct, frozen=True):
    """What a run calls, and as whom. `names` are those of `schemathesis.toml`."""

    url: str
    email: str
    password: str
    names: dict[str, str]

    def environ(self) -> dict[str, str]:
        """For `hooks.py`."""
        return {"CONTRACT_URL": self.url, "CONTRACT_EMAIL": self.email, "CONTRACT_PASSWORD": self.password}

    def configuration(self, *, steady: bool) -> str:
        text = (FOLDER / "schemathesis.toml").read_text()
        truths = {"STEADY": steady, "THOROUGH": not steady}
        return Template(text).substitute(
            self.names, URL=self.url, **{name: str(truth).lower() for name, truth in truths.items()}
        )


@pytest.fixture
def world(stack: Stack) -> World:
    """Of each test's own: what one run does to it no other meets."""
    url = stack.urls[0]
    with httpx.Client(base_url=f"{url}/api/v1", timeout=TIMEOUT_S) as http:
        return _make(url, http, stack.settings)


def _make(url: str, http: httpx.Client, settings: Settings) -> World:
    def register(name: str) -> tuple[dict[str, str], str, str]:
        account = {"email": f"{uuid4().hex}@example.com", "password": f"correct horse {uuid4().hex}", "name": name}
        answer = accepted(http.post("/auth/register", json=account), 201)
        return account, answer["user"]["id"], answer["access_token"]

    account, me, token = register("Ada Lovelace")
    _, member, theirs = register("Bob")
    grant_at_the_machine(settings, me, "admin")
    http.headers["Authorization"] = f"Bearer {token}"

    def make(path: str, body: dict[str, object] | None = None) -> dict[str, str]:
        return accepted(http.post(path, json=body or {}), 201)

    project, spare_project = (make("/projects", {"name": name})["id"] for name in ("Engine", "Spare"))
    invited = make(f"/projects/{project}/invitations", {"email": "bob@example.com", "role": "member"})
    taken = http.post(f"/invitations/{invited['token']}/accept", headers={"Authorization": f"Bearer {theirs}"})
    accepted(taken)
    accepted(http.put(f"/projects/{project}/labels/red", json={"colour": "#ff0000"}))
    task, other, spare = (
        make("/tasks", {"title": title, "project_id": project, "labels": ["red"]})["id"]
        for title in ("Draw", "Build", "Spare")
    )
    retitled = accepted(http.patch(f"/tasks/{other}", json={"title": "Build it"}))
    names = {
        "ME": me,
        "MEMBER": member,
        "PROJECT": project,
        "SPARE_PROJECT": spare_project,
        "TASK": task,
        "OTHER_TASK": other,
        "SPARE_TASK": spare,
        "ANNULLABLE": str(retitled["position"]),
        "COMMENT": make(f"/tasks/{task}/comments", {"body": f"for @[{member}]"})["id"],
        "ITEM": make(f"/tasks/{task}/checklist", {"text": "wheels"})["id"],
        "INVITATION": make(f"/projects/{project}/invitations", {"email": "eve@example.com", "role": "viewer"})["id"],
        "VIEW": make("/views", {"name": "mine", "query": {"assignee": "me"}})["id"],
        "CALENDAR_FILE": f"{make('/users/me/calendar')['secret']}.ics",
    }
    return World(url, account["email"], account["password"], names)
