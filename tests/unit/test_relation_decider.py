"""What becomes of a relation between tasks: given, when, then. Cycles are in tests/commands."""

from __future__ import annotations

from typing import get_args
from uuid import UUID

import pytest
from tests.unit.test_task_decider import TASK_ID, a_task, project

from taskflow.commands import relations
from taskflow.commands.fields import RELATIONS_MAX
from taskflow.errors import NotFound, Rejected
from taskflow.streams.project import ProjectArchived
from taskflow.streams.task import Relation, RelationAdded, RelationRemoved, RelationType, TaskTrashed

OTHER = UUID(int=41)
TYPES: tuple[RelationType, ...] = get_args(RelationType)


@pytest.mark.parametrize("type_", TYPES)
class TestOfEachType:
    def test_is_put_once(self, type_: RelationType) -> None:
        relation, event = Relation(type_, OTHER), RelationAdded(relation=type_, task_id=OTHER)
        assert relations.add(a_task(), project(), relation) == [event]
        assert relations.add(a_task(event), project(), relation) == []
        assert a_task(event).relations == (relation,)

    def test_is_taken_away_once(self, type_: RelationType) -> None:
        relation, event = Relation(type_, OTHER), RelationAdded(relation=type_, task_id=OTHER)
        removed = RelationRemoved(relation=type_, task_id=OTHER)
        assert relations.remove(a_task(event), project(), relation) == [removed]
        for state in (a_task(), a_task(event, removed)):
            with pytest.raises(NotFound):
                relations.remove(state, project(), relation)

    def test_is_not_put_on_the_task_itself(self, type_: RelationType) -> None:
        with pytest.raises(Rejected) as refused:
            relations.add(a_task(), project(), Relation(type_, TASK_ID))
        assert refused.value.code == ("cycle" if type_ == "blocks" else "self-relation")

    def test_is_not_touched_in_the_trash_or_in_an_archived_project(self, type_: RelationType) -> None:
        there = RelationAdded(relation=type_, task_id=OTHER)
        for state, within, code in (
            (a_task(there, TaskTrashed()), project(), "trashed"),
            (a_task(there), project(ProjectArchived()), "project-archived"),
        ):
            for change in (relations.add, relations.remove):
                with pytest.raises(Rejected) as refused:
                    change(state, within, Relation(type_, OTHER))
                assert refused.value.code == code


def test_types_do_not_stand_in_each_others_way() -> None:
    there = [RelationAdded(relation=type_, task_id=OTHER) for type_ in TYPES]
    assert a_task(*there).relations == tuple(Relation(type_, OTHER) for type_ in TYPES)
    kept = a_task(*there, RelationRemoved(relation="blocks", task_id=OTHER)).relations
    assert [one.type for one in kept] == ["relates_to", "duplicates"]


def test_there_are_at_most_a_hundred() -> None:
    there = [RelationAdded(relation="relates_to", task_id=UUID(int=100 + n)) for n in range(RELATIONS_MAX)]
    with pytest.raises(Rejected) as refused:
        relations.add(a_task(*there), project(), Relation("blocks", OTHER))
    assert refused.value.code == "too-many-relations"
    assert relations.add(a_task(*there), project(), Relation("relates_to", UUID(int=100))) == []
    assert relations.add(a_task(*there[1:]), project(), Relation("blocks", OTHER)) != []
