"""References in a batch: `"$<command id>"` stands for the id of what an earlier command of the batch created.

A reference is a whole string in `data`, or a whole part of `target`. Within a longer text it has no meaning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from taskflow.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REFERENCE: Final = r"\$([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
_REFERENCE: Final = re.compile(REFERENCE)


def references(command: Mapping[str, Any]) -> Iterator[tuple[str, UUID]]:
    """The references in a decoded command: the JSON pointer to each, and the id of the command that it names."""
    target = command.get("target")
    if isinstance(target, str):
        for part in target.split("/"):
            named = _named(part)
            if named is not None:
                yield "/target", named
    data = command.get("data")
    if _may_refer(data):
        yield from _within(data, "/data")


def with_ids(command: Mapping[str, Any], made: Mapping[UUID, UUID]) -> dict[str, Any]:
    """The decoded command with its references replaced by ids. Raises Rejected for a reference without an id."""
    meant = dict(command)
    if isinstance(command.get("target"), str):
        meant["target"] = "/".join([_with_ids(part, made) for part in command["target"].split("/")])
    if "data" in command:
        meant["data"] = _with_ids(command["data"], made)
    return meant


def _may_refer(value: Any) -> bool:
    """Whether any text in it begins as a reference does: most commands have none, and are done with quickly."""
    if isinstance(value, str):
        return value.startswith("$")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    for one in value:  # noqa: SIM110 - a generator for each list costs more than all of its items
        if _may_refer(one):
            return True
    return False


def _named(text: str) -> UUID | None:
    if not text.startswith("$"):
        return None
    found = _REFERENCE.fullmatch(text)
    return None if found is None else UUID(found[1])


def _within(value: Any, pointer: str) -> Iterator[tuple[str, UUID]]:
    if isinstance(value, str):
        named = _named(value)
        if named is not None:
            yield pointer, named
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _within(one, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _within(one, f"{pointer}/{index}")


def _with_ids(value: Any, made: Mapping[UUID, UUID]) -> Any:
    if isinstance(value, str):
        named = _named(value)
        if named is None:
            return value
        if named not in made:
            raise Rejected("reference", f"command {named} was refused and created nothing")
        return str(made[named])
    if isinstance(value, dict):
        return {name: _with_ids(one, made) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_ids(one, made) for one in value]
    return value
