"""`taskflow import --format todoist`, as it is typed: both shapes, again, killed in the middle, and what is wrong."""

from __future__ import annotations

import asyncio
import csv
import gzip
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskflow.importer.todoist import import_backup
from taskflow.store.eventstore import EventStore
from taskflow.streams import PROJECT, TASK, USER
from taskflow.streams.task import TaskState
from tests.importer.world import EXAMPLES, INCIDENTS, MAPPING, Person, head, imported_people, streams

HEADER = [
    "TYPE",
    "CONTENT",
    "DESCRIPTION",
    "PRIORITY",
    "INDENT",
    "AUTHOR",
    "RESPONSIBLE",
    "DATE",
    "DATE_LANG",
    "TIMEZONE",
]
MakePerson = Callable[[str], Awaitable[Person]]
BOUND_S = 120.0


def task(content: str, indent: int = 1, priority: str = "4", **more: str) -> list[str]:
    row = dict.fromkeys(HEADER, "") | {"TYPE": "task", "CONTENT": content, "INDENT": str(indent), "PRIORITY": priority}
    return list((row | more).values())


def note(content: str, **more: str) -> list[str]:
    return list((dict.fromkeys(HEADER, "") | {"TYPE": "note", "CONTENT": content} | more).values())


def section(name: str) -> list[str]:
    return list((dict.fromkeys(HEADER, "") | {"TYPE": "section", "CONTENT": name}).values())


def write(path: Path, *rows: list[str], mark: str = "\ufeff") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(mark)
        csv.writer(file).writerows([HEADER, *rows])
    return path


def bring(person: Person, file: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return person.types("import", "--format", "todoist", file, *more)


async def tasks(store: EventStore) -> list[TaskState]:
    """As they stand in their project."""
    states = [(await store.state_cache.load(TASK, stream)).state for stream in await streams(store, "task")]
    return sorted(states, key=lambda state: (state.rank, state.id))


async def by_title(store: EventStore) -> dict[str, TaskState]:
    return {state.title: state for state in await tasks(store)}


def refused(file: Path) -> list[list[str]]:
    with file.with_name(f"{file.name}.rejects.csv").open(newline="", errors="surrogateescape") as rejects:
        return list(csv.reader(rejects))[1:]


class TestCsv:
    async def test_the_example_is_what_it_says(self, ada: Person, store: EventStore, tmp_path: Path) -> None:
        file = EXAMPLES / "todoist.csv"
        done = bring(ada, file, "--rejects", tmp_path / "r.csv")
        assert (done.returncode, done.stderr) == (0, "")
        assert "5 rows in" in done.stdout
        assert "5 applied, 0 already there, 0 unchanged, 0 rejected" in done.stdout
        assert "4 new tasks, 2 new people" in done.stdout
        assert "the date 'three days before the party' is not understood" in done.stdout
        assert [state.title for state in await tasks(store)] == [
            "Water the plants", "Invite everybody", "Ask who eats what", "Order cake"
        ]  # fmt: skip
        plants, invite, eats, cake = await tasks(store)
        assert (plants.labels, plants.priority, plants.status) == (("home",), "low", "todo")
        assert plants.recurrence == "FREQ=WEEKLY;BYDAY=MO"
        assert plants.due_on is not None
        assert plants.due_on.weekday() == 0
        assert plants.due is not None
        assert plants.due > datetime.now(UTC)
        assert (plants.due_at, plants.time_zone) == (None, "Europe/Stockholm")
        assert [comment.body for comment in plants.comments] == ["The fern needs less 🌿"]
        assert plants.comments[0].author_id is not None
        author = (await store.state_cache.load(USER, plants.comments[0].author_id)).state
        assert (author.name, author.claim_id) == ("Ada Lovelace", None)
        assert invite.description == "First those who live far away,\nthen the neighbours"
        assert (invite.priority, invite.labels) == ("urgent", ("people", "section:Garden party"))
        assert (str(invite.due_on), str(invite.due)) == ("2031-06-01", "2031-06-01 21:59:59.999999+00:00")
        assert invite.assignee_id is not None
        assert (await store.state_cache.load(USER, invite.assignee_id)).state.name == "Zoë Ångström"
        assert (eats.parent_id, cake.parent_id) == (invite.id, invite.id)
        assert (str(eats.due_at), eats.time_zone) == ("2031-06-03 16:00:00+00:00", "Europe/Stockholm")
        assert (cake.due, cake.time_zone, cake.description) == (None, None, "Due: three days before the party")
        project = (await store.state_cache.load(PROJECT, plants.project_id)).state
        assert project.name == "todoist"
        assert await imported_people(store) == ["Ada Lovelace", "Zoë Ångström"]

    async def test_the_same_again_applies_nothing_and_a_longer_one_what_is_new(
        self, ada: Person, store: EventStore, tmp_path: Path
    ) -> None:
        rows = [task("A"), task("A"), note("x"), note("x"), task("B", 2), section("S"), task("A"), task("B", 2)]
        file = write(tmp_path / "list.csv", *rows)
        assert "7 applied" in bring(ada, file).stdout
        before = await head(store)
        again = bring(ada, file)
        assert again.returncode == 0
        assert "0 applied, 7 already there" in again.stdout
        assert await head(store) == before
        write(file, task("New"), *rows[:4], note("y"), *rows[4:], task("C", 2), mark="")
        longer = bring(ada, file)
        assert "3 applied, 7 already there" in longer.stdout
        assert await head(store) == before + 3
        states = await tasks(store)
        assert sorted(state.title for state in states) == ["A", "A", "A", "B", "B", "C", "New"]
        in_section = next(state for state in states if state.title == "A" and state.labels)
        assert next(state for state in states if state.title == "C").parent_id == in_section.id
        assert [len(state.comments) for state in states if state.title == "A"] == [0, 3, 0]

    async def test_bad_rows_have_lines_and_reasons_and_the_rest_goes_on(
        self, ada: Person, store: EventStore, tmp_path: Path
    ) -> None:
        rows = [
            note("about the project"),
            task("Good"),
            task("Bad", 2, priority="9"),
            note("about what was refused"),
            task("Below", 3),
            ["task", "short"],
            note("about the short one"),
            task("x" * 501),
            task("Odd", TYPE="gift"),
            task("zero\0"),
            task("Indent", INDENT="-1"),
            task(""),
            task("Last"),
            note("of the last"),
            note(" " * 5 + "y" * 20_001),
        ]
        file = write(tmp_path / "bad.csv", *rows)
        with file.open("ab") as raw:
            raw.write(b"task,\xff,,4,1,,,,,\ntask,after,,4,1,,,,,\n")
        done = bring(ada, file)
        assert (done.returncode, done.stderr) == (1, "")
        assert "5 applied, 0 already there, 0 unchanged, 12 rejected" in done.stdout
        assert "line 6: the task above it was refused: it stands one level higher" in done.stdout
        assert [(int(line), reason) for line, reason, *_ in refused(file)] == [
            (2, "the note has no task above it"),
            (4, "expected a PRIORITY from 1 to 4, found '9'"),
            (5, "the task above it was refused"),
            (7, "expected 10 fields, found 2"),
            (8, "the task above it was refused"),
            (9, "the content is too long: expected at most 500 characters, found 501"),
            (10, "expected the TYPE task, section or note, found 'gift'"),
            (11, "found a NUL character"),
            (12, "expected an INDENT of 1 or more, found '-1'"),
            (13, "the content is empty"),
            (16, "the note is too long: expected at most 20000 characters, found 20001"),
            (17, "expected UTF-8, found other bytes"),
        ]
        titles = await by_title(store)
        assert set(titles) == {"Good", "Below", "Last", "after"}
        assert titles["Below"].parent_id == titles["Good"].id
        assert [comment.body for comment in titles["Last"].comments] == ["of the last"]

    async def test_two_at_once_share_the_work(self, ada: Person, store: EventStore, tmp_path: Path) -> None:
        rows = [row for n in range(40) for row in (task(f"T{n}", RESPONSIBLE="Bo (1)"), note("said"), task("Sub", 2))]
        file = write(tmp_path / "list.csv", *rows)
        arguments: dict[str, Any] = {"project": None, "name": "One", "rejects": tmp_path / "r"}
        one, other = await asyncio.gather(
            import_backup(ada.sender(), ada.me, file, **arguments),
            import_backup(ada.sender(), ada.me, file, **(arguments | {"rejects": tmp_path / "s"})),
        )
        assert one.project_id == other.project_id
        assert one.counts.applied + other.counts.applied == 120
        assert one.counts.already_there + other.counts.already_there == 120
        states = await tasks(store)
        assert [state.title for state in states] == [title for n in range(40) for title in (f"T{n}", "Sub")]
        assert all(len(state.comments) == 1 for state in states[::2])
        assert await imported_people(store) == ["Bo"]

    async def test_what_nests_too_deep_stands_on_the_last_level(
        self, ada: Person, store: EventStore, tmp_path: Path
    ) -> None:
        file = write(tmp_path / "deep.csv", *[task(f"T{indent}", indent) for indent in range(1, 26)])
        done = bring(ada, file)
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("stands deeper than 20 levels") == 5
        titles = await by_title(store)
        assert titles["T20"].parent_id == titles["T19"].id == titles["T25"].parent_id

    async def test_a_file_of_five_thousand_rows_that_was_killed_goes_on(
        self, ada: Person, store: EventStore, tmp_path: Path
    ) -> None:
        rows = [
            row
            for number in range(1_250)
            for row in (
                task(f"Task {number} ☂ @l{number % 7}", DESCRIPTION='said "so",\nand more', RESPONSIBLE="Bo (1)"),
                note(f"about {number}"),
                task("Sub", 2),
                task("Deeper", 3),
            )
        ]
        file = write(tmp_path / "many.csv", *rows)
        killed, before = 0, await head(store)
        for stop_at in (500, 1_500, 3_000):
            with subprocess.Popen(
                [*(sys.executable, "-m", "taskflow", "import", "--format", "todoist"), str(file), "--at-once", "1"],
                env=ada.env,
                stdout=subprocess.DEVNULL,
            ) as process:
                async with asyncio.timeout(BOUND_S):
                    while await head(store) - before < stop_at and process.poll() is None:
                        await asyncio.sleep(0.002)
                process.send_signal(signal.SIGKILL)
            killed += process.returncode == -signal.SIGKILL
        assert killed == 3
        assert await head(store) - before < 5_000
        done = bring(ada, file)
        assert done.returncode == 0, done.stdout
        assert "5000 rows in" in done.stdout
        states = await tasks(store)
        assert len(states) == 3_750
        titles = [state.title for state in states]
        assert titles == [one for number in range(1_250) for one in (f"Task {number} ☂", "Sub", "Deeper")]
        assert all(above.id == below.parent_id for above, below in zip(states[::3], states[1::3], strict=True))
        assert all(
            [comment.body for comment in state.comments] == [f"about {n}"] for n, state in enumerate(states[::3])
        )
        assert await imported_people(store) == ["Bo"]
        before = await head(store)
        assert "0 applied, 5000 already there" in bring(ada, file).stdout
        assert await head(store) == before

    async def test_into_a_project_that_is_there_and_two_lists_keep_apart(
        self, ada: Person, store: EventStore, person: MakePerson, tmp_path: Path
    ) -> None:
        project = (await ada.client.projects.create("mine")).id
        one, other = write(tmp_path / "one.csv", task("A"), task("B")), write(tmp_path / "two.csv", task("A"))
        for file, applied in ((one, 2), (other, 1), (one, 0)):
            done = bring(ada, file, "--project", project)
            assert f"{applied} applied" in done.stdout
            assert f"project {project}, imported by {ada.me.email}" in done.stdout
        assert sorted(state.title for state in await tasks(store)) == ["A", "A", "B"]
        assert {state.project_id for state in await tasks(store)} == {project}
        eve = await person("Eve")
        before = await head(store)
        strange = bring(eve, one, "--project", project)
        assert (strange.returncode, strange.stdout) == (3, "")
        assert f"no project {project}" in strange.stderr
        assert await head(store) == before


class TestJson:
    @pytest.mark.parametrize("packed", [False, True])
    async def test_the_example_is_what_it_says(
        self, packed: bool, ada: Person, store: EventStore, tmp_path: Path
    ) -> None:
        data = (EXAMPLES / "todoist.json").read_bytes()
        file = tmp_path / "backup"
        file.write_bytes(gzip.compress(data) if packed else data)
        done = bring(ada, file)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "4 applied, 0 already there, 0 unchanged, 0 rejected" in done.stdout
        plants, invite, eats = await tasks(store)
        assert (plants.title, invite.title, eats.title) == ("Water the plants", "Invite everybody", "Ask who eats what")
        assert (plants.recurrence, str(plants.due_on), plants.time_zone) == (
            "FREQ=WEEKLY;BYDAY=MO",
            "2031-06-02",
            "UTC",
        )
        assert (plants.priority, invite.priority, eats.priority) == ("low", "urgent", "high")
        assert (eats.parent_id, eats.status, str(eats.completed_at)) == (invite.id, "done", "2026-05-03 09:30:00+00:00")
        assert invite.labels == eats.labels == ("section:Party",)
        assert str(invite.created_at) == "2026-05-02 07:00:00+00:00"
        assert str(invite.comments[0].created_at) == "2026-05-02 10:00:00+00:00"
        assert plants.created_by is not None
        assert (await store.state_cache.load(USER, plants.created_by)).state.name == "Ada Lovelace"
        assert (await store.state_cache.load(PROJECT, plants.project_id)).state.name == "Garden"
        before = await head(store)
        assert "0 applied, 4 already there" in bring(ada, file).stdout
        assert await head(store) == before

    async def test_an_id_says_which_task_it_is_whatever_else_has_changed(
        self, ada: Person, store: EventStore, tmp_path: Path
    ) -> None:
        file = tmp_path / "backup.json"
        items: list[dict[str, Any]] = [{"id": 1, "content": "One"}, {"id": "2", "content": "Two", "checked": 1}]
        file.write_bytes(msgspec.json.encode({"items": items}))
        assert "2 applied" in bring(ada, file).stdout
        before = await head(store)
        items[0]["content"] = "Uno"
        file.write_bytes(msgspec.json.encode({"tasks": [*items, {"id": "3", "content": "Three", "parent_id": "1"}]}))
        done = bring(ada, file)
        assert "1 applied, 2 already there" in done.stdout
        assert "line 1: says something else than when it was imported: the task is left as it is" in done.stdout
        assert await head(store) == before + 1
        titles = await by_title(store)
        assert titles["Three"].parent_id == titles["One"].id
        assert titles["Two"].status == "done"

    async def test_bad_items_have_reasons_and_the_rest_goes_on(
        self, ada: Person, store: EventStore, tmp_path: Path
    ) -> None:
        items = [
            {"id": "1", "content": "Good"},
            {"id": "1", "content": "Twice"},
            {"id": "2"},
            {"id": "3", "content": "Loop", "parent_id": "4"},
            {"id": "4", "content": "Loop", "parent_id": "3"},
            {"id": "5", "content": "Priority", "priority": 7},
            {"id": "6", "content": "Orphan", "parent_id": "5"},
            "text",
            {"id": "7", "content": "Gone", "is_deleted": True},
        ]
        notes = [{"id": "n", "item_id": "5", "content": "x"}, {"id": "m", "item_id": "1", "content": "said"}]
        file = tmp_path / "backup.json"
        file.write_bytes(msgspec.json.encode({"items": items, "notes": notes}))
        done = bring(ada, file)
        assert done.returncode == 1
        assert "3 applied, 0 already there, 0 unchanged, 7 rejected" in done.stdout
        reasons = [reason for _, reason, *_ in refused(file)]
        assert reasons[0] == "two tasks have the id '1'"
        assert reasons.count("the task stands below itself") == 2
        assert "its task '5' was not taken" in reasons
        titles = await by_title(store)
        assert set(titles) == {"Good", "Orphan"}
        assert titles["Orphan"].parent_id is None
        assert "line 7: the task above it was refused: it stands one level higher" in done.stdout


async def test_a_file_of_another_kind_is_refused_before_anything_is_written(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    before = await head(store)
    contents = {
        "empty": b"",
        "array": b"[1]",
        "other.json": b'{"cards": []}',
        "broken.json": b'{"items": [',
        "image": b"\x89PNG\r\n\x1a\n\0\0",
        "cut.gz": gzip.compress(b"TYPE,CONTENT" * 1_000)[:-20],
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    for file in [INCIDENTS, tmp_path / "none.csv", *(tmp_path / name for name in contents)]:
        done = bring(ada, file)
        assert (done.returncode, done.stdout) == (1, ""), file
        assert done.stderr.startswith(f"taskflow: {file}: "), done.stderr
    named = ada.types("import", INCIDENTS, "--mapping", MAPPING, "--name", "x")
    assert "--name goes with --format todoist" in named.stderr
    mapped = bring(ada, EXAMPLES / "todoist.csv", "--mapping", MAPPING)
    assert "expected no mapping" in mapped.stderr
    assert await head(store) == before
