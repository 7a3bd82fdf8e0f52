"""The fields of a task's document have one name each, for what writes them and for what asks for them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.projections.story import Story, fold
from tests.unit.test_batch import log_of

import taskflow
from taskflow.projections.declarations import task_fields
from taskflow.projections.declarations.tasks import SORTED_BY, TASKS
from taskflow.projections.projection import Document
from taskflow.query.task_query import SORTS

PACKAGE = Path(taskflow.__file__).parent
NAMES = {value for name, value in vars(task_fields).items() if name.isupper()}
ASKS = ("change_feed.py", "pages.py", "project_export.py", "queries.py")
"""`stats.py` answers in groups that are called likewise."""


def a_document() -> Document:
    story = Story(7)
    _, _, task = next(iter(fold(TASKS, log_of(story.tell(50))).states.values()))
    return TASKS.document(task)


def test_a_document_has_these_fields() -> None:
    assert set(a_document()) == NAMES


def test_lists_are_sorted_by_the_names_that_clients_use() -> None:
    assert SORTED_BY == SORTS


@pytest.mark.parametrize("path", [PACKAGE / "readmodels" / name for name in ASKS], ids=lambda path: path.name)
def test_nobody_spells_them_again(path: Path) -> None:
    literals = {
        node.value.removeprefix("$")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert literals & NAMES == set()
