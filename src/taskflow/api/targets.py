"""Parses the target of a command: from the path of its own route, or from its text in `/commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin
from urllib.parse import unquote_to_bytes
from uuid import UUID

import msgspec

from taskflow.api.bodies import loose_ids
from taskflow.commands.fields import LABEL_MAX
from taskflow.dates.times import cut_times
from taskflow.errors import Fault, Malformed, NotFound, TaskflowError
from taskflow.ids import UUID_PATTERN, parse_id

if TYPE_CHECKING:
    from taskflow.api.route import RequestContext
    from taskflow.commands.declaration import CommandType, TargetType

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NOUNS: Final = {"item_id": "checklist item", "related_id": "task"}
"""What an id identifies, for fields whose name does not tell."""
_BEFORE_LABEL: Final = b"/labels/"

# --- in a path


def target_in_path(target: TargetType[Any] | None, call: RequestContext) -> Any:
    """The target in a path. Raises NotFound for a text that is not an id, and Malformed for an impossible label's
    name."""
    if target is None:
        return None
    if target.parts is None:
        return call.id(f"{target.name}_id", target.name)
    plain: dict[str, Any] = {}
    for field in msgspec.structs.fields(target.parts):
        if field.type is UUID:
            plain[field.name] = call.id(field.name, _NOUNS.get(field.name, field.name.removesuffix("_id")))
        else:
            plain[field.name] = call.request.path_params[field.name]
    try:
        if target.name == "label":
            plain["name"] = _label_in_path(call.request.scope["raw_path"])
        return msgspec.convert(cut_times(plain, target.parts), target.parts)
    except ValueError:
        raise _target_fault(target.name, plain) from None


def _label_in_path(raw_path: bytes) -> str:
    """The rest of the path as it was sent; the router's parameter has lost slashes at its ends."""
    return unquote_to_bytes(raw_path.partition(_BEFORE_LABEL)[2]).decode()


def _target_fault(name: str, plain: dict[str, Any]) -> TaskflowError:
    match name:
        case "label":
            detail = f"expected a label's name in UTF-8, of 1 to {LABEL_MAX} characters"
            return Malformed([Fault("name", "format", detail)])
        case "invitation_token":
            return NotFound("invitation", "with this token")
        case "event":
            return NotFound("event", plain["position"])
        case _:
            return NotFound(name, plain["type"])


# --- as text


def target_as_text(entry: CommandType, text: str | None, pointer: str) -> Any:
    """The target in its text form in `/commands`: an id, or several parts. Raises Malformed."""
    target = entry.target
    if target is None:
        if text is not None:
            raise Malformed([Fault(pointer, "unknown-field", f"{entry.body.__name__} has no target")])
        return None
    try:
        if target.parts is None:
            return parse_id(text or "")
        names = target.parts.__struct_fields__
        plain = dict(zip(names, (text or "").split("/", len(names) - 1), strict=True))
        meant = msgspec.convert(cut_times(plain, target.parts), target.parts)
        if any(loose_ids(plain, meant, "")):
            raise ValueError(text)
        return meant
    except ValueError:
        raise Malformed([Fault(pointer, "format", f"expected {_written_as(target)}")]) from None


def target_schema(target: TargetType[Any] | None, *, id_: str = UUID_PATTERN) -> dict[str, Any]:
    """The JSON Schema of a command's `target`; `id_` is the pattern of an id in it."""
    if target is None:
        return {"$schema": DIALECT, "type": "null"}
    schema = {"$schema": DIALECT, "type": "string", "description": _written_as(target)}
    if target.parts is None:
        return schema | {"format": "uuid"}
    parts = [id_ if field.type is UUID else _part(field.type) for field in msgspec.structs.fields(target.parts)]
    return schema | {"pattern": f"^{'/'.join(parts)}$"}


def _written_as(target: TargetType[Any]) -> str:
    if target.parts is None:
        return f"the id of a {target.name}"
    return "/".join(f"<{field.replace('_', ' ')}>" for field in target.parts.__struct_fields__)


def _part(type_: Any) -> str:
    if get_origin(type_) is Literal:
        return f"({'|'.join(get_args(type_))})"
    schema = msgspec.json.schema(type_)
    holds = f"(?=[\\s\\S]*{schema['pattern']})" if "pattern" in schema else ""
    return f"{holds}[\\s\\S]{{{schema['minLength']},{schema['maxLength']}}}"
