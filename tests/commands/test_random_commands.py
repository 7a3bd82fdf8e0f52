"""Whatever several people send through two processes at once, the log tells a story that was allowed.

The log is the judge: it is folded from its beginning, event by event, and each event is held against
the state just before it. An admin of the system annuls events among it all.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from taskflow.commands import annul, move, project, ranking, relations, task, undo, undoing
from taskflow.commands.access import role_rank
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.fields import PARENT_DEPTH_MAX
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import KeyReused, NotFound, Refusal
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import Outcome
from taskflow.store.eventstore import EventStore
from taskflow.streams import STREAM_TYPE_OF_EVENT, Event, EventMetadata
from taskflow.streams.project import InvitationAccepted, MemberAdded, MemberRemoved, ProjectState
from taskflow.streams.task import TaskCreated, TaskEventAnnulled, TaskMoved, TaskParentSet, TaskState
from tests.folding import Told, folded

from .world import make_admin, make_project, make_task, register, send

PEOPLE, TASKS = range(4), range(3)
people = st.sampled_from(PEOPLE)
tasks = st.sampled_from(TASKS)
roles = st.sampled_from(["viewer", "member", "admin", "owner"])

actions = st.one_of(
    st.tuples(st.just("retitle"), tasks, st.sampled_from(["x", "y"])),
    st.tuples(st.just("parent"), tasks, st.none() | tasks),
    st.tuples(st.just("block"), tasks, tasks),
    st.tuples(st.just("assign"), tasks, st.none() | people),
    st.tuples(st.just("trash"), tasks, st.booleans()),
    st.tuples(st.just("move"), tasks, st.booleans()),
    st.tuples(st.just("rank"), tasks, tasks),
    st.tuples(st.just("undo"), tasks, st.none() | st.integers(1, 8)),
    st.tuples(st.just("annul"), tasks, st.integers(2, 8)),
    st.tuples(st.just("role"), people, roles),
    st.tuples(st.just("remove"), people, st.none()),
    st.tuples(st.just("archive"), st.none(), st.booleans()),
)
commands = st.tuples(
    st.integers(0, 1),  # through which process
    people,
    actions,
    st.integers(0, 30),  # its id: some repeat
    st.none() | st.none() | st.integers(1, 4),  # the version that its caller expects
)


@hypothesis_settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(rounds=st.lists(st.lists(commands, min_size=1, max_size=12), min_size=1, max_size=4))
async def test_the_log_holds_only_what_was_allowed_when_it_happened(
    executor: Executor, other: Executor, store: EventStore, settings: Settings, rounds: list[list[Any]]
) -> None:
    admin = await make_admin(executor, settings)
    began = (await store.log.head()).position
    users = [await register(executor, settings) for _ in PEOPLE]
    project_id = await make_project(
        executor, users[0], a=(users[1], "admin"), b=(users[2], "member"), c=(users[3], "owner")
    )
    elsewhere = await make_project(executor, users[0], a=(users[1], "member"), b=(users[2], "viewer"))
    task_ids = [await make_task(executor, users[0], project_id) for _ in TASKS]
    ids = [new_id() for _ in range(31)]
    accepted: dict[tuple[UUID, UUID], list[Accepted]] = defaultdict(list)

    async def one(command: Any) -> None:
        process, who, action, id_index, expected = command
        handler, *arguments = _call(action, users, (project_id, elsewhere), task_ids)
        by = users[who]
        if action[0] == "annul":
            by, handler, arguments = admin, annul_version, [store, task_ids[action[1]], action[2]]
        try:
            answer = await send(
                (executor, other)[process],
                by,
                handler,
                *arguments,
                command_id=ids[id_index],
                fingerprint=repr((action, expected)).encode(),
                expected_version=expected,
            )
        except (Refusal, KeyReused):
            return
        accepted[by, ids[id_index]].append(answer)

    for batch in rounds:
        await asyncio.gather(*[one(command) for command in batch])

    await _assert_allowed(store, began, admin)
    for (caller, command_id), answers in accepted.items():
        assert len({repr((a.receipt.position, a.receipt.version, a.state, a.appended)) for a in answers}) == 1
        await _assert_receipt(store, caller, command_id, answers[0])
    effects = await store.pool.fetch(
        "select actor, command_id, count(distinct recorded_at) from events where position > $1 group by 1, 2", began
    )
    assert all(row[2] == 1 for row in effects), "a command's events are appended together, once"


async def annul_version(unit: UnitOfWork, store: EventStore, task_id: UUID, version: int) -> UUID:
    for position in await store.log.positions(task_id, [version]):
        target = annul.LogPosition(str(position))
        return await annul.annul_event(unit, target, annul.AnnulEvent(reason="A mistake"))
    raise NotFound("version", version)


def _call(action: Any, users: list[UUID], projects: tuple[UUID, UUID], task_ids: list[UUID]) -> Any:
    project_id, elsewhere = projects
    match action:
        case ("retitle", n, title):
            return handler_of(task.EditTask), task_ids[n], task.EditTask(title=title)
        case ("parent", n, parent):
            return (
                handler_of(task.EditTask),
                task_ids[n],
                task.EditTask(parent_id=None if parent is None else task_ids[parent]),
            )
        case ("block", n, blocked):
            return handler_of(relations.AddRelation), task_ids[n], relations.AddRelation("blocks", task_ids[blocked])
        case ("assign", n, who):
            return handler_of(task.AssignTask), task_ids[n], task.AssignTask(None if who is None else users[who])
        case ("trash", n, True):
            return handler_of(task.TrashTask), task_ids[n], task.TrashTask()
        case ("trash", n, False):
            return handler_of(task.RestoreTask), task_ids[n], task.RestoreTask()
        case ("move", n, away):
            return move.move_task, task_ids[n], move.MoveTask(project_id=elsewhere if away else project_id)
        case ("rank", n, after):
            return handler_of(ranking.RankTask), task_ids[n], ranking.RankTask(after=task_ids[after])
        case ("undo", n, version):
            return undoing.undo_task, task_ids[n], undo.UndoTask(version=version)
        case ("role", who, role):
            return handler_of(project.SetMember), project.Member(project_id, users[who]), project.SetMember(role=role)
        case ("remove", who, _):
            return handler_of(project.RemoveMember), project.Member(project_id, users[who]), project.RemoveMember()
        case ("annul", *_):
            return (annul_version,)
        case ("archive", _, True):
            return handler_of(project.ArchiveProject), project_id, project.ArchiveProject()
        case _:
            return handler_of(project.UnarchiveProject), project_id, project.UnarchiveProject()


async def _assert_allowed(store: EventStore, after: int, admin: UUID) -> None:
    recorded = await store.log.read(after, limit=10_000)
    assert [event.position for event in recorded] == list(range(after + 1, after + len(recorded) + 1))
    states: dict[UUID, Any] = {}
    version: dict[UUID, int] = defaultdict(int)
    told: dict[UUID, list[Told]] = defaultdict(list)
    for record, event in zip(recorded, await store.mapper.decode(recorded), strict=True):
        stream = record.stream_id
        assert record.stream_version == version[stream] + 1
        version[stream] += 1
        before = states.get(stream)
        metadata = EventMetadata(stream, record.stream_version, record.occurred_at, record.actor)
        told[stream].append((event, metadata))
        states[stream] = folded(STREAM_TYPE_OF_EVENT[record.type], told[stream])
        if isinstance(event, TaskEventAnnulled):
            assert record.actor == admin
            assert isinstance(before, TaskState)
            _judge_annulment(states, before, states[stream], [one for one, _ in told[stream]], event.version)
        else:
            _judge({**states, stream: before}, before, event, record.actor)
        if isinstance(states[stream], TaskState):
            _assert_no_cycle(states, stream)
        if isinstance(states[stream], ProjectState):
            assert "owner" in states[stream].members.values()


def _judge(states: dict[UUID, Any], state: Any, event: Event, actor: UUID | None) -> None:
    """Holds an event against the states just before it."""
    assert actor is not None
    if isinstance(event, TaskCreated) or isinstance(state, TaskState):
        within = states[event.project_id if isinstance(event, TaskCreated) else state.project_id]
        assert role_rank(within.members[actor]) >= role_rank("member")
        assert within.archived_at is None
    if isinstance(event, TaskMoved):
        there = states[event.project_id]
        assert role_rank(there.members[actor]) >= role_rank("member")
        assert there.archived_at is None
        assert event.assignee_id is None or event.assignee_id in there.members
        assert event.from_project_id == state.project_id != event.project_id
    if isinstance(event, TaskParentSet) and event.parent_id is not None:
        assert states[event.parent_id].project_id == state.project_id
    if isinstance(state, TaskState) and type(event).__name__ not in ("TaskTrashed", "TaskRestored"):
        assert state.trashed_at is None
    own = isinstance(event, MemberRemoved | MemberAdded | InvitationAccepted) and event.user_id == actor
    if isinstance(state, ProjectState) and not own:
        assert role_rank(state.members[actor]) >= role_rank("admin")


def _judge_annulment(
    states: dict[UUID, Any], before: TaskState, after: TaskState, events: list[Event], version: int
) -> None:
    """Holds an annulment against the states around it: what it changes, a command could have set."""
    annulled = [one.version for one in events if isinstance(one, TaskEventAnnulled)]
    assert annulled.count(version) == 1, "none is annulled twice"
    assert not isinstance(events[version - 1], (TaskCreated, TaskMoved, TaskEventAnnulled))
    within = states[after.project_id]
    assert within.archived_at is None
    assert after.project_id == before.project_id
    if after.assignee_id not in {before.assignee_id, None}:
        assert after.assignee_id in within.members
    if after.parent_id not in {before.parent_id, None}:
        parent = states[after.parent_id]
        assert (parent.project_id, parent.trashed_at) == (after.project_id, None)


def _assert_no_cycle(states: dict[UUID, Any], start: UUID) -> None:
    above, steps = states[start].parent_id, 0
    while above is not None:
        assert above != start
        above, steps = states[above].parent_id, steps + 1
        assert steps <= PARENT_DEPTH_MAX
    blocked = {start: [relation.task_id for relation in states[start].relations]}
    while ahead := {one for others in blocked.values() for one in others} - set(blocked):
        blocked |= {one: [relation.task_id for relation in states[one].relations] for one in ahead}
    assert all(start not in others for others in blocked.values())


async def _assert_receipt(store: EventStore, caller: UUID, command_id: UUID, answer: Accepted) -> None:
    receipt = (await store.receipts([(caller, command_id)])).get(command_id)
    assert receipt is not None
    assert receipt.version == answer.receipt.version == answer.state.version
    events = await store.pool.fetch(
        "select position, stream_version, stream_id, type from events where actor = $1 and command_id = $2 "
        "order by position",
        caller,
        command_id,
    )
    assert len(events) == receipt.events == len(answer.events) == len(answer.appended)
    assert [(row["type"], row["stream_version"], row["position"]) for row in events] == [
        (event.type, event.version, event.position) for event in answer.appended
    ]
    if events:
        assert (events[-1]["position"], receipt.outcome) == (receipt.position, Outcome.APPLIED)
    else:
        assert receipt.outcome is Outcome.UNCHANGED
