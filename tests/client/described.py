"""Collects every call that the client can make: runs each method with a value for every parameter, and stops it before
anything is sent."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import product
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import httpx
import msgspec
import pytest

from taskflow.client import Client, Command, Tokens
from taskflow.client.answers import Status, Transition
from taskflow.client.call import Call
from taskflow.client.resource import Resource, SingleAnswer, StreamedAnswer
from taskflow.client.session import MemoryTokenStore, Session

URL = "http://taskflow.test"
NOWHERE = httpx.MockTransport(lambda _: httpx.Response(404))
SOMETHING: dict[Any, Any] = {
    UUID: UUID(int=7),
    str: "x",
    int: 1,
    datetime: datetime(2026, 11, 27, tzinfo=UTC),
    date: date(2026, 11, 27),
    Status: Status("x", "x", "todo"),
    Transition: Transition("x", "y"),
    Command: Command(type="x", target="x", expected_version=1),
}


class Described(Exception):
    """Raised with the call instead of sending it."""

    def __init__(self, call: Call[Any]) -> None:
        super().__init__(call.path)
        self.call = call


def every_call() -> list[tuple[str, Call[Any]]]:
    """The first call of each method, with flags on and off, with the method's name, like `tasks.comments.add`."""

    def stop(_: Session, call: Call[Any], *, streamed: bool = False) -> Iterator[Any]:
        raise Described(call)
        yield  # type: ignore[unreachable]  # a flow is a generator

    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "answered", stop)
        with Client(URL, transport=NOWHERE) as client:
            names = list(methods(client))
        for name, flags in product(names, (True, False)):
            # A new client for each, because signing out removes its token.
            token_store = MemoryTokenStore(Tokens("a", "r"))
            with (
                Client(URL, token_store=token_store, transport=NOWHERE) as client,
                pytest.raises(Described) as described,
            ):
                _try(client, name, {**SOMETHING, bool: flags})
            found.append((name, described.value.call))
    return found


def methods(owner: Any, prefix: str = "") -> Iterator[str]:
    for name, below in vars(owner).items():
        if not isinstance(below, Resource):
            continue
        for method, is_a in inspect.getmembers_static(type(below)):
            if isinstance(is_a, (SingleAnswer, StreamedAnswer)):
                yield f"{prefix}{name}.{method}"
        yield from methods(below, f"{prefix}{name}.")


def _try(client: Client, name: str, values: dict[Any, Any]) -> None:
    method: Any = client
    for part in name.split("."):
        method = getattr(method, part)
    hints = get_type_hints(inspect.unwrap(method))
    given: dict[str, Any] = {}
    positional: list[Any] = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        value = _some(hints[parameter.name], values)
        if parameter.kind is parameter.KEYWORD_ONLY:
            given[parameter.name] = value
        else:
            positional.append(value)
    answer = method(*positional, **given)
    if isinstance(answer, Iterator):
        next(answer)


def _some(hint: Any, values: dict[Any, Any]) -> Any:
    """A value of this type."""
    match get_origin(hint):
        case origin if origin in {Union, UnionType}:
            members = get_args(hint)
            return _some(next((one for one in members if one in values), members[0]), values)
        case origin if origin is Sequence:
            return [_some(get_args(hint)[0], values)]
        case origin if origin in {Mapping, dict}:
            return {"x": "x"}
    return values[hint]


# --- comparing the client with the OpenAPI document


def fits(route: str, asked: str) -> bool:
    """Whether the path template matches the path of a call."""
    return re.fullmatch("[^/]+".join(re.escape(part) for part in re.split(r"\{\w+\}", route)), asked) is not None


def lacking(served: Any, served_parts: Any, known: Any, known_parts: Any, at: str = "") -> Iterator[str]:
    """The fields of one JSON Schema that another lacks, at any depth."""
    served, known = plain(served, served_parts), plain(known, known_parts)
    if "items" in served and "items" in known and isinstance(served["items"], dict):
        yield from lacking(served["items"], served_parts, known["items"], known_parts, f"{at}[]")
    if "properties" in known:
        for name, below in served.get("properties", {}).items():
            if name not in known["properties"]:
                yield f"{at}.{name}"
            else:
                yield from lacking(below, served_parts, known["properties"][name], known_parts, f"{at}.{name}")


def fields_of(schema: Any, parts: Any) -> set[str]:
    """All fields of a JSON Schema, of all its alternatives."""
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    alternatives = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return set(schema.get("properties", ())).union(*[fields_of(one, parts) for one in alternatives])


def plain(schema: Any, parts: Any) -> dict[str, Any]:
    """The schema with references resolved; of a nullable schema, the other alternative."""
    while True:
        if "$ref" in schema:
            schema = parts[schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema:
            schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
        else:
            plain: dict[str, Any] = schema
            return plain


def schema_of(answer: Any) -> tuple[Any, Any]:
    """The JSON Schema of an answer type of the client, and its components."""
    (schema,), parts = msgspec.json.schema_components([answer], ref_template="#/{name}")
    return schema, parts
