"""Resolves a part of an id, or a name, to the one thing that the caller can see and that matches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from typing import Final, Protocol, TypeVar
from uuid import UUID

from taskflow.client import Client
from taskflow.client.answers import Project, SavedView
from taskflow.terminal.output import clean, short

ID_PART_MIN: Final = 4
TASKS_SEARCHED_MAX: Final = 20_000
"""The most tasks that are searched for a part of an id."""
CANDIDATES_MAX: Final = 5
PAGE: Final = 200

_PIECE: Final = re.compile(rf"[0-9a-f]{{{ID_PART_MIN},32}}")


class Named(Protocol):
    """Anything with an id and a name."""

    @property
    def id(self) -> UUID: ...

    @property
    def name(self) -> str | None: ...


N = TypeVar("N", bound=Named)


class Unclear(Exception):
    """The argument cannot be understood, or matches more than one thing."""


class NoSuch(Exception):
    """Nothing matches the argument."""


def whole(text: str) -> str | None:
    """The id, if the text is a whole id; else None."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def fits(piece: str, id_: UUID) -> bool:
    return id_.hex.startswith(piece) or id_.hex.endswith(piece)


def piece_of(text: str) -> str | None:
    piece = text.lower().replace("-", "")
    return piece if _PIECE.fullmatch(piece) else None


def one_of(found: Iterable[tuple[UUID, str]], typed: str, what: str) -> str | None:
    """The id of the single match; None if there is none. Raises Unclear, with the candidates, if there are several."""
    known = dict(found)
    if len(known) > 1:
        several = [f"{id_} {clean(name)}" for id_, name in list(known.items())[:CANDIDATES_MAX]]
        more = "" if len(known) <= CANDIDATES_MAX else f", and {len(known) - CANDIDATES_MAX} more"
        raise Unclear(f"{typed} could be any of {len(known)} {what}s; type more of it: {'; '.join(several)}{more}")
    return str(next(iter(known))) if known else None


def named(things: Iterable[N], text: str, what: str) -> N | None:
    """The single match by name, else by a part of the id. Raises Unclear if there are several."""
    every = {one.id: one for one in things}
    piece = piece_of(text)
    found = [one for one in every.values() if (one.name or "").casefold() == text.casefold()]
    found = found or [one for one in every.values() if piece is not None and fits(piece, one.id)]
    only = one_of(((one.id, one.name or short(one.id)) for one in found), text, what)
    return None if only is None else every[UUID(only)]


def task_id(client: Client, text: str) -> str:
    """The id of a task; one in the trash or in an archived project only if no other matches. Raises Unclear and NoSuch."""
    known = whole(text)
    if known is not None:
        return known
    piece = piece_of(text)
    if piece is None:
        raise Unclear(
            f"expected a task's id, or {ID_PART_MIN} or more characters of its beginning or end, found {text or 'none'}"
        )
    for archived, trashed in product((False, True), repeat=2):
        found = []
        for count, task in enumerate(client.tasks.list(trashed=trashed, archived=archived, limit=PAGE)):
            if count == TASKS_SEARCHED_MAX:
                raise Unclear(f"there are more than {TASKS_SEARCHED_MAX} tasks to search; type the whole id")
            if fits(piece, task.id):
                found.append((task.id, task.title))
        only = one_of(found, text, "task")
        if only is not None:
            return only
    raise NoSuch(f"no task {text}; `taskflow tasks list --all` lists them")


def project(client: Client, text: str) -> Project:
    """A project by its id, a part of the id, or its name. Raises Unclear and NoSuch."""
    known = whole(text)
    if known is not None:
        return client.projects.get(known)
    found = named(client.projects.list(limit=PAGE), text, "project")
    if found is None:
        raise NoSuch(f"no project {text}; `taskflow projects list` shows yours")
    return found


def view(client: Client, text: str) -> SavedView:
    """A saved view by its id, a part of the id, or its name. Raises Unclear and NoSuch."""
    known = whole(text)
    if known is not None:
        return client.views.get(known)
    found = named(client.views.list(limit=PAGE), text, "view")
    if found is None:
        raise NoSuch(f"no view {text}; `taskflow views list` lists them")
    return found


def person_id(client: Client, text: str, project_id: UUID | str) -> str:
    """The id of a person: `me`, an id, or a project member by name or part of an id. Raises Unclear and NoSuch."""
    if text == "me":
        return str(client.users.me().id)
    known = whole(text)
    if known is not None:
        return known
    found = named((member.user for member in client.projects.members(project_id, limit=PAGE)), text, "member")
    if found is None:
        raise NoSuch(f"no member {text}; `taskflow projects members {short(project_id)}` lists them")
    return str(found.id)
