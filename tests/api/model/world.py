"""Everything at once: people, projects, tasks; and who may do what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from tests.api.model.project import Project, against_archived
from tests.api.model.refusals import NOT_FOUND, Reason, Refused, rule
from tests.api.model.task import Change, Draft, Task, shown
from tests.api.model.workflow import Workflow


class Observed(Struct, frozen=True, kw_only=True):
    """What a rule leaves open, as the answer says it; of a refusal, anything."""

    at: str = "2030-01-01T00:00:00.000000Z"
    id: str = "a new one"
    rank: str = "~"
    position: int = 0
    rank_of: Callable[[str, int], str] = lambda _task, _version: "~"
    """Of another task that the same command changed, at a version."""


UNOBSERVED: Final = Observed()


class Stream(NamedTuple):
    version: int
    position: int


class World(Struct):
    """`names`, `inboxes` and `zones` are by person."""

    names: Mapping[str, str] = {}
    inboxes: Mapping[str, str] = {}
    zones: Mapping[str, str] = {}
    projects: dict[str, Project] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    def copy(self) -> World:
        return World(self.names, self.inboxes, self.zones, dict(self.projects), dict(self.tasks))

    def zone_of(self, who: str) -> str:
        return self.zones.get(who, "UTC")

    # --- access

    def project_for(self, who: str, project_id: str, minimum: str) -> Project:
        """Raises Refused, as `task_for` does: for a stranger there is no such thing."""
        project = self.projects.get(project_id)
        if project is None:
            raise Refused(NOT_FOUND)
        project.must_allow(who, minimum)
        return project

    def task_for(self, who: str, task_id: str, minimum: str) -> tuple[Task, Project]:
        task = self.tasks.get(task_id)
        if task is None:
            raise Refused(NOT_FOUND)
        return task, self.project_for(who, task.now.project, minimum)

    def acquainted(self, one: str, other: str) -> bool:
        """Whether there is a project that both created or accepted an invitation to."""
        return any({one, other} <= project.consenting for project in self.projects.values())

    def project_of(self, task_id: str) -> Project:
        return self.projects[self.tasks[task_id].now.project]

    # --- writing

    def wrote_task(self, task: Task, draft: Draft, observed: Observed, undoes: int | None = None) -> Task:
        """Notes a change, if it is one."""
        return self._wrote(task, draft, observed.position, undoes, {})

    def wrote_tasks(self, wrote: Mapping[str, tuple[Draft, int | None]]) -> None:
        """Notes what one command did to several tasks: by their ids, with what it undoes. Nobody is told where the last
        event of each is."""
        firsts = {task_id: self.tasks[task_id].now.version + 1 for task_id in wrote}
        for task_id, (draft, undoes) in wrote.items():
            along = {one: first for one, first in firsts.items() if one != task_id}
            self._wrote(self.tasks[task_id], draft, 0, undoes, along)

    def _wrote(self, task: Task, draft: Draft, position: int, undoes: int | None, along: Mapping[str, int]) -> Task:
        if draft.facts is not task.now:
            change = Change(task.now.version + 1, draft.facts.version, task.now, draft.facts, undoes, along)
            workflow = self.projects[draft.facts.project].workflow
            seen = {**task.seen, draft.facts.version: shown(task.id, draft.facts, workflow, self.names)}
            task = Task(task.id, draft.facts, position, (*task.changes, change), seen)
            self.tasks[task.id] = task
        return task

    def wrote_project(self, project: Project, observed: Observed) -> None:
        if project is not self.projects.get(project.id):
            self.projects[project.id] = replace(project, position=observed.position)

    # --- reading

    def streams(self) -> dict[str, Stream]:
        """How far each has come, by id."""
        found = {one.id: Stream(one.version, one.position) for one in self.projects.values()}
        return found | {one.id: Stream(one.now.version, one.position) for one in self.tasks.values()}

    def workflow_of(self, task: Task) -> Workflow:
        return self.projects[task.now.project].workflow

    def shown(self, task: Task) -> dict[str, Any]:
        return shown(task.id, task.now, self.workflow_of(task), self.names)

    def person(self, person: str | None) -> dict[str, str] | None:
        return None if person is None else {"id": person, "name": self.names[person]}


def against_live(task: Task, project: Project) -> Iterator[Reason]:
    """What stands against any change of a task but its restoration."""
    yield from against_archived(project)
    if task.now.trashed_at is not None:
        yield rule("trashed")
