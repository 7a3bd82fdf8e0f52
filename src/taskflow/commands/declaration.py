"""How a command is declared, once: its body, target, role, decider and answer.

The REST route, the command's entry in `/commands/types`, its schemas and its part of the OpenAPI document all follow
from the declaration. A command that changes the stream that it names has no handler of its own: `on_task` and its like
load the target, check the role, compare the expected version, call the decider and stage the events. A command that
does more, such as creating a stream, has its own handler in its `CommandType`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for, require_user, task_for
from taskflow.commands.fields import Command
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.streams import PROJECT, TASK, USER, Event, StreamType
from taskflow.streams.project import ProjectState, Role
from taskflow.streams.task import TaskState
from taskflow.streams.user import SystemRole, UserState

S = TypeVar("S")
P = TypeVar("P")
T = TypeVar("T")
C = TypeVar("C", bound=Command)

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
Resource = Literal[
    "task", "comment", "checklist_item", "project", "invitation", "user", "calendar", "view", "person", "annulment"
]
"""What an answer shows; `api.answers` renders each."""
CommandHandler = Callable[[UnitOfWork, Any, Any], Awaitable[UUID]]
"""Decides a command on its target (the arguments: unit of work, target, body), stages the events and returns the id of
the stream that the answer shows. It may be called several times."""


class TargetType(Struct, Generic[T], frozen=True):
    """The type of a command's target: its name, its path below `/api/v1`, and the Struct of its ids; None: a single id.

    The first id is that of the stream. The text form of a target is its parts in the order of the Struct's fields,
    separated by slashes; a part that is not an id comes last and may contain slashes.
    """

    name: str
    path: str
    parts: type[T] | None = None

    def stream_id(self, target: Any) -> UUID:
        """The stream that a target of this type belongs to."""
        parts: Any = self.parts
        stream_id: UUID = target if parts is None else getattr(target, parts.__struct_fields__[0])
        return stream_id


TASK_ID: Final[TargetType[UUID]] = TargetType("task", "/tasks/{task_id:str}")
PROJECT_ID: Final[TargetType[UUID]] = TargetType("project", "/projects/{project_id:str}")


class RestRoute(Struct, frozen=True):
    """A command's own route: `path` is appended to the path of the target."""

    method: Method
    path: str
    summary: str


class CommandType(Struct, frozen=True, kw_only=True):
    """The declaration of a command. `role` is the minimum role in the target's project; None: the handler checks
    access. `system_role`: whoever lacks it is refused before the body is read, and the handler checks it again. `rest`
    None: the command can only be sent to `/commands`. `creates`: later commands of the batch can refer to what the
    command created, and the answer carries its Location."""

    body: type[Command]
    target: TargetType[Any] | None
    handler: CommandHandler
    answer: Resource
    rest: RestRoute | None
    role: Role | None = None
    system_role: SystemRole | None = None
    creates: bool = False


class DecisionContext(Struct, Generic[S, P, T, C], frozen=True):
    """The input of a decision: the target's state and project, the target, the command, and the unit of work for its
    time, its user and new ids. Every command gets the same context, and passes on to its decider, a plain function,
    only what that decider needs."""

    unit: UnitOfWork
    state: S
    project: P
    target: T
    command: C


Decided = list[Event] | Awaitable[list[Event]]
"""A decider's events; awaited where other streams are read for the decision."""


def on_task(
    body: type[C],
    target: TargetType[T],
    decide: Callable[[DecisionContext[TaskState, ProjectState, T, C]], Decided],
    rest: RestRoute,
    *,
    role: Role = "member",
    answer: Resource = "task",
    creates: bool = False,
) -> CommandType:
    """A command that changes a task, or a part of one."""

    async def load(unit: UnitOfWork, on: Any) -> tuple[TaskState, ProjectState]:
        return await task_for(unit, target.stream_id(on), role)

    handler = change(TASK, load, decide)
    return CommandType(body=body, target=target, handler=handler, answer=answer, rest=rest, role=role, creates=creates)


def on_project(
    body: type[C],
    target: TargetType[T],
    decide: Callable[[DecisionContext[ProjectState, ProjectState, T, C]], Decided],
    rest: RestRoute | None,
    *,
    role: Role = "admin",
    answer: Resource = "project",
    creates: bool = False,
) -> CommandType:
    """A command that changes a project, or a part of one."""

    async def load(unit: UnitOfWork, on: Any) -> tuple[ProjectState, ProjectState]:
        project = await project_for(unit, target.stream_id(on), role)
        return project, project

    handler = change(PROJECT, load, decide)
    return CommandType(body=body, target=target, handler=handler, answer=answer, rest=rest, role=role, creates=creates)


def on_own_account(
    body: type[C],
    decide: Callable[[DecisionContext[UserState, None, None, C]], Decided],
    rest: RestRoute,
    *,
    answer: Resource = "user",
    creates: bool = False,
) -> CommandType:
    """A command that changes the account of its sender. It has no target."""

    async def load(unit: UnitOfWork, _: None) -> tuple[UserState, None]:
        return await unit.get(USER, require_user(unit)), None

    handler = change(USER, load, decide)
    return CommandType(body=body, target=None, handler=handler, answer=answer, rest=rest, creates=creates)


def change(
    kind: StreamType[Any],
    load: Callable[[UnitOfWork, Any], Awaitable[tuple[Any, Any]]],
    decide: Callable[[DecisionContext[Any, Any, Any, Any]], Decided],
) -> CommandHandler:
    """The handler of a command that changes one stream, that of its target. `load` reads the target and checks the
    role."""

    async def handle(unit: UnitOfWork, target: Any, command: Any) -> UUID:
        state, project = await load(unit, target)
        stream_id: UUID = state.id
        unit.expect_version(stream_id)
        decided = decide(DecisionContext(unit, state, project, target, command))
        events = decided if isinstance(decided, list) else await decided
        unit.append(kind, stream_id, *events)
        return stream_id

    return handle
