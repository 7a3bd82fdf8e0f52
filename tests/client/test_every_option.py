"""Every command of the command line with each of its options, against the real API."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from taskflow.cli import main, parser
from tests.api.beside import grant_at_the_machine
from tests.api.stack import Stack

EXAMPLES: Final = Path(str(resources.files("taskflow.importer"))) / "examples"
PASSWORD: Final = "correct horse battery"
SOON: Final = "2031-05-06T07:08"
EVERYWHERE: Final = {"-h", "--help", "--json", "--url"}
FILTERS: Final = (
    "--project {project} --status todo --category todo --category done --assignee me --label x --priority low "
    f"--parent {{task}} --due-before {SOON} --due-after {SOON} --text 🎉 --all --trashed --archived --sort=-due_at"
)
CHANGES: Final = f"--description x --priority high --due {SOON} --zone Europe/Berlin --label x --label y --assignee me --repeat FREQ=DAILY"
LINES: Final = {
    "register": ["{address} --name Ada --password-stdin"],
    "login": ["{email} --otp 123456 --password-stdin"],
    "logout": [""],
    "whoami": [""],
    "calendar": [""],
    "activity": ["--limit 7", "{project}"],
    "demo": [""],
    "import": [
        "{log} --mapping {mapping} --dry-run --at-once 2",
        "{log} --mapping {mapping} --project {imported} --rejects {rejects}",
        "{list} --format todoist --name Garden",
    ],
    "tasks list": [FILTERS + " --limit 7", "--archived", "--text …"],
    "tasks search": ["🎉 --project {project} --limit 7"],
    "tasks show": ["{task} --version 1", f"{{task}} --at {SOON}"],
    "tasks history": ["{task}"],
    "tasks diff": ["{task} 1 2"],
    "tasks add": ["x --project {project} --status done --parent {task} " + CHANGES],
    "tasks edit": [
        "{task} --title z --status done --parent {sibling} --expect 2 " + CHANGES,
        "{task} --due 2031-05-06",
        "{task} --due 2031-05-06T07:08",
        "{task} --due none --label none --assignee none --parent none --repeat none",
    ],
    "tasks start": ["{task} {sibling}"],
    "tasks done": ["{task}"],
    "tasks reopen": ["{task}"],
    "tasks cancel": ["{task}"],
    "tasks trash": ["{task}"],
    "tasks restore": ["{task}"],
    "tasks assign": ["{task} me", "{task} none"],
    "tasks move": ["{task} {other} --status done"],
    "tasks rank": ["{task} --after {sibling}", "{task} --before {sibling}"],
    "tasks undo": ["{task} --version 2"],
    "tasks comment": ["{task} well"],
    "tasks checklist": ["{task} --add one --add two", "{task} --remove 1"],
    "tasks check": ["{task} 1"],
    "tasks uncheck": ["{task} 1"],
    "tasks link": ["{task} relates_to {sibling}"],
    "tasks unlink": ["{task} relates_to {sibling}"],
    "projects list": ["--archived --limit 7"],
    "projects add": ["{name} --description x"],
    "projects edit": ["{other} --name {name} --description x --expect 1"],
    "projects show": ["{project}"],
    "projects board": ["{project}"],
    "projects stats": ["{project}"],
    "projects archive": ["{other}"],
    "projects unarchive": ["{other}"],
    "projects export": ["{project} --csv"],
    "projects label": ["{project} a/b #1e90ff"],
    "projects unlabel": ["{project} a/b"],
    "projects members": ["{project}"],
    "projects role": ["{project} me owner"],
    "projects remove": ["{shared} me"],
    "projects invite": ["{project} {address} --role viewer"],
    "projects invitations": ["{project}"],
    "projects uninvite": ["{project} {invited}"],
    "projects accept": ["{token}"],
    "admin annul": ["{position} --reason x --expect 2"],
    "projections": ["", "--watch --count 2"],
    "views list": ["--in {project} --limit 7"],
    "views show": ["{view}"],
    "views run": ["{view} --limit 7"],
    "views save": ["{name} --in {project} " + FILTERS],
    "views rename": ["{view} {name}"],
    "views delete": ["{view}"],
}
"""The arguments to try for each command; together they use every option."""


def leaves(of: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands that call a server."""
    groups = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups and "--url" in of.format_help():
        yield name.strip(), of
    for action in groups:
        for word, below in action.choices.items():
            yield from leaves(below, f"{name} {word}")


COMMANDS: Final = dict(leaves(parser()))


def test_every_command_and_option_is_covered() -> None:
    assert LINES.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        options = {option for action in command._actions for option in action.option_strings} - EVERYWHERE
        typed = {word.partition("=")[0] for line in LINES[name] for word in line.split() if word.startswith("--")}
        assert typed == options, name


class Terminal:
    """A user of the command line within this process, because starting a process takes longer than most commands."""

    def __init__(self, patch: pytest.MonkeyPatch, caught: pytest.CaptureFixture[str], home: Path, url: str) -> None:
        self._patch, self._caught = patch, caught
        for variable in ("TASKFLOW_TOKEN", "XDG_CONFIG_HOME"):
            patch.delenv(variable, raising=False)
        patch.setenv("TASKFLOW_URL", url)
        self.use_home(home)

    def use_home(self, home: Path) -> None:
        """Runs a command with the accounts file in this home folder."""
        home.mkdir(exist_ok=True)
        self._patch.setenv("HOME", str(home))

    def run(self, *words: str) -> str:
        self._patch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
        self._caught.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*words])
        said = self._caught.readouterr()
        assert (ended.value.code, said.err) == (0, ""), f"{words}: {said}"
        return said.out

    def gets(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def signs_up(self) -> str:
        email = f"{uuid4().hex}@example.com"
        self.run("register", email, "--name", "Ada", "--password-stdin")
        return email


@pytest.fixture
def context(url: str, homes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys, homes / "ada", url)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


def some(context: Terminal, homes: Path) -> dict[str, str]:
    """The values for the placeholders in the lines: whole ids of newly created things, except people."""
    if not (homes / "ada" / ".config").exists():
        context.signs_up()
        context.use_home(homes / "bob")
        context.signs_up()
    context.use_home(homes / "ada")
    email = context.gets("whoami")["email"]
    context.use_home(homes / "bob")
    theirs = [context.gets("projects", "add", "theirs")["id"] for _ in range(2)]
    token, shared = (context.gets("projects", "invite", one, email)["token"] for one in theirs)
    context.use_home(homes / "ada")
    project, other = (context.gets("projects", "add", uuid4().hex)["id"] for _ in range(2))
    task, sibling = (context.gets("tasks", "add", "x", "--project", project)["id"] for _ in range(2))
    context.run("tasks", "edit", task, "--title", "y")
    return {
        "email": email, "address": f"{uuid4().hex}@example.com", "name": uuid4().hex, "project": project,
        "other": other, "task": task, "sibling": sibling, "token": token, "shared": shared,
        "view": context.gets("views", "save", uuid4().hex, "--text", "x")["id"],
        "invited": context.gets("projects", "invite", project, f"{uuid4().hex}@example.com")["id"],
    }  # fmt: skip


def _files(context: Terminal, folder: Path) -> dict[str, str]:
    """What there is to import, and the project into which some of it has been."""
    log, mapping = EXAMPLES / "incidents.csv", EXAMPLES / "incidents.toml"
    said = context.run("import", str(log), "--mapping", str(mapping), "--rejects", str(folder / "r.csv"))
    known = {"log": str(log), "mapping": str(mapping), "list": str(EXAMPLES / "todoist.csv")}
    return known | {"rejects": str(folder / "r.csv"), "imported": said.split("project ")[1].split(",")[0]}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_command_works(stack: Stack, context: Terminal, homes: Path, tmp_path: Path, name: str) -> None:
    known = some(context, homes)
    if name == "import":
        known |= _files(context, tmp_path)
    if name == "logout":
        context.use_home(tmp_path / "somebody else")
        context.signs_up()
    if name == "projects remove":
        known["shared"] = context.gets("projects", "accept", known["shared"])["id"]
    if name in {"tasks check", "tasks uncheck"}:
        context.run("tasks", "checklist", known["task"], "--add", "one")
    if name in {"admin annul", "projections"}:
        grant_at_the_machine(stack.settings, context.gets("whoami")["id"], "admin")
    if name == "admin annul":
        known["position"] = context.gets("tasks", "history", known["task"])[-1]["position"]
    if name == "tasks unlink":
        context.run("tasks", "link", known["task"], "relates_to", known["sibling"])
    if name == "projects unlabel":
        context.run("projects", "label", known["project"], "a/b", "#1e90ff")
    for line in LINES[name]:
        context.run(*name.split(), *line.format(**known).split())
