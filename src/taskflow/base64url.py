"""Bytes in the characters that a URL takes as they are, without padding (RFC 4648, section 5)."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode_base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decode_base64url(text: str) -> bytes | None:
    """The bytes of a text; None for any text but the one that `encode_base64url` makes of them.

    The standard library alone also takes padding, characters that are not of the alphabet, and set bits at the end
    that stand for nothing: then many texts are one token, and what is refused, counted or remembered by its text
    is not refused, counted or remembered in its other spellings.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return raw if encode_base64url(raw) == text else None
