"""What becomes of an item of a checklist: given, when, then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_task_decider import TASK_ID, a_task, fold, project

from taskflow.commands import checklist
from taskflow.commands.fields import ITEM_MAX, ITEMS_MAX
from taskflow.errors import NotFound, Rejected
from taskflow.streams import TASK, Event
from taskflow.streams.project import ProjectArchived
from taskflow.streams.task import (
    ChecklistItemAdded,
    ChecklistItemChecked,
    ChecklistItemRanked,
    ChecklistItemRemoved,
    ChecklistItemReworded,
    TaskState,
    TaskTrashed,
)

A, B, C, NOWHERE = UUID(int=31), UUID(int=32), UUID(int=33), UUID(int=39)
ITEMS = tuple(ChecklistItemAdded(item_id=one, text=f"{one.int}", rank=rank) for one, rank in ((A, "d"), (B, "i")))


def added(state: TaskState, item_id: UUID) -> TaskState:
    after: TaskState = fold(TASK, TASK_ID, *checklist.add(state, project(), item_id, "x"), state=state)
    return after


def edited(state: TaskState, item_id: UUID, **fields: Any) -> TaskState:
    events = checklist.edit(state, project(), item_id, checklist.EditChecklistItem(**fields))
    after: TaskState = fold(TASK, TASK_ID, *events, state=state)
    return after


def order(state: TaskState) -> list[UUID]:
    return [item.id for item in state.checklist]


def code_of(refused: pytest.ExceptionInfo[Rejected]) -> str:
    return refused.value.code


class TestAdding:
    def test_puts_an_item_at_the_end(self) -> None:
        (event,) = checklist.add(a_task(*ITEMS), project(), C, "third")
        assert isinstance(event, ChecklistItemAdded)
        assert (event.item_id, event.text, event.done) == (C, "third", False)
        assert order(a_task(*ITEMS, event)) == [A, B, C]

    def test_ends_at_two_hundred(self) -> None:
        state = a_task()
        for n in range(ITEMS_MAX):
            state = added(state, UUID(int=1000 + n))
        assert order(state) == [UUID(int=1000 + n) for n in range(ITEMS_MAX)]
        with pytest.raises(Rejected) as refused:
            checklist.add(state, project(), A, "x")
        assert code_of(refused) == "too-many-items"

    @pytest.mark.parametrize("text", ["", " \t", "x" * (ITEM_MAX + 1), None, 1])
    def test_takes_1_to_500_characters_that_can_be_seen(self, text: object) -> None:
        for command in (checklist.AddChecklistItem, checklist.EditChecklistItem):
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert({"text": text}, command)
            assert msgspec.convert({"text": "é" * ITEM_MAX}, command)


class TestEditing:
    @pytest.mark.parametrize(
        ("patch", "expected"),
        [
            ({"text": "new"}, [ChecklistItemReworded(item_id=A, text="new")]),
            ({"text": "31"}, []),
            ({"done": True}, [ChecklistItemChecked(item_id=A, done=True)]),
            ({"done": False}, []),
            ({"after": None}, []),
            ({}, []),
        ],
    )
    def test_only_real_differences_become_events(self, patch: dict[str, Any], expected: list[Event]) -> None:
        assert checklist.edit(a_task(*ITEMS), project(), A, checklist.EditChecklistItem(**patch)) == expected

    def test_each_field_that_differs_is_one_event(self) -> None:
        command = checklist.EditChecklistItem(text="new", done=True, after=B)
        events = checklist.edit(a_task(*ITEMS), project(), A, command)
        assert [type(event) for event in events] == [ChecklistItemReworded, ChecklistItemChecked, ChecklistItemRanked]
        assert order(a_task(*ITEMS, *events)) == [B, A]

    def test_an_item_that_is_not_there_is_not_found(self) -> None:
        for state in (a_task(), a_task(*ITEMS, ChecklistItemRemoved(item_id=A))):
            with pytest.raises(NotFound):
                checklist.edit(state, project(), A, checklist.EditChecklistItem(done=True))

    @pytest.mark.parametrize("after", [A, NOWHERE])
    def test_nothing_comes_after_itself_or_after_what_is_not_there(self, after: UUID) -> None:
        with pytest.raises(Rejected) as refused:
            checklist.edit(a_task(*ITEMS), project(), A, checklist.EditChecklistItem(after=after))
        assert code_of(refused) == "no-such-item"

    def test_null_is_for_a_place_alone(self) -> None:
        assert msgspec.convert({"after": None}, checklist.EditChecklistItem).after is None
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"done": None}, checklist.EditChecklistItem)


class TestRemoving:
    def test_is_one_event_once(self) -> None:
        removed = ChecklistItemRemoved(item_id=A)
        assert checklist.remove(a_task(*ITEMS), project(), A) == [removed]
        with pytest.raises(NotFound):
            checklist.remove(a_task(*ITEMS, removed), project(), A)


def test_nothing_is_changed_in_the_trash_or_in_an_archived_project() -> None:
    for state, within, code in (
        (a_task(*ITEMS, TaskTrashed()), project(), "trashed"),
        (a_task(*ITEMS), project(ProjectArchived()), "project-archived"),
    ):
        changes: tuple[Callable[[], object], ...] = (
            partial(checklist.add, state, within, C, "x"),
            partial(checklist.edit, state, within, A, checklist.EditChecklistItem()),
            partial(checklist.remove, state, within, A),
        )
        for change in changes:
            with pytest.raises(Rejected) as refused:
                change()
            assert code_of(refused) == code


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=40))
def test_an_item_stands_where_it_was_put_and_putting_it_there_again_changes_nothing(
    moves: list[tuple[int, int]],
) -> None:
    ids = [UUID(int=1000 + n) for n in range(8)]
    state, expected = a_task(), list(ids)
    for one in ids:
        state = added(state, one)
    for moved, to in moves:
        item = ids[moved]
        expected.remove(item)
        expected.insert(to, item)
        after = expected[to - 1] if to else None
        before = state.version
        was = order(state)
        state = edited(state, item, after=after)
        assert order(state) == expected
        assert state.version == before + (was != expected)
        assert edited(state, item, after=after) == state
