"""The projection of saved views. The read side decides who may see each of them."""

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
    # Personal views (`project_id` is null) by owner, shared views by project; both ordered by id.
    indexes=(
        IndexModel([("project_id", ASCENDING), ("deleted", ASCENDING), ("owner_id", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("project_id", ASCENDING), ("deleted", ASCENDING), ("_id", ASCENDING)]),
    ),
)
