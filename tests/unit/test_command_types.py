"""The schemas of `/commands/types`: valid as such, and of one mind with what reads the commands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from taskflow.api.bodies import decode
from taskflow.api.command_messages import parse_command
from taskflow.api.routes.commands import CommandKind, _kinds
from taskflow.commands.catalog import COMMANDS
from taskflow.errors import Malformed

ID = "0190a8c0-5f3e-7a10-9c55-0123456789ab"
TIME = "2026-05-01T10:00:00.000000Z"
KINDS = {kind.type: kind for kind in _kinds()}
FORMATS = FormatChecker(formats=("uuid",))

texts = st.sampled_from(
    [
        "",
        " ",
        "x",
        "é",
        "\U0001f600",
        "a" * 100,
        "a" * 501,
        "todo",
        "low",
        "viewer",
        "https://a.example/",
        ID,
        TIME,
        "blocks",
    ]
)
scalars = st.none() | st.booleans() | st.integers(-5, 5) | texts
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=2)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=FORMATS)


BODIES = {name: validator(kind.schema) for name, kind in KINDS.items()}


def taken(name: str, data: Any) -> bool:
    try:
        decode(data, COMMANDS[name].body)
    except Malformed:
        return False
    return True


def each_type() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def test_every_command_is_listed() -> None:
    assert list(KINDS) == sorted(COMMANDS)


@each_type()
def test_a_types_schemas_are_schemas(kind: CommandKind) -> None:
    for schema in (kind.schema, kind.target_schema):
        assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
        Draft202012Validator.check_schema(schema)


@each_type()
@hypothesis_settings(max_examples=25)  # of each of forty types: a thousand in all
@given(data=st.data())
def test_the_schema_allows_what_is_taken(kind: CommandKind, data: st.DataObject) -> None:
    fields = COMMANDS[kind.type].body.__struct_fields__
    names = st.sampled_from([*fields, "more"]) if fields else st.just("more")
    # A date is no time, but `format` says so only where somebody looks: such a text is left out.
    body = data.draw(st.dictionaries(names, values, max_size=len(fields) + 1))
    if not any(name.endswith(("at", "_on")) and isinstance(value, str) for name, value in body.items()):
        assert BODIES[kind.type].is_valid(body) == taken(kind.type, body), body


@pytest.mark.parametrize(
    ("name", "data", "valid"),
    [
        ("CreateTask", {"title": "T", "due_at": TIME, "labels": ["a"], "parent_id": None, "priority": "high"}, True),
        ("CreateTask", {"title": "T", "labels": ["a"] * 51}, False),
        ("CreateTask", {}, False),
        ("EditTask", {}, True),
        ("EditTask", {"title": None}, False),
        ("AssignTask", {"user_id": None}, True),
        ("AssignTask", {}, False),
        ("SetMember", {"role": "owner"}, True),
        ("SetMember", {"role": "king"}, False),
        ("EditProfile", {"avatar_url": "https://a.example/b.png", "settings": {"theme": "dark", "n": 1}}, True),
        ("EditProfile", {"avatar_url": "ftp://a.example"}, False),
        ("TrashTask", {"why": 1}, False),
    ],
)
def test_an_example_is_judged_alike_by_both(name: str, data: dict[str, Any], valid: bool) -> None:
    assert BODIES[name].is_valid(data) == taken(name, data) == valid


@each_type()
def test_a_target_is_written_as_its_schema_says(kind: CommandKind) -> None:
    target = COMMANDS[kind.type].target
    parts = 0 if target is None else 1 if target.parts is None else len(target.parts.__struct_fields__)
    for text in (None, "", "x", ID, f"{ID}/{ID}", f"{ID}/x/y", f"{ID}/blocks/{ID}", f"{ID}/{ID}/{ID}"):
        body = {"id": ID, "type": kind.type, "target": text, "data": {"more": 1}}
        with pytest.raises(Malformed) as refused:  # for what is in `data`, at least
            parse_command(body)
        fits = "/target" not in [fault.pointer for fault in refused.value.faults]
        assert validator(kind.target_schema).is_valid(text) == fits, (text, parts)


def test_an_ids_schema_takes_what_the_server_writes() -> None:
    assert validator(KINDS["EditTask"].target_schema).is_valid(str(UUID(ID)))
