"""Who may see which events, and whose personal fields in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from taskflow.follower.follower import Follower


def who_is_seen(follower: Follower, caller: UUID) -> Callable[[UUID], bool]:
    """Whose personal fields the caller may read: their own, and those of people in a project that both created or
    accepted an invitation to. Being added to one directly, by whomever, opens nobody's; nor does a system role."""
    mine = follower.consented(caller)
    return lambda person: person == caller or not mine.isdisjoint(follower.consented(person))


def is_analyst(follower: Follower, user: UUID) -> bool:
    """Whether somebody sees the events of everybody."""
    return bool(follower.system_roles(user))
