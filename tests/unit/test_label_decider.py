"""A project's labels: given, when, then."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.unit.test_project_decider import fold, team

from taskflow.commands.fields import PROJECT_LABELS_MAX
from taskflow.commands.labels import SetLabel, remove_label, set_label
from taskflow.errors import NotFound, Rejected
from taskflow.streams.project import Label, LabelRemoved, LabelSet, ProjectArchived

RED, BLUE = "#ff0000", "#0000FF"


def test_a_label_is_defined_changed_and_removed() -> None:
    assert set_label(team(), "bug", RED) == [LabelSet(name="bug", colour=RED)]
    project = team(LabelSet(name="bug", colour=RED), LabelSet(name="Ärger/früh", colour=BLUE))
    assert project.labels == (Label("bug", RED), Label("Ärger/früh", BLUE))
    assert set_label(project, "bug", RED) == []
    assert set_label(project, "bug", BLUE) == [LabelSet(name="bug", colour=BLUE)]
    assert set_label(project, "Bug", RED) == [LabelSet(name="Bug", colour=RED)], "another name"
    assert remove_label(project, "bug") == [LabelRemoved(name="bug")]
    assert fold(LabelRemoved(name="bug"), state=project).labels == (Label("Ärger/früh", BLUE),)


def test_one_that_is_not_defined_is_not_found() -> None:
    with pytest.raises(NotFound, match="no label bug"):
        remove_label(team(), "bug")


def test_there_are_only_so_many() -> None:
    full = team(*[LabelSet(name=f"l{n}", colour=RED) for n in range(PROJECT_LABELS_MAX)])
    with pytest.raises(Rejected) as refusal:
        set_label(full, "one more", RED)
    assert refusal.value.code == "too-many-labels"
    assert set_label(full, "l7", BLUE) == [LabelSet(name="l7", colour=BLUE)]


def test_nothing_is_labelled_in_an_archived_project() -> None:
    project = team(LabelSet(name="bug", colour=RED), ProjectArchived())
    deciders: tuple[Callable[[], object], ...] = (
        lambda: set_label(project, "bug", RED),
        lambda: remove_label(project, "bug"),
    )
    for decide in deciders:
        with pytest.raises(Rejected) as refusal:
            decide()
        assert refusal.value.code == "project-archived"


@pytest.mark.parametrize(
    "colour", ["", "red", "#fff", "#ff000g", "ff0000#", "#ff00000", "#ff0000\n", " #ff000", None, 7]
)
def test_a_colour_is_written_in_one_way(colour: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"colour": colour}, SetLabel)
