"""Normalises times and names in input. Times are truncated to microseconds, never rounded, which could lead into the
next day; names get their normal form. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from taskflow.text.names import normal_name

_FINER: Final = re.compile(r"(?<=[.,][0-9]{6})[0-9]+")
"""The digits of a fraction of a second beyond the sixth."""

Cut = Callable[[Any], Any]


def truncate(text: str) -> str:
    """Truncates the text of a time to six fractional digits, because msgspec would round."""
    return _FINER.sub("", text)


def parse_time(text: str) -> datetime:
    """Parses an RFC 3339 time. Raises msgspec.ValidationError."""
    return msgspec.convert(truncate(text), datetime)


def cut_times(plain: Any, kind: Any) -> Any:
    """Returns decoded JSON with times truncated and names normalised, wherever the target type `kind` has a time or a
    name."""
    cutter = _truncation_of(kind)
    return plain if cutter is None else cutter(plain)


@cache
def _truncation_of(kind: Any) -> Cut | None:
    return _truncation(inspect.type_info(kind))


def _truncation(kind: inspect.Type) -> Cut | None:
    """Returns the function that normalises values of this type; None if the type holds no time and no name."""
    match kind:
        case inspect.DateTimeType():
            return lambda value: truncate(value) if isinstance(value, str) else value
        case inspect.Metadata(extra={"name": True}):
            return lambda value: normal_name(value) if isinstance(value, str) else value
        case inspect.Metadata():
            return _truncation(kind.type)
        case inspect.UnionType():
            return _each_of([_truncation(one) for one in kind.types])
        case inspect.CollectionType():
            return _items(_truncation(kind.item_type))
        case inspect.TupleType():
            return _items(_each_of([_truncation(one) for one in kind.item_types]))
        case inspect.DictType():
            return _entries(_truncation(kind.key_type), _truncation(kind.value_type))
        case inspect.StructType():
            return _fields({one.encode_name: cutter for one in kind.fields if (cutter := _truncation(one.type))})
        case _:
            return None


def _each_of(cutters: list[Cut | None]) -> Cut | None:
    there = [one for one in cutters if one is not None]

    def truncate_all(value: Any) -> Any:
        for one in there:
            value = one(value)
        return value

    return truncate_all if there else None


def _items(item: Cut | None) -> Cut | None:
    return None if item is None else lambda value: [item(one) for one in value] if isinstance(value, list) else value


def _entries(key: Cut | None, item: Cut | None) -> Cut | None:
    if key is None and item is None:
        return None

    def truncate_entries(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {one if key is None else key(one): of if item is None else item(of) for one, of in value.items()}

    return truncate_entries


def _fields(cutters: dict[str, Cut]) -> Cut | None:
    def truncate_fields(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return value | {name: one(value[name]) for name, one in cutters.items() if name in value}

    return truncate_fields if cutters else None
