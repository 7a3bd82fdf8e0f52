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
from taskflow.commands.brought import BroughtItem, BroughtTask, create
from taskflow.commands.exported import FurnishProject, furnish
from taskflow.csv_escaping import escape_cell, unescape_cell
from taskflow.errors import Rejected
from taskflow.projections.declarations.tasks import TASKS
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import DEFAULT_WORKFLOW, Label, LabelSet, ProjectCreated, ProjectState
from taskflow.streams.task import ChecklistItem, Relation, TaskState

ANN, BOB, ID = UUID(int=1), UUID(int=2), UUID(int=9)
AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = AT + timedelta(days=400)
PROJECT_HERE: ProjectState = PROJECT.evolve(
    None, ProjectCreated("P", ANN, DEFAULT_WORKFLOW), EventMetadata(UUID(int=3), 1, AT)
)


def exported(task: TaskState) -> BroughtTask:
    return BroughtTask(
        project_id=PROJECT_HERE.id,
        category=task.category,
        checklist=tuple(BroughtItem(item.id, item.text, item.done) for item in task.checklist),
        **{
            name: getattr(task, name)
            for name in BroughtTask.__struct_fields__
            if name not in {"project_id", "category", "checklist", "source"}
        },
    )


def restored(task: BroughtTask) -> TaskState:
    state: Any = None
    at = AT
    for number, (then, event) in enumerate(create(PROJECT_HERE, ID, task, NOW), 1):
        at = max(at, then)
        state = TASK.evolve(state, event, EventMetadata(ID, number, at, task.created_by))
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
            checklist=tuple(
                ChecklistItem(UUID(int=n), f"item {n}", f"{n}", dice.random() < 0.5) for n in range(dice.randint(0, 40))
            ),
            relations=tuple(Relation("blocks", UUID(int=20 + n)) for n in range(dice.randint(0, 3))),
        )
        again = restored(exported(one))
        for name in BroughtTask.__struct_fields__:
            if name not in {"project_id", "updated_at", "checklist", "source"}:
                assert getattr(again, name) == getattr(one, name), name
        assert [(i.id, i.text, i.done) for i in again.checklist] == [(i.id, i.text, i.done) for i in one.checklist]
        assert one.created_at <= again.updated_at <= one.updated_at


def test_what_lies_ahead_is_refused() -> None:
    task = exported(next(iter(fold(TASKS, log_of(Story(1).tell(60))).states.values()))[2])
    with pytest.raises(Rejected, match="has not come yet"):
        create(PROJECT_HERE, ID, task, AT - timedelta(days=1))
    with pytest.raises(Rejected, match="archived"):
        create(replace(PROJECT_HERE, archived_at=AT), ID, task, NOW)


def test_labels_come_once_and_members_not_at_all() -> None:
    command = FurnishProject(labels=(Label("a", "#000000"),))
    events: list[Event] = [LabelSet("a", "#000000")]
    assert furnish(PROJECT_HERE, command) == events
    there = PROJECT_HERE
    for number, event in enumerate(events, 2):
        there = PROJECT.evolve(there, event, EventMetadata(there.id, number, AT))
    assert furnish(there, command) == []


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
