"""The canonical path of a request, which authentication, limits, router, metrics and log all use.

A path in another form is answered with 404, even if a proxy or a router would normalise it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")
_DOT_SEGMENT: Final = re.compile(rb"/(?:\.|%2[eE]){1,2}(?:/|\Z)")
_ENCODED_SLASH: Final = re.compile("%2[fF]")


def canonical_path(raw: bytes) -> str | None:
    """The decoded path; None if it has an empty segment or a dot segment, or is not a path at all.

    An encoded slash belongs to its segment, and stays encoded. Bytes that are not UTF-8 become U+FFFD, which no route's
    path contains.
    """
    if raw == b"/":
        return "/"
    if not raw.startswith(b"/") or raw.endswith(b"/") or b"//" in raw or b"#" in raw or not raw.isascii():
        return None
    if b"%" not in raw:
        return None if b"/." in raw and _DOT_SEGMENT.search(raw) else raw.decode()
    if _BROKEN_ESCAPE.search(raw) or _DOT_SEGMENT.search(raw):
        return None
    return unquote(_ENCODED_SLASH.sub("%252F", raw.decode()))
