"""Saved views, for the lists of those who may see them. Who that is today is the reader's to judge."""

from __future__ import annotations

from typing import Final

from pymongo import ASCENDING, IndexModel

from taskflow.projections.projection import Document, Projection
from taskflow.streams import SAVED_VIEW
from taskflow.streams.saved_view import SavedViewState


def document(view: SavedViewState) -> Document:
    return {
        "owner_id": view.owner_id,
        "project_id": view.project_id,
        "deleted": view.deleted_at is not None,
    }


SAVED_VIEWS: Final = Projection(
    name="views",
    version=1,
    kind=SAVED_VIEW,
    document=document,
    # Personal ones by their owner (of those, `project_id` is null), shared ones by their project; both in order.
    indexes=(
        IndexModel([("project_id", ASCENDING), ("deleted", ASCENDING), ("owner_id", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("project_id", ASCENDING), ("deleted", ASCENDING), ("_id", ASCENDING)]),
    ),
)
