"""The fields that an import sends, with the limits that the HTTP contract sets for them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

TITLE_MAX: Final = 500
DESCRIPTION_BYTES_MAX: Final = 100_000
NAME_MAX: Final = 200
LABEL_MAX: Final = 100
LABELS_MAX: Final = 50
COMMENT_MAX: Final = 20_000
STATUS_KEY_MAX: Final = 100
STATUSES_MAX: Final = 100
PARENT_DEPTH_MAX: Final = 20
EXTERNAL_ID_MAX: Final = 200
COLUMN_MAX: Final = 2_000
"""Characters of a value that has no field of its own."""
RULE_MAX: Final = 500
INTERVAL_MAX: Final = 1_000
"""Of a rule that repeats."""
KEY_MAX: Final = 500
COMMANDS_MAX: Final = 100
"""In one batch."""
BATCH_BYTES_MAX: Final = 900_000
"""Of one batch's commands: a body has at most 1 MiB."""

Category = Literal["todo", "in_progress", "waiting", "done", "cancelled"]
Priority = Literal["low", "medium", "high", "urgent"]
Role = Literal["viewer", "member", "admin", "owner"]
RelationType = Literal["blocks", "relates_to", "duplicates"]

_NAME: Final = {"name": True}
"""A text that is read in its normal form, as the server compares it."""
Title = Annotated[str, Meta(min_length=1, max_length=TITLE_MAX, pattern=r"\S")]
Description = Annotated[str, Meta(max_length=DESCRIPTION_BYTES_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX, pattern=r"\S", extra=_NAME)]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_MAX, pattern=r"\S", extra=_NAME)]
Labels = Annotated[tuple[Label, ...], Meta(max_length=LABELS_MAX)]
StatusKey = Annotated[str, Meta(min_length=1, max_length=STATUS_KEY_MAX, extra=_NAME)]
Time = Annotated[datetime, Meta(tz=True)]


def command_id_of(source: str, *what: str) -> UUID:
    """The id of a command about something in the source: the same whoever sends it, and however often. The server keeps
    it for each project and source by itself."""
    digest = hashlib.sha256(msgspec.json.encode(("taskflow/import", source, *what))).digest()
    value = int.from_bytes(digest[:16], "big") & ~(0xF << 76) & ~(0x3 << 62)
    return UUID(int=value | (8 << 76) | (0x2 << 62))


def key_of(text: str) -> str:
    """The source's own id as it is sent: what is too long for one is known by its hash."""
    return text if len(text) <= KEY_MAX else hashlib.sha256(text.encode()).hexdigest()
