"""Members, roles and the last owner: given, when, then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.commands import project as commands
from taskflow.commands.fields import MEMBERS_MAX
from taskflow.errors import Forbidden, NotFound, Refusal, Rejected
from taskflow.streams import PROJECT, Event, EventMetadata
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    ROLES,
    InvitationAccepted,
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    ProjectArchived,
    ProjectCreated,
    ProjectRenamed,
    ProjectState,
    Role,
)

OWNER, ADMIN, MEMBER, VIEWER, STRANGER, OTHER = (UUID(int=n) for n in range(1, 7))
PROJECT_ID = UUID(int=10)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def fold(*events: Event, state: ProjectState | None = None, by: UUID = OWNER) -> ProjectState:
    for event in events:
        version = 1 if state is None else state.version + 1
        state = PROJECT.evolve(state, event, EventMetadata(PROJECT_ID, version, NOW, by))
    assert state is not None
    return state


def team(*more: Event) -> ProjectState:
    return fold(
        ProjectCreated(name="P", owner_id=OWNER, workflow=DEFAULT_WORKFLOW),
        MemberAdded(user_id=ADMIN, role="admin"),
        MemberAdded(user_id=MEMBER, role="member"),
        MemberAdded(user_id=VIEWER, role="viewer"),
        *more,
    )


@pytest.mark.parametrize(
    ("actor", "user", "role", "expected"),
    [
        (OWNER, STRANGER, "owner", MemberAdded(user_id=STRANGER, role="owner")),
        (OWNER, MEMBER, "admin", MemberRoleChanged(user_id=MEMBER, role="admin")),
        (OWNER, MEMBER, "member", None),
        (ADMIN, STRANGER, "member", MemberAdded(user_id=STRANGER, role="member")),
        (ADMIN, VIEWER, "member", MemberRoleChanged(user_id=VIEWER, role="member")),
        (ADMIN, STRANGER, "admin", Forbidden),
        (ADMIN, OWNER, "member", Forbidden),
        (MEMBER, STRANGER, "viewer", Forbidden),
        (STRANGER, STRANGER, "owner", NotFound),
        (OWNER, OWNER, "admin", Rejected),
    ],
)
def test_who_sets_which_role(actor: UUID, user: UUID, role: Role, expected: Any) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            commands.set_member(team(), actor, user, role, acquainted=True)
    else:
        assert commands.set_member(team(), actor, user, role, acquainted=True) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("actor", "user", "expected"),
    [
        (ADMIN, MEMBER, MemberRemoved(user_id=MEMBER)),
        (MEMBER, MEMBER, MemberRemoved(user_id=MEMBER)),
        (VIEWER, VIEWER, MemberRemoved(user_id=VIEWER)),
        (MEMBER, VIEWER, Forbidden),
        (ADMIN, OWNER, Forbidden),
        (ADMIN, STRANGER, None),
        (OWNER, OWNER, Rejected),
        (STRANGER, MEMBER, NotFound),
    ],
)
def test_who_removes_whom(actor: UUID, user: UUID, expected: Any) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            commands.remove_member(team(), actor, user)
    else:
        assert commands.remove_member(team(), actor, user) == ([expected] if expected else [])


class TestConsent:
    """Who is a member by their own consent; and who comes back only so."""

    joined = fold(
        MemberAdded(user_id=STRANGER, role="viewer"),
        InvitationAccepted(invitation_id=UUID(int=30), user_id=STRANGER),
        state=team(),
        by=STRANGER,
    )

    def test_who_created_it_and_who_accepted_an_invitation(self) -> None:
        assert self.joined.consenting == (OWNER, STRANGER)
        assert self.joined.consents(OWNER, STRANGER)
        assert not self.joined.consents(OWNER, MEMBER), "the log does not say that who was added had been asked"
        assert set(team().members) == {OWNER, ADMIN, MEMBER, VIEWER}

    def test_who_was_added_directly_and_accepts_one_later(self) -> None:
        later = fold(InvitationAccepted(invitation_id=UUID(int=30), user_id=MEMBER), state=team(), by=MEMBER)
        assert later.consents(OWNER, MEMBER)

    def test_a_role_that_changes_changes_nothing_of_it(self) -> None:
        for user in (STRANGER, MEMBER):
            changed = fold(MemberRoleChanged(user_id=user, role="admin"), state=self.joined)
            assert changed.consenting == self.joined.consenting

    def test_strangers_are_invited(self) -> None:
        for user in (STRANGER, UUID(int=99)):
            with pytest.raises(Rejected) as refusal:
                commands.set_member(team(), OWNER, user, "viewer", acquainted=False)
            assert refusal.value.code == "must-be-invited"
        changed = commands.set_member(team(), OWNER, MEMBER, "viewer", acquainted=False)
        assert changed == [MemberRoleChanged(user_id=MEMBER, role="viewer")], "who is a member has a role"

    def test_what_else_forbids_it_comes_first(self) -> None:
        for actor, role, refusal in ((ADMIN, "admin", Forbidden), (MEMBER, "viewer", Forbidden)):
            with pytest.raises(refusal):
                commands.set_member(team(), actor, STRANGER, role, acquainted=False)  # type: ignore[arg-type]  # a role

    def test_who_left_is_invited_and_who_was_removed_is_added(self) -> None:
        left = fold(MemberRemoved(user_id=STRANGER), state=self.joined, by=STRANGER)
        removed = fold(MemberRemoved(user_id=STRANGER), state=self.joined, by=ADMIN)
        assert (left.consenting, removed.consenting) == ((OWNER,), (OWNER,))
        with pytest.raises(Rejected) as refusal:
            commands.set_member(left, OWNER, STRANGER, "viewer", acquainted=True)
        assert refusal.value.code == "must-be-invited"
        added = [MemberAdded(user_id=STRANGER, role="viewer")]
        assert commands.set_member(removed, OWNER, STRANGER, "viewer", acquainted=True) == added
        assert fold(*added, state=removed).consenting == (OWNER,), "they were not asked this time"

    def test_an_invitation_that_they_accept_lifts_it(self) -> None:
        left = fold(MemberRemoved(user_id=STRANGER), state=self.joined, by=STRANGER)
        again = fold(
            MemberAdded(user_id=STRANGER, role="viewer"),
            InvitationAccepted(invitation_id=UUID(int=31), user_id=STRANGER),
            state=left,
            by=STRANGER,
        )
        removed = fold(MemberRemoved(user_id=STRANGER), state=again, by=ADMIN)
        assert again.consents(OWNER, STRANGER)
        assert len(commands.set_member(removed, OWNER, STRANGER, "viewer", acquainted=True)) == 1

    def test_being_added_after_leaving_as_old_logs_have_it_is_no_consent(self) -> None:
        left = fold(MemberRemoved(user_id=MEMBER), state=team(), by=MEMBER)
        added = fold(MemberAdded(user_id=MEMBER, role="member"), state=left)
        removed = fold(MemberRemoved(user_id=MEMBER), state=added, by=ADMIN)
        assert added.members[MEMBER] == "member"
        with pytest.raises(Rejected):
            commands.set_member(removed, OWNER, MEMBER, "viewer", acquainted=True)


def test_an_inbox_takes_no_members_and_is_not_archived() -> None:
    inbox = fold(ProjectCreated(name="Inbox", owner_id=OWNER, workflow=DEFAULT_WORKFLOW, inbox=True))
    with pytest.raises(Rejected, match="cannot be shared"):
        commands.set_member(inbox, OWNER, MEMBER, "viewer", acquainted=True)
    with pytest.raises(Rejected, match="archived"):
        commands.archive(inbox)


def test_edits_and_the_archive_change_only_what_differs() -> None:
    assert commands.edit(team(), commands.EditProject(name="Q")) == [ProjectRenamed(name="Q")]
    assert commands.edit(team(), commands.EditProject(name="P", description=None)) == []
    assert commands.archive(team()) == [ProjectArchived()]
    assert commands.archive(team(ProjectArchived())) == []
    assert commands.unarchive(team()) == []


people = st.sampled_from([OWNER, ADMIN, MEMBER, VIEWER, STRANGER, OTHER])


@given(st.lists(st.tuples(people, people, st.sampled_from(ROLES) | st.none()), max_size=25))
def test_whatever_is_tried_there_is_always_an_owner_and_nobody_rises_by_themselves(
    attempts: list[tuple[UUID, UUID, Role | None]],
) -> None:
    state = team()
    for actor, user, role in attempts:
        before = dict(state.members)
        try:
            events = (
                commands.remove_member(state, actor, user)
                if role is None
                else commands.set_member(state, actor, user, role, acquainted=True)
            )
        except Refusal:
            continue
        state = fold(*events, state=state)
        assert "owner" in state.members.values()
        raised = ROLES.index(state.members[user]) if user in state.members else -1
        if events and role is not None:
            assert before[actor] in {"admin", "owner"}
            assert raised <= ROLES.index(before[actor])


def test_there_is_room_for_so_many_members() -> None:
    full = team(*[MemberAdded(user_id=UUID(int=1_000 + n), role="viewer") for n in range(MEMBERS_MAX - 4)])
    assert len(full.members) == MEMBERS_MAX
    with pytest.raises(Rejected) as refusal:
        commands.set_member(full, OWNER, STRANGER, "viewer", acquainted=True)
    assert refusal.value.code == "too-many-members"
    assert commands.set_member(full, OWNER, VIEWER, "member", acquainted=True) == [
        MemberRoleChanged(user_id=VIEWER, role="member")
    ]


class TestWhileArchived:
    archived = team(ProjectArchived())

    def test_who_may_see_it_can_change(self) -> None:
        assert len(commands.set_member(self.archived, OWNER, STRANGER, "viewer", acquainted=True)) == 1
        assert len(commands.set_member(self.archived, OWNER, MEMBER, "viewer", acquainted=True)) == 1
        assert len(commands.remove_member(self.archived, OWNER, MEMBER)) == 1
        assert len(commands.remove_member(self.archived, VIEWER, VIEWER)) == 1, "and anyone may leave"

    def test_it_can_be_unarchived_and_is_archived_already(self) -> None:
        assert len(commands.unarchive(self.archived)) == 1
        assert commands.archive(self.archived) == []

    def test_it_is_not_edited(self) -> None:
        for edited in (commands.EditProject(name="New"), commands.EditProject(description="new")):
            with pytest.raises(Rejected) as refusal:
                commands.edit(self.archived, edited)
            assert refusal.value.code == "project-archived"
