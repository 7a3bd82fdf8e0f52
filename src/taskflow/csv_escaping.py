"""Cells of a CSV file that no spreadsheet computes, and what they were before. Pure.

A spreadsheet computes a cell that begins with a sign. Some drop characters in front of it first (blanks, control
characters, a byte order mark, whatever has no width), and some read another form of a sign (full-width, small,
superscript) as the sign itself. So a cell is judged by the first character that is left of it, in its plain form.

Where the comma separates no cells (in half of Europe a semicolon does; some take tabs), quotes around a cell are not
heeded either: there another cell begins after each semicolon, tab and line break of a text. So what follows these is
judged likewise.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from taskflow.invisible import BLANKS, CONTROLS, IGNORABLE

GUARD: Final = "'"
_SIGNS: Final = frozenset("=+-@\u2010\u2011\u2012\u2013\u2014\u2015\u2212")
"""In the form that NFKC gives them; the last ones are dashes that some spreadsheets read as a minus."""
_AT_ONCE: Final = re.compile(rf"[{GUARD}{CONTROLS}{IGNORABLE}]")
"""A cell that begins with one of these is guarded whatever follows: each program drops others of them. The guard is
among them, so that what was guarded can be told from what began with one."""
_DROPPED: Final = re.compile(rf"[{BLANKS}{CONTROLS}{IGNORABLE}]*")
_WITHIN: Final = re.compile(rf"([;\t\r\n])((?:(?![;\t\r\n])[\"{BLANKS}{CONTROLS}{IGNORABLE}])*)(?=([^;\t\r\n]))")
"""What another program may take for the end of a cell, what it may drop after it, and what it then finds."""
_GUARDED_WITHIN: Final = re.compile(_WITHIN.pattern.replace(")", f"){GUARD}", 1))


def escape_cell(text: str) -> str:
    """The text behind a guard where it needs one: a spreadsheet shows a text and hides the guard."""
    within = _WITHIN.sub(lambda found: found[1] + GUARD * _is_sign(found[3]) + found[2], text)
    return GUARD + within if _needs_guard(text) else within


def unescape_cell(cell: str) -> str:
    """What `guarded` was given."""
    text = _GUARDED_WITHIN.sub(lambda found: found[1] + GUARD * (not _is_sign(found[3])) + found[2], cell)
    return text[1:] if text.startswith(GUARD) and _needs_guard(text[1:]) else text


def _needs_guard(text: str) -> bool:
    if _AT_ONCE.match(text):
        return True
    left = _DROPPED.match(text)
    first = text[left.end() : left.end() + 1] if left else ""
    return not _SIGNS.isdisjoint(unicodedata.normalize("NFKC", first))


def _is_sign(first: str) -> bool:
    """Or the guard, so that what was guarded can be told."""
    return first == GUARD or not _SIGNS.isdisjoint(unicodedata.normalize("NFKC", first))
