"""A project's CSV is its JSON in another form: read back they are the same; and what is wrong with one is told."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from msgspec import Raw
from msgspec.structs import replace

from taskflow.api.export_csv import COLUMNS, header, line, project_line
from taskflow.client.answers import Label, Transition, Workflow
from taskflow.commands.fields import COMMENT_MAX, DESCRIPTION_BYTES_MAX, LABELS_MAX, VISIBLE
from taskflow.importer import exported_csv
from taskflow.importer.exported import read_export
from taskflow.importer.exported_csv import FAULTS_MAX
from taskflow.importer.exported_file import Commented, Export, Item, Member, Person, Project, Related, Slots, Task
from taskflow.importer.failures import BadFile
from taskflow.streams.project import CATEGORIES, DEFAULT_WORKFLOW, ROLES
from taskflow.streams.task import PRIORITIES
from taskflow.text.names import normal_name

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANN = Person(UUID(int=1), "Ann")
PLAIN = Task(
    id=UUID(int=7), title="T", description="", status="todo", status_category="todo", priority="low", due_at=None,
    labels=(), assignee=None, parent_id=None, rank="m", created_by=ANN.id, created_at=AT, updated_at=AT,
    started_at=None, completed_at=None,
)  # fmt: skip
WORKFLOW = msgspec.convert(msgspec.to_builtins(DEFAULT_WORKFLOW), Workflow)
EMPTY = Export("taskflow", 1, Project(UUID(int=6), "P", "", WORKFLOW, (), AT), (), ())

BUCKETS = st.sampled_from("=+-@'\t\r\n,;\"{[ é漢\u2028\x85\0🙂")
LETTERS = st.one_of(BUCKETS, st.characters(exclude_categories=["Cs"]))
IDS = st.uuids()
DAYS = st.dates(date(1970, 1, 2), date(2100, 1, 1)).map(lambda day: datetime.combine(day, datetime.min.time(), UTC))
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone


def texts(most: int = 20, least: int = 0) -> st.SearchStrategy[str]:
    written = st.text(LETTERS, min_size=least, max_size=most)
    return written.filter(lambda text: re.search(VISIBLE, text) is not None) if least else written


def names() -> st.SearchStrategy[str]:
    return texts(least=1).map(normal_name)


SLOTS = st.builds(Slots, TIMES, TIMES)
DAY_SLOTS = st.builds(Slots, DAYS, DAYS, st.just(value=True))
schedules = st.one_of(
    st.just({"due_at": None, "recurrence": None}),
    st.fixed_dictionaries(
        {
            "due_at": TIMES,
            "recurrence": st.none() | st.just("FREQ=DAILY;BYHOUR=9"),
            "time_zone": st.sampled_from([None, "UTC", "Europe/Berlin"]),
            "series": st.none() | SLOTS,
        }
    ),
    st.fixed_dictionaries(
        {
            "due_at": st.none(),
            "due_on": st.dates(),
            "recurrence": st.none() | st.just("FREQ=DAILY;UNTIL=20991231"),
            "time_zone": st.just("Pacific/Kiritimati"),
            "series": st.none() | DAY_SLOTS,
        }
    ),
)
"""Of a task: when it is due, and how that repeats."""


@st.composite
def exports(draw: DrawFn) -> Export:
    people = draw(st.dictionaries(IDS, st.none() | names(), min_size=1, max_size=4))
    somebody = st.none() | st.sampled_from([Person(*one) for one in people.items()])
    ids = draw(st.lists(IDS, max_size=3, unique=True))
    project = Project(
        id=draw(IDS),
        name=draw(names()),
        description=draw(texts()),
        workflow=replace(
            WORKFLOW, transitions=draw(st.none() | st.lists(st.builds(Transition, texts(), texts())).map(tuple))
        ),
        labels=draw(st.lists(st.builds(Label, texts(least=1), st.none() | texts())).map(tuple)),
        created_at=draw(TIMES),
        archived_at=draw(st.none() | TIMES),
    )
    tasks = []
    for number, task_id in enumerate(ids):
        began, changed = sorted((draw(TIMES), draw(TIMES)))
        creator = draw(somebody)
        task = Task(
            id=task_id,
            external_id=draw(st.none() | texts(least=1)),
            title=draw(texts(least=1)),
            description=draw(texts()),
            status=draw(names()),
            status_category=draw(st.sampled_from(CATEGORIES)),
            priority=draw(st.sampled_from(PRIORITIES)),
            labels=draw(st.lists(names(), max_size=2).map(tuple)),
            assignee=draw(somebody),
            parent_id=draw(st.none() | st.sampled_from(ids[:number])) if number else None,
            rank=draw(texts(least=1)),
            **draw(schedules),
            created_by=None if creator is None else creator.id,
            created_at=began,
            updated_at=changed,
            started_at=draw(st.none() | TIMES),
            completed_at=draw(st.none() | TIMES),
            checklist=draw(st.lists(st.builds(Item, IDS, texts(), st.booleans()), max_size=2).map(tuple)),
            relations=draw(st.lists(st.builds(Related, st.just("blocks"), IDS), max_size=2).map(tuple)),
            comments=draw(
                st.lists(
                    st.builds(Commented, IDS, somebody, texts(), TIMES, edited_at=st.none() | TIMES), max_size=2
                ).map(tuple)
            ),
        )
        tasks.append(task)
    members = [
        Member(one, draw(st.sampled_from(ROLES)), people[one]) for one in draw(st.sets(st.sampled_from([*people])))
    ]
    named = {one for task in tasks for one in named_in(task)} - {one.id for one in members}
    others = tuple(Person(one, people[one]) for one in sorted(named))
    return Export("taskflow", 1, project, tuple(members), tuple(tasks), others)


def named_in(task: Task) -> set[UUID]:
    people = [task.assignee, *[comment.author for comment in task.comments]]
    return {one.id for one in people if one is not None} | ({task.created_by} if task.created_by else set())


def as_csv(export: Export) -> bytes:
    """As the API writes it."""
    about = {name: getattr(export, name) for name in ("format", "version", "project", "members")}
    names = {one.id: one.name for one in export.people} | {one.id: one.name for one in export.members}
    pieces = [header(), project_line(msgspec.json.encode(about))]
    for task in export.tasks:
        author = None if task.created_by is None else names.get(task.created_by)
        pieces.append(line(Raw(msgspec.json.encode(task)), author))
    return b"".join(pieces)


def records(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def written(table: list[list[str]], end: str = "\r\n") -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator=end).writerows(table)
    return out.getvalue().encode()


def read(tmp_path: Path, data: bytes) -> Export:
    path = tmp_path / "file"
    path.write_bytes(data)
    export = read_export(path)
    return replace(export, people=tuple(sorted(export.people, key=lambda one: one.id)))


def test_what_is_written_is_what_is_read() -> None:
    assert sorted(COLUMNS) == sorted(exported_csv.COLUMNS)


@given(exports())
@settings(max_examples=50)
def test_any_project_is_read_from_its_csv_as_from_its_json(
    tmp_path_factory: pytest.TempPathFactory, export: Export
) -> None:
    folder = tmp_path_factory.mktemp("export")
    assert read(folder, msgspec.json.encode(export)) == export
    assert read(folder, as_csv(export)) == export


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_marks_line_ends_and_orders_make_no_difference(tmp_path: Path, mark: bytes, end: str) -> None:
    other = replace(PLAIN, id=UUID(int=8), title="a\r\nb\nc")
    export = replace(EMPTY, tasks=(PLAIN, other), people=(ANN,))
    table = records(as_csv(export))
    assert read(tmp_path, mark + written(table, end)) == export
    moved = [list(reversed(row)) for row in (table[0], table[3], table[1], table[2])]
    empty = written([[], [""] * len(COLUMNS)], end)
    assert read(tmp_path, mark + written(moved, end) + empty) == replace(export, tasks=(other, PLAIN))
    assert read(tmp_path, mark + msgspec.json.encode(export)) == export


def test_the_largest_task_comes_back(tmp_path: Path) -> None:
    """A cell of comments is larger than what `csv` takes of itself, which it is left at."""
    bound = csv.field_size_limit()
    comments = [Commented(UUID(int=n), ANN, '"' * COMMENT_MAX, AT) for n in range(60)]
    task = replace(
        PLAIN,
        description='"\n' * (DESCRIPTION_BYTES_MAX // 2),
        labels=tuple(f"{n}" for n in range(LABELS_MAX)),
        comments=tuple(comments),
    )
    export = replace(EMPTY, tasks=(task,), people=(ANN,))
    assert read(tmp_path, as_csv(export)) == export
    assert csv.field_size_limit() == bound < COMMENT_MAX * len(comments)


def test_only_the_guard_is_taken_off(tmp_path: Path) -> None:
    titles = ("'", "''", "'=1", "=1", "'a", "'a'", "- [ ] x", "'-")
    tasks = tuple(replace(PLAIN, id=UUID(int=n), title=title) for n, title in enumerate(titles))
    export = replace(EMPTY, tasks=tasks, people=(ANN,))
    assert tuple(task.title for task in read(tmp_path, as_csv(export)).tasks) == titles
    table = records(as_csv(export))
    cells = [row[COLUMNS.index("title")] for row in table[2:]]
    assert cells == ["''", "'''", "''=1", "'=1", "''a", "''a'", "'- [ ] x", "''-"]


Change = Callable[[list[list[str]]], object]


def cell(row: int, column: str, value: str) -> Change:
    def change(table: list[list[str]]) -> None:
        table[row][COLUMNS.index(column)] = value

    return change


def header_cell(column: str, value: str) -> Change:
    return cell(0, column, value)


BAD: list[tuple[Change, str]] = [
    (cell(2, "due_at", "tomorrow"), "line 3, column 'due_at': Invalid RFC3339 encoded datetime, found 'tomorrow'"),
    (cell(2, "due_at", "2026-01-01T00:00:00"), "line 3, column 'due_at': .* found '2026-01-01T00:00:00'"),
    (cell(2, "created_at", ""), "line 3, column 'created_at': .* found ''"),
    (cell(2, "title", ""), "line 3, column 'title': Expected `str` of length >= 1, found ''"),
    (cell(2, "title", "x" * 501), "line 3, column 'title': .* length <= 500, found 'x{60}…'"),
    (cell(2, "priority", "huge"), "line 3, column 'priority': Invalid enum value 'huge'"),
    (cell(2, "id", "7"), "line 3, column 'id': Invalid UUID"),
    (cell(2, "assignee_id", "Ann"), "line 3, column 'assignee_id': Invalid UUID"),
    (cell(2, "assignee_name", "Ann"), "line 3, column 'assignee_id': expected the id of 'Ann', found ''"),
    (cell(2, "labels", "a, b"), "line 3, column 'labels': JSON is malformed"),
    (cell(2, "checklist", '[{"id":"x"}]'), r"line 3, column 'checklist': Invalid UUID - at `\$\[0\].id`"),
    (cell(2, "comments", "[" * 5_000), "line 3, column 'comments': .*, found"),
    (cell(2, "kind", "tsk"), "line 3, column 'kind': expected project or task, found 'tsk'"),
    (cell(1, "project", ""), "line 2, column 'project': Expected `object`, got `array`"),
    (cell(1, "project", '{"format":"taskflow","version":2}'), "line 2, column 'project': Invalid enum value 2"),
    (cell(1, "title", " "), "line 2, column 'title'"),
    (header_cell("kind", "Kind"), "line 1: .* 'kind' is missing, found 'Kind', 'id'"),
    (lambda table: table[0].append("notes"), "line 1: .* 'notes' is none of them"),
    (lambda table: table[0].append("kind"), "line 1: .* 'kind' is there twice"),
    (lambda table: table.append(["task"]), "line 4: expected 28 cells, found 1"),
    (lambda table: table.append(table[1]), "line 4, column 'kind': expected one project, found a second one"),
    (lambda table: table.append(table[2]), "line 4, column 'id': two tasks have one id: the other is in line 3"),
    (lambda table: table.pop(1), "expected a row of the kind project, found none"),
    (cell(2, "updated_at", "2025-01-01T00:00:00Z"), "in line 3 was changed before it was created"),
    (cell(2, "parent_id", str(PLAIN.id)), "in line 3 stands below itself"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_what_is_wrong_is_told_by_line_and_column(tmp_path: Path, change: Change, reason: str) -> None:
    table = records(as_csv(replace(EMPTY, tasks=(PLAIN,), people=(ANN,))))
    change(table)
    with pytest.raises(BadFile, match=reason):
        read(tmp_path, written(table))


def test_the_first_faults_are_told_together(tmp_path: Path) -> None:
    table = records(as_csv(replace(EMPTY, tasks=(PLAIN,))))
    cell(2, "rank", "")(table)
    cell(1, "created_at", "")(table)
    with pytest.raises(BadFile) as told:
        read(tmp_path, written(table) + b'"never closed')
    assert [reason.split(":")[0] for reason in str(told.value).split(": ", 1)[1].split("\n  ")] == [
        "line 2, column 'created_at'",
        "line 3, column 'rank'",
        "line 4",
    ]
    with pytest.raises(BadFile) as told:
        read(tmp_path, written([*table, *[["x"]] * 10 * FAULTS_MAX]))
    assert str(told.value).count("line ") == FAULTS_MAX


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "line 1: .* found nothing"),
        (b"\n\n", "line 1: .* found nothing"),
        (b"title,status\nA,todo\n", "line 1: .* 'kind' is missing, found 'title', 'status'"),
        (header() + b"task,\xff\n", "line 2: expected UTF-8"),
        (header() + b'task,"a"b\n', "line 2: no CSV"),
        (header() + b'task,"\n\n', "line 2: no CSV: unexpected end of data"),
        (b'"', "line 1: no CSV"),
        (b"[1]", "as JSON"),
        (b'{"a":', "as JSON"),
        (b'{"a":' + b"[" * 5_000, "as JSON"),
    ],
)
def test_what_is_no_export_is_told(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(BadFile, match=reason):
        read(tmp_path, data)


@given(data=st.binary(max_size=300), headed=st.booleans())
def test_whatever_a_file_holds_it_is_an_export_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, *, headed: bool
) -> None:
    with pytest.raises(BadFile):
        read(tmp_path_factory.mktemp("f"), (header() if headed else b"") + data)
