"""Words of texts and of queries: however a word is written, it is found where it is said."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.commands.fields import DESCRIPTION_BYTES_MAX
from taskflow.text import search_tokens as words_module
from taskflow.text.search_tokens import (
    CHARACTERS_MAX,
    QUERY_WORDS_MAX,
    WORD_MAX,
    WORDS_MAX,
    BadQuery,
    Term,
    fold,
    terms,
    words,
)

texts = st.text(max_size=60)
# Scripts that people mix, with accents, ligatures, full width, digits and what is no letter at all.
mixed = st.text(
    st.sampled_from(
        "abcXYZéÉüßñ İıſﬁŁø ΣσςάΏ жЖёЁ 日本語手机カガがｶﾞ 한국어각 สวัสดี ०१ कि 12٣ ＡＢ²½ \t\n\u00a0\u3000-_./'\u0301👩‍👧"
    ),
    max_size=40,
)


def finds(query: str, *said: str) -> bool:
    """Whether what MongoDB is asked for is there: every term, as itself or as a beginning."""
    there = words(*said)
    return all(
        any(word.startswith(term.text) if term.prefix else word == term.text for word in there) for term in terms(query)
    )


def too_much(query: str) -> bool:
    """Whether it is refused for its length, or for being many words though nothing blank is between them."""
    try:
        terms(query)
    except BadQuery as error:
        assert "at most" in str(error)
        return True
    return False


@given(texts | mixed, texts | mixed)
def test_neither_order_nor_space_nor_repetition_matters(one: str, other: str) -> None:
    assert set(words(one, other)) == set(words(other, one)) == set(words(f"{one} \n\t{other}"))
    assert set(words(one, one)) == set(words(f"\u3000{one}\u2003")) == set(words(one))


@given(texts | mixed)
def test_neither_case_nor_accents_matter(text: str) -> None:
    plain = fold(text)
    assert fold(plain) == plain
    assert words(plain) == words(text)
    # What Greek writes below a letter is an accent; as a capital it is a letter beside it.
    if not re.search("[\u0345\u1f80-\u1fff]", text):
        assert words(text.upper()) == words(text.lower()) == words(text)
    assert words("".join(f"{one}\u0301" for one in text)) == words(text)


def test_every_character_is_folded_once_and_for_all() -> None:
    for number in range(sys.maxunicode + 1):
        one = chr(number)
        if category(one) not in {"Cn", "Co", "Cs"}:
            assert fold(fold(one)) == fold(one) == fold(one.lower())


@given(texts | mixed, mixed, mixed)
def test_a_word_of_a_text_finds_it_whole_begun_or_among_others(text: str, before: str, after: str) -> None:
    said = f"{before} {text} {after}"
    for piece in text.split()[:QUERY_WORDS_MAX]:
        if re.search(r"[^\W_]", fold(piece)) and not too_much(piece):
            assert finds(piece, said)
            assert finds(piece.swapcase() if piece.isascii() else piece, "other", said)
    whole = fold(text).split()
    if whole and re.fullmatch("[a-z0-9]+", whole[0]):
        for length in range(1, len(whole[0]) + 1):
            assert finds(whole[0][:length], said)


@given(mixed)
def test_words_are_bounded_and_hold_no_blank(text: str) -> None:
    for word in words(text):
        assert 1 <= len(word) <= WORD_MAX
        assert re.fullmatch(r"[^\W_]+", word)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("rep", "Write the report"),
        ("REPORT write", "Write the report"),
        ("uber", "Überall"),
        ("ÜBER", "uberall"),
        ("strasse", "Große Straße"),
        ("STRASSE", "straße"),
        ("lodz", "Łódź"),
        ("istanbul", "İSTANBUL"),
        ("ΟΔΟΣ", "οδός"),
        ("office", "oﬃce"),
        ("fullwidth 2", "ＦＵＬＬｗｉｄｔｈ ²"),
        ("日本", "東京は日本の首都"),
        ("語", "日本語"),
        ("日本語", "日本語です"),
        ("ガ", "ｶﾞ"),
        ("한국", "한국어 문서"),
        ("국어", "한국어"),
        ("手机", "新iPhone手机壳"),
        ("iphone手机", "新iPhone手机壳"),
        ("สวัส", "สวัสดี"),
        ("snake", "a_snake_case"),
        ("e-mail", "send an e-mail"),
        ("it's", "it's"),
        ("5", "5 things"),
        ("v", "version"),
        ("x" * 50, "x" * 60),
    ],
)  # fmt: skip
def test_a_query_finds(query: str, said: str) -> None:
    assert finds(query, said)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("port", "report"),
        ("report x", "report"),
        ("v report", "version report"),
        ("本日", "日本"),
        ("日語", "日本語"),
        ("reports", "report"),
    ],
)
def test_a_query_does_not_find(query: str, said: str) -> None:
    assert not finds(query, said)


def test_what_a_longer_word_says_already_is_not_asked_for_twice() -> None:
    assert terms("rep report rep") == (Term("report", prefix=True),)
    assert terms("r report") == (Term("r", prefix=False), Term("report", prefix=True))
    assert terms("report r") == (Term("report", prefix=True),)
    assert terms("日本語") == (Term("日本", prefix=False), Term("本語", prefix=False))


@pytest.mark.parametrize("query", ["", " ", "…", "?!", "\u0301", "👩‍👩‍👧‍👦", "🎉", "__", "\x00", "\u200b", "\ufffd"])
def test_a_query_without_a_letter_or_a_digit_asks_for_nothing(query: str) -> None:
    assert terms(query) == ()


@pytest.mark.parametrize("query", ["x" * 201, "🎉" * 201, "a b c d e f g h i j k"])
def test_a_query_with_too_much_is_refused(query: str) -> None:
    with pytest.raises(BadQuery):
        terms(query)


@given(st.text(max_size=250))
def test_any_query_is_terms_or_refused(query: str) -> None:
    try:
        asked = terms(query)
    except BadQuery:
        return
    assert all(term.text for term in asked)


def test_a_task_has_at_most_so_many_words_the_first_of_them() -> None:
    many = " ".join(f"w{number}" for number in range(3 * WORDS_MAX))
    assert words("title", many, "comment") == ("title", *[f"w{number}" for number in range(WORDS_MAX - 1)])
    assert len(words("日" + "".join(chr(0x4E00 + number) for number in range(3_000)))) == WORDS_MAX


@given(st.text(alphabet=st.sampled_from("aé\u0301\u0316각가\u1100\u1161漢ﷺ łß\u0345"), max_size=40), st.integers(1, 7))
def test_a_text_is_taken_apart_in_slices_and_nobody_can_tell(text: str, length: int) -> None:
    expected = words_module.fold(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words_module, "SLICE", length)
        assert words_module.fold(text) == expected


@pytest.mark.parametrize("filling", ["word ", "é ", "ﬃ ", "漢字 "])
def test_a_description_is_found_by_its_last_word(filling: str) -> None:
    last = "außerdem"
    room = DESCRIPTION_BYTES_MAX - len(last.encode())
    text = filling * (room // len(filling.encode())) + last
    assert finds(last, "title", text)
    assert finds(last, "title", text, "comment")


@pytest.mark.parametrize("filling", ["\ufdfa", "é", "a", "日", "\u0390"])
def test_what_is_looked_through_for_words_is_bounded(filling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0

    def normalize(form: Any, text: str) -> str:
        nonlocal seen
        found = unicodedata.normalize(form, text)
        seen += len(found)
        return found

    monkeypatch.setattr(words_module, "normalize", normalize)
    texts = [f"{number}{filling}" * 20_000 for number in range(50)]
    assert not finds("beyond", *texts, "beyond")
    # Each of the texts is taken apart twice and put together once.
    assert seen <= 3 * 2 * CHARACTERS_MAX + 50 * words_module.SLICE


def test_a_long_run_of_marks_is_never_put_in_order_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    # That takes the square of its length: seconds for a description.
    sorted_lengths: list[int] = []

    def normalize(form: Any, text: str) -> str:
        sorted_lengths.append(sum(category(one)[0] == "M" for one in text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr(words_module, "normalize", normalize)
    assert words_module.fold("a" + "\u0301\u0316" * 20_000 + "b") == "ab"
    assert max(sorted_lengths) <= words_module.SLICE
