"""Cursors of lists: the item that the next page begins after, as opaque text."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from taskflow.base64url import decode_base64url, encode_base64url
from taskflow.errors import Invalid
from taskflow.ids import parse_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskflow.api.reads import Reading


def to_cursor(of: str, after: str | int) -> str:
    """A cursor of the list `of`: the next page begins after that item."""
    return encode_base64url(msgspec.json.encode([of, after]))


def after_cursor(cursor: str, of: str) -> str | int:
    """The item after which the page of a cursor begins. Raises Invalid for a text that is not a cursor of the list
    `of`."""
    try:
        found, after = msgspec.json.decode(decode_base64url(cursor) or b"", type=tuple[str, str | int])
    except (UnicodeDecodeError, msgspec.MsgspecError):
        found, after = "", ""
    if found != of or to_cursor(of, after) != cursor:
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list")
    return after


def after_page(reading: Reading, of: str, ids: Iterable[UUID]) -> list[UUID]:
    """The ids, in order, from the requested page of the list `of` on."""
    left = sorted(ids)
    if reading.cursor is not None:
        after = _id(after_cursor(reading.cursor, of))
        left = [one for one in left if one > after]
    return left


def page_of(reading: Reading, of: str, ids: Iterable[UUID]) -> tuple[list[UUID], str | None]:
    """The ids, in order, of the requested page of the list `of`, and the cursor of the next page."""
    left = after_page(reading, of, ids)
    page = left[: reading.limit]
    return page, to_cursor(of, str(page[-1])) if len(left) > len(page) else None


def _id(after: str | int) -> UUID:
    """The id in a cursor. A forged cursor without one is harmless: the page begins at the start of the list."""
    try:
        return parse_id(str(after))
    except ValueError:
        return UUID(int=0)
