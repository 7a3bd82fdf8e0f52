"""The parameters in the OpenAPI document: in paths, queries and headers, with the limits that their parsers use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, get_args

from taskflow.api.historical_tasks import CLOCKS, VERSION_MAX
from taskflow.api.reads import LIMIT, LIMIT_MAX, WAIT_MS, WAIT_MS_MAX
from taskflow.api.writes import KEY_MAX
from taskflow.commands.fields import LABEL_MAX, SAVED_VALUE_MAX, VISIBLE
from taskflow.commands.invitation_tokens import TOKEN_MAX
from taskflow.page_bounds import PAGE_BYTES_MAX
from taskflow.query.query_params import VALUES_MAX
from taskflow.query.task_query import ME, NOBODY, ORDERS
from taskflow.streams import EVENT_TYPES
from taskflow.streams.project import CATEGORIES
from taskflow.streams.task import PRIORITIES, RelationType
from taskflow.text.search_tokens import QUERY_MAX

if TYPE_CHECKING:
    from taskflow.api.route import Route

Schema = dict[str, Any]

IN_PATH: Final = re.compile(r"\{(\w+):(?:str|path)\}")
POSITION_MAX: Final = 2**62
ID: Final[Schema] = {"type": "string", "format": "uuid"}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TEXT: Final[Schema] = {"type": "string"}
_POSITION: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": POSITION_MAX}
_VERSION: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": VERSION_MAX}
_BOOLEAN: Final[Schema] = {"type": "string", "enum": ["true", "false"]}
_CURSOR: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9_.~-]+$"}
_PATHS: Final[dict[str, Schema]] = {
    "position": {"type": "string", "pattern": "^[1-9][0-9]{0,17}$", "examples": ["1234"]},
    "name": {"type": "string", "minLength": 1, "maxLength": LABEL_MAX, "pattern": VISIBLE},
    "token": {"type": "string", "minLength": 1, "maxLength": TOKEN_MAX},
    "type": {"type": "string", "enum": list(get_args(RelationType))},
    "file": {"type": "string", "pattern": r"^[A-Za-z0-9_.~-]+\.ics$"},
}
_SINGLE: Final[dict[str, Schema]] = {
    "after": _POSITION | {"default": 0},
    "archived": _BOOLEAN,
    "at": TIME,
    "clock": {"type": "string", "enum": list(CLOCKS), "default": CLOCKS[0]},
    "cursor": _CURSOR,
    "due_after": TIME,
    "due_before": TIME,
    "from": TIME,
    "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
    "min_position": _POSITION | {"default": 0},
    "q": {"type": "string", "maxLength": QUERY_MAX},
    "sort": {"type": "string", "enum": list(ORDERS), "default": "created_at"},
    "to": TIME,
    "token": _CURSOR,
    "trashed": _BOOLEAN | {"default": "false"},
    "version": _VERSION,
    "wait_ms": {"type": "integer", "minimum": 0, "maximum": WAIT_MS_MAX, "default": WAIT_MS},
}
_REPEATABLE: Final[dict[str, Schema]] = {
    "actor": {"anyOf": [ID, {"const": "system"}]},
    "assignee": {"anyOf": [ID, {"enum": [ME, NOBODY]}]},
    "category": {"type": "string", "enum": list(CATEGORIES)},
    "command": ID,
    "correlation": _TEXT,
    "label": _TEXT,
    "parent": ID,
    "priority": {"type": "string", "enum": list(PRIORITIES)},
    "project": ID,
    "status": _TEXT,
    "stream": ID,
    "type": {"type": "string", "enum": sorted(EVENT_TYPES)},
}
"""Repeatable filters: a task has to match one of the values."""
_DESCRIPTIONS: Final = {
    "limit": f"Items at most. A page may be shorter, for it ends where it reaches {PAGE_BYTES_MAX} bytes: the last page is "
    "the one whose `next_cursor` is null.",
    "at": "As of this time, inclusive.",
    "clock": "Whose time `at`, or `from` and `to`, are: when it occurred, or when the store took it.",
    "command": "Ids of the commands that caused them.",
    "correlation": "The `X-Request-ID` of the requests that caused them, or what stands for it in events.",
    "cursor": "The `next_cursor` of the page before.",
    "min_position": "Wait until the answer is at least this fresh. One past the head of the log is refused.",
    "q": "Words, each of which or the beginning of which the task holds, at most ten. No letter and no digit finds nothing.",
    "token": "That of the answer before.",
    "wait_ms": "How long to wait for `min_position`.",
}

HEADERS: Final[dict[str, Schema]] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeat with the same key is answered as the first was, and nothing is done twice.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "Refuse with 412 where the resource is at another version. Any ETag of the version does, or `*`.",
        "schema": {"type": "string", "pattern": r'^(\*|(W/)?"[0-9]{1,18}(-[!#-~]*)?")$', "examples": ["*", '"3"']},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Answer 304 where the ETag is one of these.",
        "schema": _TEXT,
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The `id` of the last event that was seen: what came after it is told first.",
        "schema": _POSITION,
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "`return=minimal`: the answer need not show what was written.",
        "schema": {"type": "string", "examples": ["return=minimal"]},
    },
}
"""Parameters that are defined once and referenced."""


def parameters_of(route: Route, headers: list[str]) -> list[Schema]:
    """The parameters of a route: of the path in order, then of the query, then references to those in `headers`."""
    found: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": in_path(name)} for name in IN_PATH.findall(route.path)
    ]
    for name in route.query:
        description = {"description": _DESCRIPTIONS[name]} if name in _DESCRIPTIONS else {}
        found.append(
            {"name": name, "in": "query", "required": False, **description, "schema": in_query(name, route.path)}
        )
    return found + [{"$ref": f"#/components/parameters/{name}"} for name in headers]


def in_path(name: str) -> Schema:
    return ID if name.endswith("_id") else _PATHS.get(name, _TEXT)


def in_query(name: str, path: str) -> Schema:
    if path.endswith("/diff") and name in {"from", "to"}:
        return _VERSION
    if name in _REPEATABLE:
        return {"type": "array", "items": _REPEATABLE[name], "maxItems": VALUES_MAX}
    return _SINGLE.get(name, _TEXT)


def saved(name: str) -> Schema:
    """A filter of `GET /tasks` as a saved view keeps it: a value, a list of values, or `null` for none."""
    single = name not in _REPEATABLE
    value: Schema = {
        key: of for key, of in (_SINGLE[name] if single else _REPEATABLE[name]).items() if key != "default"
    }
    if value == _TEXT:
        value = _TEXT | {"maxLength": SAVED_VALUE_MAX}
    several = {"type": "array", "items": value, "minItems": 1, "maxItems": 1 if single else VALUES_MAX}
    truth: list[Schema] = [{"type": "boolean"}] if value == _BOOLEAN else []
    return {"anyOf": [value, *truth, several, {"type": "null"}]}
