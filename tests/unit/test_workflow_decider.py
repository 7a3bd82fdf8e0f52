"""Setting a workflow, and what a task's status stands for afterwards: given, when, then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_project_decider import fold, team

from taskflow.commands.fields import STATUSES_LEFT_MAX, STATUSES_MAX, TRANSITIONS_MAX
from taskflow.commands.workflow import SetWorkflow, in_question, set_workflow
from taskflow.errors import Invalid, Rejected
from taskflow.streams.project import (
    CATEGORIES,
    DEFAULT_WORKFLOW,
    ProjectArchived,
    ProjectState,
    ProjectWorkflowSet,
    Status,
    Transition,
    Workflow,
)

DEFAULT = [{"key": one.key, "name": one.name, "category": one.category} for one in DEFAULT_WORKFLOW.statuses]


def command(*statuses: str | dict[str, Any], **more: Any) -> SetWorkflow:
    """Statuses as `key:category`."""
    named = [
        one if isinstance(one, dict) else {"key": one.split(":")[0], "name": "N", "category": one.split(":")[1]}
        for one in statuses
    ]
    return msgspec.convert({"statuses": named} | more, SetWorkflow)


def after(project: ProjectState, asked: SetWorkflow, **tasks: int) -> ProjectState:
    return fold(*set_workflow(project, asked, tasks), state=project)


def test_a_workflow_is_replaced_by_one_event() -> None:
    asked = command("a:todo", "b:done", transitions=[{"from": "a", "to": "b"}], mapping={"done": "b"})
    (event,) = set_workflow(team(), asked, {"done": 9})
    assert event == ProjectWorkflowSet(
        workflow=Workflow((Status("a", "N", "todo"), Status("b", "N", "done")), (Transition("a", "b"),)),
        mapped={"todo": "a", "in_progress": "a", "done": "b", "cancelled": "a"},
    )


def test_the_same_workflow_is_no_event_and_nothing_is_asked() -> None:
    for mapping in ({}, {"gone": "todo"}):
        same = command(*DEFAULT, mapping=mapping)
        assert in_question(team(), same) == frozenset()
        assert set_workflow(team(), same, {}) == []


def test_other_names_categories_transitions_or_another_order_are_a_change_in_which_nothing_leaves() -> None:
    for asked in (
        command(DEFAULT[0] | {"name": "Renamed"}, *DEFAULT[1:]),
        command(DEFAULT[0] | {"category": "waiting"}, *DEFAULT[1:]),
        command(*DEFAULT[::-1]),
        command(*DEFAULT, transitions=[]),
        command(*DEFAULT, "review:waiting"),
    ):
        assert in_question(team(), asked) == frozenset()
        (event,) = set_workflow(team(), asked, {})
        assert isinstance(event, ProjectWorkflowSet)
        assert event.mapped == {}


@pytest.mark.parametrize(
    ("asked", "pointer", "code"),
    [
        (command("a:todo", "b:todo", "a:done"), "/statuses/2/key", "repeated"),
        (command("a:todo", transitions=[{"from": "a", "to": "b"}]), "/transitions/0/to", "no-such-status"),
        (command("a:todo", transitions=[{"from": "todo", "to": "a"}]), "/transitions/0/from", "no-such-status"),
        (command("a:todo", mapping={"todo": "b"}), "/mapping/todo", "no-such-status"),
        (command("a:todo", mapping={"done": "cancelled"}), "/mapping/done", "no-such-status"),
        (command("a:todo", mapping={"never": "a"}), "/mapping/never", "stays"),
        (command("a:todo", mapping={"a/b~c": "a"}), "/mapping/a~1b~0c", "stays"),
        (command("todo:todo", "a:todo", mapping={"todo": "a"}), "/mapping/todo", "stays"),
    ],
)
def test_what_is_no_workflow_says_where(asked: SetWorkflow, pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        set_workflow(team(), asked, {})
    assert (refusal.value.pointer, refusal.value.code) == (pointer, code)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"statuses": []},
        {"statuses": [{"key": f"s{n}", "name": "N", "category": "todo"} for n in range(STATUSES_MAX + 1)]},
        {"statuses": [{"key": "", "name": "N", "category": "todo"}]},
        {"statuses": [{"key": "  ", "name": "N", "category": "todo"}]},
        {"statuses": [{"key": "k" * 101, "name": "N", "category": "todo"}]},
        {"statuses": [{"key": "k", "name": "", "category": "todo"}]},
        {"statuses": [{"key": "k", "name": "n" * 201, "category": "todo"}]},
        {"statuses": [{"key": "k", "name": "N", "category": "doing"}]},
        {"statuses": [{"key": "k", "name": "N"}]},
        {"statuses": [{"key": "k", "name": "N", "category": "todo", "colour": "red"}]},
        {"statuses": DEFAULT, "transitions": [{"from_": "todo", "to": "done"}]},
        {"statuses": DEFAULT, "transitions": [{"from": "todo", "to": "done"}] * (TRANSITIONS_MAX + 1)},
        {"statuses": DEFAULT, "mapping": {f"s{n}": "todo" for n in range(STATUSES_MAX + 1)}},
        {"statuses": DEFAULT, "mapping": None},
    ],
)
def test_limits_of_the_body(body: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, SetWorkflow)


def test_as_many_as_there_may_be() -> None:
    statuses = [{"key": "k" * 98 + f"{n:02}", "name": "n" * 200, "category": "todo"} for n in range(STATUSES_MAX)]
    keys = [one["key"] for one in statuses]
    transitions = [{"from": a, "to": b} for a in keys for b in keys]
    project = after(team(), command(*statuses, transitions=transitions))
    assert len(project.workflow.statuses) == STATUSES_MAX
    assert len(project.workflow.transitions or ()) == TRANSITIONS_MAX


def test_a_transition_that_is_named_twice_is_one() -> None:
    asked = command(*DEFAULT, transitions=[{"from": "todo", "to": "done"}] * 3)
    assert after(team(), asked).workflow.transitions == (Transition("todo", "done"),)


class TestStatusesThatLeave:
    def test_in_use_and_unnamed_are_refused_with_how_many(self) -> None:
        asked = command(*DEFAULT[:2])
        assert in_question(team(), asked) == {"done", "cancelled"}
        with pytest.raises(Rejected, match=r"^3 tasks are in the status 'done'") as refusal:
            set_workflow(team(), asked, {"done": 3})
        assert refusal.value.code == "status-in-use"
        with pytest.raises(Rejected, match=r"^1 task is in the status 'cancelled'"):
            set_workflow(team(), asked, {"cancelled": 1})

    def test_named_ones_are_not_asked_about(self) -> None:
        asked = command(*DEFAULT[:2], mapping={"done": "todo", "cancelled": "todo"})
        assert in_question(team(), asked) == frozenset()

    def test_unused_ones_lead_to_the_first_of_their_kind_else_to_where_new_tasks_are(self) -> None:
        project = after(team(), command("x:waiting", "a:todo", "b:todo", "c:done"))
        assert project.mapped == {"todo": "a", "in_progress": "a", "done": "c", "cancelled": "a"}
        assert after(team(), command("x:waiting")).mapped == dict.fromkeys(
            ("todo", "in_progress", "done", "cancelled"), "x"
        )

    def test_older_mappings_follow_and_their_tasks_count(self) -> None:
        once = after(team(), command("a:todo", "b:done", mapping={"todo": "a", "done": "b"}))
        asked = command("c:todo")
        assert in_question(once, asked) == {"a", "b", "todo", "in_progress", "done", "cancelled"}
        with pytest.raises(Rejected, match=r"^5 tasks are in the status 'a'"):
            set_workflow(once, asked, {"a": 2, "todo": 3})
        twice = after(once, command("c:todo", mapping={"a": "c", "b": "c"}), a=2, todo=3)
        assert twice.mapped == dict.fromkeys(("todo", "in_progress", "done", "cancelled", "a", "b"), "c")
        assert twice.statuses.aliases_of("c") == ("c", "a", "b", "cancelled", "done", "in_progress", "todo")

    def test_only_so_many_may_ever_leave(self) -> None:
        project = team()
        left = {f"l{n}": "todo" for n in range(STATUSES_LEFT_MAX - 1)}
        project = fold(ProjectWorkflowSet(workflow=project.workflow, mapped=left), state=project)
        full = after(project, command(*DEFAULT[:3]))
        assert len(full.mapped) == STATUSES_LEFT_MAX
        with pytest.raises(Rejected) as refusal:
            set_workflow(full, command(*DEFAULT[:2]), {})
        assert refusal.value.code == "too-many-statuses-left"
        assert len(after(full, command(*DEFAULT[:2], DEFAULT[3])).mapped) == STATUSES_LEFT_MAX, "one is back"


class TestStatusesThatComeBack:
    def test_with_tasks_that_were_mapped_away_they_are_refused(self) -> None:
        project = after(team(), command(*DEFAULT[:2], mapping={"done": "todo", "cancelled": "todo"}))
        back = command(*DEFAULT)
        assert in_question(project, back) == {"done", "cancelled"}
        with pytest.raises(Rejected, match="which 'todo' has replaced") as refusal:
            set_workflow(project, back, {"done": 1})
        assert refusal.value.code == "status-mapped"

    def test_without_tasks_they_stand_for_themselves_again(self) -> None:
        project = after(team(), command(*DEFAULT[:2]))
        again = after(project, command(*DEFAULT))
        assert again.mapped == {}
        assert again.statuses.resolve("done") == DEFAULT_WORKFLOW.status("done")


def test_nothing_is_set_in_an_archived_project() -> None:
    with pytest.raises(Rejected, match="archived") as refusal:
        set_workflow(team(ProjectArchived()), command("a:todo"), {})
    assert refusal.value.code == "project-archived"


workflows = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(CATEGORIES)),
    min_size=1,
    max_size=5,
    unique_by=lambda one: one[0],
)


@given(st.lists(workflows, max_size=8), st.data())
def test_whatever_a_task_entered_it_is_in_a_status_that_there_is(wanted: list[Any], data: st.DataObject) -> None:
    """And stays in it for as long as nothing takes that one's place."""
    project = team()
    entered = {status.key for status in project.workflow.statuses}
    for statuses in wanted:
        asked = command(*[f"{key}:{category}" for key, category in statuses])
        tasks = {key: 1 for key in entered if data.draw(st.booleans(), label=f"a task in {key}")}
        before = {key: project.statuses.resolve(key) for key in entered}
        leaving = [one.key for one in project.workflow.statuses if one.key not in dict(statuses)]
        names = dict.fromkeys(leaving, statuses[0][0]) if data.draw(st.booleans(), label="named") else {}
        asked = msgspec.structs.replace(asked, mapping=names)
        try:
            project = after(project, asked, **tasks)
        except Rejected as refusal:
            assert refusal.code in {"status-in-use", "status-mapped"}
            continue
        entered |= {key for key, _ in statuses}
        for key in entered:
            assert project.statuses.resolve(key) in project.workflow.statuses
            assert key in project.statuses.aliases_of(project.statuses.resolve(key).key)  # type: ignore[union-attr]  # as above
        for key in tasks:
            was, now = before[key], project.statuses.resolve(key)
            assert was is not None
            assert now is not None
            if was.key in dict(statuses):
                assert now.key == was.key
