"""A person's due tasks as an iCalendar file (RFC 5545): reads the tasks and writes the file."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

import msgspec
from icalendar import Calendar, Event
from msgspec import Struct
from msgspec.structs import replace

from taskflow.api.calendar_due import add_due, clocks_of, moment, years_of
from taskflow.off_loop import on_thread
from taskflow.projections.declarations.tasks import NO_DUE, TaskFacts, board_key
from taskflow.readmodels.queries import TaskFilter, all_pairs, status_pairs
from taskflow.streams.schedule import Series

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from uuid import UUID

    from taskflow.projections.declarations.tasks import ShownTask
    from taskflow.readmodels.read_models import ReadModels
    from taskflow.streams.project import ProjectState
    from taskflow.streams.user import UserState

TASKS_MAX: Final = 500
"""Tasks in one feed: the first ones by due time."""
PAGE: Final = 200
"""Tasks in memory at once while a feed is read, or fewer: a page is bounded in bytes."""
TEXT_BYTES_MAX: Final = 2_048
"""Length limit of a task's description in the feed, and of all its labels together."""
TRUNCATION_NOTICE: Final = "\n[cut here: the whole text is in taskflow]"
"""The end of a description that was cut at TEXT_BYTES_MAX."""
OPEN: Final = frozenset(("todo", "in_progress", "waiting"))
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def feed_sources(models: ReadModels, user: UserState, projects: Mapping[UUID, OpenStatuses]) -> Hashable | None:
    """The identity of a feed's data: the owner's version, their projects' versions, and the invalidation versions of
    these projects' tasks. None while the invalidation versions are not available."""
    bucket_versions = [models.freshness.bucket_version("tasks", board_key(project_id)) for project_id in projects]
    if None in bucket_versions:
        return None
    versions = [(project_id, project.version) for project_id, project in projects.items()]
    return (user.version, frozenset(zip(versions, bucket_versions, strict=True)))


class OpenStatuses(Struct, frozen=True):
    """A project's open statuses, which a feed needs, and the project's version."""

    version: int
    pairs: frozenset[tuple[UUID, str]]


def open_statuses(project: ProjectState) -> OpenStatuses:
    return OpenStatuses(project.version, status_pairs([project], None, OPEN))


class DueTask(Struct, frozen=True):
    facts: TaskFacts
    series: Series | None


async def due_tasks(models: ReadModels, projects: Mapping[UUID, OpenStatuses]) -> list[DueTask]:
    """Open tasks with a due in these projects, with only the fields that a calendar shows."""
    pairs = all_pairs(project.pairs for project in projects.values())
    wanted = TaskFilter(projects=frozenset(projects), pairs=pairs, due_before=NO_DUE)
    due: list[DueTask] = []
    cursor: str | None = None
    while True:
        limit = min(PAGE, TASKS_MAX - len(due))
        page = await models.views.tasks(wanted, sort="due_at", limit=limit, cursor=cursor)
        due += await on_thread(_shortened, page.tasks)
        cursor = page.next_cursor
        if cursor is None or len(due) >= TASKS_MAX:
            return due


_decoder: Final = msgspec.json.Decoder(TaskFacts)


def _shortened(tasks: Sequence[ShownTask]) -> list[DueTask]:
    return [DueTask(_short(_decoder.decode(task.facts)), task.series) for task in tasks]


def _short(facts: TaskFacts) -> TaskFacts:
    return replace(
        facts, description=_truncated(facts.description), labels=_first_labels(facts.labels), checklist=(), relations=()
    )


def _truncated(text: str) -> str:
    """The text, cut to TEXT_BYTES_MAX with a notice if it is longer."""
    if len(text) <= TEXT_BYTES_MAX and len(text.encode()) <= TEXT_BYTES_MAX:
        return text
    room = TEXT_BYTES_MAX - len(TRUNCATION_NOTICE)
    return text[:room].encode()[:room].decode(errors="ignore") + TRUNCATION_NOTICE


def _first_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The first labels, up to TEXT_BYTES_MAX of them."""
    few: list[str] = []
    size = 0
    for label in labels:
        size += len(label.encode())
        if size > TEXT_BYTES_MAX:
            break
        few.append(label)
    return tuple(few)


def write_feed(user: UserState, tasks: list[DueTask]) -> bytes:
    """The feed's bytes. The same tasks always give the same bytes: the time of the request is not in them."""
    calendar = Calendar()
    calendar.add("prodid", "-//taskflow//due tasks//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", _text(f"taskflow: {user.name}" if user.name else "taskflow"))
    zones: dict[str, list[date]] = {}
    events: list[Event] = []
    for one in tasks:
        task = one.facts
        if task.due_at is None and task.due_on is None:
            continue
        event = Event()
        event.add("uid", f"{task.id}@taskflow")
        event.add("dtstamp", moment(task.updated_at))
        event.add("last-modified", moment(task.updated_at))
        event.add("sequence", task.version)
        zone = add_due(event, task, one.series)
        if zone is not None:
            zones.setdefault(zone, []).append(event["dtstart"].dt.date())
        event.add("summary", _text(task.title))
        if task.description:
            event.add("description", _text(task.description))
        if task.labels:
            event.add("categories", [_text(label) for label in task.labels])
        events.append(event)
    for name, days in zones.items():
        calendar.add_component(clocks_of(name, *years_of(days)))
    for event in events:
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _text(text: str) -> str:
    """The text without control characters; some programs would read a bare carriage return as a new line."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
