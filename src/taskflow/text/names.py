"""Normal form of names and labels, for storing and comparing them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from unicodedata import normalize

UNSEEN: Final = "\u200b\u2060\ufeff"
"""Zero-width characters that `str.strip` does not treat as blanks."""
BLANK: Final = "".join(chr(at) for at in range(0x3001) if chr(at).isspace()) + UNSEEN


def normal_name(text: str) -> str:
    """Returns the text in NFC without blanks at its ends. Names stored before this form was introduced are compared by
    it too."""
    return normalize("NFC", text).strip(BLANK)


def normal_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns the normal forms in order, each once, without empty ones."""
    return tuple(dict.fromkeys(name for text in texts if (name := normal_name(text))))
