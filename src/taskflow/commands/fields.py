"""The types of fields in commands' bodies, with their limits."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from taskflow.dates.time_zones import NAME_MAX as TIME_ZONE_MAX
from taskflow.text.addresses import ADDRESS_MAX

TITLE_MAX: Final = 500
DESCRIPTION_BYTES_MAX: Final = 100_000
NAME_MAX: Final = 200
LABEL_MAX: Final = 100
LABELS_MAX: Final = 50
PASSWORD_MIN: Final = 8
"""Characters, as given and in the form by which a password is verified."""
PASSWORD_MAX: Final = 1024
PARENT_DEPTH_MAX: Final = 20
LEVEL_TASKS_MAX: Final = 10_000
"""Tasks of one level whose subtasks are read."""
COMMENT_MAX: Final = 20_000
COMMENTS_MAX: Final = 1_000
COMMENTS_BYTES_MAX: Final = 1_000_000
"""Of all comments of a task together: they are part of the task's state."""
ITEM_MAX: Final = 500
ITEMS_MAX: Final = 200
RELATIONS_MAX: Final = 100
BLOCKED_MAX: Final = 500
"""Tasks that are read to find a cycle; the append checks the version of each."""
RECURRENCE_MAX: Final = 500
STATUSES_MAX: Final = 50
"""In one workflow."""
STATUS_KEY_MAX: Final = 100
STATUSES_LEFT_MAX: Final = 1_000
"""Statuses that were ever removed from a project's workflow: each stays mapped to the status that replaced it."""
TRANSITIONS_MAX: Final = 2_500
"""In one workflow: from each of its statuses to each."""
MEMBERS_MAX: Final = 1_000
"""Of one project."""
PROJECT_LABELS_MAX: Final = 500
"""Labels that one project defines a colour for."""
INVITATIONS_MAX: Final = 100
"""Invitations of one project that can still be accepted."""
INVITATION_DAYS: Final = 7
"""How long an invitation can be accepted."""
SAVED_VALUE_MAX: Final = 200
"""Characters of one value of a saved view's query."""
SAVED_VIEWS_MAX: Final = 100
"""Saved views per person, and per project."""
SETTINGS_MAX: Final = 100
"""Of a person."""
SETTING_NAME_MAX: Final = 100
SETTING_MAX: Final = 1_000
"""Characters of one setting's text: all settings are part of the user's state."""

# Written out, because dialects of regular expressions differ in what `\s` matches.
_BLANK: Final = r"\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_UNSEEN: Final = rf"\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff{_BLANK}"
END_OF_TEXT: Final = r"(?![\s\S])"
"""The end of the text. In some dialects, `$` also matches before a line break at the end."""

VISIBLE: Final = rf"[^{_UNSEEN}]"
"""At least one character that can be seen."""

_ADDRESS: Final = rf"^[{_BLANK}]*[^@{_UNSEEN}]+@[^@{_UNSEEN}]+[{_BLANK}]*{END_OF_TEXT}"
"""A rough shape; `taskflow.text.addresses` checks the rest."""

NAME: Final = {"name": True}
"""Marks a field whose text is compared and stored in the form of `normal_name`: reading a body normalises it."""

Title = Annotated[str, Meta(min_length=1, max_length=TITLE_MAX, pattern=VISIBLE, examples=["Write the report"])]
Description = Annotated[str, Meta(max_length=DESCRIPTION_BYTES_MAX, examples=["What was *done*, and what is left."])]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX, pattern=VISIBLE, extra=NAME, examples=["Ada Lovelace"])]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_MAX, pattern=VISIBLE, extra=NAME, examples=["on hold"])]
Labels = Annotated[tuple[Label, ...], Meta(max_length=LABELS_MAX)]
CommentText = Annotated[
    str, Meta(min_length=1, max_length=COMMENT_MAX, pattern=VISIBLE, examples=["Done but for the figures."])
]
ItemText = Annotated[str, Meta(min_length=1, max_length=ITEM_MAX, pattern=VISIBLE, examples=["Figures"])]
Recurrence = Annotated[
    str, Meta(max_length=RECURRENCE_MAX, extra_json_schema={"format": "rrule"}, examples=["FREQ=WEEKLY;BYDAY=MO"])
]
StatusKey = Annotated[str, Meta(min_length=1, max_length=STATUS_KEY_MAX, extra=NAME, examples=["todo"])]
NewStatusKey = Annotated[
    str, Meta(min_length=1, max_length=STATUS_KEY_MAX, pattern=VISIBLE, extra=NAME, examples=["review"])
]
Colour = Annotated[
    str, Meta(min_length=7, max_length=7, pattern=rf"^#[0-9a-fA-F]{{6}}{END_OF_TEXT}", examples=["#1e90ff"])
]
Time = Annotated[datetime, Meta(tz=True, examples=["2030-12-31T17:00:00Z"])]
Day = Annotated[date, Meta(examples=["2031-01-15"])]
TimeZone = Annotated[
    str, Meta(max_length=TIME_ZONE_MAX, extra_json_schema={"format": "time-zone"}, examples=["Europe/Berlin"])
]
"""A name in IANA's time zone database."""
Email = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=ADDRESS_MAX,
        pattern=_ADDRESS,
        extra_json_schema={"format": "idn-email"},
        examples=["ada@example.com"],
    ),
]
Password = Annotated[str, Meta(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX, examples=["correct horse battery"])]
SettingName = Annotated[str, Meta(min_length=1, max_length=SETTING_NAME_MAX)]
Setting = Annotated[str, Meta(max_length=SETTING_MAX)] | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | bool | None
Url = Annotated[
    str,
    Meta(max_length=2000, pattern=rf"^https?://[^{_UNSEEN}]+{END_OF_TEXT}", examples=["https://example.com/ada.png"]),
]


class Command(Struct, frozen=True, forbid_unknown_fields=True):
    """Base class of the bodies of commands; unknown fields are refused."""
