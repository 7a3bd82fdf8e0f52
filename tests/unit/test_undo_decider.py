"""What an undo does: whatever a task's story is, it can be walked back, and walked forth again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.commands.undo import FACETS, Undoing, changes_of, pick, set_by, still_set, undo, undone
from taskflow.commands.unit import Past
from taskflow.errors import Forbidden, NothingToUndo, Rejected
from taskflow.streams import PROJECT, TASK, Event, Happened
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    MemberAdded,
    ProjectCreated,
    ProjectState,
    ProjectWorkflowSet,
    Workflow,
)
from taskflow.streams.task import (
    ChecklistItemAdded,
    ChecklistItemChecked,
    ChecklistItemRanked,
    ChecklistItemRemoved,
    ChecklistItemReworded,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    CommentRestored,
    Relation,
    RelationAdded,
    RelationRemoved,
    TaskAssigned,
    TaskChangeImported,
    TaskCreated,
    TaskDescribed,
    TaskDueSet,
    TaskLabelled,
    TaskMoved,
    TaskParentSet,
    TaskPrioritised,
    TaskPurged,
    TaskRanked,
    TaskRecurred,
    TaskRecurrenceSet,
    TaskRestored,
    TaskRetitled,
    TaskState,
    TaskStatusChanged,
    TaskTrashed,
)

OWNER, MEMBER, STRANGER = UUID(int=1), UUID(int=2), UUID(int=3)
HERE, THERE, TASK_ID = UUID(int=10), UUID(int=11), UUID(int=12)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CREATED = TaskCreated(project_id=HERE, title="T", status="todo", category="todo", rank="m", labels=("red",))


def project(project_id: UUID, *events: Event) -> ProjectState:
    state: Any = None
    created = ProjectCreated(name="P", owner_id=OWNER, workflow=DEFAULT_WORKFLOW)
    for version, event in enumerate([created, MemberAdded(user_id=MEMBER, role="member"), *events], 1):
        state = PROJECT.evolve(state, event, Happened(project_id, version, NOW, OWNER))
    return state  # type: ignore[no-any-return]  # folded from one event at least


class Story:
    """A task and all that happened to it, command by command."""

    def __init__(self) -> None:
        self.past: list[Past] = []
        self.state: Any = None
        self.projects = {one: project(one) for one in (HERE, THERE)}
        self.do(CREATED)

    def do(self, *events: Event, actor: UUID = OWNER, cause: UUID | None = None) -> int:
        """One command; answers the version that it led to."""
        command_id = UUID(int=1_000_000 + len(self.past))
        for event in events:
            version = len(self.past) + 1
            happened = Happened(TASK_ID, version, NOW + timedelta(minutes=version), actor)
            self.past.append(Past(happened, UUID(int=1000 + version), command_id, cause, event))
            self.state = TASK.evolve(self.state, event, happened)
        return len(self.past)

    def undo(self, version: int | None = None, actor: UUID = OWNER) -> list[Event]:
        change = pick(changes_of(self.past), version)
        assert change.before is not None
        back = still_set(change, self.state)
        home = self.projects[change.before.project_id if "project" in back else self.state.project_id]
        events = undo(Undoing(task=self.state, before=change.before, home=home, actor=actor), back)
        self.do(*events, actor=actor, cause=change.event_id)
        return events

    @property
    def facets(self) -> dict[str, dict[Any, Any]]:
        return facets(self.state)


def facets(state: TaskState) -> dict[str, dict[Any, Any]]:
    return {name: dict(facet.read(state)) for name, facet in FACETS.items()}


# --- any story -----------------------------------------------------------------------------------

STATUSES = [status.key for status in DEFAULT_WORKFLOW.statuses]
small = st.integers(0, 3)


def _category(key: str) -> Any:
    status = DEFAULT_WORKFLOW.status(key)
    assert status is not None
    return status.category


def _status(task: TaskState, n: int) -> Event | None:
    key = STATUSES[n]
    return (
        None if key == task.status else TaskStatusChanged(from_status=task.status, status=key, category=_category(key))
    )


def _labelled(task: TaskState, n: int) -> Event:
    wanted = [label for bit, label in enumerate(("red", "blue")) if (n + 1) % 4 & (1 << bit)]
    added = tuple(label for label in wanted if label not in task.labels)
    return TaskLabelled(added=added, removed=tuple(label for label in task.labels if label not in wanted))


def _moved(task: TaskState, n: int) -> Event:
    to = THERE if task.project_id == HERE else HERE
    key = STATUSES[n]
    return TaskMoved(
        from_project_id=task.project_id,
        project_id=to,
        status=key,
        category=_category(key),
        rank=f"m{n}",
        assignee_id=task.assignee_id if n % 2 else None,
    )


def _imported(task: TaskState, n: int) -> Event:
    return TaskChangeImported(
        status=STATUSES[n], category=_category(STATUSES[n]), priority="urgent", added=("imported",), assignee_id=MEMBER
    )


def _recurred(task: TaskState, n: int) -> Event:
    due_at = NOW + timedelta(days=n + 1)
    return TaskRecurred(occurrence_at=task.due_at, due_at=due_at, status="todo", category="todo")


def _comment(task: TaskState, n: int) -> Event | None:
    comment_id = UUID(int=500 + n // 2)
    if task.comment(comment_id) is None:
        return CommentAdded(comment_id=comment_id, body="said")
    if n % 2:
        return CommentDeleted(comment_id=comment_id)
    return CommentEdited(comment_id=comment_id, body=f"edited at {task.version}")


def _item(task: TaskState, n: int) -> Event:
    item_id = UUID(int=600)
    item = task.item(item_id)
    if item is None:
        return ChecklistItemAdded(item_id=item_id, text="step", rank=f"a{n}", done=n == 1)
    match n:
        case 0:
            return ChecklistItemReworded(item_id=item_id, text=f"reworded at {task.version}")
        case 1:
            return ChecklistItemChecked(item_id=item_id, done=not item.done)
        case 2:
            return ChecklistItemRanked(item_id=item_id, rank=f"{item.rank}1")
        case _:
            return ChecklistItemRemoved(item_id=item_id)


def _related(task: TaskState, n: int) -> Event:
    relation = Relation("blocks" if n % 2 else "relates_to", UUID(int=700 + n // 2))
    kind = RelationRemoved if relation in task.relations else RelationAdded
    return kind(relation=relation.type, task_id=relation.task_id)


ACTIONS: dict[str, Callable[[TaskState, int], Event | None]] = {
    "retitle": lambda _, n: TaskRetitled(title=f"T{n}"),
    "describe": lambda _, n: TaskDescribed(description="" if n == 0 else f"D{n}"),
    "status": _status,
    "prioritise": lambda _, n: TaskPrioritised(priority=("low", "medium", "high", "urgent")[n]),  # type: ignore[arg-type]  # n is 0 to 3
    "due": lambda _, n: TaskDueSet(due_at=None if n == 0 else NOW + timedelta(hours=n)),
    "label": _labelled,
    "assign": lambda _, n: TaskAssigned(assignee_id=(None, OWNER, MEMBER, None)[n]),
    "parent": lambda _, n: TaskParentSet(parent_id=None if n == 0 else UUID(int=800 + n)),
    "rank": lambda _, n: TaskRanked(rank=f"r{n}"),
    "move": _moved,
    "recurrence": lambda _, n: TaskRecurrenceSet(recurrence=None if n == 0 else f"FREQ=DAILY;INTERVAL={n}"),
    "recur": _recurred,
    "import": _imported,
    "comment": _comment,
    "item": _item,
    "relate": _related,
    "trash": lambda _, __: TaskTrashed(),
}
action = st.tuples(st.sampled_from(sorted(ACTIONS)), small)
command = st.lists(action, min_size=1, max_size=3)
stories = st.lists(st.one_of(command, command, st.just("undo")), max_size=25)


def tell(story: Story, steps: list[Any]) -> None:
    """Commands that each change something, and undos among them."""
    for step in steps:
        if step == "undo":
            try:
                story.undo()
            except NothingToUndo:
                assert story.facets == facets(changes_of(story.past)[0].after)
            continue
        if story.state.trashed_at is not None:
            story.do(TaskRestored())
            continue
        state, events = story.state, []
        for name, n in step:
            event = ACTIONS[name](state, n)
            if event is not None and state.trashed_at is None:
                happened = Happened(TASK_ID, state.version + 1, NOW + timedelta(minutes=state.version + 1), OWNER)
                after = TASK.evolve(state, event, happened)
                if facets(after) != facets(state):
                    state = after
                    events.append(event)
        if events:
            story.do(*events)


def walk_back(story: Story) -> list[int]:
    """Undoes until nothing is left; answers the versions that it led to."""
    led_to = []
    while True:
        try:
            story.undo()
        except NothingToUndo:
            return led_to
        led_to.append(len(story.past))


def test_an_action_is_tried_for_every_event_of_a_task() -> None:
    story, found = Story(), {TaskCreated, TaskRestored, TaskPurged, CommentRestored}
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
    tell(story, steps)
    walk_back(story)
    assert story.facets == created
    assert [past.happened.version for past in story.past] == list(range(1, len(story.past) + 1))


@given(stories)
def test_redoing_all_of_it_leads_forth_again(steps: list[Any]) -> None:
    story = Story()
    tell(story, steps)
    there = story.facets
    for version in reversed(walk_back(story)):
        story.undo(version)
    assert story.facets == there


@given(stories, st.integers(1, 60))
def test_an_undo_and_its_redo_leave_everything_as_it_was(steps: list[Any], version: int) -> None:
    story = Story()
    tell(story, steps)
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
    tell(story, steps)
    try:
        change = pick(changes_of(story.past), version)
        before = story.state
        story.undo(version)
    except (NothingToUndo, Rejected):
        return
    altered = set_by(change)
    done = changes_of(story.past)[-1]
    assert done.undoes == change.event_id
    for (name, key), (was, became) in set_by(done).items():
        assert altered[name, key] == (became, was), "back to what was before, from what the change set"
    assert before.version < story.state.version


@given(stories, st.lists(st.integers(1, 80), max_size=8))
def test_what_counts_as_undone_is_what_an_undo_that_stands_undid(steps: list[Any], versions: list[int]) -> None:
    story = Story()
    tell(story, steps)
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
        happened = Happened(TASK_ID, 3, NOW, MEMBER)
        story.past.append(Past(happened, UUID(int=77), story.past[-1].command_id, None, TaskRetitled(title="b")))
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
        happened = Happened(TASK_ID, 2, NOW, OWNER)
        story.past.append(Past(happened, UUID(int=77), story.past[0].command_id, None, TaskRetitled(title="b")))
        for version in (None, 2):
            with pytest.raises(NothingToUndo):
                pick(changes_of(story.past), version)

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
        with pytest.raises(Rejected, match="nothing that the change set"):
            story.undo(version)
        assert story.undo() == [ChecklistItemAdded(item_id=item, text="step", rank="a", done=True)]

    def test_a_move_is_undone_only_from_where_it_led(self) -> None:
        story = Story()
        version = story.do(_moved(story.state, 1))
        story.do(_moved(story.state, 1))
        with pytest.raises(Rejected) as refused:
            story.undo(version)
        assert refused.value.code == "changed-since"

    def test_what_was_said_since_a_move_comes_along(self) -> None:
        story = Story()
        version = story.do(_moved(story.state, 0))
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


def test_labels_are_not_more_than_a_task_may_have() -> None:
    story = Story()
    version = story.do(TaskLabelled(removed=("red",)))
    story.do(TaskLabelled(added=tuple(f"l{n}" for n in range(50))))
    with pytest.raises(Rejected) as refused:
        story.undo(version)
    assert refused.value.code == "too-many-labels"
