"""The caller's own profile, and the profiles that people who share a project can read of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from litestar import Response

from taskflow.api import render
from taskflow.api.reads import COMMON, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.errors import NotFound

if TYPE_CHECKING:
    from taskflow.api.reads import Reading
    from taskflow.streams.user import UserState


async def get_user(call: RequestContext) -> Response[bytes]:
    user_id = call.id("user_id", "user")
    reading = await begin(call)
    if not await _share_a_project(reading, user_id):
        raise NotFound("user", user_id)
    user = await _person(reading, user_id)
    return reading.resource(render.public_profile(user), user.version)


async def get_me(call: RequestContext) -> Response[bytes]:
    reading = await begin(call)
    user = await _person(reading, call.user)
    return reading.resource(render.profile(user), user.version)


async def _person(reading: Reading, user_id: UUID) -> UserState:
    """The user, also one who registered a moment ago: without `min_position`, no projection is waited for. Raises
    NotFound."""
    person = await reading.person(user_id)
    if person is None:
        raise NotFound("user", user_id)
    return person


async def _share_a_project(reading: Reading, user_id: UUID) -> bool:
    follower = reading.context.follower

    def shared() -> bool:
        mine, theirs = follower.projects_of(reading.caller), follower.projects_of(user_id)
        return user_id == reading.caller or not mine.keys().isdisjoint(theirs)

    if not shared():
        await follower.poll()  # so that a membership granted a moment ago counts
    return shared()


ROUTES: Final = (
    Route("GET", f"{BASE}/users/me", get_me, "My profile", answer=render.Profile, query=COMMON),
    Route(
        "GET",
        f"{BASE}/users/{{user_id:str}}",
        get_user,
        "A person with whom I share a project",
        answer=render.PublicProfile,
        query=COMMON,
    ),
)
