"""Commands on a task as a whole: each judges, changes the world, and answers what the API must."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.api.model.completion import change, first_of
from tests.api.model.links import against_parent, below
from tests.api.model.order import must_be_beside, must_be_last, place_of
from tests.api.model.project import Project, against_archived
from tests.api.model.refusals import NOT_FOUND, Reason, Refused, fault, rule, unless
from tests.api.model.schedule import Schedule
from tests.api.model.task import Change, Draft, Facts, Task, status_of
from tests.api.model.undo import Undoing, to_undo
from tests.api.model.workflow import Status
from tests.api.model.world import Observed, World, against_live

Body = dict[str, Any]
Data = Mapping[str, Any]


def create(world: World, who: str, target: None, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, data.get("project_id") or world.inboxes[who], "member")
    said = Schedule({name: value for name, value in data.items() if value is not None}, None, world.zone_of(who))
    status = project.workflow.initial if data.get("status") is None else project.workflow.find(data["status"])

    def against() -> Iterator[Reason]:
        yield from against_archived(project)
        yield from _against_assignee(project, data.get("assignee_id"))
        yield from against_parent(world, None, data.get("parent_id"), project.id)
        if status is None:
            yield rule("no-such-status")
        yield from said.against(observed.at)

    unless(against())
    assert status is not None, "that was a reason"
    if observed.position:
        must_be_last(world, project.id, observed.id, observed.rank)
    facts = Facts(
        project=project.id,
        title=data["title"],
        description=data.get("description", ""),
        priority=data.get("priority", "medium"),
        status=status.key,
        category=status.category,
        due_at=said.due_at,
        due_on=said.due_on,
        zone=said.zone,
        labels=frozenset(data.get("labels", ())),
        assignee=data.get("assignee_id"),
        parent=data.get("parent_id"),
        rank=observed.rank,
        recurrence=said.rule,
        series=said.series(observed.at),
        created_by=who,
        created_at=observed.at,
        updated_at=observed.at,
        started_at=observed.at if status.category == "in_progress" else None,
        completed_at=observed.at if status.category == "done" else None,
    )
    task = Task(observed.id, facts, observed.position)
    body = world.shown(task)
    world.tasks[observed.id] = Task(observed.id, facts, observed.position, seen={1: body})
    return body


def edit(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    """One event a field that differs. The status is last: what completing does depends on the others."""
    task, project = world.task_for(who, target, "member")
    draft = Draft(task.now, observed.at)

    def against() -> Iterator[Reason]:
        yield from against_live(task, project)
        for name in ("title", "description", "priority"):
            if name in data and (data[name] or "") != getattr(task.now, name):
                draft.set(**{name: data[name] or ""})
        said = Schedule(data, task.now, world.zone_of(who))
        yield from said.against(observed.at)
        said.set_on(draft)
        if "labels" in data and set(data["labels"] or ()) != task.now.labels:
            draft.set(labels=frozenset(data["labels"] or ()))
        if "assignee_id" in data and data["assignee_id"] != task.now.assignee:
            yield from _against_assignee(project, data["assignee_id"])
            draft.set(assignee=data["assignee_id"])
        if "parent_id" in data and data["parent_id"] != task.now.parent:
            yield from against_parent(world, target, data["parent_id"], project.id)
            draft.set(parent=data["parent_id"])
        if "status" in data:
            yield from change(draft, project.workflow, data["status"])

    unless(against())
    return world.shown(world.wrote_task(task, draft, observed))


def _against_assignee(project: Project, person: str | None) -> Iterator[Reason]:
    if person is not None and person not in project.members:
        yield rule("not-a-member")


def intend(category: str) -> Any:
    """The command that takes a task to the first status of a category."""

    def run(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
        task, project = world.task_for(who, target, "member")
        draft = Draft(task.now, observed.at)
        unless(
            [
                *against_live(task, project),
                *change(draft, project.workflow, first_of(project.workflow, category)),
            ]
        )
        return world.shown(world.wrote_task(task, draft, observed))

    return run


def assign(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    return edit(world, who, target, {"assignee_id": data["user_id"]}, observed)


def trash(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    task, project = world.task_for(who, target, "member")
    draft = Draft(task.now, observed.at)
    unless(against_archived(project))
    if task.now.trashed_at is None:
        draft.set(trashed_at=observed.at)
    return world.shown(world.wrote_task(task, draft, observed))


def restore(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    task, project = world.task_for(who, target, "member")
    draft = Draft(task.now, observed.at)
    unless(against_archived(project))
    if task.now.trashed_at is not None:
        draft.set(trashed_at=None)
    return world.shown(world.wrote_task(task, draft, observed))


def move(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    """What belongs to a project is said anew: it is in the status of the same name, else the first of its kind;
    with its labels, below nothing, at the end, and whose it was if they are a member there too. So is everything below
    it, which stays there, in its order."""
    task, here = world.task_for(who, target, "member")
    there = world.project_for(who, data["project_id"], "member")
    named = data.get("status")
    if here is there:
        return edit(world, who, target, {} if named is None else {"status": named}, observed)
    status = _status_there(task, here, there) if named is None else there.workflow.find(named)
    follow = sorted(below(world, [target], here.id), key=place_of)
    statuses = [status, *[_status_there(one, here, there) for one in follow]]
    unless(
        [
            *against_live(task, here),
            *against_archived(there),
            *([rule("no-such-status")] if None in statuses else []),
        ]
    )
    if observed.position:
        must_be_last(world, there.id, target, observed.rank)
    drafts = {target: moved(task, status, there, None, observed.rank, observed)}
    last = observed.rank
    for one, its_status in zip(follow, statuses[1:], strict=True):
        drafts[one.id] = along(one, its_status, there, observed)
        assert drafts[one.id].facts.rank > last or not observed.position, "they stay in order"
        last = drafts[one.id].facts.rank
    if not follow:
        return world.shown(world.wrote_task(task, drafts[target], observed))
    world.wrote_tasks({one: (draft, None) for one, draft in drafts.items()})
    return world.shown(world.tasks[target])


def _status_there(task: Task, here: Project, there: Project) -> Status | None:
    today = status_of(task.now, here.workflow)
    return there.workflow.find(today.key) or there.workflow.first(today.category)


def along(task: Task, status: Status | None, there: Project, observed: Observed) -> Draft:
    """As one goes along with what it is below."""
    return moved(task, status, there, task.now.parent, observed.rank_of(task.id, task.now.version + 1), observed)


def moved(
    task: Task, status: Status | None, there: Project, parent: str | None, rank: str, observed: Observed
) -> Draft:
    assert status is not None, "that is a reason"
    draft = Draft(task.now, observed.at)
    assignee = task.now.assignee if task.now.assignee in there.members else None
    draft.enter(status, project=there.id, rank=rank, assignee=assignee, parent=parent)
    return draft


def rank(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    """After one, before one, or between two; beside itself it is already."""
    task, project = world.task_for(who, target, "member")
    named = [data.get("after"), data.get("before")]
    after, before = [None if one is None else world.tasks.get(one) for one in named]
    itself = target in named

    def against() -> Iterator[Reason]:
        yield from against_live(task, project)
        if named == [None, None]:
            yield fault("required")
        if itself:
            return
        for one, other in zip(named, (after, before), strict=True):
            if one is not None and (other is None or other.now.project != project.id):
                yield NOT_FOUND
            elif other is not None and other.now.trashed_at is not None:
                yield rule("trashed")
        if after is not None and before is not None and place_of(after) >= place_of(before):
            yield rule("order")

    unless(against())
    draft = Draft(task.now, observed.at)
    if not itself and observed.position and not must_be_beside(world, task, after, before, observed.rank):
        draft.set(rank=observed.rank)
    return world.shown(world.wrote_task(task, draft, observed))


def undo(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    task, project = world.task_for(who, target, "member")
    draft = Draft(task.now, observed.at)
    try:
        one = to_undo(task.changes, data.get("version"))
    except Refused as refused:
        raise Refused(*refused.reasons, *against_archived(project)) from None
    undoing = Undoing(world, who, target, one, draft)
    archived = list(against_archived(project))
    try:
        undoing.home.must_allow(who, "member")
    except Refused as refused:
        raise Refused(*refused.reasons, *archived) from None
    if undoing.home is undoing.here:
        unless([*archived, *undoing.set_back()])
        return world.shown(world.wrote_task(task, draft, observed, undoes=one.first))
    others = [Undoing(world, who, other, *_same(world, other, first, observed)) for other, first in one.along.items()]
    if any(other.home is not undoing.home or other.here is not undoing.here for other in others):
        raise Refused(rule("changed-since"), *archived, *undoing.set_back())
    returning = {target: one, **{other.task_id: other.change for other in others}}
    follow = below(world, returning, undoing.here.id)
    statuses = [_status_there(later, undoing.here, undoing.home) for later in follow]
    undoing.returning = set(returning)
    reasons = [*archived, *undoing.set_back()]
    for other in others:
        other.returning = set(returning)
        reasons += other.move_back()
    unless([*reasons, *([rule("no-such-status")] if None in statuses else [])])
    drafts = {target: draft, **{other.task_id: other.draft for other in others}}
    wrote: dict[str, tuple[Draft, int | None]] = {id_: (drafts[id_], returning[id_].first) for id_ in returning}
    for later, status in zip(follow, statuses, strict=True):
        wrote[later.id] = (along(later, status, undoing.home, observed), None)
    if len(wrote) == 1:
        return world.shown(world.wrote_task(task, draft, observed, undoes=one.first))
    world.wrote_tasks(wrote)
    return world.shown(world.tasks[target])


def _same(world: World, task_id: str, first: int, observed: Observed) -> tuple[Change, Draft]:
    """Another task's part in a change."""
    task = world.tasks[task_id]
    return next(one for one in task.changes if one.first == first), Draft(task.now, observed.at)
