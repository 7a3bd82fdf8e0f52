"""`taskflow views …`: saved views."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rich.text import Text

from taskflow.client.answers import SavedView
from taskflow.terminal import short_ids
from taskflow.terminal.command_context import PAGE_MAX, CommandContext
from taskflow.terminal.event_format import describe_all
from taskflow.terminal.output import clean, short, when
from taskflow.terminal.tasks import listed, task_filters


def list_views(context: CommandContext) -> None:
    shared = _shared(context)
    views, more = context.first(
        context.client.views.list(project=[] if shared is None else [shared], limit=context.page)
    )
    if context.json:
        context.screen.document(views)
        return
    if not views:
        context.screen.say("no views")
        return
    names = {one.id: one.name for one in context.client.projects.list(limit=PAGE_MAX)}
    rows = [[short(view.id), view.name, _owner_of(view, names), _words(view)] for view in views]
    context.screen.table(("ID", "NAME", "OF", "FILTERS"), rows, flexible=("NAME", "FILTERS"), droppable=("OF",))
    context.say_more(more=more)


def _owner_of(view: SavedView, names: dict[UUID, str]) -> str:
    return "you" if view.project_id is None else names.get(view.project_id, short(view.project_id))


def _words(view: SavedView) -> str:
    return "; ".join(f"{name}: {_value(value)}" for name, value in sorted(view.query.items()))


def _value(value: str | bool | tuple[str, ...]) -> str:
    several = value if isinstance(value, tuple) else (value,)
    return ", ".join(
        short(one) if isinstance(one, str) and short_ids.whole(one) else describe_all(one) for one in several
    )


def show(context: CommandContext) -> None:
    view = short_ids.view(context.client, context.typed.view)
    if context.json:
        context.screen.document(view)
        return
    context.screen.say(Text(clean(view.name), style="bold"))
    facts = [
        ("id", str(view.id)),
        ("of", "you" if view.project_id is None else context.client.projects.get(view.project_id).name),
        ("changed", when(view.updated_at)),
        ("version", str(view.version)),
        *[(name.replace("_", " "), describe_all(list(value) if isinstance(value, tuple) else value))
          for name, value in sorted(view.query.items())],
    ]  # fmt: skip
    for name, value in facts:
        if value:
            context.screen.say(Text(f"  {name:<12}", style="dim"), value)


def run(context: CommandContext) -> None:
    view = short_ids.view(context.client, context.typed.view)
    listed(context, context.client.views.tasks(view, limit=context.page))


def save(context: CommandContext) -> None:
    views, name, shared = context.client.views, context.typed.name, _shared(context)
    typed = task_filters(context)
    query: dict[str, Any] = {filter_: value for filter_, value in typed.items() if value not in (None, [])}
    there = [one for one in views.list(project=[] if shared is None else [shared]) if one.project_id == shared]
    same = [one for one in there if one.name.casefold() == name.casefold()]
    known = short_ids.named(same, name, "view")
    if known is None:
        _report(context, "saved", views.create(name, query, project_id=shared))
    else:
        # A merge patch keeps what it does not mention, so every filter is sent, with None for those not given.
        _report(context, "changed", views.edit(known.id, query={**dict.fromkeys(typed), **query}))


def rename(context: CommandContext) -> None:
    view = short_ids.view(context.client, context.typed.view)
    _report(context, "renamed", context.client.views.edit(view.id, name=context.typed.name))


def delete(context: CommandContext) -> None:
    view = short_ids.view(context.client, context.typed.view)
    _report(context, "deleted", context.client.views.delete(view.id))


def _shared(context: CommandContext) -> UUID | None:
    return None if context.typed.shared is None else short_ids.project(context.client, context.typed.shared).id


def _report(context: CommandContext, what: str, view: SavedView) -> None:
    if context.json:
        context.screen.document(view)
    else:
        context.screen.say(what, short(view.id), view.name, Text(clean(f"({_words(view)})"), style="dim"))
