"""Names that look alike are alike, wherever they come from."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.api.bodies import decode
from taskflow.commands.project import CreateProject
from taskflow.commands.task import CreateTask, EditTask, label_changes
from taskflow.commands.workflow import SetWorkflow
from taskflow.errors import Malformed
from taskflow.streams.task import TaskLabelled
from taskflow.text.names import normal_name, normal_names

CAFE, CAFE_APART = "caf\u00e9", "cafe\u0301"
BLANKS = st.text(st.sampled_from(" \t\n\u00a0\u2003\u3000\u200b\ufeff"), max_size=3)


@given(BLANKS, st.text(max_size=20), BLANKS)
def test_neither_the_form_nor_blanks_around_it_make_another_name(before: str, text: str, after: str) -> None:
    name = normal_name(text)
    assert normal_name(name) == name
    assert normal_name(f"{before}{text}{after}") == name
    assert normal_name(normalize("NFD", text)) == name
    assert normal_name(name.upper()) == name or name.upper() != name  # case stays


def test_a_body_is_read_with_names_in_their_form() -> None:
    task = decode({"title": f" {CAFE_APART} ", "labels": [CAFE_APART, f" {CAFE}\u00a0", "Cafe"]}, CreateTask)
    assert task.title == f" {CAFE_APART} "
    assert normal_names(task.labels) == (CAFE, "Cafe")
    assert decode({"status": f" {CAFE_APART}"}, EditTask).status == CAFE
    assert decode({"name": f"\t{CAFE_APART}\n"}, CreateProject).name == CAFE
    status = {"key": CAFE_APART, "name": " x ", "category": "todo"}
    workflow = decode(
        {
            "statuses": [status],
            "transitions": [{"from": CAFE_APART, "to": f"{CAFE} "}],
            "mapping": {f" {CAFE_APART}": CAFE_APART},
        },
        SetWorkflow,
    )
    assert (workflow.statuses[0].key, workflow.statuses[0].name) == (CAFE, "x")
    assert workflow.transitions is not None
    assert (workflow.transitions[0].from_, workflow.transitions[0].to) == (CAFE, CAFE)
    assert workflow.mapping == {CAFE: CAFE}


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0\u3000", "\u200b", "\ufeff "])
def test_of_which_nothing_is_left_is_refused(blank: str) -> None:
    for plain in ({"title": "x", "labels": [blank]}, {"title": "x", "status": blank}):
        with pytest.raises(Malformed):
            decode(plain, CreateTask)
    with pytest.raises(Malformed):
        decode({"name": blank}, CreateProject)


def test_lengths_are_those_of_what_is_stored() -> None:
    assert decode({"title": "x", "labels": ["e\u0301" * 100 + " "]}, CreateTask).labels == ("\u00e9" * 100,)
    with pytest.raises(Malformed):
        decode({"title": "x", "labels": ["\u00e9" * 101]}, CreateTask)


def test_labels_that_were_stored_in_another_form_are_found_and_go() -> None:
    stored = (CAFE_APART, " x ")
    assert label_changes(stored, (CAFE, "x")) == []
    assert label_changes(stored, ("x", "y")) == [TaskLabelled(added=("y",), removed=(CAFE_APART,))]
    assert label_changes(stored, ()) == [TaskLabelled(removed=stored)]
