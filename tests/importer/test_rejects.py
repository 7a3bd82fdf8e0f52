"""Bad rows: each refused with its line and its reason, while the rest goes on."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

from taskflow.importer.report import Report
from taskflow.store.eventstore import EventStore
from tests.importer.world import (
    INCIDENTS,
    MAPPING,
    Person,
    head,
    history_of,
    imported_people,
    rows_of,
    run,
    stored,
    streams,
    write,
)

ROWS = rows_of(INCIDENTS)
HEADER = ROWS[0]


def row(number: str = "1-1", at: str = "2012-05-01T10:00:00+01:00", **changes: str) -> list[str]:
    fields = {
        "SR Number": number,
        "Change Date+Time": at,
        "Status": "Accepted",
        "Sub Status": "In Progress",
        "Involved ST Function Div": "A2_4",
        "Involved Org line 3": "Org line A2",
        "Involved ST": "V30",
        "SR Latest Impact": "Medium",
        "Product": "PROD1",
        "Country": "fr",
        "Owner Country": "France",
        "Owner First Name": "Anne",
    }
    return list((fields | {name.replace("_", " "): value for name, value in changes.items()}).values())


def rejected(report: Report) -> list[tuple[int, str, list[str]]]:
    """(line, reason, fields), by line."""
    before = csv.field_size_limit(10**9)  # what was refused as too large is kept whole
    with report.rejects.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        records = list(csv.reader(file))
    csv.field_size_limit(before)
    assert records[0] == ["line", "reason", *HEADER]
    return sorted((int(line), reason, fields) for line, reason, *fields in records[1:])


async def test_each_bad_row_has_its_line_and_reason_and_the_rest_goes_on(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    good = [
        row(),
        row(at="2012-05-02T10:00:00+01:00", Owner_First_Name="Zoë 🦊"),
        row(at="2012-05-03T10:00:00+01:00", Involved_ST="V31"),
    ]
    bad: list[tuple[list[str], str]] = [
        (row()[:-1], "expected 12 fields, found 11"),
        ([*row(), "more"], "expected 12 fields, found 13"),
        (row(at="yesterday"), "expected a time as ISO 8601, found 'yesterday'"),
        (row(at="2012-05-04T10:00:00"), "expected a time with an offset, found '2012-05-04T10:00:00'"),
        (row(at="1969-12-31T10:00:00Z"), "expected a time since 1970"),
        (row(at="0001-01-01T00:00:00+01:00"), "expected a time as ISO 8601"),
        (row(at=tomorrow), "has not come yet"),
        (
            row(at="2012-05-01T09:59:59+01:00"),
            "the time is before the last change: expected 2012-05-03T09:00:00+00:00 or later",
        ),
        (row(Status="Lost"), "the mapping has no status for 'Lost/In Progress'"),
        (row(SR_Latest_Impact="Cosmic"), "the mapping has no priority for 'Cosmic'"),
        (row(number="  "), "column 'SR Number' is empty"),
        (row(number="9" * 201), "the external id is too long: expected at most 200 characters, found 201"),
        (row(Product="P" * 100), "a label is too long: expected at most 100 characters, found 108"),
        (row(Owner_First_Name="N" * 200), "the person's name is too long"),
        (row(Country="C" * 200_000), "no CSV: field larger than field limit (131072)"),
        (row(Country="C" * 2_001), "column 'Country' is too long"),
        (row(Product="a\0b"), "found a NUL character"),
    ]
    rows = [HEADER, *good, *[fields for fields, _ in bad], row("1-2")]
    report = await run(ada, write(tmp_path / "bad.csv", rows), tmp_path)
    found = rejected(report)
    assert [line for line, _, _ in found] == list(range(5, 5 + len(bad)))
    for (line, reason, fields), (sent, expected) in zip(found, bad, strict=True):
        assert expected in reason, line
        assert fields == sent or "no CSV" in reason
    assert await stored(store) == history_of([HEADER, *good, row("1-2")])
    assert "Zoë 🦊 (France)" in await imported_people(store)
    assert (report.counts.rejected, report.counts.applied) == (len(bad), 4)


async def test_what_is_no_utf8_and_what_is_no_csv_costs_its_own_row(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    lines = [
        ",".join(HEADER).encode(),
        ",".join(row("1-1")).encode(),
        ",".join(row("1-2", Owner_First_Name="Zoë")).encode("latin-1"),
        b"",
        b'"1-3"x,' + ",".join(row()[1:]).encode(),
        ",".join(row("1-4")).encode(),
        b'"1-5,' + ",".join(row()[1:]).encode(),
    ]
    (tmp_path / "bad.csv").write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    report = await run(ada, tmp_path / "bad.csv", tmp_path)
    reasons = [(line, reason.partition(":")[0]) for line, reason, _ in rejected(report)]
    assert reasons == [(3, "expected UTF-8, found other bytes"), (5, "no CSV"), (7, "no CSV")]
    assert lines[2] in report.rejects.read_bytes()
    assert set(await stored(store)) == {"1-1", "1-4"}


async def test_a_ticket_whose_first_row_is_bad_begins_with_its_next(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    later = row(at="2012-05-02T10:00:00+01:00")
    await run(ada, write(tmp_path / "a.csv", [HEADER, row(Status="Lost"), later]), tmp_path)
    mended = [HEADER, row(), later]
    report = await run(ada, write(tmp_path / "a.csv", mended), tmp_path)
    assert (report.counts.already_there, report.counts.rejected) == (1, 1)
    assert len(await streams(store, "task")) == 1
    assert await stored(store) == history_of([HEADER, later])


async def test_mended_rejects_are_imported_as_they_are(ada: Person, store: EventStore, tmp_path: Path) -> None:
    rows = [HEADER, row("1-1"), row("1-2", Status="Lost"), row("1-1", at="2012-05-02T10:00:00+01:00", Product="P2")]
    report = await run(ada, write(tmp_path / "a.csv", rows), tmp_path)
    mended = report.rejects.read_text().replace("Lost", "Accepted")
    (tmp_path / "mended.csv").write_text(mended)
    again = await run(ada, tmp_path / "mended.csv", tmp_path, rejects=tmp_path / "none")
    assert (again.counts.applied, again.counts.rejected) == (1, 0)
    rows[2] = row("1-2")
    assert await stored(store) == history_of(rows)
    whole = await run(ada, write(tmp_path / "b.csv", rows), tmp_path)
    assert whole.counts.already_there == 3


async def test_a_file_of_bad_rows_makes_no_project(ada: Person, store: EventStore, tmp_path: Path) -> None:
    report = await run(ada, write(tmp_path / "bad.csv", [HEADER, ["nothing"]]), tmp_path)
    assert (report.counts.rejected, report.project_id) == (1, None)
    projects = await streams(store, "project")
    assert len(projects) == 1, "the owner's Inbox alone"


async def test_rejected_rows_leave_no_receipt_and_a_good_file_no_rejects(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    rows = [HEADER, row("1-1"), row("1-1", at="2012-04-01T10:00:00+01:00")]
    report = await run(ada, write(tmp_path / "a.csv", rows), tmp_path)
    before = await head(store)
    again = await run(ada, tmp_path / "a.csv", tmp_path)
    assert (again.counts.already_there, again.counts.rejected) == (1, 1)
    await run(ada, write(tmp_path / "a.csv", rows[:2]), tmp_path)
    assert not report.rejects.exists()
    assert await head(store) == before


async def test_whom_a_row_from_the_future_names_is_met_today(ada: Person, store: EventStore, tmp_path: Path) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    await run(ada, write(tmp_path / "a.csv", [HEADER, row(at=ahead, Owner_First_Name="Bob")]), tmp_path)
    assert await imported_people(store) == ["Bob (France)"]
    assert await store.pool.fetchval("select bool_and(occurred_at <= recorded_at) from events")


async def test_a_trashed_task_takes_no_rows(ada: Person, store: EventStore, tmp_path: Path) -> None:
    await run(ada, write(tmp_path / "a.csv", [HEADER, row()]), tmp_path)
    (task,) = await streams(store, "task")
    await ada.client.tasks.trash(task)
    later = [HEADER, row(), row(at="2012-06-01T10:00:00+01:00", Product="P2")]
    again = await run(ada, write(tmp_path / "a.csv", later), tmp_path)
    ((line, reason, _),) = rejected(again)
    assert (line, reason) == (3, "the task of 1-1 is in the trash; restore it first")


async def test_other_names_for_statuses_and_times_without_an_offset(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    text = MAPPING.read_text().replace(
        '{ key = "Queued/Awaiting Assignment", category = "todo" }',
        '{ key = "queued", name = "Queued", category = "todo", match = ["Queued/Awaiting Assignment", "New/"] }',
    )
    text = text.replace(
        'column = "Change Date+Time"',
        'column = "Change Date+Time"\nformat = "%d.%m.%Y %H:%M"\nzone = "Europe/Stockholm"',
    )
    (tmp_path / "m.toml").write_text("delimiter = ';'\n" + text)
    lines = [HEADER, row(at="01.07.2012 12:30", Status="New", Sub_Status="")]
    (tmp_path / "a.csv").write_text("\n".join(";".join(line) for line in lines))
    await run(ada, tmp_path / "a.csv", tmp_path, mapping=tmp_path / "m.toml")
    ((step,),) = (await stored(store)).values()
    assert (step.status, step.at) == ("queued", datetime(2012, 7, 1, 10, 30, tzinfo=UTC))
