"""Invisible characters: blanks, controls, zero-width characters and those that change the text direction. Pure.

A fixed list rather than the categories of the Unicode database, which change with the release of Python: all processes
must agree.
"""

from __future__ import annotations

from typing import Final

CONTROLS: Final = r"\x00-\x1f\x7f-\x9f"
IGNORABLE: Final = (
    # Default_Ignorable_Code_Point of Unicode 16, which includes those that change the direction ...
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # ... and the blank Braille pattern, interlinear annotation marks, and noncharacters.
    r"\u2800\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff"
)
"""Written as the inside of a character class of a regular expression."""
BLANKS: Final = r"\t-\r \x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
