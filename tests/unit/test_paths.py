"""One form of a path is judged and routed; whatever else a router would make of a path is 404."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.api.paths import canonical_path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/api/v1/tasks", "/api/v1/tasks"),
        (b"/api/v1/%74asks", "/api/v1/tasks"),
        (b"/API/v1/tasks", "/API/v1/tasks"),
        (b"/api/v1/tasks;a=b", "/api/v1/tasks;a=b"),
        (b"/a/...", "/a/..."),
        (b"/a/.b", "/a/.b"),
        (b"/a/b.", "/a/b."),
        (b"/a/%C3%A9", "/a/é"),
        (b"/a/b%2Fc", "/a/b%2Fc"),
        (b"/a/b%2fc", "/a/b%2Fc"),
        (b"/a/%FF", "/a/\ufffd"),
        (b"/a/b%0A", "/a/b\n"),
        (b"/a\\..\\b", "/a\\..\\b"),
    ],
)
def test_a_path_is_decoded_once(raw: bytes, path: str) -> None:
    assert canonical_path(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"*", b"api/v1/tasks", b"http://x/api/v1/tasks", b"//", b"//api/v1/tasks", b"/api//v1/tasks"),
        *(b"/api/v1/tasks/", b"/api/v1//tasks", b"/api/v1/tasks//", b"/api/v1/./tasks", b"/api/v1/tasks/."),
        *(b"/api/v1/x/../tasks", b"/..", b"/.", b"/api/v1/%2e/tasks", b"/x/%2E%2e/api", b"/x/.%2e/api", b"/x/%2e."),
        *(b"/api/v1/tasks%00", b"/a%", b"/a%1", b"/a%zz", b"/a%u0041", b"/a#b", b"/caf\xc3\xa9", b"/a\xff"),
    ],
)
def test_what_is_not_canonical_is_no_path(raw: bytes) -> None:
    assert canonical_path(raw) is None


@given(st.text(alphabet="/.%2eEfFa0", max_size=12))
def test_a_canonical_path_means_the_same_to_whoever_merges_and_resolves(text: str) -> None:
    path = canonical_path(f"/{text}".encode())
    if path is not None and path != "/":
        segments = path.split("/")[1:]
        assert not {"", ".", ".."} & set(segments)
