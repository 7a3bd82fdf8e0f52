"""The document is whole: what it refers to is there, every route is in it with every answer, and its schemas take
what commands take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from taskflow.api.app import ROUTES
from taskflow.api.openapi.document import openapi
from taskflow.api.openapi.parameters import IN_PATH
from taskflow.api.route import Route
from taskflow.api.routes.batches import read
from taskflow.commands.catalog import COMMANDS
from taskflow.errors import Malformed

DOCUMENT: dict[str, Any] = json.loads(json.dumps(openapi(ROUTES)))
FIRST = "01890a5d-ac96-774b-bcce-b302099a8057"
SECOND = "01890a5d-ac96-774b-bcce-b302099a8058"


def within(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from within(one)
    elif isinstance(value, list):
        for one in value:
            yield from within(one)


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][IN_PATH.sub(r"{\1}", route.path)][route.method.lower()]
    return found


def takes(name: str, value: Any) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    checker = Draft202012Validator.FORMAT_CHECKER
    return bool(Draft202012Validator(schema, format_checker=checker).is_valid(value))


def test_every_reference_leads_somewhere() -> None:
    for one in within(DOCUMENT):
        if isinstance(one.get("$ref"), str):
            there: Any = DOCUMENT
            for part in one["$ref"].removeprefix("#/").split("/"):
                there = there[part]


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for one in within(DOCUMENT):
        if isinstance(one.get("pattern"), str):
            re.compile(one["pattern"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_answer_is_named(route: Route) -> None:
    """None is left to a `default`, which would allow whatever is answered."""
    said = operation(route)
    statuses = said["responses"].keys()
    assert "default" not in statuses
    assert str(route.status) in statuses
    if route.path.startswith("/api/"):
        assert statuses >= {"400", "401", "413", "429", "500", "503"}
    if route.signed_in:
        assert "403" in statuses
        assert said["security"] == [{"bearer": []}]
    if "{" in route.path:
        assert "404" in statuses
    if route.method != "GET":
        assert "415" in statuses


def test_every_command_is_described_by_its_type() -> None:
    for name in ("CommandBody", "BatchedCommandBody"):
        described = [one["properties"]["type"]["const"] for one in DOCUMENT["components"]["schemas"][name]["oneOf"]]
        assert sorted(described) == sorted(COMMANDS)


COMMANDS_TRIED = [
    ({"type": "CreateTask", "data": {"title": "a"}}, True),
    ({"type": "CreateTask", "data": {"title": " "}}, False),
    ({"type": "CreateTask", "data": {}}, False),
    ({"type": "CreateTask", "data": {"title": "a"}, "target": FIRST}, False),
    ({"type": "CompleteTask", "target": FIRST}, True),
    ({"type": "CompleteTask", "target": FIRST, "data": {"a": 1}}, False),
    ({"type": "CompleteTask"}, False),
    ({"type": "CompleteTask", "target": f"{FIRST}/x"}, False),
    ({"type": "SetLabel", "target": f"{FIRST}/on/hold", "data": {"colour": "#ffffff"}}, True),
    ({"type": "SetLabel", "target": f"{FIRST}/on/hold", "data": {"colour": "#ffffff\n"}}, False),
    ({"type": "SetLabel", "target": f"{FIRST}/", "data": {"colour": "#ffffff"}}, False),
    ({"type": "SetLabel", "target": f"{FIRST}/{'x' * 101}", "data": {"colour": "#ffffff"}}, False),
    ({"type": "RemoveRelation", "target": f"{FIRST}/blocks/{SECOND}"}, True),
    ({"type": "RemoveRelation", "target": f"{FIRST}/hates/{SECOND}"}, False),
    ({"type": "Nothing"}, False),
]


@pytest.mark.parametrize(("command", "fits"), COMMANDS_TRIED, ids=str)
def test_the_document_takes_the_commands_that_the_api_takes(command: dict[str, Any], fits: bool) -> None:
    sent = {"id": SECOND, **command}
    assert takes("CommandBody", sent) == takes("BatchBody", {"commands": [sent]}) == fits
    if fits:
        read([sent])
    else:
        with pytest.raises(Malformed):
            read([sent])


def test_a_batch_may_name_what_it_makes() -> None:
    made = {"id": FIRST, "type": "CreateTask", "data": {"title": "a"}}
    for later in (
        {"id": SECOND, "type": "CompleteTask", "target": f"${FIRST}"},
        {"id": SECOND, "type": "CreateTask", "data": {"title": "b", "parent_id": f"${FIRST}"}},
        {"id": SECOND, "type": "RemoveRelation", "target": f"${FIRST}/blocks/{SECOND}"},
        {"id": SECOND, "type": "CreateView", "data": {"name": "a", "query": {"project": [f"${FIRST}"]}}},
    ):
        assert takes("BatchBody", {"commands": [made, later]})
        assert not takes("CommandBody", later)
        read([made, later])
