"""Names and labels as they are compared and stored: what looks alike is alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from unicodedata import normalize

UNSEEN: Final = "\u200b\u2060\ufeff"
"""Of no width, and no blanks to `str.strip`."""
BLANK: Final = "".join(chr(at) for at in range(0x3001) if chr(at).isspace()) + UNSEEN


def normal_name(text: str) -> str:
    """In Unicode's composed form (NFC), without what is blank at its ends. What was stored before names had one form is
    compared by this."""
    return normalize("NFC", text).strip(BLANK)


def normal_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order, without those of which nothing is left."""
    return tuple(dict.fromkeys(name for text in texts if (name := normal_name(text))))
