"""User profiles, and the caller's calendar feed."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from taskflow.client.answers import Calendar, Profile, PublicProfile
from taskflow.client.call import Call, Id, at, given, read, write
from taskflow.client.resource import F, Resource, call


class Users(Resource[F]):
    @call
    def me(self) -> Call[Profile]:
        return read(at("users", "me"), Profile)

    @call
    def edit_me(
        self,
        *,
        name: str | UnsetType = UNSET,
        avatar_url: str | UnsetType | None = UNSET,
        settings: dict[str, Any] | UnsetType = UNSET,
        expected_version: int | None = None,
    ) -> Call[Profile]:
        body = given(name=name, avatar_url=avatar_url, settings=settings)
        return write("PATCH", at("users", "me"), Profile, body, expected=expected_version)

    @call
    def get(self, user: Id) -> Call[PublicProfile]:
        """The profile of a user who shares a project with the caller."""
        return read(at("users", user), PublicProfile)

    @call
    def open_calendar(self, *, expected_version: int | None = None) -> Call[Calendar]:
        """Creates a calendar feed of the caller's due tasks, under a new secret; the previous secret stops working."""
        return write("POST", at("users", "me", "calendar"), Calendar, expected=expected_version)

    @call
    def calendar(self, secret: str) -> Call[bytes]:
        """The calendar feed (RFC 5545) as calendar programs read it; no sign-in is needed."""
        path = at("calendar", f"{secret}.ics")
        headers = {"Accept": "text/calendar"}
        return Call(method="GET", path=path, answer=bytes, kind="read", headers=headers, signed_in=False)
