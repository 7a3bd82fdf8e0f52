"""Inviting, accepting, revoking; and tokens: given, when, then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.test_project_decider import ADMIN, MEMBER, NOW, OWNER, PROJECT_ID, STRANGER, VIEWER, fold, team

from taskflow.commands.fields import INVITATIONS_MAX, MEMBERS_MAX
from taskflow.commands.invitation_tokens import named_by, token_of
from taskflow.commands.invitations import INVITATION_LIFETIME, InviteMember, accept, invite, pending, revoke
from taskflow.errors import Forbidden, Invalid, NotFound, Rejected
from taskflow.streams import Event
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    InvitationAccepted,
    InvitationRevoked,
    MemberAdded,
    MemberInvited,
    MemberRemoved,
    MemberRoleChanged,
    ProjectArchived,
    ProjectCreated,
    ProjectState,
    Role,
)

INVITATION, OTHER_INVITATION = UUID(int=20), UUID(int=21)
SECRET = b"s" * 32


def inviting(
    project: ProjectState, actor: UUID, role: Role = "member", email: str = "ada@example.com", *known: str
) -> list[Event]:
    command = InviteMember(email=email, role=role)
    return invite(project, actor, command, invitation_id=INVITATION, addresses=known, at=NOW)


def invited(role: Role = "member", *more: Event) -> ProjectState:
    """By the owner."""
    event = MemberInvited(
        invitation_id=INVITATION, email="ada@example.com", role=role, expires_at=NOW + INVITATION_LIFETIME
    )
    return team(event, *more)


def test_an_invitation_is_one_event_with_the_address_trimmed() -> None:
    assert inviting(team(), OWNER, "admin", "  Ada@Example.com ") == [
        MemberInvited(
            invitation_id=INVITATION, email="Ada@Example.com", role="admin", expires_at=NOW + timedelta(days=7)
        )
    ]


@pytest.mark.parametrize(
    ("actor", "role", "refusal"),
    [
        (OWNER, "owner", None),
        (OWNER, "viewer", None),
        (ADMIN, "member", None),
        (ADMIN, "viewer", None),
        (ADMIN, "admin", Forbidden),
        (ADMIN, "owner", Forbidden),
        (MEMBER, "viewer", Forbidden),
        (VIEWER, "viewer", Forbidden),
        (STRANGER, "viewer", NotFound),
    ],
)
def test_who_invites_as_what(actor: UUID, role: Role, refusal: Any) -> None:
    if refusal is None:
        assert len(inviting(team(), actor, role)) == 1
    else:
        with pytest.raises(refusal):
            inviting(team(), actor, role)


@pytest.mark.parametrize(
    "address", ["ada@example.com", "ADA@EXAMPLE.COM", " ada@example.com\t", "\uff41da@example\u3002com"]
)
def test_nobody_is_invited_twice_at_once(address: str) -> None:
    with pytest.raises(Rejected) as refusal:
        inviting(team(), OWNER, "member", address, "bob@example.com", "Ada@example.com ")
    assert refusal.value.code == "already-invited"


@pytest.mark.parametrize("address", ["a\u200bda@example.com", "ada@ex_ample.com", "a\uff20b@example.com"])
def test_nobody_is_invited_by_what_nobody_can_register(address: str) -> None:
    with pytest.raises(Invalid) as refusal:
        inviting(team(), OWNER, "member", address)
    assert (refusal.value.pointer, refusal.value.code) == ("/email", "format")


def test_an_invitation_of_before_without_a_canonical_form_is_compared_as_before() -> None:
    with pytest.raises(Rejected):
        inviting(team(), OWNER, "member", "ada@example.com", "ADA@example.com", "b@ex_ample.com")
    assert inviting(team(), OWNER, "member", "ada@example.com", "b@ex_ample.com")


def test_there_are_only_so_many_that_can_be_accepted() -> None:
    many = [
        MemberInvited(
            invitation_id=UUID(int=100 + n), email="x@example.com", role="viewer", expires_at=NOW + INVITATION_LIFETIME
        )
        for n in range(INVITATIONS_MAX)
    ]
    with pytest.raises(Rejected) as refusal:
        inviting(team(*many), OWNER)
    assert refusal.value.code == "too-many-invitations"
    assert len(inviting(team(*many[1:]), OWNER)) == 1
    ran_out = MemberInvited(invitation_id=OTHER_INVITATION, email="x@example.com", role="viewer", expires_at=NOW)
    assert len(inviting(team(*many[1:], ran_out), OWNER)) == 1


def test_one_that_ran_out_ends_with_the_next() -> None:
    ran_out = MemberInvited(
        invitation_id=OTHER_INVITATION, email="x@example.com", role="viewer", expires_at=NOW - timedelta(days=1)
    )
    project = team(ran_out)
    assert [one.id for one in project.invitations] == [OTHER_INVITATION]
    assert pending(project, NOW) == ()
    assert [one.id for one in invited("member").invitations] == [INVITATION]
    after = team(ran_out, *inviting(project, OWNER))
    assert [one.id for one in after.invitations] == [INVITATION]


def test_nobody_is_invited_to_an_inbox() -> None:
    inbox = fold(ProjectCreated(name="Inbox", owner_id=OWNER, workflow=DEFAULT_WORKFLOW, inbox=True))
    with pytest.raises(Rejected) as refusal:
        inviting(inbox, OWNER)
    assert refusal.value.code == "inbox"


class TestAccepting:
    def test_makes_a_member_and_ends_it(self) -> None:
        events = accept(invited("member"), STRANGER, INVITATION, NOW)
        assert events == [
            MemberAdded(user_id=STRANGER, role="member"),
            InvitationAccepted(invitation_id=INVITATION, user_id=STRANGER),
        ]
        after = fold(*events, state=invited("member"))
        assert after.members[STRANGER] == "member"
        assert after.invitations == ()
        with pytest.raises(NotFound):
            accept(after, STRANGER, INVITATION, NOW)

    @pytest.mark.parametrize(
        ("role", "user", "changed"),
        [
            ("member", MEMBER, None),
            ("member", ADMIN, None),
            ("member", OWNER, None),
            ("member", VIEWER, "member"),
            ("owner", ADMIN, "owner"),
        ],
    )
    def test_a_member_keeps_a_higher_role(self, role: Role, user: UUID, changed: Role | None) -> None:
        *more, ended = accept(invited(role), user, INVITATION, NOW)
        assert ended == InvitationAccepted(invitation_id=INVITATION, user_id=user)
        assert more == ([] if changed is None else [MemberRoleChanged(user_id=user, role=changed)])

    def test_not_after_it_ran_out(self) -> None:
        assert accept(invited(), STRANGER, INVITATION, NOW + INVITATION_LIFETIME - timedelta(microseconds=1))
        with pytest.raises(NotFound):
            accept(invited(), STRANGER, INVITATION, NOW + INVITATION_LIFETIME)

    def test_not_one_that_there_is_not(self) -> None:
        for project in (team(), invited("member", InvitationRevoked(invitation_id=INVITATION))):
            with pytest.raises(NotFound):
                accept(project, STRANGER, INVITATION, NOW)

    @pytest.mark.parametrize(
        ("role", "what_happened", "counts"),
        [
            ("member", [MemberRoleChanged(user_id=OWNER, role="admin")], True),
            ("member", [MemberRoleChanged(user_id=OWNER, role="member")], False),
            ("admin", [MemberRoleChanged(user_id=OWNER, role="admin")], False),
            ("member", [MemberRemoved(user_id=OWNER)], False),
        ],
    )
    def test_it_counts_while_who_sent_it_might_send_it(
        self, role: Role, what_happened: list[Event], counts: bool
    ) -> None:
        project = invited(role, MemberAdded(user_id=UUID(int=9), role="owner"), *what_happened)
        if counts:
            assert accept(project, STRANGER, INVITATION, NOW)
        else:
            with pytest.raises(NotFound):
                accept(project, STRANGER, INVITATION, NOW)

    def test_a_full_project_takes_nobody_more_but_its_members(self) -> None:
        crowd = [MemberAdded(user_id=UUID(int=10_000 + n), role="viewer") for n in range(MEMBERS_MAX - 4)]
        with pytest.raises(Rejected) as refusal:
            accept(invited("member", *crowd), STRANGER, INVITATION, NOW)
        assert refusal.value.code == "too-many-members"
        assert accept(invited("member", *crowd), VIEWER, INVITATION, NOW)

    def test_in_an_archived_project_too(self) -> None:
        assert accept(invited("member", ProjectArchived()), STRANGER, INVITATION, NOW)
        assert inviting(team(ProjectArchived()), OWNER)


def test_revoking_is_one_event() -> None:
    assert revoke(invited(), INVITATION) == [InvitationRevoked(invitation_id=INVITATION)]
    with pytest.raises(NotFound):
        revoke(invited(), OTHER_INVITATION)


@pytest.mark.parametrize("body", [{}, {"email": "ada"}, {"email": "a@b", "role": "king"}, {"email": "a@" + "b" * 253}])
def test_limits_of_the_body(body: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"role": "member"} | body if body else body, InviteMember)


class TestTokens:
    @given(st.uuids(), st.uuids())
    def test_name_what_they_are_of_and_go_into_a_path(self, project: UUID, invitation: UUID) -> None:
        token = token_of(SECRET, project, invitation)
        assert named_by(SECRET, token) == (project, invitation)
        assert token == token_of(SECRET, project, invitation)
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
        assert named_by(b"t" * 32, token) is None

    @given(st.integers(0, 85), st.sampled_from("Aa0-_Zz9"))
    def test_another_character_makes_it_another(self, index: int, character: str) -> None:
        token = token_of(SECRET, PROJECT_ID, INVITATION)
        forged = token[:index] + character + token[index + 1 :]
        assert named_by(SECRET, forged) == ((PROJECT_ID, INVITATION) if forged == token else None)

    @given(st.text(max_size=120))
    @example("é" * 86)
    @example("\ud800")
    def test_anything_else_is_none(self, text: str) -> None:
        assert named_by(SECRET, text) is None
        assert named_by(SECRET, token_of(SECRET, PROJECT_ID, INVITATION) + "=") is None


def test_what_a_member_invited_at_is_when_it_happened() -> None:
    (invitation,) = invited().invitations
    assert (invitation.invited_by, invitation.created_at) == (OWNER, datetime(2026, 3, 1, tzinfo=UTC))
