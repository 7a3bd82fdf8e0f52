"""The types of fields in commands' bodies, with their limits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

TITLE_MAX: Final = 500
DESCRIPTION_BYTES_MAX: Final = 100_000
NAME_MAX: Final = 200
LABEL_MAX: Final = 100
LABELS_MAX: Final = 50
PASSWORD_MIN: Final = 8
PASSWORD_MAX: Final = 1024
EMAIL_MAX: Final = 254
PARENT_DEPTH_MAX: Final = 20
SAVED_VALUE_MAX: Final = 200
"""Characters of one value of a saved view's query."""
SAVED_VIEWS_MAX: Final = 100
"""Of a person, and of a project."""

# At least one character that can be seen.
_VISIBLE: Final = r"\S"

Title = Annotated[str, Meta(min_length=1, max_length=TITLE_MAX, pattern=_VISIBLE)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_BYTES_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX, pattern=_VISIBLE)]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_MAX, pattern=_VISIBLE)]
Labels = Annotated[tuple[Label, ...], Meta(max_length=LABELS_MAX)]
StatusKey = Annotated[str, Meta(min_length=1, max_length=100)]
Time = Annotated[datetime, Meta(tz=True)]
Email = Annotated[str, Meta(min_length=3, max_length=EMAIL_MAX, pattern=r"^\s*[^@\s]+@[^@\s]+\s*$")]
Password = Annotated[str, Meta(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX)]
Url = Annotated[str, Meta(max_length=2000, pattern=r"^https?://[^\s]+$")]


class Command(Struct, frozen=True, forbid_unknown_fields=True):
    """A command's body: exactly what the route that it stands behind takes."""
