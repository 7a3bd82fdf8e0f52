"""Commands on a project: members, invitations, labels, workflow, archive."""

from __future__ import annotations

from msgspec.structs import replace

from tests.api.model import workflow
from tests.api.model.of_tasks import Body, Data
from tests.api.model.project import (
    Invitation,
    Project,
    against_archived,
    against_invitation,
    against_member,
    below,
    counts,
)
from tests.api.model.refusals import NOT_FOUND, Refused, rule, unless
from tests.api.model.world import Observed, World

Pair = tuple[str, str]
"""A project's id, and what is named in it."""


def _done(world: World, who: str, project: Project, observed: Observed) -> Body:
    world.wrote_project(project, observed)
    return project.shown(who)


# --- the project itself -------------------------------------------------------------------------


def create(world: World, who: str, target: None, data: Data, observed: Observed) -> Body:
    project = Project(
        id=observed.id,
        name=data["name"],
        description=data.get("description", ""),
        members={who: "owner"},
        consenting=frozenset((who,)),
        created_at=observed.at,
        updated_at=observed.at,
        position=observed.position,
    )
    return _done(world, who, project, observed)


def edit(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, target, "admin")
    unless(against_archived(project))
    for name in ("name", "description"):
        if name in data and (data[name] or "") != getattr(project, name):
            project = project.observed(observed.at, **{name: data[name] or ""})
    return _done(world, who, project, observed)


def archive(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, target, "admin")
    unless([rule("inbox")] if project.inbox else [])
    if project.archived_at is None:
        project = project.observed(observed.at, archived_at=observed.at)
    return _done(world, who, project, observed)


def unarchive(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, target, "admin")
    if project.archived_at is not None:
        project = project.observed(observed.at, archived_at=None)
    return _done(world, who, project, observed)


def set_workflow(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    """Tasks are not touched: those in a status that left are in the one that took its place."""
    project = world.project_for(who, target, "admin")
    new, mapping = workflow.sent(data), data.get("mapping", {})
    same = new.is_as(project.workflow)
    entered = {task.now.status for task in world.tasks.values() if task.now.project == project.id}
    against = () if same else workflow.against(project.workflow, new, mapping, entered)
    unless([*against_archived(project), *against])
    if not same:
        project = project.observed(observed.at, workflow=workflow.following(project.workflow, new, mapping))
    return _done(world, who, project, observed)


# --- labels -------------------------------------------------------------------------------------


def set_label(world: World, who: str, target: Pair, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, target[0], "admin")
    unless(against_archived(project))
    if project.labels.get(target[1]) != data["colour"]:
        project = project.observed(observed.at, labels={**project.labels, target[1]: data["colour"]})
    return _done(world, who, project, observed)


def remove_label(world: World, who: str, target: Pair, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, target[0], "admin")
    unless([*against_archived(project), *([] if target[1] in project.labels else [NOT_FOUND])])
    labels = {name: colour for name, colour in project.labels.items() if name != target[1]}
    return _done(world, who, project.observed(observed.at, labels=labels), observed)


# --- members ------------------------------------------------------------------------------------


def set_member(world: World, who: str, target: Pair, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, target[0], "admin")
    if project.members.get(target[1]) != data["role"]:
        against = list(against_member(project, who, target[1], data["role"]))
        if target[1] not in project.members and (target[1] in project.left or not world.acquainted(who, target[1])):
            against.append(rule("must-be-invited"))
        unless(against)
        project = project.observed(observed.at, members={**project.members, target[1]: data["role"]})
    return _done(world, who, project, observed)


def remove_member(world: World, who: str, target: Pair, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, target[0], "viewer" if who == target[1] else "admin")
    if target[1] in project.members:
        unless(against_member(project, who, target[1], None))
        stay = {person: role for person, role in project.members.items() if person != target[1]}
        gone = frozenset((target[1],))
        left = project.left | gone if who == target[1] else project.left
        project = project.observed(observed.at, members=stay, consenting=project.consenting - gone, left=left)
    return _done(world, who, project, observed)


# --- invitations --------------------------------------------------------------------------------


def invite(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    """Answers it without its token, which nobody can foretell."""
    project = world.project_for(who, target, "admin")
    invitation = Invitation(observed.id, data["email"], data["role"], who, observed.at)
    unless(against_invitation(project, who, invitation.address, invitation.role))
    project = project.observed(observed.at, invitations=(*project.invitations, invitation))
    world.wrote_project(project, observed)
    return project.shown_invitation(invitation)


def revoke(world: World, who: str, target: Pair, data: Data, observed: Observed) -> Body:
    project = world.project_for(who, target[0], "admin")
    if project.invitation(target[1]) is None:
        raise Refused(NOT_FOUND)
    return _done(world, who, project.observed(observed.at, invitations=_without(project, target[1])), observed)


def accept(world: World, who: str, target: Pair, data: Data, observed: Observed) -> Body:
    """Whoever has the token becomes a member by their own consent, in two events; who has a higher role keeps it."""
    project = world.projects[target[0]]
    invitation = project.invitation(target[1])
    if invitation is None or not counts(project, invitation):
        raise Refused(NOT_FOUND)
    if below(project.members.get(who), invitation.role):
        project = project.observed(observed.at, members={**project.members, who: invitation.role})
    project = project.observed(
        observed.at,
        invitations=_without(project, invitation.id),
        consenting=project.consenting | {who},
        left=project.left - {who},
    )
    return _done(world, who, project, observed)


def _without(project: Project, invitation_id: str) -> tuple[Invitation, ...]:
    return tuple(replace(one) for one in project.invitations if one.id != invitation_id)
