"""E-mail addresses: validation, and the canonical form by which addresses are compared. Pure.

Mail is never sent to the canonical form, but to the address as its owner entered it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import idna

from taskflow.text.invisible import BLANKS, CONTROLS, IGNORABLE

ADDRESS_MAX: Final = 254
"""Characters as given, and octets in canonical form (RFC 5321, with the domain in ASCII)."""
LOCAL_OCTETS_MAX: Final = 64
"""Octets before the `@`, as given and in canonical form (RFC 5321, in UTF-8 by RFC 6531)."""
_REFUSED: Final = re.compile(rf"[{BLANKS}{CONTROLS}{IGNORABLE}\ud800-\udfff]")
_QUOTING: Final = re.compile(r'["(),:;<>\[\]\\]')
"""RFC 5322's specials: with them one mailbox has many spellings (`"ada"@…`, `ada(x)@…`), which mail programs read
differently."""
_TRIMMED: Final = re.compile(rf"\A[{BLANKS}]+|[{BLANKS}]+\Z")


class BadAddress(ValueError):
    """The address is not valid; the message says why."""


def trimmed(address: str) -> str:
    """Returns the address as it is stored: without blanks at its ends."""
    return _TRIMMED.sub("", address)


def canonical_address(address: str) -> str:
    """Returns the canonical form of an address: before the `@` NFKC and lower-cased (`ß` stays `ß`), after it
    UTS 46, non-transitional, in ASCII.

    Raises BadAddress. Idempotent: a canonical form is its own canonical form.
    """
    address = trimmed(address)
    if len(address) > ADDRESS_MAX:
        raise BadAddress(f"expected an address of at most {ADDRESS_MAX} characters")
    if _REFUSED.search(address):
        raise BadAddress("expected an address without blanks and invisible characters")
    given, at, domain = address.rpartition("@")
    # Normalised again, because lower-casing can produce characters that are not in NFKC.
    local = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", given).lower())
    if not at or not local or "@" in local or _REFUSED.search(local):
        raise BadAddress("expected one @ with a name before and a domain after it")
    if any(unicodedata.category(character) == "Cn" for character in local):
        # The canonical form of an unassigned character may change in a later version of Unicode.
        raise BadAddress("expected an address of assigned Unicode characters")
    if max(len(given.encode()), len(local.encode())) > LOCAL_OCTETS_MAX:
        raise BadAddress(f"expected at most {LOCAL_OCTETS_MAX} octets before the @")
    try:
        host = idna.encode(domain, uts46=True, std3_rules=True, transitional=False).decode("ascii").removesuffix(".")
    except UnicodeError:
        raise BadAddress("expected a domain name after the @") from None
    canonical = f"{local}@{host}"
    if len(canonical.encode()) > ADDRESS_MAX:
        raise BadAddress(f"expected an address of at most {ADDRESS_MAX} octets")
    return canonical


def registrable_address(address: str) -> str:
    """Returns the canonical form of an address for a new registration, where quoting is refused. Existing addresses
    may have quoting.

    Raises BadAddress.
    """
    canonical = canonical_address(address)
    if _QUOTING.search(canonical):
        raise BadAddress("expected an address without quotation marks, brackets and the like before the @")
    return canonical


def earlier_form(address: str) -> str:
    """Returns the form by which addresses were compared before the canonical form. Frozen: old claims have ids made of
    it."""
    return address.strip().casefold()


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are the same by canonical form, or by earlier form if either has no canonical form."""
    try:
        return canonical_address(one) == canonical_address(other)
    except BadAddress:
        return earlier_form(one) == earlier_form(other)
