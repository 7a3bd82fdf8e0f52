"""Escapes cells of CSV files against formula injection, and reverses it. Pure.

A spreadsheet evaluates a cell that begins with a sign such as `=` as a formula. Some drop characters before the sign
first (blanks, control characters, a byte order mark, zero-width characters), and some accept other forms of a sign
(full-width, small, superscript). So the first remaining character decides, in its NFKC form.

Programs with another separator (a semicolon in half of Europe, sometimes a tab) also ignore the quotes around a cell:
for them a new cell begins after each semicolon, tab and line break of a text. So the text after each of these is
checked in the same way.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from taskflow.text.invisible import BLANKS, CONTROLS, IGNORABLE

GUARD: Final = "'"
_SIGNS: Final = frozenset("=+-@\u2010\u2011\u2012\u2013\u2014\u2015\u2212")
"""In NFKC form; the last ones are dashes that some spreadsheets read as a minus."""
_AT_ONCE: Final = re.compile(rf"[{GUARD}{CONTROLS}{IGNORABLE}]")
"""A cell that begins with one of these is always guarded, because programs differ in which of them they drop. The
guard itself is included, so that a guarded cell can be told from a text that began with the guard character."""
_DROPPED: Final = re.compile(rf"[{BLANKS}{CONTROLS}{IGNORABLE}]*")
_WITHIN: Final = re.compile(rf"([;\t\r\n])((?:(?![;\t\r\n])[\"{BLANKS}{CONTROLS}{IGNORABLE}])*)(?=([^;\t\r\n]))")
"""A character that another program may read as the end of a cell, the characters that it may drop after it, and the
first remaining character."""
_GUARDED_WITHIN: Final = re.compile(_WITHIN.pattern.replace(")", f"){GUARD}", 1))


def escape_cell(text: str) -> str:
    """Adds guards to a text where it needs them: a spreadsheet then shows it as text and hides the guard."""
    within = _WITHIN.sub(lambda found: found[1] + GUARD * _is_sign(found[3]) + found[2], text)
    return GUARD + within if _needs_guard(text) else within


def unescape_cell(cell: str) -> str:
    """Returns the text that was given to `escape_cell`."""
    text = _GUARDED_WITHIN.sub(lambda found: found[1] + GUARD * (not _is_sign(found[3])) + found[2], cell)
    return text[1:] if text.startswith(GUARD) and _needs_guard(text[1:]) else text


def _needs_guard(text: str) -> bool:
    if _AT_ONCE.match(text):
        return True
    left = _DROPPED.match(text)
    first = text[left.end() : left.end() + 1] if left else ""
    return not _SIGNS.isdisjoint(unicodedata.normalize("NFKC", first))


def _is_sign(first: str) -> bool:
    """Whether the character is a sign, or the guard, so that guards can be removed unambiguously."""
    return first == GUARD or not _SIGNS.isdisjoint(unicodedata.normalize("NFKC", first))
