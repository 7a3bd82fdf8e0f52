"""A row as a JSON object: its keys are the columns, its values the cells, as they are written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from taskflow.importer.rows import RowFault

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS: Final = {None: "", True: "true", False: "false"}


def cells(text: str, columns: Sequence[str]) -> tuple[str, ...]:
    """The cells of the columns. Null is an empty one; a key that is not there is a fault, as a column would be.

    Raises RowFault.
    """
    try:
        row = _read(text)
    except (ValueError, RecursionError) as error:
        raise RowFault(f"no JSON: {error}") from None
    if not isinstance(row, dict):
        raise RowFault(f"expected an object, found {_called(row)}")
    return tuple(_cell(row, column) for column in columns)


def _cell(row: dict[str, Any], column: str) -> str:
    if column not in row:
        raise RowFault(f"the object has no key {column!r}")
    value: str | bool | dict[str, Any] | list[Any] | None = row[column]
    if isinstance(value, dict | list):
        raise RowFault(f"key {column!r}: expected a text, a number, true, false or null, found {_called(value)}")
    return value if isinstance(value, str) else _WORDS[value]


def _read(text: str) -> Any:
    # Numbers stay the text that they are: a number's id is not to lose its zeros or its last digits.
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_number, object_pairs_hook=_once)


def _no_number(text: str) -> str:
    raise RowFault(f"expected a number, found {text}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise RowFault("the object has one key twice")
    return row


def _called(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return "a text or a number" if isinstance(value, str) else "true, false or null"
