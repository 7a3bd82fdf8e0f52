"""The projections, for operators. Only for admins of the system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from taskflow.api.projection_status import ProjectionBody, projection_status
from taskflow.api.reads import COMMON, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.system_roles import require_system_role

if TYPE_CHECKING:
    from litestar import Response


class ProjectionPage(Struct, frozen=True):
    """All projections, by name."""

    items: list[ProjectionBody]
    next_cursor: str | None


async def list_projections(call: RequestContext) -> Response[bytes]:
    await require_system_role(call.context, call.user, "admin")
    reading = await begin(call)
    return reading.page(await projection_status(call.context), None)


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/admin/projections",
        list_projections,
        "How far each projection is",
        answer=ProjectionPage,
        query=COMMON,
    ),
)
