"""The schemas of the OpenAPI document: those of the Structs, with additions that a Python type cannot express.

The `data` of a command depends on its `type`, a saved view has the filters of `GET /tasks`, and in a batch a reference
to an earlier command may take the place of any id.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from taskflow.api.command_messages import CommandBody
from taskflow.api.command_references import REFERENCE
from taskflow.api.openapi.parameters import ID, Schema, saved
from taskflow.api.problems import ProblemBody
from taskflow.api.render import WrittenPerson
from taskflow.api.targets import target_schema
from taskflow.commands.catalog import COMMANDS
from taskflow.commands.saved_view import SavedQuery
from taskflow.ids import UUID_PATTERN
from taskflow.query.task_query import FILTERS
from taskflow.streams import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taskflow.api.route import Route

REF: Final = "#/components/schemas/{name}"
_BATCHED: Final = "Batched"
"""Prefix of the name of a command's schema in a batch."""
_REFERENCE: Final[Schema] = {
    "type": "string",
    "pattern": f"^{REFERENCE}$",
    "description": "`$` and the id of an earlier command of the batch: what that one makes.",
}


def schemas_of(
    routes: Sequence[Route], others: Sequence[type[Struct]]
) -> tuple[dict[type[Struct], Schema], dict[str, Schema]]:
    """A reference for every Struct that routes read or send and for `others`, and the components that these use."""
    named = {struct for route in routes for struct in (route.body, route.answer) if struct is not None}
    named |= {ProblemBody, WrittenPerson, *others, *(entry.body for entry in COMMANDS.values())}
    structs = sorted(named, key=lambda struct: struct.__name__)
    schemas, components = msgspec.json.schema_components(structs, ref_template=REF)
    for schema in components.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
    components[SavedQuery.__name__]["properties"] = {name: saved(name) for name in FILTERS}
    _add_names(components)
    components |= _commands(components)
    answers = {route.answer for route in routes if route.body in _BODIES and route.answer is not None}
    result = {"anyOf": [*_any_of({*answers, WrittenPerson})["anyOf"], {"type": "null"}]}
    components["CommandOutcome"]["properties"]["result"] = result
    components["BatchOutcome"]["properties"] |= {"result": result, "problem": _ref(ProblemBody.__name__)}
    return dict(zip(structs, schemas, strict=True)), components


_BODIES: Final = frozenset(entry.body for entry in COMMANDS.values())


def _add_names(components: Mapping[str, Schema]) -> None:
    """Adds the names of event types and of commands, and that RankTask needs at least one task."""
    envelope = components["Envelope"]["properties"]
    envelope["type"] = {"type": "string", "enum": sorted(EVENT_TYPES)}
    envelope["data"] = {"type": "object"}
    components["RankTask"]["anyOf"] = [{"required": [side], "properties": {side: ID}} for side in ("after", "before")]
    components["CommandKind"]["properties"]["type"] = {"type": "string", "enum": sorted(COMMANDS)}


def _commands(components: Mapping[str, Schema]) -> dict[str, Schema]:
    """The schemas of commands by type, alone and in a batch, and the additional schemas of bodies that have ids."""
    data, batched_data = {}, {}
    added: dict[str, Schema] = {}
    for name, entry in COMMANDS.items():
        body = entry.body.__name__
        data[name] = batched_data[name] = _ref(body)
        in_batch = _with_references(components[body], components)
        if in_batch != components[body]:
            added[_BATCHED + body] = in_batch
            batched_data[name] = _ref(_BATCHED + body)
    one = {name: _command(components, name, data[name], batched=False) for name in COMMANDS}
    in_batch = {name: _command(components, name, batched_data[name], batched=True) for name in COMMANDS}
    description = components[CommandBody.__name__].get("description", "")
    added[CommandBody.__name__] = _by_type(one) | {"description": description}
    added[_BATCHED + CommandBody.__name__] = _by_type(in_batch) | {"description": description}
    batch = dict(components["BatchBody"])
    items = batch["properties"]["commands"] | {"items": _ref(_BATCHED + CommandBody.__name__)}
    added["BatchBody"] = batch | {"properties": batch["properties"] | {"commands": items}}
    return added


def _by_type(commands: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "required": ["id", "type"], "oneOf": list(commands.values())}


def _command(components: Mapping[str, Schema], name: str, data: Schema, *, batched: bool) -> Schema:
    entry = COMMANDS[name]
    plain = components[CommandBody.__name__]["properties"]
    ids = f"({UUID_PATTERN}|{REFERENCE})" if batched else UUID_PATTERN
    target = {key: value for key, value in target_schema(entry.target, id_=ids).items() if key != "$schema"}
    if batched and target.get("format") == ID["format"]:
        target = {"anyOf": [target, _REFERENCE]}
    required = ["id", "type"]
    if entry.target is not None:
        required.append("target")
    if components[entry.body.__name__].get("required"):
        required.append("data")
    return {
        "title": name,
        "type": "object",
        "properties": plain | {"type": {"const": name}, "target": target, "data": data},
        "required": required,
        "additionalProperties": False,
    }


def _with_references(schema: Any, components: Mapping[str, Schema]) -> Any:
    """The schema with references allowed in place of ids. Components that contain ids are inlined."""
    if isinstance(schema, list):
        return [_with_references(one, components) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema == ID:
        return {"anyOf": [ID, _REFERENCE]}
    if "$ref" in schema:
        there = components[schema["$ref"].rpartition("/")[2]]
        within = _with_references(there, components)
        return schema if within == there else within
    return {key: _with_references(value, components) for key, value in schema.items()}


def event_stream_schema() -> Schema:
    """The schema of an event of a `text/event-stream`, as clients parse it."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": _ref("Envelope")}
    event = {"type": "string", "enum": sorted(EVENT_TYPES)}
    return {
        "type": "object",
        "description": "Each event. `id`: its position.",
        "properties": {"id": {"type": "string", "pattern": "^[0-9]+$"}, "event": event, "data": data},
        "required": ["id", "event", "data"],
    }


def _any_of(structs: Iterable[type[Struct]]) -> Schema:
    return {"anyOf": [_ref(name) for name in sorted(struct.__name__ for struct in structs)]}


def _ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}
