"""What happens in a small company, event by event: valid histories of people, projects and tasks."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from taskflow.ids import shard_of
from taskflow.projections.projection import Projection, SumKey
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import PROJECT, SAVED_VIEW, TASK, USER, Event, EventMetadata, StreamType
from taskflow.streams.project import DEFAULT_WORKFLOW, MemberAdded, MemberRemoved, ProjectCreated, ProjectRenamed
from taskflow.streams.saved_view import ViewDeleted, ViewQueryChanged, ViewRenamed, ViewSaved
from taskflow.streams.schedule import TaskDueSet
from taskflow.streams.task import (
    CommentAdded,
    CommentDeleted,
    TaskAssigned,
    TaskCreated,
    TaskDescribed,
    TaskEventAnnulled,
    TaskLabelled,
    TaskParentSet,
    TaskPrioritised,
    TaskRestored,
    TaskRetitled,
    TaskStatusChanged,
    TaskTrashed,
)
from taskflow.streams.user import UserPasswordChanged, UserRegistered, UserRenamed, UserSettingsChanged
from tests.folding import Told, folded

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Step(Struct, frozen=True):
    """The next event of a stream."""

    kind: StreamType[Any]
    stream_id: UUID
    version: int
    event: Event
    at: datetime


class Story:
    """Goes on for as long as it is asked. One seed, one story."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._now = BEGAN
        self.versions: dict[UUID, int] = {}
        self.users: list[UUID] = []
        self.projects: list[UUID] = []
        self.tasks: dict[UUID, str] = {}
        self.left: dict[UUID, list[int]] = {}
        """By task: the versions that can still be annulled."""
        self.views: list[UUID] = []

    def _id(self) -> UUID:
        return UUID(int=self._dice.getrandbits(128), version=4)

    def tell(self, count: int) -> list[Step]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Step:
        dice = self._dice
        if len(self.users) < 2 or dice.random() < 0.02:
            return self.user()
        if len(self.projects) < 2 or dice.random() < 0.02:
            return self.project()
        if len(self.tasks) < 5 or dice.random() < 0.25:
            return self.task(dice.choice(self.projects))
        if dice.random() < 0.1:
            return self.change_user(dice.choice(self.users))
        if dice.random() < 0.1:
            return self.change_project(dice.choice(self.projects))
        if dice.random() < 0.05:
            return self.change_view()
        return self.change_task(dice.choice(list(self.tasks)))

    def step(self, kind: StreamType[Any], stream_id: UUID, event: Event) -> Step:
        self._now += timedelta(seconds=self._dice.random())
        self.versions[stream_id] = self.versions.get(stream_id, 0) + 1
        return Step(kind, stream_id, self.versions[stream_id], event, self._now)

    def user(self) -> Step:
        user = self._id()
        self.users.append(user)
        name = f"Person {len(self.users)} Secretive"
        registered = UserRegistered(
            f"Person{len(self.users)}@Example.com", name, "$argon2id$hash", self._id(), self._id()
        )
        return self.step(USER, user, registered)

    def change_user(self, user: UUID) -> Step:
        event: Event = self._dice.choice(
            [UserRenamed("Renamed Secretive"), UserPasswordChanged("$argon2id$other"), UserSettingsChanged({"a": 1})]
        )
        return self.step(USER, user, event)

    def project(self) -> Step:
        project = self._id()
        self.projects.append(project)
        created = ProjectCreated(f"Project {len(self.projects)}", self._dice.choice(self.users), DEFAULT_WORKFLOW)
        return self.step(PROJECT, project, created)

    def change_project(self, project: UUID) -> Step:
        user = self._dice.choice(self.users)
        event: Event = self._dice.choice([ProjectRenamed("Other"), MemberAdded(user, "member"), MemberRemoved(user)])
        return self.step(PROJECT, project, event)

    def change_view(self) -> Step:
        dice = self._dice
        if not self.views or dice.random() < 0.3:
            self.views.append(self._id())
            project = dice.choice([None, *self.projects])
            return self.step(SAVED_VIEW, self.views[-1], ViewSaved("V", {"q": "x"}, dice.choice(self.users), project))
        event: Event = dice.choice([ViewRenamed("W"), ViewQueryChanged({"label": ("a", "b")}), ViewDeleted()])
        return self.step(SAVED_VIEW, dice.choice(self.views), event)

    def task(self, project: UUID) -> Step:
        task = self._id()
        self.tasks[task] = "todo"
        created = TaskCreated(project, f"Task {len(self.tasks)}", "todo", "todo", f"r{self._dice.random():.9f}")
        self.left[task] = []
        return self.step(TASK, task, created)

    def change_task(self, task: UUID) -> Step:
        dice = self._dice
        if self.left[task] and dice.random() < 0.15:
            annulled = self.left[task].pop(dice.randrange(len(self.left[task])))
            return self.step(TASK, task, TaskEventAnnulled(annulled, "A mistake"))
        to: Any = dice.choice(["todo", "in_progress", "done"])
        event: Event = dice.choice(
            [
                TaskRetitled(f"T{dice.random()}"),
                TaskDescribed("d" * dice.randint(0, 300)),
                TaskDescribed(" ".join(f"word{dice.randint(0, 99)}" for _ in range(dice.randint(0, 50)))),
                CommentAdded(UUID(int=dice.randint(0, 2)), f"Überall {dice.randint(0, 9)}"),
                CommentDeleted(UUID(int=dice.randint(0, 2))),
                TaskStatusChanged(self.tasks[task], to, to),
                TaskStatusChanged(self.tasks[task], to, to),
                TaskPrioritised(dice.choice(["low", "urgent"])),
                TaskDueSet(dice.choice([None, self._now])),
                TaskLabelled((f"l{dice.randint(0, 3)}",), (f"l{dice.randint(0, 3)}",)),
                TaskAssigned(dice.choice([None, *self.users])),
                TaskParentSet(dice.choice(list(self.tasks))),
                TaskTrashed(),
                TaskRestored(),
            ]
        )
        if isinstance(event, TaskStatusChanged):
            self.tasks[task] = to
        step = self.step(TASK, task, event)
        self.left[task].append(step.version)
        return step


class Folded(Struct):
    """A view as the fold of the log says it must be: states by stream with their position, and sums."""

    states: dict[UUID, tuple[int, int, Any]]
    sums: dict[SumKey, int]


def fold(
    view: Projection, log: Iterable[tuple[RecordedEvent, Event]], *, without: Mapping[UUID, int] | None = None
) -> Folded:
    """The plainest fold: each stream from its beginning, an event at a time. `without` names streams, and the version
    from which they wait."""
    found = Folded({}, {})
    told: dict[UUID, list[Told]] = {}
    for recorded, event in log:
        if not isinstance(event, view.kind.events):
            continue
        if without and recorded.stream_version >= without.get(recorded.stream_id, 2**31):
            continue
        stream_id, version = recorded.stream_id, recorded.stream_version
        metadata = EventMetadata(stream_id, version, recorded.occurred_at, recorded.actor)
        told.setdefault(stream_id, []).append((event, metadata))
        found.states[stream_id] = (recorded.position, version, None)
    for stream_id, (position, version, _) in found.states.items():
        found.states[stream_id] = (position, version, folded(view.kind, told[stream_id]))
    if view.sums:
        for stream_id, (_, _, state) in found.states.items():
            for key, count in view.sums(None, state, shard_of(stream_id)).items():
                found.sums[key] = found.sums.get(key, 0) + count
    return found
