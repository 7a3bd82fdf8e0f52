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
    """The item that a cursor of the list `of` stands after. Raises Invalid for any other text."""
    try:
        found, after = msgspec.json.decode(decode_base64url(cursor) or b"", type=tuple[str, str | int])
    except (UnicodeDecodeError, msgspec.MsgspecError):
        found, after = "", ""
    if found != of or to_cursor(of, after) != cursor:
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list")
    return after


def after_page(reading: Reading, of: str, ids: Iterable[UUID]) -> list[UUID]:
    """Of the list `of`, the ids from the page on that was asked for, in order."""
    left = sorted(ids)
    if reading.cursor is not None:
        after = _id(after_cursor(reading.cursor, of))
        left = [one for one in left if one > after]
    return left


def page_of(reading: Reading, of: str, ids: Iterable[UUID]) -> tuple[list[UUID], str | None]:
    """Of the list `of`, the ids of the page that was asked for, in order, and the next page's cursor."""
    left = after_page(reading, of, ids)
    page = left[: reading.limit]
    return page, to_cursor(of, str(page[-1])) if len(left) > len(page) else None


def _id(after: str | int) -> UUID:
    """Cursors are made here, so this holds an id; a forged one only begins elsewhere."""
    try:
        return parse_id(str(after))
    except ValueError:
        return UUID(int=0)
