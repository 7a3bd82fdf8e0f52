"""A password is judged as it will be verified."""

from __future__ import annotations

import pytest

from taskflow.errors import Invalid
from taskflow.privacy.passwords import judge_password

ADDRESS = "Zo\u00e9@Stra\u00dfe.example"


def judged(password: str, address: str = ADDRESS) -> str | None:
    """The code of what is wrong with it."""
    try:
        judge_password(password, address, "/password", least=8)
    except Invalid as refused:
        assert refused.pointer == "/password"
        return refused.code
    return None


@pytest.mark.parametrize(
    "password",
    ["password", "PASSWORD", "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44", "\uff30assword", "\U0001d429assword",
     "12345678", "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18", "\u24bbootball", "\u24d5ootball"],
)  # fmt: skip
def test_a_common_one_is_refused_in_every_spelling(password: str) -> None:
    assert judged(password) == "common"


@pytest.mark.parametrize(
    "password",
    [ADDRESS, ADDRESS.upper(), ADDRESS.lower(), f" {ADDRESS} ", "zoe\u0301@stra\u00dfe.example", "ZOE\u0301@STRASSE.EXAMPLE",
     "zo\u00e9@xn--strae-oqa.example", "\uff5ao\u00e9@stra\u00dfe.example", "zo\u00e9@stra\u00dfe.example."],
)  # fmt: skip
def test_the_own_address_is_refused_in_every_spelling(password: str) -> None:
    assert judged(password) == "own-address"


@pytest.mark.parametrize("address", ["nobody", "a\u200b@x.org", "@"])
def test_an_address_without_a_canonical_form_is_compared_too(address: str) -> None:
    assert judged(address.ljust(9, "x"), address.ljust(9, "x").upper()) == "own-address"


@pytest.mark.parametrize("password", ["e\u0301" * 7, "\u1112\u1161\u11ab" * 7, "a" * 7])
def test_its_length_is_that_of_what_is_verified(password: str) -> None:
    assert judged(password) == "normalised-length"


@pytest.mark.parametrize(
    "password", ["e\u0301" * 8, "correct horse battery", "zo\u00e9 and more", "\u6f22" * 8, "a@b.example"]
)
def test_any_other_is_taken(password: str) -> None:
    assert judged(password) is None
