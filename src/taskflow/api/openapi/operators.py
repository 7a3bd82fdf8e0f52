"""The part of the OpenAPI document for the operators' paths: at the root, without authentication."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct

from taskflow.api.openapi.parameters import Schema
from taskflow.dates.timestamps import Timestamp


class HealthBody(Struct, frozen=True, kw_only=True):
    """The servers, whether they answer; `healthy` where relay and projectors work as well. `uptime` in seconds."""

    status: Literal["healthy", "degraded"]
    timestamp: Timestamp
    uptime: float
    postgres: bool
    mongodb: bool
    redis: bool
    kafka: bool


class LiveBody(Struct, frozen=True):
    status: Literal["alive"]


class ReadyBody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """With `verbose`, what was looked at: `ok`, or what is wrong."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


_VERBOSE: Final[Schema] = {
    "name": "verbose",
    "in": "query",
    "required": False,
    "allowEmptyValue": True,
    "description": "Whatever its value.",
    "schema": {"type": "string"},
}
_PATHS: Final[tuple[tuple[str, str, type[Struct], dict[str, str], list[Schema]], ...]] = (
    ("/health", "The servers", HealthBody, {"200": "Serving", "503": "PostgreSQL is gone"}, []),
    ("/livez", "This process", LiveBody, {"200": "Running"}, []),
    (
        "/readyz",
        "Whether to send this process requests",
        ReadyBody,
        {"200": "Ready", "503": "Starting, stopping, or unable to serve anybody"},
        [_VERBOSE],
    ),
)
STRUCTS: Final = tuple(answer for _, _, answer, _, _ in _PATHS)


def paths(schema_of: dict[type[Struct], Schema], headers: Schema) -> dict[str, Schema]:
    """The paths, each with its one method; `headers`: of every answer."""
    return {
        path: {
            "get": {
                "summary": summary,
                "operationId": f"get_{path[1:]}",
                "tags": ["operators"],
                "parameters": parameters,
                "responses": {
                    status: {
                        "description": said,
                        "headers": headers,
                        "content": {"application/json": {"schema": schema_of[answer]}},
                    }
                    for status, said in statuses.items()
                },
                "security": [],
            }
        }
        for path, summary, answer, statuses, parameters in _PATHS
    }
