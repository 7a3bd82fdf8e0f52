"""The real API against a model of the domain: whatever people do in whatever order, by whichever door and through
either process, both say the same."""

from __future__ import annotations

import os
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, multiple, precondition, rule, run_state_machine_as_test

from tests.api.model.completion import (
    AT_NIGHT,
    DAILY,
    FORTNIGHTLY,
    HOURLY,
    LAST_OF_LONG_MONTHS,
    TWICE,
    UNTIL,
    UNTIL_DAY,
)
from tests.api.model.doors import Act
from tests.api.model.links import DEPTH_MAX, RELATIONS
from tests.api.model.machine import PEOPLE, SHARED, Conversation
from tests.api.stack import Stack

STEPS: Final = 40
EXAMPLES: Final = 20
FEW: Final = 8
"""Tasks, so that much happens to each."""
HISTORY_MAX: Final = 190
"""Events of a task that are read in one page."""
LOOK_EVERY: Final = 25
"""Steps after which all that can be read is compared; it is at the end, too."""

people = st.sampled_from([0, 0, 0, 0, 1, 1, 1, 2])
anybody = st.sampled_from(PEOPLE)
places = st.sampled_from([*SHARED, *SHARED, *SHARED, "inbox of 0"])
titles = st.sampled_from(["a", "b", "Ünïcode ✓"])
labels = st.lists(st.sampled_from(["x", "y/z", "ж"]), max_size=3, unique=True)
texts = st.sampled_from(["a word", "✓ @[{0}] and @[{2}], @[{0}]", "another\n\nword"])
keys = st.sampled_from(["todo", "in_progress", "done", "cancelled", "review", "open", "shut"])
due = st.none() | st.sampled_from(["2020-01-31T09:00:00Z", "2031-05-31T12:00:00.5+02:00", "2031-06-02T08:30:00Z"])
days = st.none() | st.sampled_from(["2020-01-31", "2031-05-31", "2031-06-02"])
zones = st.none() | st.sampled_from(["Europe/Berlin", "Pacific/Auckland", "Europe/Nowhere"])
recurrences = st.none() | st.sampled_from(
    [DAILY, f"rrule:{DAILY.lower()}", FORTNIGHTLY, TWICE, UNTIL, UNTIL_DAY, AT_NIGHT, LAST_OF_LONG_MONTHS, HOURLY]
)
fields = {
    "title": titles,
    "description": st.sampled_from([None, "", "long\n" * 3]),
    "priority": st.sampled_from(["low", "medium", "urgent"]),
    "status": keys,
    "labels": st.none() | labels,
    "due_at": due,
    "due_on": days,
    "time_zone": zones,
    "recurrence": recurrences,
}
patches = st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: fields[name] for name in names})
)


def statuses(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "name": key.title(), "category": category} for key, category in pairs]


USUAL: Final = (("todo", "todo"), ("in_progress", "in_progress"), ("done", "done"), ("cancelled", "cancelled"))
SHORT: Final = {"statuses": statuses(("shut", "done"), ("open", "todo"))}
TO_SHORT: Final = {"todo": "open", "in_progress": "open", "done": "shut", "cancelled": "shut"}
workflows = st.sampled_from(
    [
        {"statuses": statuses(*USUAL)},
        {"statuses": statuses(("review", "waiting"), *USUAL)},
        {"statuses": statuses(("done", "todo"), ("todo", "done"), ("review", "done"))},
        SHORT,
        {
            "statuses": statuses(*USUAL),
            "transitions": [{"from": "todo", "to": "in_progress"}, {"from": "in_progress", "to": "done"}],
        },
    ]
)
mappings = st.sampled_from(
    [
        {},
        TO_SHORT,
        TO_SHORT | {"review": "open"},
        {"open": "todo", "shut": "done"},
        {"review": "in_progress"},
        {"in_progress": "todo", "cancelled": "done"},
    ]
)


class Machine(Conversation):
    """People, two projects that they share and an Inbox, and what they do to what is there."""

    tasks: Bundle[str] = Bundle("tasks")

    @initialize(target=tasks)
    def begin(self) -> Any:
        self.open()
        first = [self.do(0, Act("CreateTask", None, {"project_id": self.place(n), "title": "first"})) for n in SHARED]
        return multiple(*[body["id"] for body in first if body is not None])

    # --- tasks

    @precondition(lambda self: len(self.world.tasks) < FEW)
    @rule(target=tasks, who=people, where=places, title=titles, more=patches)
    def create(self, who: int, where: Any, title: str, more: dict[str, Any]) -> Any:
        more = {name: value for name, value in more.items() if value is not None}
        place = {} if where == f"inbox of {who}" else {"project_id": self.place(where)}
        return self.made(self.do(who, Act("CreateTask", None, place | more | {"title": title})))

    @precondition(lambda self: len(self.world.tasks) < FEW)
    @rule(target=tasks, who=people, task=tasks, assignee=anybody)
    def create_below_another(self, who: int, task: str, assignee: int) -> Any:
        data = {"project_id": self.world.tasks[task].now.project, "title": "part", "parent_id": task}
        return self.made(self.do(who, Act("CreateTask", None, data | {"assignee_id": self.ids[assignee]})))

    @precondition(lambda self: len(self.world.tasks) < 2 * FEW)
    @rule(target=tasks, who=people, task=tasks, depth=st.sampled_from([2, DEPTH_MAX - 1, DEPTH_MAX]))
    def create_a_tower(self, who: int, task: str, depth: int) -> Any:
        """Each below the one before it, all or none."""
        acts, ids = [], [str(uuid4()) for _ in range(depth)]
        for parent in (task, *[f"${id_}" for id_ in ids[:-1]]):
            data = {"project_id": self.world.tasks[task].now.project, "title": "floor", "parent_id": parent}
            acts.append(Act("CreateTask", None, data))
        bodies = self.do_together(who, acts, ids=ids, atomic=True)
        return multiple(*[body["id"] for body in bodies[-2:] if body is not None])

    @rule(who=people, task=tasks, patch=patches)
    def edit(self, who: int, task: str, patch: dict[str, Any]) -> None:
        self.do(who, Act("EditTask", task, patch))

    @rule(who=people, task=tasks, other=tasks, data=st.data())
    def put_below_another(self, who: int, task: str, other: str, data: st.DataObject) -> None:
        parent = self.pick(data, [None, other, *self.beside(task)])
        self.do(who, Act("EditTask", task, {"parent_id": parent}))

    @rule(who=people, task=tasks, intent=st.sampled_from(["StartTask", "CompleteTask", "ReopenTask", "CancelTask"]))
    def intend(self, who: int, task: str, intent: str) -> None:
        self.do(who, Act(intent, task))

    @rule(who=people, task=tasks, person=st.none() | anybody)
    def assign(self, who: int, task: str, person: int | None) -> None:
        self.do(who, Act("AssignTask", task, {"user_id": None if person is None else self.ids[person]}))

    @rule(who=people, task=tasks, when=due.map(lambda at: {"due_at": at}) | days.map(lambda on: {"due_on": on}),
          zone=zones, recurrence=recurrences, moved=st.none() | due | days)  # fmt: skip
    def recur_and_complete(
        self, who: int, task: str, when: dict[str, Any], zone: str | None, recurrence: str | None, moved: str | None
    ) -> None:
        """Perhaps with the occurrence moved; and perhaps it is not completed after all."""
        named = {} if zone is None else {"time_zone": zone}
        self.do(who, Act("EditTask", task, when | named | {"recurrence": recurrence}))
        if moved is not None:
            self.do(who, Act("EditTask", task, {"due_at" if "T" in moved else "due_on": moved}))
        self.do(who, Act("CompleteTask", task))

    @rule(who=people, task=tasks, again=st.sampled_from([False, False, False, True]))
    def trash_or_restore(self, who: int, task: str, again: bool) -> None:
        trashed = self.world.tasks[task].now.trashed_at is not None
        self.do(who, Act("RestoreTask" if trashed != again else "TrashTask", task))

    @rule(who=people, task=tasks, where=places, status=st.sampled_from([None] * 4) | keys)
    def move(self, who: int, task: str, where: Any, status: str | None) -> None:
        self.do(who, Act("MoveTask", task, {"project_id": self.place(where), "status": status}))

    @rule(who=people, task=tasks, where=st.sampled_from(SHARED), data=st.data())
    def move_and_undo(self, who: int, task: str, where: int, data: st.DataObject) -> None:
        """With something of what a move says anew done to it before, and something after."""
        below = self.pick(data, [*self.beside(task), None])
        self.do(who, Act("EditTask", task, {"parent_id": below, "assignee_id": self.ids[who]}))
        self.do(who, Act("MoveTask", task, {"project_id": self.place(where)}))
        moved = self.world.tasks[task].now.version
        below = self.pick(data, [*self.beside(task), None])
        more: list[dict[str, Any]] = [
            {"parent_id": below},
            {"assignee_id": None},
            {"status": "done"},
            {"title": "moved"},
        ]
        self.do(who, Act("EditTask", task, self.pick(data, more)))
        self.do(who, Act("UndoTask", task, self.pick(data, [{"version": moved}, {}])))

    @rule(
        who=people,
        task=tasks,
        sides=st.sampled_from([("after",), ("before",), ("after", "before")]),
        elsewhere=tasks,
        data=st.data(),
    )
    def rank(self, who: int, task: str, sides: tuple[str, ...], elsewhere: str, data: st.DataObject) -> None:
        """Twice, so that there is something to see in between."""
        for _ in range(2):
            named = [*self.beside(task) * 4, task, elsewhere]
            self.wait_for_views(who)
            self.do(who, Act("RankTask", task, {side: self.pick(data, named) for side in sides}))

    @rule(who=people, task=tasks, data=st.data())
    def undo(self, who: int, task: str, data: st.DataObject) -> None:
        """Mostly of what was done to it, else of its creation and of nothing. None: the newest."""
        task = self.pick(data, [task, *[one.id for one in self.world.tasks.values() if one.changes]])
        now = self.world.tasks[task].now.version
        version = self.pick(data, [None, None, 1, now + 1, *list(range(2, now + 1)) * 2])
        self.do(who, Act("UndoTask", task, {} if version is None else {"version": version}))

    @rule(who=people, times=st.integers(1, 3))
    def undo_and_redo_what_was_done_last(self, who: int, times: int) -> None:
        """The newest change anywhere, then its undo, then that one's; and then what is the newest not undone."""
        task = max(self.world.tasks.values(), key=lambda one: one.position).id
        for _ in range(times):
            self.do(who, Act("UndoTask", task, {"version": self.world.tasks[task].now.version}))
        self.do(who, Act("UndoTask", task))

    @rule(task=tasks, data=st.data())
    def annul_an_event(self, task: str, data: st.DataObject) -> None:
        """Mostly of what was done to it, and mostly of what was done last."""
        task = self.pick(data, [task, *[one.id for one in self.world.tasks.values() if one.changes] * 2])
        now = self.world.tasks[task].now.version
        if now <= HISTORY_MAX:
            self.annul(task, self.pick(data, [1, *range(2, now + 1), *range(max(2, now - 3), now + 1)]))

    # --- parts of tasks

    @rule(who=people, task=tasks, text=texts)
    def comment(self, who: int, task: str, text: str) -> None:
        self.do(who, Act("AddComment", task, {"body": text.format(*self.ids)}))

    @precondition(lambda self: self.comments())
    @rule(task=tasks, text=texts, deletes=st.booleans(), data=st.data())
    def edit_or_delete_a_comment(self, task: str, text: str, deletes: bool, data: st.DataObject) -> None:
        """Mostly one's own."""
        target = self.pick(data, [*self.comments() * 3, (task, str(uuid4()))])
        comment = self.world.tasks[target[0]].now.comment(target[1])
        mine = () if comment is None else [self.ids.index(comment.author)] * 3
        who = self.pick(data, [*mine, 0, 1])
        if deletes:
            self.do(who, Act("DeleteComment", target))
        else:
            self.do(who, Act("EditComment", target, {"body": text.format(*self.ids)}))

    @rule(who=people, task=tasks, text=titles)
    def add_an_item(self, who: int, task: str, text: str) -> None:
        self.do(who, Act("AddChecklistItem", task, {"text": text}))

    @precondition(lambda self: self.items())
    @rule(
        who=people,
        task=tasks,
        patch=st.fixed_dictionaries({}, optional={"text": titles, "done": st.booleans()}),
        data=st.data(),
    )
    def edit_an_item(self, who: int, task: str, patch: dict[str, Any], data: st.DataObject) -> None:
        target = self.pick(data, [*self.items() * 3, (task, str(uuid4()))])
        others = [one.id for one in self.world.tasks[target[0]].now.items]
        after = self.pick(data, ["where it is", None, *others])
        place = {} if after == "where it is" else {"after": after}
        self.do(who, Act("EditChecklistItem", target, patch | place))

    @precondition(lambda self: len(self.items()) > 1)
    @rule(who=people, data=st.data())
    def remove_an_item(self, who: int, data: st.DataObject) -> None:
        self.do(who, Act("RemoveChecklistItem", self.pick(data, self.items())))

    @rule(who=people, task=tasks, other=tasks, type_=st.sampled_from(["blocks", *RELATIONS]))
    def relate(self, who: int, task: str, other: str, type_: str) -> None:
        self.do(who, Act("AddRelation", task, {"type": type_, "task_id": other}))

    @rule(who=people, row=st.lists(tasks, min_size=3, max_size=4), way=st.sampled_from(["blocks", "blocks", "below"]))
    def close_a_circle(self, who: int, row: list[str], way: str) -> None:
        """Each blocks the next one, or stands below it, and the last one the first."""
        for one, other in zip(row, [*row[1:], row[0]], strict=True):
            relation, parent = {"type": "blocks", "task_id": other}, {"parent_id": other}
            self.do(who, Act("AddRelation", one, relation) if way == "blocks" else Act("EditTask", one, parent))

    @precondition(lambda self: self.relations())
    @rule(who=people, task=tasks, data=st.data())
    def unrelate(self, who: int, task: str, data: st.DataObject) -> None:
        target = self.pick(data, [*self.relations() * 3, (task, "blocks", str(uuid4()))])
        self.do(who, Act("RemoveRelation", target))

    # --- projects

    @rule(who=people, where=places, patch=st.fixed_dictionaries({}, optional={"name": titles, "description": titles}))
    def edit_a_project(self, who: int, where: Any, patch: dict[str, Any]) -> None:
        self.do(who, Act("EditProject", self.place(where), patch))

    @rule(who=people, where=places, again=st.sampled_from([False, False, False, True]))
    def archive_or_unarchive(self, who: int, where: Any, again: bool) -> None:
        archived = self.world.projects[self.place(where)].archived_at is not None
        self.do(who, Act("UnarchiveProject" if archived != again else "ArchiveProject", self.place(where)))

    @rule(who=people, where=places, workflow=workflows, mapping=mappings, fits=st.booleans())
    def set_the_workflow(self, who: int, where: Any, workflow: Any, mapping: dict[str, str], fits: bool) -> None:
        """Half of them with a mapping that is none of a status that stays."""
        if fits:
            stays = {one["key"] for one in workflow["statuses"]}
            there = {one.key for one in self.world.projects[self.place(where)].workflow.statuses}
            mapping = {key: to for key, to in mapping.items() if key in there - stays and to in stays}
        self.wait_for_views(who)
        self.do(who, Act("SetWorkflow", self.place(where), workflow | {"mapping": mapping}))

    @rule(
        who=people,
        where=places,
        name=st.sampled_from(["x", "y/z", "ж"]),
        colour=st.sampled_from([None, "#12aBcd", "#000000"]),
    )
    def colour_a_label(self, who: int, where: Any, name: str, colour: str | None) -> None:
        target = (self.place(where), name)
        self.do(who, Act("RemoveLabel", target) if colour is None else Act("SetLabel", target, {"colour": colour}))

    @rule(
        who=people,
        person=anybody,
        where=places,
        role=st.sampled_from(["viewer", "member", "member", "admin", "owner", None]),
    )
    def set_a_member(self, who: int, person: int, where: Any, role: str | None) -> None:
        target = (self.place(where), self.ids[person])
        self.do(who, Act("RemoveMember", target) if role is None else Act("SetMember", target, {"role": role}))

    @rule(
        who=people,
        where=places,
        email=st.sampled_from(["Ana@x.example", " ana@X.example ", "bo@x.example"]),
        role=st.sampled_from(["viewer", "member", "admin"]),
    )
    def invite(self, who: int, where: Any, email: str, role: str) -> None:
        self.do(who, Act("InviteMember", self.place(where), {"email": email, "role": role}))

    @rule(who=anybody, data=st.data(), ends=st.sampled_from(["accepted", "accepted", "revoked"]))
    def accept_or_revoke(self, who: int, data: st.DataObject, ends: str) -> None:
        """Also one that has ended."""
        if self.tokens_by_invitation:
            invitation = self.pick(data, list(self.tokens_by_invitation))
            if ends == "accepted":
                self.accept(who, invitation)
            else:
                self.do(who, Act("RevokeInvitation", invitation))

    # --- several at once, and once more

    @rule(who=people, one=tasks, other=tasks, data=st.data(), atomic=st.booleans())
    def batch(self, who: int, one: str, other: str, data: st.DataObject, atomic: bool) -> None:
        """Each finds what those before it have left."""
        acts = [
            Act("EditTask", one, {"title": "in a batch", "priority": "high"}),
            Act("EditTask", other, {"parent_id": one}),
            Act("CompleteTask", one),
            Act("StartTask", other),
            Act("UndoTask", one),
            Act("UndoTask", other),
            Act("TrashTask", one),
            Act("RestoreTask", one),
            Act("AddComment", other, {"body": "in a batch"}),
            Act("AddRelation", one, {"type": "blocks", "task_id": other}),
            Act("AddRelation", other, {"type": "blocks", "task_id": one}),
            Act("MoveTask", one, {"project_id": self.place(SHARED[0])}),
            Act("StartTask", str(uuid4())),
        ]
        if not atomic:
            acts.append(Act("SetWorkflow", self.place(SHARED[0]), SHORT | {"mapping": TO_SHORT}))
        self.do_together(who, [self.pick(data, acts) for _ in range(self.pick(data, [1, 2, 3, 5]))], atomic=atomic)

    @rule(back=st.integers(1, 6))
    def repeat(self, back: int) -> None:
        self.repeat_one(back)

    # --- reading

    @rule(who=anybody, task=tasks, data=st.data())
    def read_a_task(self, who: int, task: str, data: st.DataObject) -> None:
        version = self.pick(data, [None, *sorted(self.world.tasks[task].seen)])
        self.read_task(who, task, version)

    @invariant()
    def what_can_be_read_is_what_the_model_holds(self) -> None:
        self.stepped()
        if self.steps % LOOK_EVERY == 0:
            self.look()

    def teardown(self) -> None:
        self.close()


@pytest.mark.timeout(3_600)
def test_the_api_and_the_model_say_the_same(stack: Stack) -> None:
    """The same twenty each time; with MODEL_EXAMPLES, as many others, of MODEL_STEPS."""
    examples = os.environ.get("MODEL_EXAMPLES")
    run_state_machine_as_test(
        lambda: Machine(stack),  # type: ignore[arg-type]  # any function that makes one, says Hypothesis in words
        settings=hypothesis_settings(
            max_examples=EXAMPLES if examples is None else int(examples),
            stateful_step_count=int(os.environ.get("MODEL_STEPS", STEPS)),
            derandomize=examples is None,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
