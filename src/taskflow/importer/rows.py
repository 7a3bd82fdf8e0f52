"""From a file's record to a Row, as the mapping says: times, statuses, labels, people. Every text has a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from taskflow.dates.time_zones import zone_of
from taskflow.dates.times import truncate
from taskflow.importer.contract import (
    COLUMN_MAX,
    EXTERNAL_ID_MAX,
    LABEL_MAX,
    LABELS_MAX,
    NAME_MAX,
    TITLE_MAX,
    Priority,
)
from taskflow.importer.failures import BadMapping
from taskflow.importer.mapping import Mapping, Time, literals, slots
from taskflow.text.csv_escaping import unescape_cell

_SHOWN_MAX: Final = 60
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Row(Struct, frozen=True, kw_only=True):
    """A row as the mapping reads it. `content` holds the mapped columns: rows are the same where it is,
    whatever columns stand beside them and in which order."""

    line: int
    fields: tuple[str, ...]
    content: bytes
    external_id: str
    at: datetime
    title: str
    status: str
    priority: Priority | None
    labels: tuple[str, ...]
    person: tuple[str, ...] | None
    nobody: bool
    """Whether it says that nobody has the ticket, rather than nothing."""
    person_name: str
    source: dict[str, str] | None


class Bad(Struct, frozen=True, kw_only=True):
    """A row that cannot become a command. `line` counts from 1, the header included."""

    line: int
    reason: str
    fields: tuple[str, ...]


class RowFault(Exception):
    """One row is unusable; the message is the reason."""


def reader(mapping: Mapping, header: Sequence[str]) -> Callable[[int, Sequence[str]], Row]:
    """From a record to its Row, for files with this header; the result raises RowFault.

    Raises BadMapping where the header lacks a column, or has one twice.
    """
    faults = [f"no column {name!r}" for name in mapping.columns if name not in header]
    faults += [f"more than one column {name!r}" for name in mapping.columns if header.count(name) > 1]
    if faults:
        raise BadMapping(f"the file has {'; '.join(faults)}; its columns are {', '.join(map(repr, header))}")
    index = {name: header.index(name) for name in mapping.columns}
    width = len(header)
    content_at = [index[name] for name in sorted(index)]
    external_id_at, time_at = index[mapping.external_id], index[mapping.time.column]
    parse_time = _time_parser(mapping.time)
    title = _template(mapping.title, index)
    status_at = [index[name] for name in mapping.status.columns]
    statuses = {match: status.key for status in mapping.status.values for match in status.matches}
    priority_at = None if mapping.priority is None else index[mapping.priority.column]
    priorities = {} if mapping.priority is None else mapping.priority.values
    labels_at = [(index[label.column], label.prefix) for label in mapping.labels]
    person_at = [] if mapping.assignee is None else [index[name] for name in mapping.assignee.columns]
    nobody = frozenset(() if mapping.assignee is None else mapping.assignee.nobody)
    person_name = _template("" if mapping.assignee is None else mapping.assignee.name, index)
    source_at = [(index[name], name) for name in mapping.source]
    encode = msgspec.json.Encoder().encode

    def read(line: int, fields: Sequence[str]) -> Row:
        if len(fields) != width:
            raise RowFault(f"expected {width} fields, found {len(fields)}")
        if mapping.guarded:
            fields = [unescape_cell(field) for field in fields]
        content = _encoded(encode, [fields[at] for at in content_at])
        external_id = fields[external_id_at].strip()
        if not external_id:
            raise RowFault(f"column {mapping.external_id!r} is empty")
        joined = "/".join([fields[at].strip() for at in status_at])
        status = statuses.get(joined)
        if status is None:
            raise RowFault(f"the mapping has no status for {_shown(joined)}")
        labels = tuple(dict.fromkeys([prefix + value for at, prefix in labels_at if (value := fields[at].strip())]))
        person = tuple([fields[at].strip() for at in person_at])
        is_nobody = "/".join(filter(None, person)) in nobody
        somebody = any(person) and not is_nobody
        row = Row(
            line=line,
            fields=tuple(fields),
            content=content,
            external_id=external_id,
            at=parse_time(fields[time_at].strip()),
            title=title(fields),
            status=status,
            priority=None if priority_at is None else _priority(priorities, fields[priority_at].strip()),
            labels=labels,
            person=person if somebody else None,
            nobody=is_nobody,
            person_name=person_name(fields) if somebody else "",
            source={column: value for at, column in source_at if (value := fields[at].strip())} or None,
        )
        _bounded(row)
        return row

    return read


def _encoded(encode: Callable[[Sequence[str]], bytes], fields: Sequence[str]) -> bytes:
    try:
        content = encode(fields)
    except UnicodeEncodeError:
        raise RowFault("expected UTF-8, found other bytes") from None
    if b"\\u0000" in content and any("\0" in field for field in fields):
        raise RowFault("found a NUL character")
    return content


def _priority(priorities: dict[str, Priority], value: str) -> Priority | None:
    if not value:
        return None
    if value not in priorities:
        raise RowFault(f"the mapping has no priority for {_shown(value)}")
    return priorities[value]


def _bounded(row: Row) -> None:
    _at_most("the external id", row.external_id, EXTERNAL_ID_MAX)
    _at_most("the title", row.title, TITLE_MAX)
    _at_most("the person's name", row.person_name, NAME_MAX)
    if len(row.labels) > LABELS_MAX:
        raise RowFault(f"expected at most {LABELS_MAX} labels, found {len(row.labels)}")
    for label in row.labels:
        _at_most("a label", label, LABEL_MAX)
    for column, value in (row.source or {}).items():
        _at_most(f"column {column!r}", value, COLUMN_MAX)
    if not row.title:
        raise RowFault("the title is empty")
    if row.person is not None and not row.person_name:
        raise RowFault("the person's name is empty")


def _at_most(what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise RowFault(f"{what} is too long: expected at most {most} characters, found {len(text)}")


def _time_parser(time: Time) -> Callable[[str], datetime]:
    zone = None if time.zone is None else zone_of(time.zone)
    expected = "a time as ISO 8601" if time.format is None else f"a time as {time.format}"

    def parse(text: str) -> datetime:
        try:
            at = datetime.fromisoformat(text) if time.format is None else datetime.strptime(truncate(text), time.format)  # noqa: DTZ007 - the zone is judged below
            if at.tzinfo is None:
                if zone is None:
                    raise RowFault(f"expected a time with an offset, found {_shown(text)} (or set time.zone)")
                at = at.replace(tzinfo=zone)
            at = at.astimezone(UTC)
        except (ValueError, OverflowError):
            raise RowFault(f"expected {expected}, found {_shown(text)}") from None
        if at < _FIRST:  # ids are laid out by the milliseconds since then
            raise RowFault(f"expected a time since 1970, found {_shown(text)}")
        return at

    return parse


def _template(template: str, index: dict[str, int]) -> Callable[[Sequence[str]], str]:
    pieces = literals(template)
    first, more = pieces[0], list(zip([index[name] for name in slots(template)], pieces[1:], strict=True))

    def fill(fields: Sequence[str]) -> str:
        return (first + "".join([fields[at].strip() + text for at, text in more])).strip()

    return fill


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…")
