"""A token has one spelling: whatever else decodes to the same bytes is refused."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.api.calendar_secrets import calendar_secret, read_calendar_secret
from taskflow.api.cursors import after_cursor, to_cursor
from taskflow.api.routes import comments
from taskflow.api.sync_tokens import Build, SyncToken, read_token, write_token
from taskflow.api.tokens import Tokens
from taskflow.base64url import decode_base64url, encode_base64url
from taskflow.commands.invitation_tokens import named_by, token_of
from taskflow.errors import Invalid, Malformed, Unauthenticated
from taskflow.local.dev_secrets import new_secret
from taskflow.readmodels import queries
from taskflow.settings import Settings

SETTINGS = Settings(
    jwt_private_key=new_secret("jwt_private_key"),
    token_secret=new_secret("token_secret"),
    access_token_ttl_s=86_400,  # signed when the tests are collected, which may be long before they run
)
TOKENS = Tokens(SETTINGS)
BUILD = Build(1, "v")
ONE, TWO = UUID(int=1), UUID(int=2)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=80))
def test_what_is_encoded_is_decoded(raw: bytes) -> None:
    assert decode_base64url(encode_base64url(raw)) == raw


@given(st.text(st.sampled_from(ALPHABET + "=+/ \n.ü"), max_size=12))
def test_no_two_texts_are_the_same_bytes(text: str) -> None:
    raw = decode_base64url(text)
    assert raw is None or encode_base64url(raw) == text


def spellings(text: str) -> Iterator[str]:
    """Other texts of the same bytes, for a reader that is not strict."""
    yield from (text + "=", text + "==", text + "===", text + "\n", " " + text, text[:5] + "!" + text[5:], text + "ü")
    yield text.replace("-", "+").replace("_", "/") if set(text) & {"-", "_"} else text + "/"
    if len(text) % 4:
        at = ALPHABET.index(text[-1])
        other = text[:-1] + ALPHABET[at ^ 1]
        pad = "=" * (-len(text) % 4)
        assert urlsafe_b64decode(other + pad) == urlsafe_b64decode(text + pad), "bits that stand for nothing"
        yield other


def refresh(text: str) -> object:
    return TOKENS.read_refresh(text)


def access(text: str) -> object:
    return TOKENS.verify(text)


def calendar(text: str) -> object:
    return read_calendar_secret(SETTINGS, text)


def invitation(text: str) -> object:
    return named_by(SETTINGS.token_secret_bytes, text)


def sync(text: str) -> object:
    return read_token(SETTINGS, ONE, text, BUILD)


def list_cursor(text: str) -> object:
    return after_cursor(text, "projects")


KINDS: list[tuple[Callable[[str], object], str]] = [
    (refresh, TOKENS.refresh(ONE, 1)),
    (access, TOKENS.access(ONE, TWO)),
    (calendar, calendar_secret(SETTINGS, ONE, 1)),
    (invitation, token_of(SETTINGS.token_secret_bytes, ONE, TWO)),
    (sync, write_token(SETTINGS, ONE, SyncToken(BUILD, 1, 2))),
    (list_cursor, to_cursor("projects", str(ONE))),
    (lambda text: queries._read_cursor(text, "rank"), queries._cursor("rank", "m", ONE)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("read", "text"), KINDS, ids=["refresh", "access", "calendar", "invitation", "sync", "list", "tasks"]
)
def test_a_token_is_taken_in_its_own_spelling_alone(read: Callable[[str], object], text: str) -> None:
    assert read(text) is not None
    for other in {*spellings(text), *(".".join(parts) for parts in _in_parts(text))}:
        with suppress(Unauthenticated, Invalid, Malformed):
            assert read(other) is None, other


def _in_parts(text: str) -> Iterator[list[str]]:
    """Of a token in parts, each of them in another spelling."""
    parts = text.split(".")
    for index, part in enumerate(parts):
        for other in spellings(part):
            yield [*parts[:index], other, *parts[index + 1 :]]


def test_a_refresh_token_begins_with_its_prefix_once() -> None:
    token = TOKENS.refresh(ONE, 1)
    bare = token.removeprefix("tfr_")
    for other in (bare, "tfr_" + token, "TFR_" + bare, "tfp_" + bare, " " + token, "tfr_"):
        with pytest.raises(Unauthenticated):
            TOKENS.read_refresh(other)


@pytest.mark.parametrize("spelled", [b'["projects", "x"]', b'["\\u0070rojects","x"]', b'["projects","x"]\n'])
def test_a_cursor_is_one_text_of_json_too(spelled: bytes) -> None:
    assert after_cursor(to_cursor("projects", "x"), "projects") == "x"
    with pytest.raises(Invalid):
        after_cursor(urlsafe_b64encode(spelled).decode().rstrip("="), "projects")


def test_a_cursor_within_a_cursor_is_one_text_too() -> None:
    after = comments._After(datetime(2026, 1, 1, tzinfo=UTC), ONE)
    assert comments._read_cursor(comments._cursor_after(after)) == (after.created_at, ONE)
    spaced = f'["2026-01-01T00:00:00Z", "{ONE}"]'
    with pytest.raises(Invalid):
        comments._read_cursor(to_cursor("comments", spaced))
