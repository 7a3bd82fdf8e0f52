"""What it takes to add a command with an event: done to a copy of the source, counted, and served."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx

from taskflow.local.program import unused_port
from taskflow.settings import Settings
from tests.api.stack import ROOT, until

FILES_MAX: Final = 5
FLAG_TASK: Final = '''"""A task is flagged, for a reason."""

from __future__ import annotations

from typing import Final

from taskflow.commands.declaration import TASK_ID, RestRoute, on_task
from taskflow.commands.fields import Command, ItemText
from taskflow.streams import Event
from taskflow.streams.task import TaskFlagged, TaskState


class FlagTask(Command, frozen=True):
    reason: ItemText


def flag(task: TaskState, reason: str) -> list[Event]:
    return [] if task.flagged == reason else [TaskFlagged(reason=reason)]


COMMANDS: Final = (
    on_task(
        FlagTask, TASK_ID, lambda on: flag(on.state, on.command.reason), RestRoute("POST", "/flag", "Flag a task")
    ),
)
'''
FLAG_METHOD: Final = """    @call
    def flag(self, task: Id, reason: str, *, expected_version: int | None = None) -> Call[Task]:
        return _intent(task, "flag", expected_version, {"reason": reason})

"""
CHANGES: Final[dict[str, list[tuple[str, str]]]] = {
    # file: what is put before which text
    "streams/task.py": [
        ("class CommentAdded(Event", "class TaskFlagged(Event, frozen=True):\n    reason: str\n\n\n"),
        ("    comments: tuple[Comment, ...] = ()\n", '    flagged: str = ""\n'),
        (
            "        case TaskPurged():\n",
            '        case TaskFlagged():\n            changed = {"flagged": event.reason}\n',
        ),
        ("        TaskPurged,\n", "        TaskFlagged,\n"),
    ],
    "commands/flagging.py": [("", FLAG_TASK)],
    "commands/catalog.py": [
        ("    invitations,\n", "    flagging,\n"),
        ("        *comments.COMMANDS,\n", "        *flagging.COMMANDS,\n"),
    ],
    "client/tasks.py": [
        (
            "    # --- history\n",
            FLAG_METHOD,
        ),
    ],
}
CALLER: Final = """
import sys
from taskflow.client import Client, Command

with Client(sys.argv[1]) as client:
    client.auth.register("ada@example.com", "correct horse battery", "Ada")
    task = client.tasks.create("one")
    assert client.tasks.flag(task.id, "late").version == 2
    assert client.tasks.flag(task.id, "late").version == 2  # the second says nothing new
    outcome = client.commands.send(Command(type="FlagTask", target=task.id, data={"reason": "blocked"}))
    assert (outcome.outcome, outcome.version, outcome.events[0].type) == ("applied", 3, "TaskFlagged")
    [kind] = [kind for kind in client.commands.types() if kind.type == "FlagTask"]
    assert (kind.target, list(kind.schema["$defs"]["FlagTask"]["properties"])) == ("task", ["reason"])
    assert [event.type for event in client.tasks.events(task.id)] == ["TaskCreated", "TaskFlagged", "TaskFlagged"]
"""


def changed_copy(folder: Path) -> Path:
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in CHANGES.items():
        file = source / "taskflow" / name
        text = file.read_text() if file.exists() else ""
        for before, added in changes:
            assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {name}"
            text = text.replace(before, added + before)
        file.write_text(text)
    return source


async def test_a_command_with_an_event_touches_few_files(settings: Settings, tmp_path: Path) -> None:
    assert len(CHANGES) <= FILES_MAX
    source = changed_copy(tmp_path)
    port = unused_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | settings.environ() | {"PYTHONPATH": str(source), "TASKFLOW_API_PORT": str(port)}
    log = tmp_path / "api.log"
    with log.open("wb") as file:
        api = subprocess.Popen([sys.executable, "-m", "taskflow", "api"], env=environment, stdout=file, stderr=file)
    try:
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:

            async def ready() -> bool:
                assert api.poll() is None, log.read_text()[-4000:]
                try:
                    return (await http.get("/livez")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, "the process answers")
            document = (await http.get("/openapi.json")).json()
        operation = document["paths"]["/api/v1/tasks/{task_id}/flag"]["post"]
        reference = {"$ref": "#/components/schemas/FlagTask"}
        assert operation["requestBody"]["content"]["application/json"]["schema"] == reference
        sent = document["components"]["schemas"]["CommandBody"]["oneOf"]
        assert "FlagTask" in [one["title"] for one in sent]
        called = subprocess.run(
            [sys.executable, "-c", CALLER, url], env=environment, capture_output=True, text=True, check=False
        )
        assert called.returncode == 0, called.stderr
    finally:
        api.terminate()
        api.wait(10)
