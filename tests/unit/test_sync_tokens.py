"""A token of `/sync` reads as what was written, for its owner and its build; nothing else reads at all."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.api.sync_tokens import Build, SyncToken, read_token, write_token
from taskflow.errors import Gone, Malformed
from taskflow.local.dev_secrets import new_secret
from taskflow.settings import Settings

SETTINGS = Settings(token_secret=new_secret("token_secret"))
ADA, BOB = UUID(int=1), UUID(int=2)
positions = st.integers(0, 2**62)
builds = st.builds(Build, st.integers(1, 2**31), st.text("0123456789abcdef", min_size=16, max_size=16))
tokens = st.builds(SyncToken, builds, positions, positions, st.integers(0, 4), positions, st.uuids())


@given(tokens)
def test_what_is_written_is_read(token: SyncToken) -> None:
    text = write_token(SETTINGS, ADA, token)
    assert re.fullmatch(r"[A-Za-z0-9_.~-]+", text)
    assert read_token(SETTINGS, ADA, text, token.build) == token
    with pytest.raises(Malformed):
        read_token(SETTINGS, BOB, text, token.build)
    with pytest.raises(Gone):
        read_token(SETTINGS, ADA, text, Build(token.build.epoch + 1, token.build.views))


@given(tokens, st.data())
def test_a_text_that_differs_anywhere_is_refused(token: SyncToken, data: st.DataObject) -> None:
    text = write_token(SETTINGS, ADA, token)
    place = data.draw(st.integers(0, len(text) - 2))  # the last holds bits that say nothing
    other = data.draw(st.characters(codec="ascii").filter(lambda one: one != text[place]))
    with pytest.raises(Malformed):
        read_token(SETTINGS, ADA, text[:place] + other + text[place + 1 :], token.build)


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        read_token(SETTINGS, ADA, text, Build(1, ""))
