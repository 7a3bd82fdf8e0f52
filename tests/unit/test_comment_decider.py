"""What becomes of a comment in each state of a task: given, when, then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_task_decider import MEMBER, NOW, OWNER, STRANGER, a_task, project

from taskflow.api.task_parts import mentioned
from taskflow.commands import comments
from taskflow.commands.fields import COMMENT_MAX, COMMENTS_BYTES_MAX, COMMENTS_MAX
from taskflow.errors import Forbidden, NotFound, Rejected
from taskflow.streams import Event
from taskflow.streams.project import MemberAdded, ProjectArchived, ProjectState
from taskflow.streams.task import (
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    CommentRestored,
    TaskState,
    TaskTrashed,
)

FIRST, SECOND, ADMIN = UUID(int=21), UUID(int=22), UUID(int=4)
SAID = CommentAdded(comment_id=FIRST, body="first")
"""By OWNER, as everything that is folded here."""
BIG = "x" * COMMENT_MAX


def changes(state: TaskState, within: ProjectState) -> list[Callable[[], list[Event]]]:
    return [
        lambda: comments.add(state, within, SECOND, "more"),
        lambda: comments.edit(state, within, OWNER, FIRST, "other"),
        lambda: comments.delete(state, within, OWNER, FIRST),
    ]


class TestAdding:
    def test_is_one_event_whatever_was_said_before(self) -> None:
        assert comments.add(a_task(), project(), FIRST, "first") == [SAID]
        again = CommentAdded(comment_id=SECOND, body="first")
        assert comments.add(a_task(SAID), project(), SECOND, "first") == [again]

    def test_keeps_the_order_and_the_author(self) -> None:
        state = a_task(SAID, CommentAdded(comment_id=SECOND, body="second"))
        assert [(one.id, one.author_id, one.edited_at) for one in state.comments] == [
            (FIRST, OWNER, None),
            (SECOND, OWNER, None),
        ]

    def test_ends_at_a_thousand(self) -> None:
        said = [CommentAdded(comment_id=UUID(int=100 + n), body="x") for n in range(COMMENTS_MAX - 1)]
        assert comments.add(a_task(*said), project(), FIRST, "the last") != []
        full = a_task(*said, SAID)
        with pytest.raises(Rejected) as refused:
            comments.add(full, project(), SECOND, "one more")
        assert refused.value.code == "too-many-comments"
        assert comments.delete(full, project(), OWNER, FIRST) != []

    def test_ends_at_a_megabyte_of_text_counted_in_bytes(self) -> None:
        euros = "€" * COMMENT_MAX  # three bytes each
        fit = COMMENTS_BYTES_MAX // len(euros.encode())
        full = a_task(*[CommentAdded(comment_id=UUID(int=100 + n), body=euros) for n in range(fit)])
        left = COMMENTS_BYTES_MAX - fit * len(euros.encode())
        assert comments.add(full, project(), FIRST, "x" * min(left, COMMENT_MAX)) != []
        with pytest.raises(
            Rejected, match="at most 1000000 bytes of comments; with this one there would be 1020000"
        ) as refused:
            comments.add(full, project(), FIRST, euros)
        assert refused.value.code == "too-many-comments"

    @pytest.mark.parametrize("body", ["", " \n\t", "x" * (COMMENT_MAX + 1), None])
    def test_takes_something_that_can_be_seen_and_no_more_than_20000_characters(self, body: object) -> None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"body": body}, comments.AddComment)
        assert msgspec.convert({"body": "😀" * COMMENT_MAX}, comments.AddComment).body


class TestEditing:
    def test_is_one_event_and_keeps_when_it_was_said(self) -> None:
        assert comments.edit(a_task(SAID), project(), OWNER, FIRST, "second") == [
            CommentEdited(comment_id=FIRST, body="second")
        ]
        comment = a_task(SAID, CommentEdited(comment_id=FIRST, body="second")).comment(FIRST)
        assert comment is not None
        assert (comment.body, comment.created_at, comment.edited_at) == (
            "second",
            NOW + timedelta(minutes=2),
            NOW + timedelta(minutes=3),
        )

    def test_to_what_it_says_is_no_event(self) -> None:
        assert comments.edit(a_task(SAID), project(), OWNER, FIRST, "first") == []

    def test_is_its_authors_alone(self) -> None:
        within = project(MemberAdded(user_id=ADMIN, role="admin"))
        for other in (MEMBER, ADMIN):
            with pytest.raises(Forbidden):
                comments.edit(a_task(SAID), within, other, FIRST, "second")

    def test_of_one_that_is_not_there_finds_nothing(self) -> None:
        for state in (a_task(), a_task(SAID, CommentDeleted(comment_id=FIRST))):
            with pytest.raises(NotFound):
                comments.edit(state, project(), OWNER, FIRST, "second")

    def test_of_what_is_over_the_bound_may_only_make_it_shorter(self) -> None:
        said = [
            CommentAdded(comment_id=UUID(int=100 + n), body=BIG) for n in range(COMMENTS_BYTES_MAX // COMMENT_MAX + 1)
        ]
        over, one = a_task(*said), said[0].comment_id
        assert comments.edit(over, project(), OWNER, one, BIG[1:]) != []
        assert comments.edit(over, project(), OWNER, one, "y" + BIG[1:]) != []
        with pytest.raises(Rejected, match="bytes of comments"):
            comments.edit(over, project(), OWNER, one, "é" + BIG[1:])


class TestDeleting:
    def test_is_its_authors_and_any_admins(self) -> None:
        within = project(MemberAdded(user_id=ADMIN, role="admin"))
        for actor in (OWNER, ADMIN):
            assert comments.delete(a_task(SAID), within, actor, FIRST) == [CommentDeleted(comment_id=FIRST)]
        with pytest.raises(Forbidden):
            comments.delete(a_task(SAID), within, MEMBER, FIRST)

    def test_of_nobodys_comment_takes_an_admin(self) -> None:
        orphan = CommentRestored(comment_id=FIRST, body="from elsewhere", author_id=None, created_at=NOW)
        with pytest.raises(Forbidden):
            comments.delete(a_task(orphan), project(), MEMBER, FIRST)
        assert comments.delete(a_task(orphan), project(), OWNER, FIRST) != []

    def test_twice_finds_nothing(self) -> None:
        with pytest.raises(NotFound):
            comments.delete(a_task(SAID, CommentDeleted(comment_id=FIRST)), project(), OWNER, FIRST)


@pytest.mark.parametrize("nth", range(3))
def test_nothing_is_said_on_a_task_in_the_trash_or_of_an_archived_project(nth: int) -> None:
    for state, within, code in (
        (a_task(SAID, TaskTrashed()), project(), "trashed"),
        (a_task(SAID), project(ProjectArchived()), "project-archived"),
    ):
        with pytest.raises(Rejected) as refused:
            changes(state, within)[nth]()
        assert refused.value.code == code


class TestMentions:
    members = (OWNER, MEMBER)

    def test_are_members_each_once_in_order(self) -> None:
        text = f"@[{MEMBER}] and @[{OWNER}], again @[{str(MEMBER).upper()}]"
        assert mentioned(text, self.members) == (MEMBER, OWNER)

    @pytest.mark.parametrize(
        "text",
        [
            f"@[{STRANGER}]",
            f"@{OWNER}",
            f"[{OWNER}]",
            f"@[{OWNER.hex}]",
            f"@[ {OWNER}]",
            f"@[{OWNER}",
            "@[]",
            "@[Ada]",
            "mail@example.com",
        ],
    )
    def test_anything_else_is_text(self, text: str) -> None:
        assert mentioned(text, self.members) == ()

    @given(st.lists(st.one_of(st.text(max_size=5), st.uuids().map(lambda one: f"@[{one}]")), max_size=10))
    def test_nobody_is_mentioned_who_is_no_member(self, words: list[str]) -> None:
        assert mentioned("".join(words), self.members) == ()
        assert mentioned("".join([*words, f"@[{OWNER}]"]), self.members) == (OWNER,)
