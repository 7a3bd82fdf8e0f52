"""Device tokens: of one account, for a bounded time, and nothing that anybody could write."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.api.device_tokens import DeviceTokens
from taskflow.local.dev_secrets import new_secret
from taskflow.settings import Settings

SETTINGS = Settings(token_secret=new_secret("token_secret"), device_token_ttl_s=1_000)
ACCOUNT = uuid4()


def test_a_device_keeps_its_id_from_sign_in_to_sign_in() -> None:
    tokens = DeviceTokens(SETTINGS)
    first = tokens.read(tokens.make(ACCOUNT, None), ACCOUNT)
    assert first is not None
    again = tokens.read(tokens.make(ACCOUNT, first), ACCOUNT)
    assert again is not None
    assert again.device_id == first.device_id
    other = tokens.read(tokens.make(ACCOUNT, None), ACCOUNT)
    assert other is not None
    assert other.device_id != first.device_id


def test_it_is_nothing_for_another_account_and_nothing_under_another_secret() -> None:
    token = DeviceTokens(SETTINGS).make(ACCOUNT, None)
    assert DeviceTokens(SETTINGS).read(token, uuid4()) is None
    other = DeviceTokens(replace(SETTINGS, token_secret=new_secret("token_secret")))
    assert other.read(token, ACCOUNT) is None


def test_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = DeviceTokens(SETTINGS)
    now = time.time()
    token = tokens.make(ACCOUNT, None)
    monkeypatch.setattr(time, "time", lambda: now + 999)
    assert tokens.read(token, ACCOUNT) is not None
    monkeypatch.setattr(time, "time", lambda: now + 1_002)
    assert tokens.read(token, ACCOUNT) is None


@given(st.text() | st.binary().map(lambda raw: "tfd_" + raw.hex()))
def test_any_other_text_is_none(text: str) -> None:
    assert DeviceTokens(SETTINGS).read(text, ACCOUNT) is None
