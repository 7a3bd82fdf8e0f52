"""Formats events for people: the actor's name, and the event's fields."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from taskflow.client import Client, NotFound
from taskflow.client.answers import Event
from taskflow.terminal.output import short
from taskflow.terminal.short_ids import whole

DATA_MAX: Final = 100
"""The most characters of an event's data that are shown."""


def people(client: Client, events: Iterable[Event]) -> dict[str, str]:
    """Names by `actor`; a short id for a person whom the caller may not see."""
    names: dict[str, str] = {}
    for actor in {event.actor for event in events}:
        if whole(actor) is None:  # the system
            names[actor] = actor
            continue
        names[actor] = short(actor)
        with suppress(NotFound):
            names[actor] = client.users.get(actor).name or names[actor]
    return names


def describe(event: Event) -> str:
    """The fields of an event on one line; ids are left out unless there is nothing else."""
    fields = {name: value for name, value in event.data.items() if value not in (None, [], "")}
    fields = {name: value for name, value in fields.items() if not name.endswith("_id")} or fields
    data = ", ".join(f"{name}: {describe_all(value)}" for name, value in fields.items())
    data = " ".join(data.split())
    return data if len(data) <= DATA_MAX else f"{data[: DATA_MAX - 1]}…"


def describe_all(value: Any) -> str:
    match value:
        case str():
            return value
        case list():
            return ", ".join(describe_all(one) for one in value)
        case dict():
            return ", ".join(f"{name}: {describe_all(one)}" for name, one in value.items())
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
