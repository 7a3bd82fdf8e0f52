"""Migrations as they are stored: SQL files, read as steps.

A migration is a file `NNNN_name.sql`, or a folder `NNNN_name/` whose files are one migration together. Each is a list of
steps. A step begins with a line that names it and says how it is applied; a file without such a line is one step in a
transaction:

    -- step add_archived_at (transaction)
    -- step fill_archived_at (batches)
    -- step events_actor (concurrent index)

[`migration_steps`](migration_steps.py) says what each of them means.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

MIGRATIONS: Final = resources.files("taskflow.store") / "migrations"
_NAME: Final = re.compile(r"(\d{4})_\w+?(\.sql)?")
_STEP: Final = re.compile(r"^-- step (\w+) \(([\w ]+)\)$", re.MULTILINE)


class StepKind(StrEnum):
    """How a step is applied."""

    TRANSACTION = "transaction"
    BATCHES = "batches"
    CONCURRENT_INDEX = "concurrent index"


class Step(Struct, frozen=True):
    """A part of a migration that is applied, and recorded as applied, by itself."""

    name: str
    kind: StepKind
    sql: str


class Migration(Struct, frozen=True):
    """A numbered change of the schema. `checksum` is over its text: an applied migration never changes."""

    number: int
    name: str
    checksum: str
    steps: tuple[Step, ...]


def read_migrations(folder: Traversable = MIGRATIONS) -> list[Migration]:
    """All migrations of a folder, in order. Raises ValueError where one is not of the form that this module describes."""
    found = [
        _migration(int(match[1]), entry)
        for entry in folder.iterdir()
        if (match := _NAME.fullmatch(entry.name)) is not None
    ]
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"two migrations have one number: {[migration.name for migration in found]}")
    return found


def _migration(number: int, entry: Traversable) -> Migration:
    if entry.is_dir():
        files = sorted((part.name, part.read_text()) for part in entry.iterdir() if part.name.endswith(".sql"))
        text = "\n".join(text for _, text in files)
    else:
        text = entry.read_text()
    name = entry.name.removesuffix(".sql")
    return Migration(number, name, hashlib.sha256(text.encode()).hexdigest(), tuple(_steps(name, text)))


def _steps(name: str, text: str) -> list[Step]:
    before, *parts = _STEP.split(text)
    if not parts:
        return [Step(name, StepKind.TRANSACTION, text)]
    if any(line.strip() and not line.startswith("--") for line in before.splitlines()):
        raise ValueError(f"migration {name}: statements before its first step")
    unknown = set(parts[1::3]) - set(StepKind)
    if unknown:
        raise ValueError(f"migration {name}: no step is applied as {unknown.pop()!r}, but as one of {[*StepKind]}")
    steps = [
        Step(step, StepKind(kind), sql.strip())
        for step, kind, sql in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]
    if len({step.name for step in steps}) != len(steps):
        raise ValueError(f"migration {name}: two steps have one name")
    return steps
