"""base64url encoding without padding (RFC 4648, section 5)."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode_base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decode_base64url(text: str) -> bytes | None:
    """Decodes a text; None unless it is exactly what `encode_base64url` returns for the bytes.

    The standard library also accepts padding, characters outside the alphabet, and unused bits at the end that are
    set. Then one token would have many spellings, and a check by the token's text (a deny list, a counter, a cache)
    would miss the others.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return raw if encode_base64url(raw) == text else None
