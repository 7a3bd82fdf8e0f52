"""`taskflow views …`: saved views."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rich.text import Text

from taskflow.client.answers import SavedView
from taskflow.terminal import short_ids
from taskflow.terminal.desk import PAGE_MAX, Desk
from taskflow.terminal.happened import in_words
from taskflow.terminal.shown import clean, short, when
from taskflow.terminal.tasks import asked, listed


def list_views(desk: Desk) -> None:
    shared = _shared(desk)
    views, more = desk.first(desk.client.views.list(project=[] if shared is None else [shared], limit=desk.page))
    if desk.json:
        desk.screen.document(views)
        return
    if not views:
        desk.screen.say("no views")
        return
    names = {one.id: one.name for one in desk.client.projects.list(limit=PAGE_MAX)}
    rows = [[short(view.id), view.name, _whose(view, names), _words(view)] for view in views]
    desk.screen.table(("ID", "NAME", "OF", "FILTERS"), rows, flexible=("NAME", "FILTERS"), spare=("OF",))
    desk.hint(more=more)


def _whose(view: SavedView, names: dict[UUID, str]) -> str:
    return "you" if view.project_id is None else names.get(view.project_id, short(view.project_id))


def _words(view: SavedView) -> str:
    return "; ".join(f"{name}: {_value(value)}" for name, value in sorted(view.query.items()))


def _value(value: str | bool | tuple[str, ...]) -> str:
    several = value if isinstance(value, tuple) else (value,)
    return ", ".join(short(one) if isinstance(one, str) and short_ids.whole(one) else in_words(one) for one in several)


def show(desk: Desk) -> None:
    view = short_ids.view(desk.client, desk.typed.view)
    if desk.json:
        desk.screen.document(view)
        return
    desk.screen.say(Text(clean(view.name), style="bold"))
    facts = [
        ("id", str(view.id)),
        ("of", "you" if view.project_id is None else desk.client.projects.get(view.project_id).name),
        ("changed", when(view.updated_at)),
        ("version", str(view.version)),
        *[(name.replace("_", " "), in_words(list(value) if isinstance(value, tuple) else value))
          for name, value in sorted(view.query.items())],
    ]  # fmt: skip
    for name, value in facts:
        if value:
            desk.screen.say(Text(f"  {name:<12}", style="dim"), value)


def run(desk: Desk) -> None:
    view = short_ids.view(desk.client, desk.typed.view)
    listed(desk, desk.client.views.tasks(view, limit=desk.page))


def save(desk: Desk) -> None:
    views, name, shared = desk.client.views, desk.typed.name, _shared(desk)
    typed = asked(desk)
    query: dict[str, Any] = {filter_: value for filter_, value in typed.items() if value not in (None, [])}
    there = [one for one in views.list(project=[] if shared is None else [shared]) if one.project_id == shared]
    same = [one for one in there if one.name.casefold() == name.casefold()]
    known = short_ids.named(same, name, "view")
    if known is None:
        _told(desk, "saved", views.create(name, query, project_id=shared))
    else:
        # A merge patch keeps what it does not mention, so every filter is sent, with None for those not given.
        _told(desk, "changed", views.edit(known.id, query={**dict.fromkeys(typed), **query}))


def rename(desk: Desk) -> None:
    view = short_ids.view(desk.client, desk.typed.view)
    _told(desk, "renamed", desk.client.views.edit(view.id, name=desk.typed.name))


def delete(desk: Desk) -> None:
    view = short_ids.view(desk.client, desk.typed.view)
    _told(desk, "deleted", desk.client.views.delete(view.id))


def _shared(desk: Desk) -> UUID | None:
    return None if desk.typed.shared is None else short_ids.project(desk.client, desk.typed.shared).id


def _told(desk: Desk, what: str, view: SavedView) -> None:
    if desk.json:
        desk.screen.document(view)
    else:
        desk.screen.say(what, short(view.id), view.name, Text(clean(f"({_words(view)})"), style="dim"))
