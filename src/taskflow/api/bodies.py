"""Request bodies: content types, JSON, and the Struct that a command takes.

A body is read as plain JSON first. That is what a command's fingerprint is made of, so that a Struct
which gains a field tomorrow does not turn today's repeat into another request.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, Struct, ValidationError, inspect

from taskflow.dates.times import cut_times
from taskflow.errors import Fault, Malformed, UnsupportedMedia
from taskflow.ids import is_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

S = TypeVar("S", bound=Struct)

FAULTS_MAX: Final = 1_000
"""Faults that one answer lists."""
JSON: Final = ("application/json",)
PATCH: Final = ("application/json", "application/merge-patch+json")

_CODES: Final = (
    ("missing required", "required"),
    ("unknown field", "unknown-field"),
    ("of length", "length"),
    ("matching regex", "pattern"),
    ("Invalid enum", "choice"),
    ("Invalid", "format"),
    ("timezone", "format"),
    ("RFC3339", "format"),
    ("Expected", "type"),
)
WHOLE_NUMBER_MAX: Final = 2**53
"""Below this a number is the same whole one however it is written."""


def _number(text: str) -> int | float:
    """`3.0` and `3e0` are 3: JSON knows one kind of number, and so do schemas."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < WHOLE_NUMBER_MAX else number


_plain: Final = msgspec.json.Decoder(float_hook=_number)

_PATH: Final = re.compile(r" - at `([^`]*)`$")
_FIELD: Final = re.compile(r"field `([^`]*)`")


def read_json(raw: bytes, content_type: str | None, accepted: Collection[str]) -> dict[str, Any]:
    """The JSON object in a body; an empty body is an empty object.

    Raises UnsupportedMedia for another content type, Malformed for what is no JSON object.
    """
    if not raw:
        return {}
    _check_type(content_type, accepted)
    try:
        decoded = _plain.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed([Fault("", "json", f"expected a JSON object in UTF-8: {error}")]) from None
    except RecursionError:
        raise Malformed([Fault("", "json", "expected a JSON object; this one is nested too deep")]) from None
    if not isinstance(decoded, dict):
        raise Malformed([Fault("", "type", "expected a JSON object")])
    return decoded


def decode(plain: dict[str, Any], body: type[S], *, below: str = "") -> S:
    """A plain object as the Struct. Raises Malformed with every fault; pointers begin with `below`."""
    plain = cut_times(plain, body)
    try:
        decoded = msgspec.convert(plain, body)
    except ValidationError as error:
        raise Malformed(_faults(plain, body, below) or [_fault(error, below)]) from None
    faults = [
        Fault(pointer, "format", "expected an id, a UUID of 8-4-4-4-12 hexadecimal digits")
        for pointer in islice(loose_ids(plain, decoded, below), FAULTS_MAX)
    ]
    if faults:
        raise Malformed(faults)
    return decoded


def loose_ids(plain: Any, decoded: Any, pointer: str) -> Iterator[str]:
    """Where an id was sent in another form than `is_id` takes: the decoder also takes 32 digits in a row."""
    match decoded:
        case UUID():
            if isinstance(plain, str) and not is_id(plain):
                yield pointer
        case Struct():
            for name, sent_as in _fields_with_ids(type(decoded)):
                if sent_as not in plain:
                    continue
                sent, value = plain[sent_as], getattr(decoded, name)
                # Most are single ids in the right form: no generator for each of those.
                if not (isinstance(value, UUID) and is_id(sent)):
                    yield from loose_ids(sent, value, f"{pointer}/{sent_as}")
        case tuple() | list():
            for index, (sent, value) in enumerate(zip(plain, decoded, strict=False)):
                yield from loose_ids(sent, value, f"{pointer}/{index}")
        case dict():
            for (name, sent), (key, value) in zip(plain.items(), decoded.items(), strict=False):
                yield from loose_ids(name, key, pointer)
                yield from loose_ids(sent, value, f"{pointer}/{_escaped(str(name))}")
        case _:
            pass


@cache
def _fields_with_ids(struct: type[Struct]) -> tuple[tuple[str, str], ...]:
    """Of the fields that can hold an id, the name and the one in JSON. The others are not looked into, and a type is
    asked for its fields once: a workflow has thousands of Structs."""
    fields = msgspec.structs.fields(struct)
    return tuple((one.name, one.encode_name) for one in fields if _can_hold_ids(inspect.type_info(one.type)))


def _can_hold_ids(kind: inspect.Type) -> bool:
    match kind:
        case inspect.UUIDType():
            return True
        case inspect.Metadata():
            return _can_hold_ids(kind.type)
        case inspect.UnionType():
            return any(_can_hold_ids(one) for one in kind.types)
        case inspect.CollectionType():
            return _can_hold_ids(kind.item_type)
        case inspect.TupleType():
            return any(_can_hold_ids(one) for one in kind.item_types)
        case inspect.DictType():
            return _can_hold_ids(kind.key_type) or _can_hold_ids(kind.value_type)
        case inspect.StructType():
            return any(_can_hold_ids(one.type) for one in kind.fields)
        case _:
            return False


def _check_type(content_type: str | None, accepted: Collection[str]) -> None:
    media, _, parameters = (content_type or "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media.strip().lower() not in accepted or charset not in {"", "utf-8", "utf8"}:
        raise UnsupportedMedia(f"expected {' or '.join(accepted)} in UTF-8, found {content_type or 'no content type'}")


def _faults(plain: dict[str, Any], body: type[Struct], below: str) -> list[Fault]:
    """Every fault, field by field: the decoder itself stops at the first."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(body)}
    faults = [
        Fault(
            f"{below}/{_escaped(name)}",
            "unknown-field",
            f"there is no field {name[:100]}; expected {', '.join(fields)}",
        )
        for name in islice((name for name in plain if name not in fields), FAULTS_MAX)
    ]
    for name, field in fields.items():
        if name not in plain:
            if field.default is NODEFAULT and field.default_factory is NODEFAULT:
                faults.append(Fault(f"{below}/{name}", "required", "expected a value; the field is missing"))
            continue
        try:
            msgspec.convert(plain[name], field.type)
        except ValidationError as error:
            faults.append(_fault(error, f"{below}/{name}"))
    return faults


def _fault(error: ValidationError, below: str) -> Fault:
    message = str(error)
    path = _PATH.search(message)
    detail = message[: path.start()] if path else message
    pointer = below + (_pointer(path[1]) if path else "")
    named = _FIELD.search(detail)
    if named:
        pointer += f"/{_escaped(named[1])}"
    code = next((code for words, code in _CODES if words in detail), "invalid")
    return Fault(pointer, code, detail)


def _pointer(path: str) -> str:
    """msgspec's `$.labels[3]` as the JSON pointer `/labels/3`. Of a value under any name it says `[...]`: the pointer
    is then to what holds it."""
    return re.sub(r"[.\[]", "/", path.removeprefix("$").partition("[...]")[0]).replace("]", "")


def _escaped(name: str) -> str:
    return name[:100].replace("~", "~0").replace("/", "~1")
