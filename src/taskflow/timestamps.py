"""How times are written: RFC 3339 for clients, microseconds for MongoDB. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta

Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, `Z`, always six digits."""
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def timestamp_or_none(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def micros(at: datetime | None) -> int | None:
    """Microseconds since 1970: BSON's own times keep milliseconds only."""
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)
