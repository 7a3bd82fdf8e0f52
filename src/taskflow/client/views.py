"""Saved views: the filters of a list of tasks under a name, one's own or shared in a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType

from taskflow.client.answers import Page, SavedView, Task
from taskflow.client.call import Call, Id, Scalar, at, given, pages, read, write
from taskflow.client.resource import F, Resource, call, listed, told
from taskflow.client.steps import Telling

Query = Mapping[str, Scalar | Sequence[Scalar] | None]
"""The filters of `tasks.list`, and `sort`, by name: a value or several."""


class Views(Resource[F]):
    @call
    def create(self, name: str, query: Query, *, project_id: Id | UnsetType | None = UNSET) -> Call[SavedView]:
        """Without a project it is one's own; else all of its members see it, and may change it."""
        return write("POST", at("views"), SavedView, given(name=name, query=query, project_id=project_id))

    @listed
    def list(self, *, project: Sequence[Id] = (), limit: int | None = None) -> Call[Page[SavedView]]:
        """One's own and those of one's projects; or those of these projects."""
        return pages(at("views"), SavedView, {"project": project, "limit": limit})

    @call
    def get(self, view: Id) -> Call[SavedView]:
        return _one(view)

    @call
    def edit(
        self,
        view: Id,
        *,
        name: str | UnsetType = UNSET,
        query: Query | UnsetType = UNSET,
        expected_version: int | None = None,
    ) -> Call[SavedView]:
        """Of the query too what is left out stays as it is; None takes a filter away."""
        body = given(name=name, query=query)
        return write("PATCH", at("views", view), SavedView, body, expected=expected_version)

    @call
    def delete(self, view: Id, *, expected_version: int | None = None) -> Call[SavedView]:
        return write("DELETE", at("views", view), SavedView, expected=expected_version)

    @told
    def tasks(self, view: SavedView | Id, *, limit: int | None = None) -> Telling[Task]:
        """Every task that fits it today, from page to page. What is given by its id is read first."""
        saved = view if isinstance(view, SavedView) else (yield from self._session.exchange(_one(view)))
        yield from self._session.pages(pages(at("tasks"), Task, {**saved.query, "limit": limit}))


def _one(view: Id) -> Call[SavedView]:
    return read(at("views", view), SavedView)
