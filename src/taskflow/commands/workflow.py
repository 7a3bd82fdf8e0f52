"""Sets a project's workflow: its statuses, and the transitions between them.

Tasks are not changed. Every removed status is mapped to another one, and tasks in it count as being in that one from
then on: the status that the command names or, if no task is in the removed status, one of the same category. So a task
that enters a removed status while the workflow is being changed still has a valid status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct, field

from taskflow.commands.declaration import PROJECT_ID, DecisionContext, RestRoute, on_project
from taskflow.commands.fields import (
    STATUSES_LEFT_MAX,
    STATUSES_MAX,
    TRANSITIONS_MAX,
    Command,
    Name,
    NewStatusKey,
    StatusKey,
)
from taskflow.commands.project import require_not_archived
from taskflow.errors import Invalid, Rejected
from taskflow.streams import Event
from taskflow.streams.project import Category, ProjectState, ProjectWorkflowSet, Status, Transition, Workflow
from taskflow.text.names import normal_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

NO_TASKS: Final[Mapping[str, int]] = {}

# --- commands ------------------------------------------------------------------------------------


class NewStatus(Struct, frozen=True, forbid_unknown_fields=True):
    key: NewStatusKey
    name: Name
    category: Category


class NewTransition(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    from_: StatusKey
    to: StatusKey


class SetWorkflow(Command, frozen=True):
    """Sets the whole workflow. Without `transitions` every change of status is allowed. `mapping` gives, for each
    removed status that tasks are in, the status that these tasks get."""

    statuses: Annotated[tuple[NewStatus, ...], Meta(min_length=1, max_length=STATUSES_MAX)]
    transitions: Annotated[tuple[NewTransition, ...], Meta(max_length=TRANSITIONS_MAX)] | None = None
    mapping: Annotated[dict[StatusKey, StatusKey], Meta(max_length=STATUSES_MAX)] = field(default_factory=dict)


# --- decide --------------------------------------------------------------------------------------


def workflow_of(command: SetWorkflow) -> Workflow:
    """The workflow in the command. Raises Invalid for a repeated key or a transition of an unknown status."""
    keys: set[str] = set()
    for index, status in enumerate(command.statuses):
        if status.key in keys:
            raise Invalid(f"/statuses/{index}/key", "repeated", f"an earlier status already has the key {status.key!r}")
        keys.add(status.key)
    statuses = tuple(Status(status.key, status.name, status.category) for status in command.statuses)
    if command.transitions is None:
        return Workflow(statuses)
    for index, transition in enumerate(command.transitions):
        for end, key in (("from", transition.from_), ("to", transition.to)):
            if key not in keys:
                raise Invalid(f"/transitions/{index}/{end}", "no-such-status", _unknown(key, keys))
    transitions = dict.fromkeys(Transition(transition.from_, transition.to) for transition in command.transitions)
    return Workflow(statuses, tuple(transitions))


def in_question(project: ProjectState, command: SetWorkflow) -> frozenset[str]:
    """The statuses whose tasks must be counted before the workflow can be set, by the keys that tasks last entered:
    removed statuses without a mapping, earlier statuses that are mapped to these, and removed statuses that come
    back."""
    workflow = workflow_of(command)
    if workflow == project.workflow:
        return frozenset()
    unnamed = {key for key in _leaving(project, workflow) if _named_instead(command, key) is None}
    older = {key for key, to in project.mapped.items() if to in unnamed}
    return frozenset(unnamed | older | _returning(project, workflow))


def set_workflow(project: ProjectState, command: SetWorkflow, tasks: Mapping[str, int]) -> list[Event]:
    """`tasks`: the number of tasks in each status of `in_question`."""
    require_not_archived(project)
    workflow = workflow_of(command)
    if workflow == project.workflow:
        return []
    leaving = _leaving(project, workflow)
    keys = {status.key for status in workflow.statuses}
    leaving_names = {normal_name(key) for key in leaving}
    for key, to in command.mapping.items():
        if key not in leaving_names:
            raise Invalid(
                f"/mapping/{_escaped(key)}", "stays", f"this change does not remove a status {key!r} from the workflow"
            )
        if to not in keys:
            raise Invalid(f"/mapping/{_escaped(key)}", "no-such-status", _unknown(to, keys))
    for key in leaving:
        count = sum(tasks.get(one, 0) for one in project.statuses.aliases_of(key))
        if _named_instead(command, key) is None and count:
            raise Rejected(
                "status-in-use",
                f"{_tasks(count)} in the status {key!r}, including the trash: "
                "name in `mapping` the status that replaces it",
            )
    for key in sorted(_returning(project, workflow)):
        if tasks.get(key, 0):
            raise Rejected(
                "status-mapped",
                f"{_tasks(tasks[key])} that entered the status {key!r}, which {project.mapped[key]!r} has replaced: "
                "a new status needs another key",
            )
    if len(project.mapped.keys() - keys | leaving.keys()) > STATUSES_LEFT_MAX:
        raise Rejected("too-many-statuses-left", f"at most {STATUSES_LEFT_MAX} statuses can be removed from a workflow")
    mapped = {key: _named_instead(command, key) or _successor(status, workflow) for key, status in leaving.items()}
    return [ProjectWorkflowSet(workflow=workflow, mapped=mapped)]


def _leaving(project: ProjectState, workflow: Workflow) -> dict[str, Status]:
    return {status.key: status for status in project.workflow.statuses if workflow.status(status.key) is None}


def _named_instead(command: SetWorkflow, key: str) -> str | None:
    """The status that the command maps a removed status to; None if it names none. A key that was set before keys were
    normalised is mapped to its normal form."""
    name = normal_name(key)
    same = name if name != key and any(status.key == name for status in command.statuses) else None
    return command.mapping.get(key) or command.mapping.get(name) or same


def _returning(project: ProjectState, workflow: Workflow) -> set[str]:
    return {status.key for status in workflow.statuses if status.key in project.mapped}


def _successor(status: Status, workflow: Workflow) -> str:
    """The status that a removed status without tasks is mapped to: the first of its category, else the initial one."""
    return (workflow.first(status.category) or workflow.initial()).key


def _tasks(count: int) -> str:
    return "1 task is" if count == 1 else f"{count} tasks are"


def _unknown(key: str, keys: set[str]) -> str:
    return f"the new workflow has no status {key!r}; it has {', '.join(sorted(keys))}"


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


# --- handlers ------------------------------------------------------------------------------------


async def _set_workflow(on: DecisionContext[ProjectState, ProjectState, UUID, SetWorkflow]) -> list[Event]:
    project = on.state
    statuses = in_question(project, on.command) if project.archived_at is None else frozenset()
    tasks = await on.unit.hints.tasks_in(project.id, statuses) if statuses else NO_TASKS
    return set_workflow(project, on.command, tasks)


# --- declared ------------------------------------------------------------------------------------

COMMANDS: Final = (
    on_project(
        SetWorkflow,
        PROJECT_ID,
        _set_workflow,
        RestRoute("PUT", "/workflow", "Set the workflow: statuses, and the changes between them"),
    ),
)
