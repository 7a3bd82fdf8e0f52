"""Reading requests: whatever is sent is understood or refused with every place named, never an accident."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.api.bodies import JSON, PATCH, decode, read_json
from taskflow.commands.fields import STATUSES_MAX, TRANSITIONS_MAX
from taskflow.commands.task import CreateTask, EditTask
from taskflow.commands.workflow import SetWorkflow
from taskflow.errors import Malformed, UnsupportedMedia
from taskflow.query.query_params import Parameters

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from(EditTask.__struct_fields__) | st.text(max_size=5), values)


@given(st.binary() | values.map(msgspec.json.encode))
def test_bytes_are_an_object_or_malformed(raw: bytes) -> None:
    try:
        assert isinstance(read_json(raw, "application/json", JSON), dict)
    except Malformed as error:
        assert [fault.code for fault in error.faults] in (["json"], ["type"])


@given(bodies, st.sampled_from([CreateTask, EditTask]))
def test_an_object_is_the_command_or_every_fault_is_named(plain: dict[str, Any], body: type[msgspec.Struct]) -> None:
    try:
        command = decode(plain, body, below="/data")
    except Malformed as error:
        assert error.faults
        assert all(fault.pointer.startswith("/data/") for fault in error.faults)
        named = {fault.pointer.split("/")[2] for fault in error.faults}
        left = {name: value for name, value in plain.items() if name.replace("~", "~0").replace("/", "~1") not in named}
        if "title" not in named or body is EditTask:
            decode(left, body)  # without what was named it is fine
    else:
        assert isinstance(command, body)


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_may_be_called_so(media: str) -> None:
    assert read_json(b'{"a": 1}', media, JSON) == {"a": 1}


@pytest.mark.parametrize(
    "media", [None, "", "text/json", "application/merge-patch+json", "application/json; charset=utf-16"]
)
def test_and_not_so(media: str | None) -> None:
    with pytest.raises(UnsupportedMedia):
        read_json(b"{}", media, JSON)
    assert read_json(b"", media, JSON) == {}


def test_a_patch_may_be_a_merge_patch() -> None:
    assert read_json(b"{}", "application/merge-patch+json", PATCH) == {}


@given(st.binary())
def test_any_query_string_is_read_or_malformed(raw: bytes) -> None:
    try:
        taken = Parameters(raw)
        taken.number("limit", least=1, most=200)
        taken.time("due_before")
        taken.ids("project", UUID)
        taken.texts("label")
        taken.done()
    except Malformed as error:
        assert error.faults


def test_all_faults_of_a_query_are_named_at_once() -> None:
    taken = Parameters(b"limit=0&due=1&trashed=1&trashed=2&q=x")
    taken.number("limit", least=1, most=200)
    taken.one_of("trashed", ("true", "false"))
    with pytest.raises(Malformed) as error:
        taken.done()
    assert {(fault.pointer, fault.code) for fault in error.value.faults} == {
        ("limit", "range"),
        ("trashed", "repeated"),
        ("trashed", "choice"),
        ("due", "unknown-parameter"),
        ("q", "unknown-parameter"),
    }


def test_reading_a_large_workflow_asks_few_types_for_their_fields() -> None:
    """A workflow has thousands of Structs. To ask each for its fields takes hundreds of times as long as to read it."""
    keys = [f"s{index}" for index in range(STATUSES_MAX)]
    plain = {
        "statuses": [{"key": key, "name": key, "category": "todo"} for key in keys],
        "transitions": [{"from": one, "to": other} for one in keys for other in keys],
    }
    decode(plain, SetWorkflow)  # what is known of the types is kept from then on
    calls = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_globals.get("__name__", "").startswith("msgspec.")

    sys.setprofile(count)
    try:
        command = decode(plain, SetWorkflow)
    finally:
        sys.setprofile(None)
    assert len(command.transitions or ()) == TRANSITIONS_MAX
    assert calls < len(keys)


class _Ids(msgspec.Struct):
    """Ids wherever a body can hold them."""

    one: UUID | None = None
    many: tuple[UUID, ...] = ()
    named: dict[UUID, str] = {}
    pair: tuple[str, UUID] | None = None


class _Deep(_Ids):
    inner: tuple[_Ids, ...] = ()


LOOSE = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("plain", "pointer"),
    [
        ({"one": LOOSE}, "/one"),
        ({"many": [str(UUID(LOOSE)), LOOSE]}, "/many/1"),
        ({"named": {LOOSE: "a"}}, "/named"),
        ({"pair": ["a", LOOSE]}, "/pair/1"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_an_id_in_another_form_is_found_wherever_it_is(plain: dict[str, Any], pointer: str, inside: bool) -> None:
    if inside:
        plain, pointer = {"inner": [{}, plain]}, f"/inner/1{pointer}"
    with pytest.raises(Malformed) as refused:
        decode(plain, _Deep)
    assert [fault.pointer for fault in refused.value.faults] == [pointer]
