"""Reading requests: whatever is sent is understood or refused with every place named, never an accident."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.api.bodies import JSON, PATCH, decode, read_json
from taskflow.commands.task import CreateTask, EditTask
from taskflow.errors import Malformed, UnsupportedMedia
from taskflow.parameters import Parameters

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
        taken.done({"q": "later"})
    assert {(fault.pointer, fault.code) for fault in error.value.faults} == {
        ("limit", "range"),
        ("trashed", "repeated"),
        ("trashed", "choice"),
        ("due", "unknown-parameter"),
        ("q", "unknown-parameter"),
    }
