"""The formats of secrets and keys in settings: base64url, or PEM."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

SECRET_BYTES_MIN: Final = 32

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")


@lru_cache(maxsize=64)
def secret_bytes(text: str) -> bytes:
    """The bytes of a secret in base64url. Every request asks for some, so they are decoded once."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))[:SECRET_BYTES_MIN]


def key_fault(name: str, value: str) -> str | None:
    """Returns what is wrong with a secret or key, without revealing any of it; None if it is valid or empty."""
    if not value:
        return None
    if name.startswith("jwt_"):
        return _pem_fault(name, value.encode())
    if not _BASE64URL.fullmatch(value):
        return "expected base64url (letters, digits, - and _)"
    try:
        size = len(urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    except ValueError:
        return "expected base64url, found a length that no bytes have"
    return None if size >= SECRET_BYTES_MIN else f"expected at least {SECRET_BYTES_MIN} bytes, found {size}"


def _pem_fault(name: str, pem: bytes) -> str | None:
    try:
        if name == "jwt_previous_public_key":
            load_pem_public_key(pem)
        elif not isinstance(load_pem_private_key(pem, password=None), Ed25519PrivateKey):
            return "expected an Ed25519 key, found one of another kind"
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "expected a key as PEM, without a password"
    return None
