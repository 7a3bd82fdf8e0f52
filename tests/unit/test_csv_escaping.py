"""No cell of an export is computed by a spreadsheet, and every one reads back as it was."""

from __future__ import annotations

import csv
import io
import re
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskflow.text.csv_escaping import GUARD, escape_cell, unescape_cell

EVERY = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
SIGNS = "=+-@"
FORMS = "\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u207a\u207b\u207c\u208a\u2212\u2013\ufb29"
"""Full-width, small, raised, lowered; and dashes."""
UNSEEN = ("\0", "\t", "\r", "\n", "\x1b", "\x7f", "\x85", "\ufeff", "\ufffe", "\u200b", "\u200e", "\u202e", "\u2060",
          "\u2066", "\u00ad", "\u034f", "\u061c", "\u115f", "\u3164", "\uffa0", "\u2800", "\ufe0f", "\U000e0041",
          "\U000e0100", "\u2065", "\ufff0")  # fmt: skip
BLANK = (" ", "\u00a0", "\u1680", "\u2003", "\u202f", "\u205f", "\u3000", "\u2028", "\u2029")


@pytest.mark.parametrize("sign", [*SIGNS, *FORMS])
@pytest.mark.parametrize("before", ["", *UNSEEN, *BLANK, " \0\u200b \t", "\u00a0\ufeff"])
def test_a_sign_is_guarded_in_every_form_and_behind_whatever_is_not_seen(sign: str, before: str) -> None:
    text = f"{before}{sign}SUM(A1)"
    assert escape_cell(text).startswith(GUARD)
    assert escape_cell(text).replace(GUARD, "") == text


@pytest.mark.parametrize(
    "text", ["a", "Übung", " a", "\u3000a", "1", "(=1)", "a=1", "漢", "🙂", "", "# -1", "«=»", "≠"]
)
def test_a_text_that_no_program_computes_stays_as_it_is(text: str) -> None:
    assert escape_cell(text) == text


@pytest.mark.parametrize("before", UNSEEN)
def test_what_is_not_seen_is_guarded_before_anything(before: str) -> None:
    assert escape_cell(f"{before}a") == f"{GUARD}{before}a"


def test_each_character_that_unicode_takes_for_a_sign_is_guarded() -> None:
    """Every one that there is: none is left out because nobody thought of it."""
    forms = [one for one in EVERY if unicodedata.normalize("NFKC", one)[:1] in SIGNS]
    assert len(forms) >= len(SIGNS) + 15
    assert [hex(ord(one)) for one in forms if not escape_cell(one).startswith(GUARD)] == []


def test_whatever_character_comes_first_it_reads_back() -> None:
    for one in EVERY:
        for text in (one, f"{one}=1", f"{GUARD}{one}", f"{GUARD}{GUARD}{one}=1"):
            assert unescape_cell(escape_cell(text)) == text


@pytest.mark.parametrize("sign", [*SIGNS, *FORMS])
@pytest.mark.parametrize("end", [";", "\t", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("before", ["", '"', *UNSEEN[4:], *BLANK])
def test_a_sign_is_guarded_wherever_another_separator_begins_a_cell(sign: str, end: str, before: str) -> None:
    assert escape_cell(f"a{end}{before}{sign}1") == f"a{end}{GUARD}{before}{sign}1"


@pytest.mark.parametrize("text", ["a;b", "a; b\n\nb\tc", "one\r\ntwo;", "a;1=2", "a,=1"])
def test_what_another_separator_divides_stays_as_it_is_where_nothing_is_computed(text: str) -> None:
    assert escape_cell(text) == text


@given(
    st.lists(st.text(st.sampled_from([*SIGNS, *UNSEEN[:6], GUARD, " ", "a", '"', ";", ","])), min_size=1, max_size=3)
)
def test_a_row_that_is_divided_elsewhere_has_no_cell_that_is_computed(texts: list[str]) -> None:
    """Quotes in the middle of a cell are not heeded: such a program ends rows and cells within them too."""
    out = io.StringIO()
    csv.writer(out).writerow(["id", *map(escape_cell, texts)])
    cells = [cell for one in (";", "\t") for cell in re.split(rf"[\r\n{one}]", out.getvalue())]
    assert [cell for cell in cells if cell.lstrip('" \0\t\r\n\x1b\x7f').startswith(tuple(SIGNS))] == []


@given(st.text(st.sampled_from([*SIGNS, *UNSEEN, *BLANK, GUARD, *FORMS, "a", '"', ";", ","])))
@example("'")
@example("''=")
@example(" \t=1")
@example("a;'=1")
def test_any_text_reads_back(text: str) -> None:
    assert unescape_cell(escape_cell(text)) == text
