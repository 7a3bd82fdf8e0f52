"""A conversation with the real API: everything that is sent is judged by the model too, and everything that is
answered is compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar
from uuid import uuid4

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, multiple
from msgspec import Struct

from tests.api.beside import grant_at_the_machine
from tests.api.model import of_projects
from tests.api.model.annulment import annul
from tests.api.model.doors import COMMANDS, Act, Answer, Body, of_command, of_outcome, of_route
from tests.api.model.looking import Looking
from tests.api.model.order import standing
from tests.api.model.project import Project
from tests.api.model.refusals import Refused
from tests.api.model.world import UNOBSERVED, Observed, World
from tests.api.stack import Stack

PEOPLE: Final = range(3)
ROOT: Final = len(PEOPLE)
"""An admin of the system, who is in no project of theirs."""
SHARED: Final = (0, 1)
"""The projects that all of them may come to."""
TIMEOUT_S: Final = 30.0
WITH_ITEMS: Final = ("AddChecklistItem", "EditChecklistItem")
"""Commands whose answers tell no rank."""
PICKS: Final = 2**20
Picked = TypeVar("Picked")
KEPT: Final = 6
"""Requests that may be repeated."""


Request = tuple[str, str, Body, dict[str, str]]
"""Method, path, body, headers."""


class Sent(Struct, frozen=True):
    """A request that was accepted, and what it was answered."""

    who: int
    act: Act
    request: Request
    response: httpx.Response


class Conversation(Looking, RuleBasedStateMachine):
    """Each request goes to the other process than the one before, and every third by the other door."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.settings = stack.settings
        self.http = [httpx.Client(base_url=url, timeout=TIMEOUT_S) for url in stack.urls]
        self.turn = 0
        self.through: int | None = None
        self.position = 0
        self.steps = 0
        self.agreed = False
        self.sent: list[Sent] = []
        self.tokens_by_invitation: dict[tuple[str, str], str] = {}

    def open(self) -> None:
        """Three people with their Inboxes, and two projects: one's, with another in it, and the other way round."""
        self.ids, self.access = [], []
        names: dict[str, str] = {}
        inboxes: dict[str, str] = {}
        self.world = World()
        for number in PEOPLE:
            response = self.register(number)
            self.position = int(response.headers["taskflow-position"])
            answer = response.json()
            self.ids.append(answer["user"]["id"])
            self.access.append(answer["access_token"])
            names[self.ids[-1]] = f"P{number}"
            (inbox,) = self.call(number, "GET", "/projects").json()["items"]
            inboxes[self.ids[-1]] = inbox["id"]
            self.world.projects[inbox["id"]] = Project(
                id=inbox["id"],
                name="Inbox",
                members={self.ids[-1]: "owner"},
                consenting=frozenset((self.ids[-1],)),
                inbox=True,
                created_at=inbox["created_at"],
                updated_at=inbox["updated_at"],
                position=0,
            )
        root = self.register(ROOT).json()
        self.access.append(root["access_token"])
        self.position = grant_at_the_machine(self.settings, root["user"]["id"], "admin")
        zones = {self.ids[1]: "Pacific/Auckland"}
        changed = self.call(1, "PATCH", "/users/me", {"settings": {"time_zone": zones[self.ids[1]]}})
        assert changed.status_code == 200, changed.text
        self.world = World(names, inboxes, zones, self.world.projects)
        self.shared = []
        for owner, other, role in ((0, 1, "member"), (1, 0, "admin")):
            body = self.do(owner, Act("CreateProject", None, {"name": f"of P{owner}"}))
            assert body is not None
            self.shared.append(body["id"])
            invited = self.do(owner, Act("InviteMember", body["id"], {"email": "other@x.example", "role": role}))
            assert invited is not None
            self.accept(other, (body["id"], invited["id"]))

    def register(self, number: int) -> httpx.Response:
        person = {"email": f"{uuid4().hex}@example.com", "password": f"horse {uuid4().hex}", "name": f"P{number}"}
        return self.http[number % 2].post("/api/v1/auth/register", json=person)

    def place(self, where: Any) -> str:
        """A shared project by its number, or the Inbox of the first."""
        return self.shared[where] if where in SHARED else self.world.inboxes[self.ids[0]]

    @staticmethod
    def made(body: Body | None) -> Any:
        return multiple() if body is None else body["id"]

    # --- what there is to do something to

    @staticmethod
    def pick(data: st.DataObject, options: Sequence[Picked]) -> Picked:
        """Any of them alike."""
        return options[data.draw(st.integers(0, PICKS)) % len(options)]

    def beside(self, task: str) -> list[str]:
        """The other tasks of its project that stand somewhere."""
        return [one.id for one in standing(self.world, self.world.tasks[task].now.project, besides=task)]

    def comments(self) -> list[tuple[str, str]]:
        return [(task.id, one.id) for task in self.world.tasks.values() for one in task.now.comments]

    def items(self) -> list[tuple[str, str]]:
        return [(task.id, one.id) for task in self.world.tasks.values() for one in task.now.items]

    def relations(self) -> list[tuple[str, str, str]]:
        return [
            (task.id, one.type, one.task_id) for task in self.world.tasks.values() for one in sorted(task.now.relations)
        ]

    # --- sending

    def call(self, who: int, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        self.agreed = False
        self.turn += 1
        headers = {"Authorization": f"Bearer {self.access[who]}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        json = {} if body is None and method != "GET" else body
        process = self.turn % len(self.http) if self.through is None else self.through
        return self.http[process].request(method, f"/api/v1{path}", json=json, headers=headers)

    def do(self, who: int, act: Act) -> Body | None:
        """What it answered, or None where it is refused, by both."""
        if self.turn % 3 == 0:
            request: Request = ("POST", "/commands", act.command(str(uuid4())), {})
            response = self.call(who, *request[:3])
            answer = of_command(response)
        else:
            request = (*act.route(), act.data, {"Idempotency_Key": uuid4().hex})
            response = self.call(who, *request[:3], **request[3])
            answer = of_route(response, creates=COMMANDS[act.type].creates)
        body = self.settle(who, act, answer)
        if body is not None:
            self.sent = [*self.sent[1 - KEPT :], Sent(who, act, request, response)]
        return body

    def settle(self, who: int, act: Act, answer: Answer) -> Body | None:
        """Both come to the same, and the model has it from now on."""
        observed = self.observed(who, act, answer)
        before = self.world.copy()
        try:
            body = act.on(self.world, self.ids[who], observed)
        except Refused as refused:
            assert answer.reason in refused.reasons, f"expected {refused}, found {answer}"
            return None
        assert answer.reason is None, f"expected {body}, found {answer.reason}"
        assert answer.body == body
        self.compare_versions(act, before, answer)
        if act.type == "InviteMember":
            self.tokens_by_invitation[str(act.target), body["id"]] = answer.token
        return body

    def compare_versions(self, act: Act, before: World, answer: Answer) -> None:
        """Where nothing changed, version and position are as they were; else the position is a new one."""
        stream = act.parts[0] if act.target is not None else str((answer.body or {})["id"])
        old, new = before.streams().get(stream), self.world.streams()[stream]
        if new == old:
            assert answer.events in {None, 0}
            assert answer.position == new.position or not new.position, "nothing was written"
        else:
            assert answer.events in {None, new.version - (0 if old is None else old.version)}
            assert answer.position > self.position, "positions rise"
            self.position = answer.position

    def observed(self, who: int, act: Act, answer: Answer) -> Observed:
        """What the model cannot foretell."""
        body = answer.body
        if body is None:
            return UNOBSERVED
        at = body.get("updated_at") or body.get("edited_at") or body.get("created_at") or UNOBSERVED.at
        rank = body.get("rank", UNOBSERVED.rank)
        if act.type in WITH_ITEMS:
            at, rank = self.observed_in_the_log(who, act.parts[0], answer.position)
        return Observed(
            at=at,
            id=body["id"],
            rank=rank,
            position=answer.position,
            rank_of=lambda task, version: self.rank_at(who, task, version),
        )

    def rank_at(self, who: int, task: str, version: int) -> str:
        response = self.call(who, "GET", f"/tasks/{task}?version={version}")
        assert response.status_code == 200, response.text
        return str(response.json()["rank"])

    def observed_in_the_log(self, who: int, task: str, position: int) -> tuple[str, str]:
        """When the event at this position was, and the rank that it says."""
        response = self.call(who, "GET", f"/events?after={position - 1}&stream={task}&limit=1")
        (event,) = response.json()["items"]
        assert event["position"] == position
        return event["occurred_at"], event["data"].get("rank", UNOBSERVED.rank)

    def accept(self, who: int, invitation: tuple[str, str]) -> None:
        """By its token, which says whose it is."""
        response = self.call(who, "POST", f"/invitations/{self.tokens_by_invitation[invitation]}/accept")
        answer = of_route(response, creates=False)
        before = self.world.copy()
        try:
            observed = self.observed(who, Act("AcceptInvitation", invitation), answer)
            body = of_projects.accept(self.world, self.ids[who], invitation, {}, observed)
        except Refused as refused:
            assert answer.reason in refused.reasons, f"expected {refused}, found {answer}"
            return
        assert answer.body == body, answer
        self.compare_versions(Act("AcceptInvitation", invitation), before, answer)

    def annul(self, task: str, version: int) -> None:
        """Annuls the event that led to a version of a task, through either door; both do, or refuse."""
        events = self.history(task)
        position = events[version - 1]["position"]
        if self.turn % 3 == 0:
            command = {"id": str(uuid4()), "type": "AnnulEvent", "target": str(position), "data": {"reason": "x"}}
            response = self.call(ROOT, "POST", "/commands", command)
            answer = of_command(response)
        else:
            response = self.call(ROOT, "POST", f"/admin/events/{position}/annul", {"reason": "x"})
            answer = of_route(response, creates=True)
        at = UNOBSERVED.at if answer.body is None else self.history(task)[-1]["occurred_at"]
        try:
            body = annul(self.world, events, version, at, answer.position)
        except Refused as refused:
            assert answer.reason in refused.reasons, f"expected {refused}, found {answer}"
            return
        assert answer.reason is None, f"expected {body}, found {answer.reason}"
        assert answer.body == body | {"annulled_position": position, "reason": "x"}
        assert answer.position > self.position
        self.position = answer.position

    def history(self, task: str) -> list[Body]:
        who = self.somebody_in(self.world.project_of(task))
        response = self.call(who, "GET", f"/tasks/{task}/events?limit=200")
        assert response.status_code == 200, response.text
        events: list[Body] = response.json()["items"]
        assert [one["stream_version"] for one in events] == list(range(1, len(events) + 1))
        return events

    # --- several at once

    def do_together(
        self, who: int, acts: Sequence[Act], *, atomic: bool, ids: Sequence[str] | None = None
    ) -> list[Body | None]:
        """What each answered. Where all or none is wanted, the first refusal is the whole answer."""
        ids = ids or [str(uuid4()) for _ in acts]
        commands = [act.command(id_) for act, id_ in zip(acts, ids, strict=True)]
        response = self.call(who, "POST", "/commands/batch", {"atomic": atomic, "commands": commands})
        if atomic and response.status_code != 200:
            self.none_of(who, acts, ids, response.json())
            return []
        assert response.status_code == 200, response.text
        outcomes = response.json()["results"]
        assert [one["id"] for one in outcomes] == list(ids)
        assert not atomic or all(one["outcome"] != "rejected" for one in outcomes)
        made: dict[str, str] = {}
        bodies = []
        for act, id_, outcome in zip(acts, ids, outcomes, strict=True):
            body = self.settle(who, meant(act, made), of_outcome(outcome))
            bodies.append(body)
            if body is not None:
                made[f"${id_}"] = body["id"]
        return bodies

    def none_of(self, who: int, acts: Sequence[Act], ids: Sequence[str], problem: Body) -> None:
        """The model refuses the same one for the same reason, with what came before it done."""
        answer = of_outcome({"outcome": "rejected", "problem": problem})
        world = self.world.copy()
        made: dict[str, str] = {}
        for act, id_ in zip(acts, ids, strict=True):
            try:
                made[f"${id_}"] = act_on(meant(act, made), world, self.ids[who], id_)
            except Refused as refused:
                assert problem["command_id"] == id_, f"expected {refused} of {act}, found {problem}"
                assert answer.reason in refused.reasons, f"expected {refused}, found {problem}"
                return
        raise AssertionError(f"the model refuses none of them: {problem}")

    # --- once more

    def repeat_one(self, back: int) -> None:
        """A request that was accepted, under its id: the same answer, if its caller still may see it."""
        if back > len(self.sent):
            return
        one = self.sent[-back]
        again = self.call(one.who, *one.request[:3], **one.request[3])
        first, stream = one.response, one.act.parts[0] if one.act.target else one.response.json().get("id")
        if one.act.target is None and "result" in first.json():
            stream = first.json()["result"]["id"]
        home = self.world.project_of(stream) if stream in self.world.tasks else self.world.projects[stream]
        role = home.members.get(self.ids[one.who])
        if role is None:
            assert again.status_code == 404, again.text
            return
        if one.act.type == "InviteMember" and role not in {"admin", "owner"}:
            assert again.status_code == 403, again.text
            return
        assert (again.status_code, again.headers.get("idempotency-replayed")) == (first.status_code, "true"), again.text
        assert lasting(again.json()) == lasting(first.json())
        assert again.headers["taskflow-position"] == first.headers["taskflow-position"]

    # --- steps

    def stepped(self) -> None:
        self.steps += 1
        self.agreed = True

    def close(self) -> None:
        """With a last look, unless there is a difference already."""
        try:
            if self.agreed:
                self.look()
        finally:
            for client in self.http:
                client.close()


def meant(act: Act, made: dict[str, str]) -> Act:
    """With the ids of what earlier commands made."""
    data = {name: made.get(value, value) if isinstance(value, str) else value for name, value in act.data.items()}
    return Act(act.type, act.target, data)


def act_on(act: Act, world: World, who: str, id_: str) -> str:
    """On a world that nobody hears of. Raises Refused."""
    return str(act.on(world, who, Observed(id=id_))["id"])


def lasting(body: Body) -> Body:
    """Without what is as of today: whom a comment mentions is a member, whom an invitation is for has not come.

    An outcome's `replayed` says which of the answers this one is.
    """
    if "result" in body:
        return body | {"result": lasting(body["result"]), "replayed": True}
    return {name: value for name, value in body.items() if name not in {"mentions", "email"}}
