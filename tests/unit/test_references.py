"""What a batch's commands may be, and how a later one names what an earlier one made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid1, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.api.bodies import FAULTS_MAX
from taskflow.api.command_references import references, with_ids
from taskflow.api.routes.batches import read
from taskflow.commands.catalog import COMMANDS
from taskflow.commands.created_ids import created_by_event
from taskflow.errors import Malformed, Rejected
from taskflow.streams import EVENT_TYPES
from taskflow.streams.project import MemberInvited
from taskflow.streams.task import ChecklistItemAdded, CommentAdded, CommentRestored, TaskCreated, TaskRetitled

ONE, TWO, MADE = uuid4(), uuid4(), uuid4()
near = st.sampled_from(
    ["", "$", f"{ONE}", f"${ONE} ", f" ${ONE}", f"$${ONE}", f"the ${ONE}", f"${str(ONE)[:-1]}", "$1", f"${{{ONE}}}"]
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | near,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(near, inner, max_size=3),
    max_leaves=8,
)


def create(command_id: Any = None, **data: Any) -> dict[str, Any]:
    return {"id": str(command_id or uuid4()), "type": "CreateTask", "data": {"title": "T"} | data}


def edit(target: Any, command_id: Any = None, **data: Any) -> dict[str, Any]:
    return {"id": str(command_id or uuid4()), "type": "EditTask", "target": str(target), "data": data}


def faults(*commands: Any) -> list[tuple[str, str]]:
    with pytest.raises(Malformed) as refused:
        read(commands)
    return [(fault.pointer, fault.code) for fault in refused.value.faults]


# --- what counts as a reference


@given(plain)
def test_only_a_whole_string_is_a_reference(value: Any) -> None:
    command = {"target": "x", "data": {"deep": value, f"${ONE}": 1}}
    assert list(references(command)) == []
    assert with_ids(command, {ONE: MADE}) == command


@given(st.sampled_from([str(ONE), str(ONE).upper()]))
def test_a_reference_may_be_written_as_ids_may(written: str) -> None:
    command = {"target": f"${written}", "data": {"a/b": [{"c~": f"${written}"}, f"${TWO}"]}}
    assert list(references(command)) == [("/target", ONE), ("/data/a~1b/0/c~0", ONE), ("/data/a~1b/1", TWO)]
    assert with_ids(command, {ONE: MADE, TWO: ONE}) == {
        "target": str(MADE),
        "data": {"a/b": [{"c~": str(MADE)}, str(ONE)]},
    }


def test_each_part_of_a_target_may_be_one() -> None:
    command = {"target": f"${ONE}/{TWO}"}
    assert list(references(command)) == [("/target", ONE)]
    assert with_ids(command, {ONE: MADE}) == {"target": f"{MADE}/{TWO}"}


def test_one_that_was_refused_made_nothing() -> None:
    with pytest.raises(Rejected, match=str(ONE)) as refused:
        with_ids({"data": {"parent_id": f"${ONE}"}}, {TWO: MADE})
    assert refused.value.code == "reference"


def test_what_was_made_is_the_stream_or_the_part_that_began() -> None:
    stream, part = uuid4(), uuid4()
    assert created_by_event(stream, []) == stream
    assert created_by_event(stream, [TaskRetitled("x")]) == stream
    assert created_by_event(stream, [CommentAdded(part, "x")]) == part
    assert created_by_event(stream, [ChecklistItemAdded(part, "x", "1")]) == part
    assert created_by_event(stream, [CommentRestored(part, "x", None, None)]) == stream  # type: ignore[arg-type]  # not looked at
    assert MemberInvited.part_field == "invitation_id"


def test_every_event_that_begins_a_part_is_known() -> None:
    """`…Added` with an id of its own, or an invitation: a new one has to say what it makes."""
    begins = {
        name
        for name, event in EVENT_TYPES.items()
        if name.endswith(("Added", "Invited")) and event.__struct_fields__[0] not in ("user_id", "relation")
    }
    assert begins == {name for name, event in EVENT_TYPES.items() if event.part_field}


# --- batches


def test_a_batch_is_read_with_its_references() -> None:
    first, second = uuid1(), uuid4()
    batch = read(
        [
            create(first),
            create(second, parent_id=f"${first}"),
            edit(f"${second}", title="New", parent_id=None),
            edit(MADE, title="Alone"),
        ]
    )
    assert [one.refers for one in batch] == [False, True, True, False]
    assert [one.sent.target for one in batch] == [None, None, f"${second}", MADE]
    assert batch[1].sent.plain == {"title": "T", "parent_id": f"${first}"}, "the fingerprint is of what was sent"
    assert [one.place for one in batch] == [f"/commands/{index}" for index in range(4)]


def test_every_malformed_command_is_named_at_its_place() -> None:
    assert faults(
        create(title=1),
        {"id": "one", "type": "CreateTask", "data": {}},
        edit("no id", title="", more=1),
        "no command",
        {"id": str(uuid4()), "type": "PaintTask"},
        create() | {"expected_version": -1},
        create(),
    ) == [
        ("/commands/0/data/title", "type"),
        ("/commands/1/id", "format"),
        ("/commands/2/target", "format"),
        ("/commands/2/data/more", "unknown-field"),
        ("/commands/2/data/title", "length"),
        ("/commands/3", "type"),
        ("/commands/4/type", "choice"),
        ("/commands/5/expected_version", "type"),
    ]


def test_a_reference_is_to_an_earlier_command_that_makes_something() -> None:
    first, later = uuid4(), uuid4()
    assert faults(
        edit(f"${later}", title="x"),
        create(later, parent_id=f"${later}"),
        edit(MADE, first, title="x"),
        edit(f"${first}", labels=["a", f"${uuid4()}"]),
        {"id": str(uuid4()), "type": "SetMember", "target": f"{MADE}/${first}", "data": {"role": "viewer"}},
    ) == [
        ("/commands/0/target", "reference"),
        ("/commands/1/data/parent_id", "reference"),
        ("/commands/3/target", "reference"),
        ("/commands/3/data/labels/1", "reference"),
        ("/commands/4/target", "reference"),
    ]


def test_a_reference_to_a_malformed_command_is_no_second_fault() -> None:
    first = uuid4()
    assert faults(create(first, title=1), edit(f"${first}", title="x")) == [("/commands/0/data/title", "type")]


def test_an_id_stands_once_in_a_batch() -> None:
    one = UUID("0190a8c0-0000-7000-8000-00000000abcd")
    assert faults(create(one), create(), create(str(one).upper()), create(one)) == [
        ("/commands/2/id", "repeated"),
        ("/commands/3/id", "repeated"),
    ]


def test_what_is_nested_too_deep_is_a_fault() -> None:
    deep: Any = f"${ONE}"
    for _ in range(100_000):
        deep = [deep]
    assert faults({"id": str(uuid4()), "type": "EditProfile", "data": {"settings": deep}}) == [
        ("/commands/0/data", "json")
    ]


def test_an_answer_lists_a_bounded_number_of_faults() -> None:
    body = {f"{n}": n for n in range(2 * FAULTS_MAX)}
    assert len(faults(*[create(**body) for _ in range(3)])) == FAULTS_MAX


@given(st.sampled_from(sorted(COMMANDS)), st.recursive(plain, st.lists, max_leaves=5))
def test_whatever_is_sent_is_a_batch_or_malformed(name: str, value: Any) -> None:
    for command in (value, {"id": value}, {"id": str(ONE), "type": name, "target": value, "data": value}):
        try:
            batch = read([command])
        except Malformed as error:
            assert all(fault.pointer.startswith("/commands/0") for fault in error.faults)
        else:
            assert len(batch) == 1


def test_a_created_task_is_what_its_id_names() -> None:
    created = TaskCreated(MADE, "T", "todo", "todo", "1")
    assert created_by_event(ONE, [created]) == ONE


def test_what_comes_after_as_many_faults_as_are_listed_is_not_read() -> None:
    def commands() -> Iterator[Any]:
        yield create(**{f"{n}": n for n in range(FAULTS_MAX)})
        raise AssertionError("the next one was asked for")

    unread: Any = commands()
    with pytest.raises(Malformed) as refused:
        read(unread)
    assert len(refused.value.faults) == FAULTS_MAX
