"""Texts that nothing has to remember: some bytes in base64url, and the proof that they were written here."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode


def prove(secret: bytes, purpose: bytes, content: bytes, *, mac_bytes: int) -> str:
    """The content with the first bytes of its HMAC-SHA-256 behind it; what is proven for one `purpose` is nothing
    for another. Only characters that a URL takes as they are."""
    return urlsafe_b64encode(content + _mac(secret, purpose, content)[:mac_bytes]).decode().rstrip("=")


def proven(secret: bytes, purpose: bytes, text: str, *, mac_bytes: int) -> bytes | None:
    """The content of a text; None for one that was not written here."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    content, mac = raw[:-mac_bytes], raw[-mac_bytes:]
    if not hmac.compare_digest(mac, _mac(secret, purpose, content)[:mac_bytes]):
        return None
    # One spelling: base64 ignores what is not of its alphabet, and the bits at its end.
    return content if text == prove(secret, purpose, content, mac_bytes=mac_bytes) else None


def _mac(secret: bytes, purpose: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, purpose + b"\x1f" + content, "sha256")
