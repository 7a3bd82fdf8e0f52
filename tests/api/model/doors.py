"""The two doors to a command, a route and `/commands`, and what comes back through either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
from msgspec import Struct

from tests.api.model import of_parts, of_projects, of_tasks
from tests.api.model.refusals import Reason
from tests.api.model.world import Observed, World

Body = dict[str, Any]


class Act(Struct, frozen=True):
    """A command. A target of several parts is a tuple, as the model knows it."""

    type: str
    target: str | tuple[str, ...] | None
    data: Body = {}

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target or ()

    def route(self) -> tuple[str, str]:
        entry = COMMANDS[self.type]
        return entry.method, entry.path.format(*[quote(part, safe="") for part in self.parts])

    def command(self, id_: str) -> Body:
        body = {"id": id_, "type": self.type, "data": self.data}
        return body if self.target is None else body | {"target": "/".join(self.parts)}

    def on(self, world: World, who: str, observed: Observed) -> Body:
        """What it comes to on the model. Raises Refused."""
        return COMMANDS[self.type].run(world, who, self.target, self.data, observed)


class Entry(Struct, frozen=True):
    """How a command is sent, and what the model makes of it."""

    method: str
    path: str
    run: Callable[[World, str, Any, Mapping[str, Any], Observed], Body]

    @property
    def creates(self) -> bool:
        return self.run in CREATE


CREATE: Final = (
    of_tasks.create,
    of_projects.create,
    of_projects.invite,
    of_parts.add_comment,
    of_parts.add_item,
)
COMMANDS: Final = {
    "CreateProject": Entry("POST", "/projects", of_projects.create),
    "EditProject": Entry("PATCH", "/projects/{0}", of_projects.edit),
    "ArchiveProject": Entry("DELETE", "/projects/{0}", of_projects.archive),
    "UnarchiveProject": Entry("POST", "/projects/{0}/unarchive", of_projects.unarchive),
    "SetWorkflow": Entry("PUT", "/projects/{0}/workflow", of_projects.set_workflow),
    "SetLabel": Entry("PUT", "/projects/{0}/labels/{1}", of_projects.set_label),
    "RemoveLabel": Entry("DELETE", "/projects/{0}/labels/{1}", of_projects.remove_label),
    "SetMember": Entry("PUT", "/projects/{0}/members/{1}", of_projects.set_member),
    "RemoveMember": Entry("DELETE", "/projects/{0}/members/{1}", of_projects.remove_member),
    "InviteMember": Entry("POST", "/projects/{0}/invitations", of_projects.invite),
    "RevokeInvitation": Entry("DELETE", "/projects/{0}/invitations/{1}", of_projects.revoke),
    "CreateTask": Entry("POST", "/tasks", of_tasks.create),
    "EditTask": Entry("PATCH", "/tasks/{0}", of_tasks.edit),
    "StartTask": Entry("POST", "/tasks/{0}/start", of_tasks.intend("in_progress")),
    "CompleteTask": Entry("POST", "/tasks/{0}/complete", of_tasks.intend("done")),
    "ReopenTask": Entry("POST", "/tasks/{0}/reopen", of_tasks.intend("todo")),
    "CancelTask": Entry("POST", "/tasks/{0}/cancel", of_tasks.intend("cancelled")),
    "AssignTask": Entry("POST", "/tasks/{0}/assign", of_tasks.assign),
    "TrashTask": Entry("DELETE", "/tasks/{0}", of_tasks.trash),
    "RestoreTask": Entry("POST", "/tasks/{0}/restore", of_tasks.restore),
    "MoveTask": Entry("POST", "/tasks/{0}/move", of_tasks.move),
    "RankTask": Entry("POST", "/tasks/{0}/rank", of_tasks.rank),
    "UndoTask": Entry("POST", "/tasks/{0}/undo", of_tasks.undo),
    "AddComment": Entry("POST", "/tasks/{0}/comments", of_parts.add_comment),
    "EditComment": Entry("PATCH", "/tasks/{0}/comments/{1}", of_parts.edit_comment),
    "DeleteComment": Entry("DELETE", "/tasks/{0}/comments/{1}", of_parts.delete_comment),
    "AddChecklistItem": Entry("POST", "/tasks/{0}/checklist", of_parts.add_item),
    "EditChecklistItem": Entry("PATCH", "/tasks/{0}/checklist/{1}", of_parts.edit_item),
    "RemoveChecklistItem": Entry("DELETE", "/tasks/{0}/checklist/{1}", of_parts.remove_item),
    "AddRelation": Entry("PUT", "/tasks/{0}/relations", of_parts.add_relation),
    "RemoveRelation": Entry("DELETE", "/tasks/{0}/relations/{1}/{2}", of_parts.remove_relation),
}
"""All but the acceptance of an invitation, which is asked for by a token that the model does not know."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a command came to: a body, or a reason. `events`: how many, where that is told."""

    body: Body | None = None
    position: int = 0
    events: int | None = None
    reason: Reason | None = None
    token: str = ""


def of_route(response: httpx.Response, *, creates: bool) -> Answer:
    if response.status_code >= 400:
        return Answer(reason=reason_of(response.json()))
    assert response.status_code == (201 if creates else 200), response.text
    assert ("location" in response.headers) == creates
    body = response.json()
    assert response.headers["etag"].startswith(f'"{body["version"]}-'), response.headers["etag"]
    assert response.headers["taskflow-position"] == str(body["position"])
    return _accepted(body)


def of_command(response: httpx.Response) -> Answer:
    return of_outcome(response.json()) if response.status_code == 200 else Answer(reason=reason_of(response.json()))


def of_outcome(outcome: Body) -> Answer:
    """Of one command alone, or of a batch."""
    if outcome["outcome"] == "rejected":
        return Answer(reason=reason_of(outcome["problem"]))
    result, events = outcome["result"], outcome["events"]
    assert (outcome["version"], outcome["position"]) == (result["version"], result["position"])
    assert (outcome["outcome"] == "applied") == bool(events)
    assert [event["position"] for event in events[-1:]] == [outcome["position"]][: len(events)]
    # What moves along has events of its own.
    own = [event for event in events if event["stream_id"] == result.get("id")] or events
    return _accepted(result, len(own))


def _accepted(body: Body, events: int | None = None) -> Answer:
    body = dict(body)
    token, position = body.pop("token", ""), body.pop("position")
    return Answer(body=sorted_where_there_is_no_order(body), position=position, events=events, token=token)


def reason_of(problem: Body) -> Reason:
    faults = problem.get("errors")
    return Reason(problem["status"], faults[0]["code"] if faults else problem.get("code"))


def sorted_where_there_is_no_order(body: Body) -> Body:
    """A task's labels and relations."""
    if "relations" not in body:
        return body
    relations = sorted(body["relations"], key=lambda one: (one["type"], one["task_id"]))
    return body | {"labels": sorted(body["labels"]), "relations": relations}
