"""Saved views: named filters for tasks, personal or shared in a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType

from taskflow.client.answers import Page, SavedView, Task
from taskflow.client.call import Call, Id, Scalar, at, given, pages, read, write
from taskflow.client.effects import EmittingFlow
from taskflow.client.resource import F, Resource, call, listed, streaming

Query = Mapping[str, Scalar | Sequence[Scalar] | None]
"""The filters of `tasks.list` and `sort`, by name, each with one value or several."""


class Views(Resource[F]):
    @call
    def create(self, name: str, query: Query, *, project_id: Id | UnsetType | None = UNSET) -> Call[SavedView]:
        """Saves a view: personal without a project, else visible to the project's members, who may also change it."""
        return write("POST", at("views"), SavedView, given(name=name, query=query, project_id=project_id))

    @listed
    def list(self, *, project: Sequence[Id] = (), limit: int | None = None) -> Call[Page[SavedView]]:
        """The caller's own views and those of their projects; or only those of the given projects."""
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
        """Changes the fields that are given. Filters that `query` leaves out stay; None removes one."""
        body = given(name=name, query=query)
        return write("PATCH", at("views", view), SavedView, body, expected=expected_version)

    @call
    def delete(self, view: Id, *, expected_version: int | None = None) -> Call[SavedView]:
        return write("DELETE", at("views", view), SavedView, expected=expected_version)

    @streaming
    def tasks(self, view: SavedView | Id, *, limit: int | None = None) -> EmittingFlow[Task]:
        """All tasks that match the view now, page by page. A view given by its id is read first."""
        saved = view if isinstance(view, SavedView) else (yield from self._session.exchange(_one(view)))
        yield from self._session.pages(pages(at("tasks"), Task, {**saved.query, "limit": limit}))


def _one(view: Id) -> Call[SavedView]:
    return read(at("views", view), SavedView)
