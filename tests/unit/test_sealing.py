"""Personal data is unreadable without its person's key, and cannot be moved."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from taskflow.errors import StoreError
from taskflow.privacy.sealing import new_key, open_fields, personal_fields, seal_fields
from taskflow.store.mapper import encode
from taskflow.streams import EVENT_TYPES
from taskflow.streams.session import SessionStarted
from taskflow.streams.task import TaskRetitled
from taskflow.streams.user import UserRegistered, UserSettingsChanged, UserState

EVENT = UserRegistered(
    email="ada@example.com", name="Ada", password_hash="$argon2", claim_id=UUID(int=1), inbox_id=UUID(int=2)
)
EVENT_ID = UUID(int=7)


def test_personal_fields_are_named_in_the_types() -> None:
    assert set(personal_fields(UserRegistered)) == {"email", "name", "password_hash"}
    assert set(personal_fields(UserState)) == {"email", "name", "password_hash", "avatar_url", "settings"}
    assert personal_fields(UserSettingsChanged) == ("settings",)
    assert set(personal_fields(SessionStarted)) == {"address", "agent"}
    assert personal_fields(TaskRetitled) == ()


def test_a_sealed_event_shows_nothing_and_opens_again() -> None:
    key = new_key()
    stored = encode(EVENT, event_id=EVENT_ID, key=key)
    for secret in (b"ada", b"Ada", b"example.com", b"argon2"):
        assert secret not in stored
    plain = msgspec.json.decode(stored)
    open_fields(UserRegistered, plain, key, EVENT_ID.bytes)
    assert msgspec.convert(plain, UserRegistered) == EVENT


def test_without_the_key_the_rest_can_still_be_read() -> None:
    plain = msgspec.json.decode(encode(EVENT, event_id=EVENT_ID, key=new_key()))
    open_fields(UserRegistered, plain, None, EVENT_ID.bytes)
    event = msgspec.convert(plain, UserRegistered)
    assert (event.email, event.name, event.claim_id) == (None, None, EVENT.claim_id)


@pytest.mark.parametrize("damage", ["key", "event", "field"])
def test_a_ciphertext_opens_nowhere_else(damage: str) -> None:
    key = new_key()
    plain = msgspec.json.decode(encode(EVENT, event_id=EVENT_ID, key=key))
    if damage == "field":
        plain["name"], plain["email"] = plain["email"], plain["name"]
    with pytest.raises(StoreError, match="cannot be decrypted"):
        open_fields(
            UserRegistered,
            plain,
            new_key() if damage == "key" else key,
            UUID(int=8).bytes if damage == "event" else EVENT_ID.bytes,
        )


def test_an_event_with_personal_data_is_never_encoded_without_a_key() -> None:
    with pytest.raises(AssertionError, match="no key"):
        encode(EVENT, event_id=EVENT_ID, key=None)


def test_every_type_with_personal_data_says_whose_it_is() -> None:
    for event in EVENT_TYPES.values():
        if personal_fields(event) and event.person_field:
            assert event.person_field in event.__struct_fields__


def test_a_state_seals_like_an_event() -> None:
    key = new_key()
    started = SessionStarted(user_id=UUID(int=1), address="192.0.2.7", agent=None)
    assert b"192.0.2.7" not in seal_fields(started, key, b"context")
