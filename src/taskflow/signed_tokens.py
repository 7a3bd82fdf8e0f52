"""Signed tokens: content with an HMAC, in base64url, so that the server need not store the token."""

from __future__ import annotations

import hmac

from taskflow.base64url import decode_base64url, encode_base64url


def sign(secret: bytes, purpose: bytes, content: bytes, *, mac_bytes: int) -> str:
    """Returns the content followed by the first `mac_bytes` of its HMAC-SHA-256, in base64url. A token signed for one
    `purpose` is not valid for another."""
    return encode_base64url(content + _mac(secret, purpose, content)[:mac_bytes])


def verify(secret: bytes, purpose: bytes, text: str, *, mac_bytes: int) -> bytes | None:
    """Returns the content of a token; None if its signature is not valid."""
    raw = decode_base64url(text)
    if raw is None:
        return None
    content, mac = raw[:-mac_bytes], raw[-mac_bytes:]
    return content if hmac.compare_digest(mac, _mac(secret, purpose, content)[:mac_bytes]) else None


def _mac(secret: bytes, purpose: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, purpose + b"\x1f" + content, "sha256")
