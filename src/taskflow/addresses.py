"""E-mail addresses: which are taken, and which of their spellings are one. Pure.

What is compared is never what mail is sent to: that is the address as its person gave it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import idna

from taskflow.invisible import BLANKS, CONTROLS, IGNORABLE

ADDRESS_MAX: Final = 254
"""Characters as given, and octets in canonical form (RFC 5321, with the domain in ASCII)."""
LOCAL_OCTETS_MAX: Final = 64
"""Of what stands before the `@`, as given and in canonical form (RFC 5321, in UTF-8 by RFC 6531)."""
_REFUSED: Final = re.compile(rf"[{BLANKS}{CONTROLS}{IGNORABLE}\ud800-\udfff]")
_QUOTING: Final = re.compile(r'["(),:;<>\[\]\\]')
"""With these (RFC 5322's specials) one mailbox has many spellings, `"ada"@…` and `ada(x)@…`, and mail programs differ in
how they read them."""
_TRIMMED: Final = re.compile(rf"\A[{BLANKS}]+|[{BLANKS}]+\Z")


class BadAddress(ValueError):
    """The message says what an address has that none may have, or lacks."""


def trimmed(address: str) -> str:
    """The address as it is stored."""
    return _TRIMMED.sub("", address)


def canonical_address(address: str) -> str:
    """The one form of all spellings of an address: before the `@` NFKC and lower-cased (`ß` stays `ß`), behind it
    UTS 46, non-transitional, in ASCII.

    Raises BadAddress. The form of a form is itself.
    """
    address = trimmed(address)
    if len(address) > ADDRESS_MAX:
        raise BadAddress(f"expected an address of at most {ADDRESS_MAX} characters")
    if _REFUSED.search(address):
        raise BadAddress("expected an address without blanks and without characters that cannot be seen")
    given, at, domain = address.rpartition("@")
    # The lower case of a composed character may be one that is composed further.
    local = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", given).lower())
    if not at or not local or "@" in local or _REFUSED.search(local):
        raise BadAddress("expected one @ with a name before it and a domain behind it")
    if any(unicodedata.category(character) == "Cn" for character in local):
        # Its form would be another once Unicode knows it.
        raise BadAddress("expected an address of characters that Unicode knows")
    if max(len(given.encode()), len(local.encode())) > LOCAL_OCTETS_MAX:
        raise BadAddress(f"expected at most {LOCAL_OCTETS_MAX} octets before the @")
    try:
        host = idna.encode(domain, uts46=True, std3_rules=True, transitional=False).decode("ascii").removesuffix(".")
    except UnicodeError:
        raise BadAddress("expected the name of a domain behind the @") from None
    canonical = f"{local}@{host}"
    if len(canonical.encode()) > ADDRESS_MAX:
        raise BadAddress(f"expected an address of at most {ADDRESS_MAX} octets")
    return canonical


def registrable_address(address: str) -> str:
    """The canonical form of an address that nobody has used here yet: those that are taken may have quoting.

    Raises BadAddress.
    """
    canonical = canonical_address(address)
    if _QUOTING.search(canonical):
        raise BadAddress("expected an address without quotation marks, brackets and the like before the @")
    return canonical


def earlier_form(address: str) -> str:
    """What addresses were compared by before there was a canonical form. Frozen: claims are found under it."""
    return address.strip().casefold()


def same_address(one: str, other: str) -> bool:
    """Whether two are one address; where either has no canonical form, by what was compared before."""
    try:
        return canonical_address(one) == canonical_address(other)
    except BadAddress:
        return earlier_form(one) == earlier_form(other)
