"""Tokeniser for full-text search, used for stored texts and for queries alike. Pure.

text ─▶ fold: removes compatibility forms, accents, case ─▶ runs of letters and digits ─▶ words
                                                               └ in scripts without spaces:
                                                                 characters, and pairs of them
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from unicodedata import category, normalize

from taskflow.lru import SharedLruCache

WORDS_MAX: Final = 2_000
"""Words indexed for one task; a search does not find further ones."""
CHARACTERS_MAX: Final = 200_000
"""Folded characters indexed for one text, and for one task: the text that reaches the bound is still read whole. One
character may fold into eighteen."""
WORD_MAX: Final = 40
"""Characters of a word: longer words are cut, in texts and in queries, so they still match."""
QUERY_MAX: Final = 200
QUERY_WORDS_MAX: Final = 10
CACHE_BYTES_MAX: Final = 4_194_304
"""Size of the texts and their words that each of two caches keeps: an event seldom changes more than one text of a
task."""
STRING_BYTES: Final = 60
"""Size of a word in memory beside its characters."""

SLICE: Final = 256
"""Characters of a text that are decomposed at a time."""
_FIRST_MARK: Final = "\u0300"
_ASCII: Final = re.compile(r"[a-z0-9]+")
# Thai, Lao, Burmese, Hangul (also as its parts), Khmer, kana, and Han with what stands between its characters.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN: Final = re.compile(rf"((?:(?=[{_UNSPACED}])[^\W_])+)|(?:(?![{_UNSPACED}])[^\W_])+")
# Letters with a stroke or without a dot, which Unicode does not decompose into a base letter and a mark.
_LETTERS_WITH_STROKES: Final = str.maketrans("łøđħŧı", "lodhti")
_of_texts: Final[SharedLruCache[tuple[str, ...], tuple[str, ...]]] = SharedLruCache(CACHE_BYTES_MAX)
"""Words by the texts of a task."""
_of_text: Final[SharedLruCache[str, tuple[tuple[str, ...], int]]] = SharedLruCache(CACHE_BYTES_MAX)
"""Words, and number of folded characters, by text."""


class Term(NamedTuple):
    """A word that a text must contain; with `prefix`, any word that begins with it."""

    text: str
    prefix: bool


class BadQuery(ValueError):
    """The query is too long, or has too many words; the message says what was expected."""


def words(*texts: str) -> tuple[str, ...]:
    """Returns the distinct words of these texts in order, within WORDS_MAX and CHARACTERS_MAX."""
    known = _of_texts.get(texts)
    if known is None:
        known = _distinct(texts)
        _of_texts.put(texts, known, sum(map(len, texts)) + words_bytes(known))
    return known


def words_bytes(words: tuple[str, ...]) -> int:
    """Returns the approximate size of a list of words in memory."""
    return sum(map(len, words)) + STRING_BYTES * len(words)


def _distinct(texts: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    characters = 0
    for text in texts:
        its_words, its_characters = _words_in(text)
        found |= dict.fromkeys(its_words)
        characters += its_characters
        if len(found) >= WORDS_MAX or characters >= CHARACTERS_MAX:
            break
    return tuple(found)[:WORDS_MAX]


def terms(query: str) -> tuple[Term, ...]:
    """Parses a query into terms, all of which must match; empty if it has no letter and no digit. Raises BadQuery.

    The last word, and every word of two characters or more, matches every word that begins with it.
    """
    if len(query) > QUERY_MAX:
        raise BadQuery(f"expected at most {QUERY_MAX} characters, found {len(query)}")
    found = list(_runs(fold(query)))
    runs = dict.fromkeys(found)
    if len(runs) > QUERY_WORDS_MAX:
        raise BadQuery(f"expected at most {QUERY_WORDS_MAX} words, found {len(runs)}")
    wanted: dict[Term, None] = {}
    for run, spaced in runs:
        if spaced:
            word = run[:WORD_MAX]
            wanted[Term(word, len(word) > 1 or run == found[-1][0])] = None
        else:
            wanted |= dict.fromkeys([Term(pair, prefix=False) for pair in _pairs(run) or [run]])
    # A prefix of another term is redundant: a text that matches the longer term matches the prefix too.
    return tuple(
        term
        for term in wanted
        if not any(other.text.startswith(term.text) for other in wanted if term.prefix and other != term)
    )


def _words_in(text: str) -> tuple[tuple[str, ...], int]:
    """Returns the words of one text, and the number of its folded characters."""
    known = _of_text.get(text)
    if known is None:
        known = _split(text)
        _of_text.put(text, known, len(text) + words_bytes(known[0]))
    return known


def _split(text: str) -> tuple[tuple[str, ...], int]:
    folded = fold(text)
    if text.isascii():
        return tuple(dict.fromkeys([word[:WORD_MAX] for word in _ASCII.findall(folded)]))[:WORDS_MAX], len(folded)
    found: dict[str, None] = {}
    for run, spaced in _runs(folded):
        found |= dict.fromkeys([run[:WORD_MAX]] if spaced else [*run, *_pairs(run)])
        if len(found) >= WORDS_MAX:
            break
    return tuple(found)[:WORDS_MAX], len(folded)


def _runs(folded: str) -> Iterator[tuple[str, bool]]:
    """Yields the runs of letters and digits, each with whether its script puts spaces between words."""
    for found in _RUN.finditer(folded):
        yield found[0], found[1] is None


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)]


def fold(text: str) -> str:
    """Folds a text for comparison: lower case, without accents and compatibility forms, cut to CHARACTERS_MAX."""
    if text.isascii():
        return text[:CHARACTERS_MAX].lower()
    # Marks are removed again, because case folding can produce some. NFC recomposes the syllables of Hangul.
    return normalize("NFC", _bare(_bare(text).casefold())).translate(_LETTERS_WITH_STROKES)


def _bare(text: str) -> str:
    # In slices, because NFKD takes quadratic time for a long run of marks, and all marks are removed anyway.
    bare: list[str] = []
    for at in range(0, len(text), SLICE):
        plain = normalize("NFKD", text[at : at + SLICE])
        bare += [one for one in plain if one < _FIRST_MARK or category(one)[0] != "M"]
        if len(bare) >= CHARACTERS_MAX:
            break
    return "".join(bare[:CHARACTERS_MAX])
