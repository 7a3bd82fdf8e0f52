"""What an undo does: whatever a task's story is, it can be walked back, and walked forth again."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.commands.task_story import (
    ACTIONS,
    HERE,
    MEMBER,
    NOW,
    OWNER,
    STRANGER,
    TASK_ID,
    Story,
    moved,
    project,
    run_story,
    stories,
    walk_back,
)

from taskflow.commands import undo
from taskflow.commands.undo import changes_of, set_by, undone
from taskflow.commands.unit_history import PastEvent
from taskflow.errors import Forbidden, NothingToUndo, Rejected
from taskflow.streams import TASK, Event, EventMetadata
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    ProjectWorkflowSet,
    Workflow,
)
from taskflow.streams.schedule import Series, TaskDueSet, TaskRecurred, TaskRecurrenceSet
from taskflow.streams.task import (
    ChecklistItemAdded,
    ChecklistItemChecked,
    ChecklistItemRemoved,
    ChecklistItemReworded,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    CommentRestored,
    RelationAdded,
    RelationRemoved,
    TaskAssigned,
    TaskCreated,
    TaskEventAnnulled,
    TaskLabelled,
    TaskMoved,
    TaskPrioritised,
    TaskPurged,
    TaskRanked,
    TaskRestored,
    TaskRetitled,
    TaskStatusChanged,
    TaskTrashed,
)

DAYS = [NOW + timedelta(days=n) for n in range(5)]


@given(stories, st.integers(1, 4))
def test_a_story_that_is_told_in_pieces_has_the_same_changes(steps: list[Any], size: int) -> None:
    story = Story()
    run_story(story, steps)
    walk_back(story)
    told = undo.Story()
    for first in range(0, len(story.past), size):
        told.add(story.past[first : first + size])
    assert told.changes == changes_of(story.past)


def test_an_action_is_tried_for_every_event_of_a_task() -> None:
    story = Story()
    # The last of these is no change of a task's own: no undo sees it.
    found: set[type[Any]] = {TaskCreated, TaskRestored, TaskPurged, CommentRestored, TaskEventAnnulled}
    for name, act in ACTIONS.items():
        for n in (0, 1, 2, 3, 0, 0):
            event = act(story.state, n)
            if event is not None and name != "trash":
                story.do(event)
            found.add(type(event))
    assert set(TASK.events) <= found


@given(stories)
def test_undoing_everything_leads_back_to_the_creation(steps: list[Any]) -> None:
    story = Story()
    created = story.facets
    run_story(story, steps)
    walk_back(story)
    assert story.facets == created
    assert [past.metadata.version for past in story.past] == list(range(1, len(story.past) + 1))


@given(stories)
def test_redoing_all_of_it_leads_forth_again(steps: list[Any]) -> None:
    story = Story()
    run_story(story, steps)
    there = story.facets
    for version in reversed(walk_back(story)):
        story.undo(version)
    assert story.facets == there


@given(stories, st.integers(1, 60))
def test_an_undo_and_its_redo_leave_everything_as_it_was(steps: list[Any], version: int) -> None:
    story = Story()
    run_story(story, steps)
    there = story.facets
    try:
        story.undo(version)
    except (NothingToUndo, Rejected):
        assert story.facets == there
        return
    story.undo(len(story.past))
    assert story.facets == there


@given(stories, st.integers(1, 60))
def test_an_undo_touches_only_what_the_change_set_and_what_still_stands(steps: list[Any], version: int) -> None:
    story = Story()
    run_story(story, steps)
    try:
        change = story.pick(version)
        before = story.state
        story.undo(version)
    except (NothingToUndo, Rejected):
        return
    altered = set_by(story.effect(change))
    done = changes_of(story.past)[-1]
    assert done.undoes == change.event_id
    set_back = set_by(story.effect(done))
    for (name, key), (was, became) in set_back.items():
        if name == "series" and ("recurrence", None) in set_back:
            # It goes with its rule, wherever its slot and start have been moved since.
            assert (story.state.series is None) == (story.state.recurrence is None)
            continue
        assert altered[name, key] == (became, was), "back to what was before, from what the change set"
    assert before.version < story.state.version


@given(stories, st.lists(st.integers(1, 80), max_size=8))
def test_what_counts_as_undone_is_what_an_undo_that_stands_undid(steps: list[Any], versions: list[int]) -> None:
    story = Story()
    run_story(story, steps)
    for version in versions:
        try:
            story.undo(version)
        except (NothingToUndo, Rejected):
            continue
    changes = changes_of(story.past)
    gone = undone(changes)
    for index, change in enumerate(changes):
        undoers = [later for later in changes[index + 1 :] if later.undoes == change.event_id]
        assert (change.event_id in gone) == any(later.event_id not in gone for later in undoers)


# --- by example ----------------------------------------------------------------------------------


class TestWhich:
    def test_a_change_is_all_that_one_command_did(self) -> None:
        story = Story()
        story.do(TaskRetitled(title="a"), TaskPrioritised(priority="high"))
        assert story.undo() == [TaskRetitled(title="T"), TaskPrioritised(priority="medium")]

    def test_any_version_of_a_change_names_it(self) -> None:
        for version in (2, 3):
            story = Story()
            story.do(TaskRetitled(title="a"), TaskPrioritised(priority="high"))
            story.do(TaskRanked(rank="z"))
            assert len(story.undo(version)) == 2

    def test_the_same_command_of_another_caller_is_another_change(self) -> None:
        story = Story()
        story.do(TaskRetitled(title="a"))
        metadata = EventMetadata(TASK_ID, 3, NOW, MEMBER)
        story.past.append(PastEvent(metadata, UUID(int=77), story.past[-1].command, None))
        assert [change.last for change in changes_of(story.past)] == [1, 2, 3]

    @pytest.mark.parametrize("version", [1, 4, 10**12])
    def test_the_creation_and_what_never_was_are_nothing_to_undo(self, version: int) -> None:
        story = Story()
        story.do(TaskRetitled(title="a"))
        story.do(TaskRetitled(title="b"))
        with pytest.raises(NothingToUndo):
            story.undo(version)

    def test_what_the_creating_command_did_besides_is_the_creations(self) -> None:
        story = Story()
        metadata = EventMetadata(TASK_ID, 2, NOW, OWNER)
        story.past.append(PastEvent(metadata, UUID(int=77), story.past[0].command, None))
        for version in (None, 2):
            with pytest.raises(NothingToUndo):
                story.pick(version)

    def test_a_change_that_led_nowhere_is_passed_over(self) -> None:
        story = Story()
        story.do(TaskRetitled(title="a"))
        story.do(TaskRetitled(title="b"), TaskRetitled(title="a"))
        assert story.undo() == [TaskRetitled(title="T")]

    def test_a_redone_change_counts_as_not_undone_and_the_redo_as_an_undo(self) -> None:
        story = Story()
        story.do(TaskRetitled(title="a"))
        story.undo()
        assert story.undo(3) == [TaskRetitled(title="a")]
        assert story.undo() == [TaskRetitled(title="T")]
        with pytest.raises(NothingToUndo):
            story.undo()

    def test_an_events_cause_in_another_stream_is_no_undo(self) -> None:
        story = Story()
        story.do(TaskRetitled(title="a"), cause=UUID(int=5))
        assert story.undo() == [TaskRetitled(title="T")]


class TestWhatStands:
    def test_what_was_changed_since_stays(self) -> None:
        story = Story()
        version = story.do(TaskRetitled(title="a"), TaskPrioritised(priority="high"))
        story.do(TaskRetitled(title="b"))
        assert story.undo(version) == [TaskPrioritised(priority="medium")]

    def test_where_all_of_it_was_it_is_refused(self) -> None:
        story = Story()
        version = story.do(TaskRetitled(title="a"))
        story.do(TaskRetitled(title="b"))
        with pytest.raises(Rejected) as refused:
            story.undo(version)
        assert refused.value.code == "changed-since"

    def test_each_label_is_judged_by_itself(self) -> None:
        story = Story()
        version = story.do(TaskLabelled(added=("blue", "green"), removed=("red",)))
        story.do(TaskLabelled(removed=("green",)))
        assert story.undo(version) == [TaskLabelled(added=("red",), removed=("blue",))]

    def test_each_side_of_an_item_is_judged_by_itself(self) -> None:
        story, item = Story(), UUID(int=600)
        story.do(ChecklistItemAdded(item_id=item, text="step", rank="a"))
        version = story.do(
            ChecklistItemReworded(item_id=item, text="leap"), ChecklistItemChecked(item_id=item, done=True)
        )
        story.do(ChecklistItemReworded(item_id=item, text="jump"))
        assert story.undo(version) == [ChecklistItemChecked(item_id=item, done=False)]

    def test_an_item_that_is_gone_stands_no_more(self) -> None:
        story, item = Story(), UUID(int=600)
        story.do(ChecklistItemAdded(item_id=item, text="step", rank="a"))
        version = story.do(ChecklistItemChecked(item_id=item, done=True))
        story.do(ChecklistItemRemoved(item_id=item))
        with pytest.raises(Rejected, match="later changes have replaced"):
            story.undo(version)
        assert story.undo() == [ChecklistItemAdded(item_id=item, text="step", rank="a", done=True)]

    def test_a_move_is_undone_only_from_where_it_led(self) -> None:
        story = Story()
        version = story.do(moved(story.state, 1))
        story.do(moved(story.state, 1))
        with pytest.raises(Rejected) as refused:
            story.undo(version)
        assert refused.value.code == "changed-since"

    def test_what_was_said_since_a_move_comes_along(self) -> None:
        story = Story()
        version = story.do(moved(story.state, 0))
        story.do(TaskAssigned(assignee_id=MEMBER))
        (event,) = story.undo(version)
        assert isinstance(event, TaskMoved)
        assert (event.project_id, event.rank, event.assignee_id) == (HERE, "m", MEMBER)


class TestStatuses:
    def test_one_that_was_mapped_is_the_one_in_its_place(self) -> None:
        story = Story()
        story.do(TaskStatusChanged(from_status="todo", status="done", category="done"))
        left = tuple(status for status in DEFAULT_WORKFLOW.statuses if status.key != "todo")
        there = ProjectWorkflowSet(workflow=Workflow(left), mapped={"todo": "in_progress"})
        story.projects[HERE] = project(HERE, there)
        assert story.undo() == [TaskStatusChanged(from_status="done", status="in_progress", category="in_progress")]

    def test_one_that_left_without_another_in_its_place_is_refused(self) -> None:
        story = Story()
        story.do(TaskStatusChanged(from_status="todo", status="done", category="done"))
        left = tuple(status for status in DEFAULT_WORKFLOW.statuses if status.key != "todo")
        story.projects[HERE] = project(HERE, ProjectWorkflowSet(workflow=Workflow(left)))
        with pytest.raises(Rejected) as refused:
            story.undo()
        assert refused.value.code == "no-such-status"

    def test_transitions_do_not_bind(self) -> None:
        story = Story()
        story.do(TaskStatusChanged(from_status="todo", status="done", category="done"))
        story.projects[HERE] = project(HERE, ProjectWorkflowSet(workflow=Workflow(DEFAULT_WORKFLOW.statuses, ())))
        assert story.undo() == [TaskStatusChanged(from_status="done", status="todo", category="todo")]


class TestPeople:
    def test_an_assignee_who_left_is_refused(self) -> None:
        story = Story()
        story.do(TaskAssigned(assignee_id=STRANGER))
        story.do(TaskAssigned(assignee_id=None))
        with pytest.raises(Rejected) as refused:
            story.undo()
        assert refused.value.code == "not-a-member"

    def test_a_comment_is_its_authors_or_an_admins(self) -> None:
        for author, by, allowed in ((MEMBER, MEMBER, True), (MEMBER, OWNER, True), (OWNER, MEMBER, False)):
            story = Story()
            story.do(CommentAdded(comment_id=UUID(int=500), body="said"), actor=author)
            if allowed:
                assert story.undo(actor=by) == [CommentDeleted(comment_id=UUID(int=500))]
            else:
                with pytest.raises(Forbidden):
                    story.undo(actor=by)

    def test_a_deleted_comment_comes_back_as_it_was(self) -> None:
        story, comment_id = Story(), UUID(int=500)
        story.do(CommentAdded(comment_id=comment_id, body="said"), actor=MEMBER)
        story.do(CommentEdited(comment_id=comment_id, body="meant"), actor=MEMBER)
        comments = story.state.comments
        story.do(CommentDeleted(comment_id=comment_id))
        (event,) = story.undo()
        assert isinstance(event, CommentRestored)
        assert story.state.comments == comments


class TestTrash:
    def test_trash_and_restoration_undo_each_other(self) -> None:
        story = Story()
        story.do(TaskTrashed())
        assert story.undo() == [TaskRestored()]
        story.do(TaskTrashed())
        story.do(TaskRestored())
        assert story.undo() == [TaskTrashed()]

    def test_nothing_else_of_a_trashed_task_is_undone(self) -> None:
        story = Story()
        version = story.do(TaskRetitled(title="a"))
        story.do(TaskTrashed())
        with pytest.raises(Rejected) as refused:
            story.undo(version)
        assert refused.value.code == "trashed"


def _item(n: int) -> Event:
    return ChecklistItemAdded(item_id=UUID(int=n), text="step", rank=f"{n:04}1")


def _related(n: int) -> Event:
    return RelationAdded(relation="relates_to", task_id=UUID(int=n))


def _comment(n: int, body: str = "said") -> Event:
    return CommentAdded(comment_id=UUID(int=n), body=body)


class TestRoom:
    """What came in the place of what is to come back counts too."""

    @pytest.mark.parametrize(
        ("before", "gone", "instead", "code"),
        [
            ([], TaskLabelled(removed=("red",)), [TaskLabelled(added=tuple(f"l{n}" for n in range(50)))], "labels"),
            ([_item(n) for n in range(200)], ChecklistItemRemoved(item_id=UUID(int=7)), [_item(200)], "items"),
            (
                [_related(n) for n in range(100)],
                RelationRemoved("relates_to", UUID(int=7)),
                [_related(100)],
                "relations",
            ),
            (
                [_comment(n) for n in range(1_000)],
                CommentDeleted(comment_id=UUID(int=7)),
                [_comment(1_000)],
                "comments",
            ),
            (
                [_comment(n, "x" * 20_000) for n in range(50)],
                CommentDeleted(comment_id=UUID(int=7)),
                [_comment(50, "x")],
                "comments",
            ),
            (
                [_comment(n, "x" * 20_000) for n in range(50)],
                CommentEdited(comment_id=UUID(int=7), body="x"),
                [_comment(50, "xx")],
                "comments",
            ),
        ],
    )
    def test_a_task_holds_no_more_than_it_may(
        self, before: list[Event], gone: Event, instead: list[Event], code: str
    ) -> None:
        story = Story()
        for event in before:
            story.do(event)
        version = story.do(gone)
        for event in instead:
            story.do(event)
        there = story.state
        with pytest.raises(Rejected) as refused:
            story.undo(version)
        assert refused.value.code == f"too-many-{code}"
        assert story.state == there

    def test_what_was_full_comes_back_full(self) -> None:
        story = Story()
        for n in range(200):
            story.do(_item(n))
        story.do(ChecklistItemRemoved(item_id=UUID(int=7)))
        assert isinstance(story.undo()[0], ChecklistItemAdded)
        assert len(story.state.checklist) == 200


class TestRecurrence:
    """A rule with a COUNT is counted from where it was counted from before."""

    def recurring(self) -> Story:
        """Due on the third day, the third of five times."""
        story = Story()
        story.do(TaskDueSet(due_at=NOW), TaskRecurrenceSet(recurrence="FREQ=DAILY;COUNT=5"))
        for n in (1, 2):
            story.do(TaskRecurred(occurrence_at=DAYS[n - 1], due_at=DAYS[n], status="todo", category="todo"))
        return story

    def counted(self, story: Story) -> tuple[Any, ...]:
        return (story.state.due_at, story.state.recurrence, story.state.series, story.state.status)

    def test_a_step_is_undone_and_redone(self) -> None:
        story = self.recurring()
        there = self.counted(story)
        events = story.undo()
        assert events == [TaskDueSet(due_at=DAYS[1], series=Series(NOW, DAYS[1]))]
        assert self.counted(story) == (DAYS[1], "FREQ=DAILY;COUNT=5", Series(NOW, DAYS[1]), "todo")
        story.undo()
        assert self.counted(story) == (NOW, "FREQ=DAILY;COUNT=5", Series(NOW, NOW), "todo")
        story.undo(story.state.version)
        story.undo(6)
        assert self.counted(story) == there

    def test_a_step_that_also_changed_the_status(self) -> None:
        story = self.recurring()
        story.do(TaskStatusChanged(from_status="todo", status="in_progress", category="in_progress"))
        there = self.counted(story)
        story.do(TaskRecurred(occurrence_at=DAYS[2], due_at=DAYS[3], status="todo", category="todo"))
        story.undo()
        assert self.counted(story) == there

    @pytest.mark.parametrize(
        "change",
        [
            [TaskDueSet(due_at=NOW + timedelta(days=30))],
            [TaskRecurrenceSet(recurrence=None)],
            [TaskRecurrenceSet(recurrence="FREQ=WEEKLY")],
            [TaskDueSet(due_at=NOW + timedelta(days=30)), TaskRecurrenceSet(recurrence="FREQ=WEEKLY")],
            [TaskDueSet(due_at=None), TaskRecurrenceSet(recurrence=None)],
            [TaskDueSet(due_at=None, due_on=date(2026, 3, 31), day_ends_at=NOW, time_zone="Asia/Tokyo")],
            [TaskDueSet(due_at=DAYS[2], time_zone="Asia/Tokyo")],
            [TaskDueSet(due_at=DAYS[4], restarts=True)],
            [TaskDueSet(due_at=None), TaskRecurrenceSet(recurrence=None, time_zone=None)],
        ],
    )
    def test_any_change_of_it_is_undone_and_redone(self, change: list[Event]) -> None:
        story = self.recurring()
        there = self.counted(story)
        story.do(*change)
        gone = self.counted(story)
        story.undo()
        assert self.counted(story) == there
        story.undo(story.state.version)
        assert self.counted(story) == gone

    def test_what_else_is_undone_does_not_touch_it(self) -> None:
        story = self.recurring()
        version = story.do(TaskRetitled(title="a"))
        story.do(TaskDueSet(due_at=NOW))
        story.do(TaskDueSet(due_at=DAYS[2]))
        assert story.undo(version) == [TaskRetitled(title="T")]
