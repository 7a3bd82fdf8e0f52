"""What an export says of a task makes the same task again; and its CSV, cell by cell."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace
from tests.projections.story import Story, fold
from tests.unit.test_batch import log_of

from taskflow.api.export_csv import COLUMNS, header, line
from taskflow.commands.project_import import ImportedLabel, ImportProjectSettings, configure
from taskflow.commands.task_import import (
    ImportedComment,
    ImportedItem,
    ImportedRelation,
    ImportedSeries,
    ImportTask,
    ImportTaskChange,
    Named,
    comment,
    create,
)
from taskflow.errors import Rejected
from taskflow.projections.declarations.tasks import TASKS
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import DEFAULT_WORKFLOW, LabelSet, ProjectCreated, ProjectState
from taskflow.streams.task import ChecklistItem, Relation, TaskState
from taskflow.text.csv_escaping import escape_cell, unescape_cell

ANN, BOB, ID = UUID(int=1), UUID(int=2), UUID(int=9)
AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = AT + timedelta(days=400)
PROJECT_HERE: ProjectState = PROJECT.evolve(
    None, ProjectCreated("P", ANN, DEFAULT_WORKFLOW), EventMetadata(UUID(int=3), 1, AT)
)


KEPT = (
    *("title", "external_id", "description", "status", "priority", "due_at", "due_on", "time_zone", "recurrence"),
    *("labels", "assignee_id", "rank", "started_at", "completed_at"),
)


def exported(task: TaskState) -> ImportTask:
    series = task.series
    return ImportTask(
        source="s",
        key=str(task.id),
        at=task.created_at,
        updated_at=task.updated_at,
        category=task.category,
        series=None if series is None else ImportedSeries(series.start, series.slot, series.days),
        checklist=tuple(ImportedItem(str(item.id), item.text, item.done) for item in task.checklist),
        relations=tuple(ImportedRelation(one.type, str(one.task_id)) for one in task.relations),
        **{name: getattr(task, name) for name in KEPT},
    )


def restored(task: TaskState) -> TaskState:
    sent = exported(task)
    named = Named(
        assignee_id=task.assignee_id,
        parent_id=task.parent_id,
        items=tuple(item.id for item in task.checklist),
        relations=task.relations,
    )
    state: Any = None
    at, version = AT, 0
    for then, event in create(PROJECT_HERE, ID, sent, named, NOW, "UTC"):
        at, version = max(at, then), version + 1
        state = TASK.evolve(state, event, EventMetadata(ID, version, at, task.created_by))
    for one in task.comments:
        said = ImportTaskChange(
            source="s",
            key=sent.key,
            at=one.created_at,
            comment=ImportedComment(key=str(one.id), body=one.body, edited_at=one.edited_at),
        )
        for event in comment(state, PROJECT_HERE, said, one.id, one.author_id):
            version += 1
            state = TASK.evolve(state, event, EventMetadata(ID, version, at, one.author_id))
    assert isinstance(state, TaskState)
    return state


@hypothesis_settings(max_examples=25)  # each is the tasks of a whole story
@given(st.integers(0, 2**32))
def test_any_task_comes_back_as_it_was(seed: int) -> None:
    dice = random.Random(seed)
    for _, _, task in fold(TASKS, log_of(Story(seed).tell(120))).states.values():
        one = replace(
            task,
            trashed_at=None,
            created_by=ANN,
            comments=tuple(replace(said, id=UUID(int=100 + n)) for n, said in enumerate(task.comments)),
            checklist=tuple(
                ChecklistItem(UUID(int=n), f"item {n}", f"{n}", dice.random() < 0.5) for n in range(dice.randint(0, 40))
            ),
            relations=tuple(Relation("blocks", UUID(int=20 + n)) for n in range(dice.randint(0, 3))),
        )
        again = restored(one)
        for name in (*KEPT, "created_at", "created_by", "parent_id", "series", "relations", "comments"):
            if name != "time_zone":
                assert getattr(again, name) == getattr(one, name), name
        # A due or a rule of before there were zones was meant in UTC.
        scheduled = any(part is not None for part in (one.due_at, one.due_on, one.recurrence))
        assert again.time_zone == (one.time_zone or ("UTC" if scheduled else None))
        assert [(i.id, i.text, i.done) for i in again.checklist] == [(i.id, i.text, i.done) for i in one.checklist]
        assert one.created_at <= again.updated_at <= one.updated_at


def test_what_lies_ahead_is_refused() -> None:
    task = exported(next(iter(fold(TASKS, log_of(Story(1).tell(60))).states.values()))[2])
    with pytest.raises(Rejected, match="has not come yet"):
        create(PROJECT_HERE, ID, task, Named(), AT - timedelta(days=1), "UTC")
    with pytest.raises(Rejected, match="archived"):
        create(replace(PROJECT_HERE, archived_at=AT), ID, task, Named(), NOW, "UTC")


def test_labels_come_once_and_members_not_at_all() -> None:
    command = ImportProjectSettings(source="s", labels=(ImportedLabel("a", "#000000"),))
    events: list[Event] = [LabelSet("a", "#000000")]
    assert configure(PROJECT_HERE, command) == events
    there = PROJECT_HERE
    for number, event in enumerate(events, 2):
        there = PROJECT.evolve(there, event, EventMetadata(there.id, number, AT))
    assert configure(there, command) == []


class TestCells:
    @given(st.text())
    def test_none_is_computed_and_each_comes_back(self, text: str) -> None:
        cell = escape_cell(text)
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert unescape_cell(cell) == text

    def test_a_row_has_a_cell_for_each_column(self) -> None:
        task: dict[str, Any] = {
            **dict.fromkeys(COLUMNS),
            "title": '=cmd|"x"!A1, "quoted"\r\nand more',
            "labels": ["a", "b"],
            "checklist": [],
            "relations": [],
            "comments": [{"body": "-1"}],
            "assignee": {"id": "1", "name": "@ann"},
        }
        text = (header() + line(Raw(msgspec.json.encode(task)), "+bob")).decode()
        assert text.count("\r\n") == 3
        names, cells = csv.reader(io.StringIO(text, newline=""), strict=True)
        row = dict(zip(names, cells, strict=True))
        assert tuple(names) == COLUMNS
        assert row["title"] == "'" + task["title"]
        assert (row["assignee_id"], row["assignee_name"]) == ("1", "'@ann")
        assert (row["kind"], row["created_by_name"], row["project"]) == ("task", "'+bob", "")
        assert (row["labels"], row["comments"], row["due_at"]) == ('["a","b"]', '[{"body":"-1"}]', "")
