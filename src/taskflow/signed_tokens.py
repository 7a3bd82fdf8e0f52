"""Texts that nothing has to remember: some bytes in base64url, and the proof that they were written here."""

from __future__ import annotations

import hmac

from taskflow.base64url import decode_base64url, encode_base64url


def sign(secret: bytes, purpose: bytes, content: bytes, *, mac_bytes: int) -> str:
    """The content with the first bytes of its HMAC-SHA-256 behind it; what is proven for one `purpose` is nothing
    for another. Only characters that a URL takes as they are."""
    return encode_base64url(content + _mac(secret, purpose, content)[:mac_bytes])


def verify(secret: bytes, purpose: bytes, text: str, *, mac_bytes: int) -> bytes | None:
    """The content of a text; None for one that was not written here."""
    raw = decode_base64url(text)
    if raw is None:
        return None
    content, mac = raw[:-mac_bytes], raw[-mac_bytes:]
    return content if hmac.compare_digest(mac, _mac(secret, purpose, content)[:mac_bytes]) else None


def _mac(secret: bytes, purpose: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, purpose + b"\x1f" + content, "sha256")
