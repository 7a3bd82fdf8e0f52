"""Errors as RFC 9457 problems: the one table from exceptions to answers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar.exceptions import HTTPException, MethodNotAllowedException
from msgspec import UNSET, Meta, Struct, UnsetType
from pymongo.errors import PyMongoError

from taskflow import errors
from taskflow.api.route import allowed
from taskflow.dates.timestamps import Timestamp
from taskflow.store.pool import TRANSIENT_ERRORS

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/problem+json"
RETRY_S: Final = 1
"""`Retry-After` of errors that pass by themselves."""

_TITLES: Final = {
    "validation": "The request is not valid",
    "unauthenticated": "Who calls is not known",
    "forbidden": "Not allowed",
    "not-found": "Not found",
    "method-not-allowed": "No such method here",
    "unsupported-media-type": "The body is of another content type",
    "version-conflict": "The resource has changed",
    "command-rejected": "A rule forbids this",
    "nothing-to-undo": "Nothing to undo",
    "idempotency-key-reused": "This id stands for another request",
    "rate-limited": "Too many requests",
    "too-many-at-once": "Too many requests of one caller at once",
    "projection-behind": "The view is not there yet",
    "unavailable": "Not available now",
    "payload-too-large": "The body is too large",
    "headers-too-large": "The request's head is too large",
    "gone": "What this goes on from is no more",
    "internal": "Something went wrong here",
}

# The first match counts, so subclasses come before their base classes.
_TABLE: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int, str], ...]] = (
    (errors.NotFound, 404, "not-found"),
    (errors.NoSuchPath, 404, "not-found"),
    (errors.Forbidden, 403, "forbidden"),
    (errors.Rejected, 409, "command-rejected"),
    (errors.NothingToUndo, 409, "nothing-to-undo"),
    (errors.VersionConflict, 412, "version-conflict"),
    (errors.Invalid, 400, "validation"),
    (errors.HistoryTooLarge, 400, "validation"),
    (errors.Unauthenticated, 401, "unauthenticated"),
    (errors.RequestTimeout, 408, "validation"),
    (errors.Malformed, 400, "validation"),
    (errors.HeadersTooLarge, 431, "headers-too-large"),
    (errors.UnsupportedMedia, 415, "unsupported-media-type"),
    (errors.PayloadTooLarge, 413, "payload-too-large"),
    (errors.KeyReused, 422, "idempotency-key-reused"),
    (errors.Gone, 410, "gone"),
    (errors.RateLimited, 429, "rate-limited"),
    (errors.TooManyUnchanged, 429, "rate-limited"),
    (errors.TooManyAtOnce, 429, "too-many-at-once"),
    (errors.Behind, 503, "projection-behind"),
    (errors.Unavailable, 503, "unavailable"),
    (errors.Uncounted, 503, "unavailable"),
    (errors.QueueFull, 503, "unavailable"),
    (errors.EpochChanged, 503, "unavailable"),
)
_OF_STATUS: Final = {404: "not-found", 405: "method-not-allowed", 413: "payload-too-large"}


class FaultBody(Struct, frozen=True):
    """`pointer`: into the body, or the name of a parameter or header; empty: the whole."""

    pointer: str
    code: str
    detail: str


class Since(Struct, frozen=True):
    """An event that a caller with a stale version has not seen. `actor`: a user's id, or `system`."""

    version: Annotated[int, Meta(ge=1)]
    type: str
    actor: str
    occurred_at: Timestamp


class ProblemBody(Struct, frozen=True, kw_only=True):
    """RFC 9457; only the document is made from it, see `Problem.body`. `errors` where a request is not valid, `code`
    where a rule forbids it, `current_version` and `events` where the resource has changed, `command_id` where one
    command refuses a whole batch."""

    type: Annotated[str, Meta(extra_json_schema={"enum": [f"/problems/{slug}" for slug in _TITLES]})]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: str
    errors: Annotated[list[FaultBody], Meta(min_length=1)] | UnsetType = UNSET
    code: str | UnsetType = UNSET
    current_version: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    events: list[Since] | UnsetType = UNSET
    command_id: UUID | UnsetType = UNSET


class Problem(Struct, frozen=True, kw_only=True):
    """An error answer. `more`: members in addition to the standard ones."""

    status: int
    slug: str
    detail: str
    headers: Mapping[str, str]
    more: Mapping[str, Any]

    def body(self, instance: str) -> bytes:
        """The problem as JSON; `instance` is the path of the request."""
        return msgspec.json.encode(
            {
                "type": f"/problems/{self.slug}",
                "title": _TITLES[self.slug],
                "status": self.status,
                "detail": self.detail,
                "instance": instance,
                **self.more,
            }
        )


def problem_of(error: BaseException) -> Problem:
    """The problem for an exception. Logs exceptions that are not in the table."""
    if isinstance(error, errors.BatchRefused):
        refusal = problem_of(error.refusal)
        more = {**refusal.more, "command_id": error.command_id}
        return msgspec.structs.replace(refusal, detail=str(error), more=more)
    for kind, status, slug in _TABLE:
        if isinstance(error, kind):
            return Problem(status=status, slug=slug, detail=str(error), headers=_headers(error), more=_more(error))
    if isinstance(error, (PyMongoError, *TRANSIENT_ERRORS)):
        log.warning("a server does not answer", extra={"error": repr(error)})
        return _plain(
            503, "unavailable", "a server that this needs does not answer; try again shortly", _retry(RETRY_S)
        )
    if isinstance(error, HTTPException) and error.status_code < 500:  # noqa: PLR2004 - the framework's own refusals
        slug = _OF_STATUS.get(error.status_code, "validation")
        status = error.status_code if error.status_code in _OF_STATUS else 400
        if isinstance(error, MethodNotAllowedException):
            allow = allowed((error.headers or {}).get("allow", "").split(", "))
            return _plain(status, slug, f"this path takes {allow}", {"Allow": allow})
        detail = "nothing is served at this path" if slug == "not-found" else error.detail
        return _plain(status, slug, detail or _TITLES[slug], {})
    log.error("unexpected", exc_info=error)
    return _plain(500, "internal", "it is logged under the request's id", {})


def _plain(status: int, slug: str, detail: str, headers: Mapping[str, str]) -> Problem:
    return Problem(status=status, slug=slug, detail=detail, headers=headers, more={})


def _retry(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def _headers(error: BaseException) -> dict[str, str]:
    match error:
        case errors.Unauthenticated():
            return {"WWW-Authenticate": 'Bearer realm="taskflow"'}
        case (
            errors.RateLimited(retry_after_s=seconds)
            | errors.TooManyAtOnce(retry_after_s=seconds)
            | errors.TooManyUnchanged(retry_after_s=seconds)
        ):
            return _retry(seconds)
        case errors.Behind() | errors.Unavailable() | errors.Uncounted() | errors.QueueFull():
            return _retry(RETRY_S)
        case _:
            return {}


def _more(error: BaseException) -> dict[str, Any]:
    match error:
        case errors.Invalid(pointer=pointer, code=code):
            return {"errors": [{"pointer": pointer, "code": code, "detail": str(error)}]}
        case errors.HistoryTooLarge():
            return {"errors": [{"pointer": "", "code": "too-much", "detail": str(error)}]}
        case errors.Malformed(faults=faults):
            return {"errors": [fault._asdict() for fault in faults]}
        case errors.Rejected(code=code):
            return {"code": code}
        case errors.VersionConflict(current=current, since=since):
            return {"current_version": current, "events": since}
        case _:
            return {}
