"""What the columns of a file are: a TOML file, checked whole before the first row is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from taskflow.client.answers import Status, Workflow
from taskflow.dates.time_zones import NAMES
from taskflow.importer.contract import LABEL_MAX, STATUSES_MAX, Category, Description, Name, Priority, StatusKey
from taskflow.importer.failures import BadMapping

_SLOT: Final = re.compile(r"\{([^{}]*)\}")

Column = Annotated[str, Meta(min_length=1, max_length=500)]
Columns = Annotated[tuple[Column, ...], Meta(min_length=1, max_length=20)]
Template = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")]


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the mapping: an unknown key is a mistake, never ignored."""


class Project(Part, frozen=True, kw_only=True):
    """`key` is the source's own name: ids are derived of it, so it may never change."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Name
    description: Description = ""


class Time(Part, frozen=True, kw_only=True):
    """ISO 8601 where no `format` (as of `strptime`) is given; `zone` is for times without an offset."""

    column: Column
    format: str | None = None
    zone: str | None = None


class MappedStatus(Part, frozen=True, kw_only=True):
    """`match`: what the status columns say, joined with `/`; the key where it is left out."""

    key: StatusKey
    category: Category
    name: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    match: tuple[str, ...] | None = None

    @property
    def matches(self) -> tuple[str, ...]:
        return (self.key,) if self.match is None else self.match


class Statuses(Part, frozen=True, kw_only=True):
    columns: Columns
    values: Annotated[tuple[MappedStatus, ...], Meta(min_length=1, max_length=STATUSES_MAX)]
    """In workflow order."""


class Priorities(Part, frozen=True, kw_only=True):
    column: Column
    values: dict[str, Priority]


class MappedLabel(Part, frozen=True, kw_only=True):
    """A column that owns the labels which begin with its prefix."""

    column: Column
    prefix: Annotated[str, Meta(min_length=1, max_length=LABEL_MAX - 1)]


class Person(Part, frozen=True, kw_only=True):
    """`columns` together tell one person from another; `name` is a template of what they are called.

    `nobody`: what the columns say, those that say something joined with `/`, of a ticket that nobody has. Where the
    empty text is not among it, a row without a person says nothing about that.
    """

    columns: Columns
    name: Template
    nobody: Annotated[tuple[str, ...], Meta(max_length=20)] = ()


class Mapping(Part, frozen=True, kw_only=True):
    """`title` and a person's `name` are templates: `Incident {SR Number}`."""

    project: Project
    external_id: Column
    title: Template
    time: Time
    status: Statuses
    priority: Priorities | None = None
    labels: tuple[MappedLabel, ...] = ()
    assignee: Person | None = None
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    guarded: bool = False
    """Whether cells that a spreadsheet would compute have a quote before them, as in an exported project."""
    source: tuple[Column, ...] = ()
    """Columns that are kept in the events as they stand."""

    @property
    def workflow(self) -> Workflow:
        return Workflow(
            tuple(Status(status.key, status.name or status.key, status.category) for status in self.status.values)
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the mapping names, each once."""
        named = [self.external_id, self.time.column, *self.status.columns, *slots(self.title), *self.source]
        named += [label.column for label in self.labels]
        if self.priority is not None:
            named.append(self.priority.column)
        if self.assignee is not None:
            named += [*self.assignee.columns, *slots(self.assignee.name)]
        return tuple(dict.fromkeys(named))


def slots(template: str) -> list[str]:
    """The columns that a template names."""
    return _SLOT.findall(template)


def literals(template: str) -> list[str]:
    """The text around a template's slots: one piece more than there are slots."""
    return _SLOT.split(template)[::2]


def read_mapping(path: Path) -> Mapping:
    """Raises BadMapping."""
    try:
        mapping = msgspec.toml.decode(path.read_bytes(), type=Mapping)
    except OSError as error:
        raise BadMapping(f"mapping {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMapping(f"mapping {path}: {error}") from None
    faults = _faults(mapping)
    if faults:
        raise BadMapping(f"mapping {path}:\n  " + "\n  ".join(faults))
    return mapping


def _faults(mapping: Mapping) -> list[str]:
    """What is well formed and cannot be meant."""
    faults = []
    keys = [status.key for status in mapping.status.values]
    faults += [f"status {key!r} is there twice" for key in _duplicates(keys)]
    matches = [match for status in mapping.status.values for match in status.matches]
    faults += [f"two statuses match {match!r}" for match in _duplicates(matches)]
    templates = [("title", mapping.title)]
    if mapping.assignee is not None:
        templates.append(("assignee.name", mapping.assignee.name))
        faults += [
            f"assignee.name: {{{column}}} is not among assignee.columns: one person would have many names"
            for column in slots(mapping.assignee.name)
            if column not in mapping.assignee.columns
        ]
    faults += [
        f"{place}: expected columns in braces, as {{Name}}, found {template!r}"
        for place, template in templates
        if any("{" in text or "}" in text for text in literals(template)) or "" in slots(template)
    ]
    zone = mapping.time.zone
    if zone is not None and zone not in NAMES:
        faults.append(f"time.zone: no time zone {zone!r}")
    return faults


def _duplicates(values: list[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if values.count(value) > 1]
