"""Saved views, decided: what is saved can be asked of the list of tasks, and only differences are events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.commands.saved_view import CreateView, EditView, SavedQuery, create, delete, edit, read
from taskflow.errors import Invalid, Malformed, Rejected
from taskflow.query.query_params import Parameters
from taskflow.query.task_query import FILTERS, ORDERS, parse_task_query
from taskflow.streams import EventMetadata
from taskflow.streams.project import DEFAULT_WORKFLOW, ProjectCreated
from taskflow.streams.project import evolve as evolve_project
from taskflow.streams.saved_view import SavedViewState, ViewDeleted, ViewQueryChanged, ViewRenamed, ViewSaved, evolve

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANN, ID = UUID(int=1), UUID(int=2)
PROJECT = evolve_project(None, ProjectCreated("P", ANN, DEFAULT_WORKFLOW), EventMetadata(UUID(int=3), 1, AT))
ARCHIVED = replace(PROJECT, archived_at=AT)
VIEW = evolve(None, ViewSaved("Mine", {"status": ("todo",), "sort": "-due_at"}, ANN), EventMetadata(ID, 1, AT))


def query(**fields: Any) -> SavedQuery:
    return msgspec.convert(fields, SavedQuery)


def test_the_fields_of_a_query_are_the_filters_of_the_list() -> None:
    assert SavedQuery.__struct_fields__ == FILTERS


class TestNoView:
    def test_is_saved_as_it_was_given(self) -> None:
        command = CreateView(name="Mine", query=query(status=["todo", "done"], q="rep", trashed=True, label=None))
        kept: dict[str, str | bool | tuple[str, ...]] = {"status": ("todo", "done"), "q": "rep", "trashed": True}
        assert create(ANN, None, command, 99) == [ViewSaved("Mine", kept, ANN)]
        assert create(ANN, PROJECT, command, 99) == [ViewSaved("Mine", kept, ANN, PROJECT.id)]

    def test_is_not_saved_in_an_archived_project(self) -> None:
        with pytest.raises(Rejected) as refused:
            create(ANN, ARCHIVED, CreateView(name="Mine", query=query()), 0)
        assert refused.value.code == "project-archived"

    @pytest.mark.parametrize(
        ("fields", "pointer", "code"),
        [
            ({"q": "a b c d e f g h i j k"}, "/query/q", "query"),
            ({"q": ["a", "b"]}, "/query/q", "repeated"),
            ({"sort": "colour"}, "/query/sort", "choice"),
            ({"sort": ["rank", "rank"]}, "/query/sort", "repeated"),
            ({"project": "mine"}, "/query/project", "format"),
            ({"assignee": ["me", "you"]}, "/query/assignee", "format"),
            ({"priority": ["low", "asap"]}, "/query/priority", "choice"),
            ({"category": "later"}, "/query/category", "choice"),
            ({"due_before": "tomorrow"}, "/query/due_before", "format"),
            ({"trashed": "maybe"}, "/query/trashed", "choice"),
            ({"archived": "maybe"}, "/query/archived", "choice"),
            ({"status": ["s"] * 150, "label": ["l"] * 51}, "/query", "query"),
        ],
    )
    def test_is_not_saved_where_the_list_would_refuse_it(self, fields: Any, pointer: str, code: str) -> None:
        with pytest.raises(Invalid) as refused:
            create(ANN, None, CreateView(name="Mine", query=query(**fields)), 0)
        assert (refused.value.pointer, refused.value.code) == (pointer, code)


class TestASavedView:
    def test_changes_by_what_differs(self) -> None:
        assert edit(VIEW, None, EditView()) == []
        assert edit(VIEW, None, EditView(name="Mine", query=query(status=["todo"]))) == []
        assert edit(VIEW, None, EditView(name="Ours")) == [ViewRenamed("Ours")]

    def test_merges_its_query(self) -> None:
        changed = edit(VIEW, None, EditView(query=query(status=None, label="a")))
        assert changed == [ViewQueryChanged({"sort": "-due_at", "label": "a"})]

    def test_keeps_a_query_that_can_be_asked(self) -> None:
        with pytest.raises(Invalid):
            edit(VIEW, None, EditView(query=query(q="a b c d e f g h i j k")))

    def test_rests_with_its_archived_project(self) -> None:
        changes: tuple[Callable[[], object], ...] = (
            lambda: edit(VIEW, ARCHIVED, EditView(name="x")),
            lambda: delete(ARCHIVED),
        )
        for refused in changes:
            with pytest.raises(Rejected, match="archived"):
                refused()

    def test_is_deleted(self) -> None:
        assert delete(None) == [ViewDeleted()]
        gone = evolve(VIEW, ViewDeleted(), EventMetadata(ID, 2, AT))
        assert (gone.deleted_at, gone.version, gone.name) == (AT, 2, "Mine")

    def test_is_the_same_after_it_was_stored(self) -> None:
        state = evolve(VIEW, ViewQueryChanged({"trashed": True, "q": "x", "label": ("a",)}), EventMetadata(ID, 2, AT))
        assert msgspec.json.decode(msgspec.json.encode(state), type=SavedViewState) == state


values = st.text(max_size=20) | st.sampled_from(
    ["me", "none", "todo", "low", "true", "rank", str(ANN), "2026-01-01T00:00:00Z"]
)
queries = st.dictionaries(
    st.sampled_from(FILTERS), values | st.lists(values, min_size=1, max_size=3) | st.sampled_from(ORDERS)
)


@given(queries)
def test_whatever_is_saved_can_be_asked_and_nothing_else_is(given_query: dict[str, Any]) -> None:
    parameters = Parameters.given({n: [v] if isinstance(v, str) else v for n, v in given_query.items()})
    asked = parse_task_query(parameters)
    try:
        parameters.done()
    except Malformed:
        with pytest.raises(Invalid):
            read({}, query(**given_query))
        return
    kept = read({}, query(**given_query))
    again = Parameters.given({n: [v] if isinstance(v, str) else v for n, v in kept.items()})  # type: ignore[misc]  # no value here is a bool
    assert parse_task_query(again) == asked
