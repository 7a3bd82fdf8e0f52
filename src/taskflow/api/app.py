"""The ASGI application of one process: all routes, behind the middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Litestar, Request, Response

from taskflow.api import health, problems
from taskflow.api.metrics import Metrics
from taskflow.api.middleware import Middleware
from taskflow.api.openapi import served
from taskflow.api.route import options
from taskflow.api.routes import (
    activity,
    batches,
    board,
    calendar,
    commands,
    comments,
    diff,
    events,
    export,
    identity,
    invitations,
    profiles,
    projections,
    projects,
    stats,
    stream,
    sync,
    task_events,
    tasks,
    views,
    writes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.handlers import HTTPRouteHandler
    from litestar.types import ASGIApp

    from taskflow.api.context import Context
    from taskflow.api.route import Route

ROUTES: Final[tuple[Route, ...]] = (
    *identity.ROUTES,
    *profiles.ROUTES,
    *calendar.ROUTES,
    *projects.ROUTES,
    *invitations.ROUTES,
    *stats.ROUTES,
    *board.ROUTES,
    *tasks.ROUTES,
    *task_events.ROUTES,
    *comments.ROUTES,
    *diff.ROUTES,
    *activity.ROUTES,
    *events.ROUTES,
    *stream.ROUTES,
    *sync.ROUTES,
    *views.ROUTES,
    *export.ROUTES,
    *commands.ROUTES,
    *batches.ROUTES,
    *writes.ROUTES,
    *projections.ROUTES,
)


def make_app(context: Context) -> ASGIApp:
    """The routes in a Litestar application, wrapped in the middleware."""
    metrics = Metrics(context)
    operators = health.handlers(context) + served.handlers(ROUTES)
    if context.settings.metrics == "on":
        operators.append(metrics.handler())
    handlers = [*[route.handler(context) for route in ROUTES], *operators]
    app = Litestar(
        route_handlers=[*_options(handlers), *handlers],
        exception_handlers={Exception: _problem},
        openapi_config=None,
        request_max_body_size=None,
        logging_config=None,
    )
    return Middleware(app, context, metrics)


def _options(handlers: Sequence[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    methods: dict[str, list[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, []).extend(handler.http_methods)
    return [options(path, taken) for path, taken in methods.items()]


def _problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem = problems.problem_of(error)
    return Response(
        problem.body(request.scope["path"]),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type=problems.MEDIA_TYPE,
    )
