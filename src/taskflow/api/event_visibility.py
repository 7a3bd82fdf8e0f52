"""Decides who may see which events, and whose personal fields in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from taskflow.follower.follower import Follower


def personal_fields_visible_to(follower: Follower, caller: UUID) -> Callable[[UUID], bool]:
    """A function that tells whether the caller may read a person's personal fields: their own, and those of people with
    whom they share a project that both created or accepted an invitation to. Being added to a project directly does not
    count, nor does a system role."""
    mine = follower.consented(caller)
    return lambda person: person == caller or not mine.isdisjoint(follower.consented(person))


def is_analyst(follower: Follower, user: UUID) -> bool:
    """Whether a user has a system role, and so may see all events."""
    return bool(follower.system_roles(user))
