"""Which texts are addresses, and which of them are one address."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.streams.claim import claim_id
from taskflow.text.addresses import (
    ADDRESS_MAX,
    LOCAL_OCTETS_MAX,
    BadAddress,
    canonical_address,
    registrable_address,
    same_address,
    trimmed,
)

SAME = [
    ("ada@example.com", "ADA@EXAMPLE.COM", " Ada@Example.com\t", "\u00a0ada@example.com\u3000", "ada@example.com.",
     "\uff41\uff44\uff41@example.com", "\uff21\uff24\uff21@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com",
     "ada@example\u3002com", "ada@example\uff0ecom", "\u24d0da@example.com", "\U0001d41ada@example.com"),
    ("zoe\u0301@example.com", "zo\u00e9@example.com", "ZO\u00c9@example.com", "ZOE\u0301@EXAMPLE.com"),
    ("stra\u00dfe@example.com", "Stra\u00dfe@example.com", "STRA\u1e9eE@example.com"),
    ("a@stra\u00dfe.de", "a@xn--strae-oqa.de", "A@XN--STRAE-OQA.DE", "a@STRA\u1e9eE.de"),
    ("a@\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444", "a@\u041f\u0420\u0418\u041c\u0415\u0420.\u0420\u0424",
     "a@xn--e1afmkfd.xn--p1ai"),
    ("\u1112\u1161\u11ab@x.org", "\ud55c@x.org"),
    ("\uff76\uff9e@x.org", "\u30ac@x.org", "\u30ab\u3099@x.org"),
    ("fi@x.org", "\ufb01@x.org", "FI@x.org"),
    ("o\u03b4\u03bf\u03c2@x.org", "O\u0394\u039f\u03a3@x.org"),
    ("\u2126@x.org", "\u03c9@x.org", "\u03a9@x.org"),
]  # fmt: skip
APART = [
    ("strasse@example.com", "stra\u00dfe@example.com"),
    ("a@strasse.de", "a@stra\u00dfe.de"),
    ("ada@example.com", "ada@example.org"),
    ("ada@example.com", "a.da@example.com"),
    ("ada@example.com", "ada+x@example.com"),
    ("zoe@example.com", "zo\u00e9@example.com"),
    ("i@x.org", "\u0131@x.org"),
]
UNSEEN = ["\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069", "\u061c",
          "\ufeff", "\u00ad", "\u034f", "\u180e", "\ufe0f", "\u115f", "\u3164", "\uffa0", "\u2800", "\U000e0041",
          "\U000e0100", "\U0001d173", "\x00", "\x1b", "\x7f", "\x85", "\n", "\t", " ", "\u00a0", "\u3000", "\u2028",
          "\ufffe", "\ud800"]  # fmt: skip
NONE = [
    "", "@", "ada", "ada@", "@example.com", "a@b@example.com", "a\uff20b@example.com", "ada\uff20example.com",
    '"a@b"@example.com', "ada@-a.com", "ada@a-.com", "ada@a..com", "ada@.com", "ada@ex_ample.com", "ada@[127.0.0.1]",
    "ada@exa mple.com", "a\u00a8@x.org", "ada@xn--a.com", "ada@xn--strasse-", "ada@\u0378.com", "\u0378@x.org",
    "ada@" + "a" * 64 + ".com", "ada@" + "a." * 130 + "com", "a" * (LOCAL_OCTETS_MAX + 1) + "@x.org",
    "\u00e9" * 33 + "@x.org", "\uff41" * 22 + "@x.org", "\ufdfa" * 5 + "@x.org",
    "a" * 60 + "@" + "b" * 63 + "." + "\u00fc" * 40 + "." + "c" * 63 + "." + "d" * 20 + ".org",
]  # fmt: skip


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: str(spellings[0].encode("unicode_escape")))
def test_spellings_of_one_address_are_one(spellings: tuple[str, ...]) -> None:
    forms = {canonical_address(spelling) for spelling in spellings}
    assert len(forms) == 1
    assert len({claim_id(b"secret", spelling) for spelling in spellings}) == 1
    assert all(same_address(spellings[0], spelling) for spelling in spellings)


@pytest.mark.parametrize(("one", "other"), APART)
def test_what_is_read_as_another_is_another(one: str, other: str) -> None:
    assert canonical_address(one) != canonical_address(other)
    assert claim_id(b"secret", one) != claim_id(b"secret", other)
    assert not same_address(one, other)


@pytest.mark.parametrize("character", UNSEEN, ids=lambda one: hex(ord(one)))
@pytest.mark.parametrize("shape", ["a{}da@example.com", "{}ada@example.com", "ada{}@example.com", "ada@exa{}mple.com"])
def test_what_is_not_seen_is_refused_within_an_address(character: str, shape: str) -> None:
    address = shape.format(character)
    if trimmed(address) == "ada@example.com":
        return
    with pytest.raises(BadAddress):
        canonical_address(address)


@pytest.mark.parametrize("text", NONE, ids=lambda text: str(text[:30].encode("unicode_escape")))
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        canonical_address(text)


@pytest.mark.parametrize(
    "local", ['"ada"', "(x)ada", "ada(x)", "mailto:ada", "a,da", "a;da", "a\\da", "\uff02ada\uff02"]
)
def test_spellings_of_a_mailbox_by_quoting_cannot_be_registered(local: str) -> None:
    with pytest.raises(BadAddress):
        registrable_address(f"{local}@example.com")
    # Whoever has one still signs in.
    assert claim_id(b"secret", f"{local}@example.com")
    assert registrable_address("O'Hara.{x}+y/z=!#$%&*?^_`|~-@example.com") == "o'hara.{x}+y/z=!#$%&*?^_`|~-@example.com"


def test_the_longest_are_taken() -> None:
    assert canonical_address("a" * LOCAL_OCTETS_MAX + "@x.org")
    assert canonical_address("\u00e9" * (LOCAL_OCTETS_MAX // 2) + "@x.org")
    longest = "a" * 60 + "@" + ".".join(["b" * 63, "c" * 63, "d" * 61]) + ".org"
    longest = longest.rjust(ADDRESS_MAX, "a")
    assert len(canonical_address(longest)) == ADDRESS_MAX == len(longest)
    with pytest.raises(BadAddress):
        canonical_address("a" + longest)


def test_the_form_of_a_form_is_itself_whatever_the_character() -> None:
    changed = [
        point
        for point in range(sys.maxunicode + 1)
        if unicodedata.combining(chr(point)) or unicodedata.normalize("NFKC", chr(point).lower()) != chr(point)
    ]
    assert len(changed) > 5_000
    for point in changed:
        for text in (f"{chr(point)}@x.org", f"a{chr(point)}\u0301@x.org"):
            try:
                form = canonical_address(text)
            except BadAddress:
                continue
            assert canonical_address(form) == form


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_has_a_form_or_none(local: str, domain: str) -> None:
    for text in (local, f"{local}@{domain}", f"{local}@x.org", f"a@{domain}"):
        try:
            form = canonical_address(text)
        except BadAddress:
            continue
        assert form.count("@") == 1
        assert form.partition("@")[2].isascii()
        assert canonical_address(form) == form
        assert canonical_address(f" {text}\n") == form
