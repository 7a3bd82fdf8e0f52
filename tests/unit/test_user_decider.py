"""What may be done to a person's account, by state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.commands.fields import SETTINGS_MAX
from taskflow.commands.user import EditProfile, edit
from taskflow.errors import Invalid
from taskflow.streams import USER, Event, EventMetadata
from taskflow.streams.user import (
    UserAvatarSet,
    UserImported,
    UserRegistered,
    UserRenamed,
    UserRolesSet,
    UserSettingsChanged,
    UserState,
)

ADA = UUID(int=1)
AT = datetime(2026, 3, 1, tzinfo=UTC)
REGISTERED = UserRegistered(
    email="ada@example.com", name="Ada", password_hash="hash", claim_id=UUID(int=2), inbox_id=UUID(int=3)
)


def given_events(*events: Event) -> UserState:
    state: UserState | None = None
    for version, event in enumerate(events, 1):
        state = USER.evolve(state, event, EventMetadata(ADA, version, AT))
    assert state is not None
    return state


def patch(**fields: Any) -> EditProfile:
    return msgspec.convert(fields, EditProfile)


class TestARegisteredPerson:
    STATE = given_events(REGISTERED, UserSettingsChanged(settings={"theme": "dark", "days": 5}))

    @pytest.mark.parametrize(
        ("command", "events"),
        [
            (patch(), []),
            (patch(name="Ada"), []),
            (patch(name="Countess"), [UserRenamed(name="Countess")]),
            (patch(avatar_url="https://example.com/a.png"), [UserAvatarSet(avatar_url="https://example.com/a.png")]),
            (patch(avatar_url=None), []),
            (patch(settings={"theme": "dark"}), []),
            (patch(settings={"theme": "light", "days": 5}), [UserSettingsChanged(settings={"theme": "light"})]),
            (patch(settings={"theme": None}), [UserSettingsChanged(settings={"theme": None})]),
            (patch(settings={"unknown": None}), []),
            (
                patch(name="C", settings={"x": True}),
                [UserRenamed(name="C"), UserSettingsChanged(settings={"x": True})],
            ),
        ],
    )
    def test_is_changed_by_one_event_a_field_that_differs(self, command: EditProfile, events: list[Event]) -> None:
        assert edit(self.STATE, command) == events

    def test_has_a_bounded_number_of_settings(self) -> None:
        with pytest.raises(Invalid) as refused:
            edit(self.STATE, patch(settings={f"s{n}": n for n in range(SETTINGS_MAX)}))
        assert refused.value.pointer == "/settings"

    def test_has_room_for_one_where_another_goes(self) -> None:
        full = given_events(REGISTERED, UserSettingsChanged(settings={f"s{n}": n for n in range(SETTINGS_MAX)}))
        assert edit(full, patch(settings={"s0": None, "new": 1})) == [
            UserSettingsChanged(settings={"s0": None, "new": 1})
        ]

    @pytest.mark.parametrize(
        "settings", [{"": 1}, {"x" * 101: 1}, {"x": "x" * 1_001}, {"x": 2**63}, {"x": -(2**63) - 1}, {"x": 0.5}]
    )
    def test_has_bounded_settings(self, settings: Any) -> None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"settings": settings}, EditProfile)
        most = {"x" * 100: "x" * 1_000, "y": 2**63 - 1, "z": -(2**63), "none": None, "yes": True}
        assert msgspec.convert({"settings": most}, EditProfile).settings == most

    def test_keeps_what_was_not_changed(self) -> None:
        after = given_events(REGISTERED, UserRenamed(name="Countess"), UserRolesSet(roles=("admin",)))
        assert (after.name, after.email, after.roles, after.version) == (
            "Countess",
            "ada@example.com",
            ("admin",),
            3,
        )


class TestAnImportedPerson:
    def test_has_a_name_and_no_way_in(self) -> None:
        state = given_events(UserImported(name="Frederic (France)"))
        assert (state.name, state.email, state.password_hash, state.claim_id, state.inbox_id) == (
            "Frederic (France)", None, None, None, None,
        )  # fmt: skip


values = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)


@given(
    st.lists(st.dictionaries(st.sampled_from("abcd"), values, max_size=4), max_size=6),
    st.sampled_from(["Ada", "Bob"]),
)
def test_every_edit_is_idempotent_and_leaves_what_it_asked_for(patches: list[dict[str, Any]], name: str) -> None:
    events: list[Event] = [REGISTERED]
    for one in patches:
        command = patch(name=name, settings=one)
        events += edit(given_events(*events), command)
        state = given_events(*events)
        assert state.name == name
        assert state.settings is not None
        assert {key: state.settings.get(key) for key in one} == one
        assert None not in state.settings.values()
        assert edit(state, command) == []
