"""The real API against a model of the domain: whatever people do in whatever order, through either process,
both say the same."""

from __future__ import annotations

import os
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from tests.api.model import (
    FIELDS,
    TARGET_OF_INTENT,
    Facets,
    Project,
    Refused,
    Task,
    attempt,
    of_fields,
    of_labels,
)
from tests.api.stack import Stack

PEOPLE: Final = range(3)
TIMEOUT_S: Final = 30.0

people = st.sampled_from(PEOPLE)
titles = st.sampled_from(["a", "b", "Ünïcode ✓"])
labels = st.lists(st.sampled_from(["x", "y", "z"]), max_size=3, unique=True)
patches = st.fixed_dictionaries(
    {},
    optional={
        "title": titles,
        "description": st.sampled_from(["", "long\n" * 3]),
        "priority": st.sampled_from(["low", "medium", "urgent"]),
        "status": st.sampled_from(["todo", "in_progress", "done"]),
        "labels": labels,
    },
)


class Machine(RuleBasedStateMachine):
    """People, two projects, and what they do to the tasks there."""

    tasks: Bundle[Task] = Bundle("tasks")

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.http = [httpx.Client(base_url=url, timeout=TIMEOUT_S) for url in stack.urls]
        self.turn = 0
        self.position = 0
        self.last: tuple[int, tuple[str, str, Any, dict[str, str]], httpx.Response] | None = None

    # --- sending

    def call(self, who: int, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Each call goes to the other process than the one before."""
        self.turn += 1
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        json = {} if body is None and method != "GET" else body
        return self.http[self.turn % 2].request(method, f"/api/v1{path}", json=json, headers=headers)

    def write(self, who: int, method: str, path: str, body: Any, refused: Refused | None) -> dict[str, Any] | None:
        """Sends a write; its answer is refused exactly where the model refuses it."""
        key = {"Idempotency_Key": uuid4().hex}
        response = self.call(who, method, path, body, **key)
        if refused is not None:
            assert response.status_code == refused.status, f"expected {refused}: {response.text}"
            if refused.code is not None:
                assert response.json()["code"] == refused.code
            return None
        assert response.status_code in {200, 201}, response.text
        self.position = max(self.position, int(response.headers["taskflow-position"]))
        self.last = (who, (method, path, body, key), response)
        answer: dict[str, Any] = response.json()
        return answer

    def on_task(
        self, who: int, task: Task, method: str, path: str, body: Any, facets: Facets | Refused, *, undoes: Any = None
    ) -> None:
        """A write on a task that sets these facets, or is refused for that reason once access was judged."""
        _, refused = attempt(lambda: self.projects[task.project].must_allow(self.ids[who], "member"))
        if refused is None and isinstance(facets, Refused):
            refused = facets
        answer = self.write(who, method, f"/tasks/{task.id}{path}", body, refused)
        if answer is None:
            return
        assert not isinstance(facets, Refused)
        facets = task.changed(facets)
        assert (answer["version"] > task.version) == bool(facets), f"{facets} {answer}"
        if facets:
            task.apply(facets, answer["version"], undoes)
        self.compare(task, answer)
        task.answers[task.version] = {key: value for key, value in answer.items() if key != "position"}

    def compare(self, task: Task, shown: dict[str, Any]) -> None:
        assert shown["version"] == task.version
        assert {name: shown[name] for name in FIELDS} == {name: task.get(name) for name in FIELDS}
        assert set(shown["labels"]) == task.labels()
        assert (shown["trashed_at"] is not None) == task.trashed
        assert shown["comment_count"] == len(task.comments())
        assert shown["project_id"] == task.project

    # --- beginning

    @initialize()
    def begin(self) -> None:
        self.ids, self.tokens = [], []
        for number in PEOPLE:
            body = {"email": f"{uuid4().hex}@example.com", "password": f"horse {uuid4().hex}", "name": f"P{number}"}
            answer = self.http[number % 2].post("/api/v1/auth/register", json=body).json()
            self.ids.append(answer["user"]["id"])
            self.tokens.append(answer["access_token"])
        self.projects: dict[str, Project] = {}
        for owner in (0, 1):
            answer = self.write(owner, "POST", "/projects", {"name": "P"}, None)
            assert answer is not None
            self.projects[answer["id"]] = Project(answer["id"], {self.ids[owner]: "owner"})
        self.names = list(self.projects)

    # --- writing

    @rule(target=tasks, who=people, where=st.integers(0, 1), title=titles, labels=labels)
    def create(self, who: int, where: int, title: str, labels: list[str]) -> Any:
        project = self.projects[self.names[where]]
        _, refused = attempt(lambda: project.must_allow(self.ids[who], "member"))
        body = {"project_id": project.id, "title": title, "labels": labels}
        answer = self.write(who, "POST", "/tasks", body, refused)
        if answer is None:
            return multiple()
        given = {"title": title, "description": "", "priority": "medium", "status": "todo", "labels": labels}
        facets = of_fields(given) | {("project", ""): project.id, ("trashed", ""): False}
        task = Task(answer["id"], 1, facets)
        self.compare(task, answer)
        return task

    @rule(who=people, task=tasks, patch=patches)
    def edit(self, who: int, task: Task, patch: dict[str, Any]) -> None:
        facets: Facets | Refused = of_fields({name: value for name, value in patch.items() if name != "labels"})
        if "labels" in patch:
            facets |= of_labels(task, patch["labels"])
        self.on_task(who, task, "PATCH", "", patch, Refused(409, "trashed") if task.trashed else facets)

    @rule(who=people, task=tasks, intent=st.sampled_from(sorted(TARGET_OF_INTENT)))
    def intend(self, who: int, task: Task, intent: str) -> None:
        facets: Facets | Refused = {("status", ""): TARGET_OF_INTENT[intent]}
        self.on_task(who, task, "POST", f"/{intent}", None, Refused(409, "trashed") if task.trashed else facets)

    @rule(who=people, task=tasks, trashed=st.booleans())
    def trash(self, who: int, task: Task, trashed: bool) -> None:
        method, path = ("DELETE", "") if trashed else ("POST", "/restore")
        self.on_task(who, task, method, path, None, {("trashed", ""): trashed})

    @rule(who=people, task=tasks, data=st.data())
    def undo(self, who: int, task: Task, data: st.DataObject) -> None:
        version = data.draw(st.none() | st.integers(1, task.version + 1))
        change, refused = attempt(lambda: task.to_undo(version))
        facets: Any = refused
        if refused is None:
            facets, refused = attempt(lambda: task.compensation(change))
            facets = facets if refused is None else refused
        if refused is None and ("project", "") in facets:
            back = self.projects[facets["project", ""]]
            facets = attempt(lambda: back.must_allow(self.ids[who], "member"))[1] or facets
        body = None if version is None else {"version": version}
        self.on_task(who, task, "POST", "/undo", body, facets, undoes=change)

    @rule(
        who=people,
        person=people,
        where=st.integers(0, 1),
        role=st.sampled_from(["viewer", "member", "admin", "owner", None]),
    )
    def set_member(self, who: int, person: int, where: int, role: str | None) -> None:
        project = self.projects[self.names[where]]
        _, refused = attempt(lambda: project.set_member(self.ids[who], self.ids[person], role))
        path = f"/projects/{project.id}/members/{self.ids[person]}"
        method, body = ("DELETE", None) if role is None else ("PUT", {"role": role})
        answer = self.write(who, method, path, body, refused)
        if answer is not None:
            assert answer["role"] == project.members.get(self.ids[who])

    @rule(who=people, task=tasks, where=st.integers(0, 1))
    def move(self, who: int, task: Task, where: int) -> None:
        here, there = self.projects[task.project], self.projects[self.names[where]]
        _, refused = attempt(lambda: here.must_allow(self.ids[who], "member"))
        if refused is None:
            _, refused = attempt(lambda: there.must_allow(self.ids[who], "member"))
        if refused is None and task.trashed:
            refused = Refused(409, "trashed")
        answer = self.write(who, "POST", f"/tasks/{task.id}/move", {"project_id": there.id}, refused)
        if answer is not None:
            assert answer["version"] == task.version + (here is not there)
            if here is not there:
                task.apply({("project", ""): there.id}, answer["version"])
            self.compare(task, answer)

    @rule(who=people, task=tasks, title=titles, atomic=st.booleans(), fails=st.booleans())
    def batch(self, who: int, task: Task, title: str, atomic: bool, fails: bool) -> None:
        """Two edits of one task, and perhaps a third command that cannot be."""
        commands = [
            {"id": str(uuid4()), "type": "EditTask", "target": task.id, "data": {"title": title}},
            {"id": str(uuid4()), "type": "StartTask", "target": task.id},
        ]
        if fails:
            commands.append({"id": str(uuid4()), "type": "StartTask", "target": str(uuid4())})
        _, refused = attempt(lambda: self.projects[task.project].must_allow(self.ids[who], "member"))
        refused = refused or (Refused(409, "trashed") if task.trashed else None)
        response = self.call(who, "POST", "/commands/batch", {"atomic": atomic, "commands": commands})
        if atomic and (refused or fails):
            assert response.status_code == (refused or Refused(404)).status, response.text
            return
        assert response.status_code == 200, response.text
        outcomes = response.json()["results"]
        assert [one["id"] for one in outcomes] == [one["id"] for one in commands]
        for facets, outcome in zip(({("title", ""): title}, {("status", ""): "in_progress"}), outcomes, strict=False):
            if refused is not None:
                assert (outcome["outcome"], outcome["problem"]["status"]) == ("rejected", refused.status)
                continue
            changed = task.changed(facets)
            assert outcome["outcome"] == ("applied" if changed else "unchanged")
            if changed:
                task.apply(changed, outcome["version"])
            self.compare(task, outcome["result"])
        if fails:
            assert (outcomes[2]["outcome"], outcomes[2]["problem"]["status"]) == ("rejected", 404)
        if refused is None:
            self.position = max(self.position, int(response.headers["taskflow-position"]))

    @rule()
    def repeat(self) -> None:
        """The last accepted write once more, under its key: the same answer, if its caller still may see it."""
        if self.last is None:
            return
        who, (method, path, body, key), first = self.last
        again = self.call(who, method, path, body, **key)
        shown = first.json()
        home = self.projects.get(shown.get("project_id", shown["id"]))
        if home is not None and self.ids[who] not in home.members:
            assert again.status_code == 404, again.text
            return
        assert (again.status_code, again.headers.get("idempotency-replayed")) == (first.status_code, "true")
        assert again.json() == shown
        assert again.headers["taskflow-position"] == first.headers["taskflow-position"]

    # --- reading

    @rule(who=people, task=tasks)
    def read(self, who: int, task: Task) -> None:
        response = self.call(who, "GET", f"/tasks/{task.id}?min_position={self.position}&wait_ms=10000")
        if self.ids[who] not in self.projects[task.project].members:
            assert response.status_code == 404
            return
        assert response.status_code == 200, response.text
        self.compare(task, response.json())

    @rule(who=people, task=tasks, data=st.data())
    def read_as_it_was(self, who: int, task: Task, data: st.DataObject) -> None:
        if not task.answers:
            return
        version = data.draw(st.sampled_from(sorted(task.answers)))
        response = self.call(who, "GET", f"/tasks/{task.id}?version={version}")
        if self.ids[who] not in self.projects[task.project].members:
            assert response.status_code == 404
            return
        assert response.status_code == 200, response.text
        assert response.json() == task.answers[version]

    @rule(who=people, where=st.integers(0, 1), every=st.lists(tasks, max_size=8))
    def read_list_and_board(self, who: int, where: int, every: list[Task]) -> None:
        project = self.projects[self.names[where]]
        suffix = f"min_position={self.position}&wait_ms=10000"
        listed = self.call(who, "GET", f"/tasks?project={project.id}&limit=200&{suffix}")
        board = self.call(who, "GET", f"/projects/{project.id}/board?{suffix}")
        if self.ids[who] not in project.members:
            assert {listed.status_code, board.status_code} == {404}
            return
        shown = {item["id"]: item for item in listed.json()["items"]}
        cards = {card["id"]: card for column in board.json()["columns"] for card in column["tasks"]}
        assert shown.keys() == cards.keys()
        for task in every:
            assert (task.id in shown) == (task.project == project.id and not task.trashed)
            if task.id in shown:
                self.compare(task, shown[task.id])
                assert cards[task.id] == shown[task.id]

    def teardown(self) -> None:
        for client in self.http:
            client.close()


@pytest.mark.timeout(1_800)
def test_the_api_and_the_model_say_the_same(stack: Stack) -> None:
    run_state_machine_as_test(
        lambda: Machine(stack),
        settings=hypothesis_settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", "20")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
