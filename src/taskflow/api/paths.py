"""The canonical path of a request: the one form that gate, limits, router, metrics and log all judge.

A path that is not in this form is 404, whatever a proxy or a router would make of it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")
_DOT_SEGMENT: Final = re.compile(rb"/(?:\.|%2[eE]){1,2}(?:/|\Z)")
_ENCODED_SLASH: Final = re.compile("%2[fF]")


def canonical_path(raw: bytes) -> str | None:
    """The decoded path; None where it has an empty or a dot segment, or is no path at all.

    An encoded slash is a part of its segment, and stays encoded. Bytes that are no UTF-8 become U+FFFD, which no
    route has in its path.
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
