"""The client against the whole API: every route with all its parameters and answers, and the effects of undo, moves,
parts of tasks, saved views, batches, events, files, sync and the live stream."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from taskflow.client import (
    AsyncClient,
    Client,
    Command,
    Gone,
    Invalid,
    NotFound,
    NothingToUndo,
    Rejected,
    Retries,
    VersionConflict,
)
from taskflow.client.answers import Changes, Status, Transition
from taskflow.client.call import NOTHING, Call
from tests.api.stack import Stack
from tests.client.conftest import Account, OwnApi, join
from tests.client.described import every_call, fields_of, fits, lacking, plain, schema_of
from tests.client.person import Person

PATIENCE_S = 30.0
STUBBORN = Retries(attempts_max=10_000, total_s=60, pause_max_s=0.2)

BASE: Final = "/api/v1"
"""Routes outside this path are for operators, and for services that verify tokens."""
BY_ITSELF: Final = {"min_position", "wait_ms", "cursor"}
"""Parameters that the client sets by itself."""
UNSENT: Final = {"POST /api/v1/auth/logout .refresh_token"}
"""Fields that the client does not send: for signing out, the access token names the session."""


class TestEveryRoute:
    """Compares the client with `/openapi.json`, so that a new route or field is added to the client too."""

    @pytest.fixture
    def document(self, stack: Stack) -> Any:
        return httpx.get(f"{stack.urls[0]}/openapi.json").raise_for_status().json()

    @pytest.fixture
    def operations(self, document: Any) -> dict[str, Any]:
        return {
            f"{method.upper()} {path}": operation
            for path, methods in document["paths"].items()
            if path.startswith(BASE)
            for method, operation in methods.items()
        }

    @pytest.fixture
    def calls(self, operations: dict[str, Any]) -> dict[str, list[Call[Any]]]:
        """The client's calls by the route that they go to."""
        found: dict[str, list[Call[Any]]] = {}
        for name, call in every_call():
            asked = f"{call.method} {BASE}{call.path}"
            fit = [route for route in operations if fits(route, asked)]
            route = min(fit, key=lambda one: one.count("{"), default=f"{asked}, which {name} asks")
            found.setdefault(route, []).append(call)
        return found

    def test_has_a_method_and_no_method_is_without_one(
        self, operations: dict[str, Any], calls: dict[str, list[Call[Any]]]
    ) -> None:
        assert calls.keys() == operations.keys()

    def test_gets_all_its_parameters_from_the_client(
        self, document: Any, operations: dict[str, Any], calls: dict[str, list[Call[Any]]]
    ) -> None:
        lacks = []
        for route in operations.keys() & calls.keys():
            operation, asked = operations[route], calls[route]
            query = {one["name"] for one in operation["parameters"] if one.get("in") == "query"}
            lacks += [f"{route} ?{name}" for name in query - BY_ITSELF - {name for one in asked for name in one.query}]
            if "requestBody" in operation:
                body = operation["requestBody"]["content"]["application/json"]["schema"]
                fields = plain(body, document["components"]["schemas"]).get("properties", {}).keys()
                lacks += [f"{route} .{name}" for name in fields - {name for one in asked for name in one.body or ()}]
        assert set(lacks) == UNSENT

    def test_accepts_all_parameters_of_the_client(
        self, document: Any, operations: dict[str, Any], calls: dict[str, list[Call[Any]]]
    ) -> None:
        refused = []
        for route in operations.keys() & calls.keys():
            operation, asked = operations[route], calls[route]
            query = {one["name"] for one in operation["parameters"] if one.get("in") == "query"}
            refused += [f"{route} ?{name}" for one in asked for name in one.query if name not in query]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {"schema": {}})
            fields = fields_of(content["schema"], document["components"]["schemas"])
            refused += [f"{route} .{name}" for one in asked for name in one.body or () if name not in fields]
        assert refused == []

    def test_has_all_fields_of_its_answer_in_the_client(
        self, document: Any, operations: dict[str, Any], calls: dict[str, list[Call[Any]]]
    ) -> None:
        lacks = []
        for route in operations.keys() & calls.keys():
            (answer,) = (found for status, found in operations[route]["responses"].items() if status.startswith("2"))
            forms = answer.get("content", {})
            accepted = {one.headers.get("Accept", "application/json") for one in calls[route]}
            lacks += [f"{route} as {form}" for form in forms.keys() - accepted]
            for call in calls[route]:
                if call.answer not in {bytes, NOTHING} and "Accept" not in call.headers:
                    served = forms["application/json"]["schema"]
                    known, parts = schema_of(call.answer)
                    lacks += [
                        f"{route} {field}" for field in lacking(served, document["components"]["schemas"], known, parts)
                    ]
        assert lacks == []


class TestHistory:
    def test_undo_walks_back_and_redoes(self, client: Client) -> None:
        task = client.tasks.create("one")
        client.tasks.edit(task.id, title="two")
        edited = client.tasks.edit(task.id, title="three", priority="high")
        undone = client.tasks.undo(task.id)
        assert (undone.title, undone.priority) == ("two", "medium")
        assert client.tasks.undo(task.id).title == "one"
        with pytest.raises(NothingToUndo):
            client.tasks.undo(task.id)
        again = client.tasks.undo(task.id, version=undone.version)
        # The title was changed since; the priority still has the value that the undo set.
        assert (again.title, again.priority) == ("one", "high")
        with pytest.raises(VersionConflict):
            client.tasks.undo(task.id, expected_version=edited.version)

    def test_a_task_is_read_at_an_earlier_version_and_time(self, client: Client) -> None:
        task = client.tasks.create("one")
        client.tasks.edit(task.id, title="two")
        assert client.tasks.get(task.id, version=1).title == "one"
        assert client.tasks.get(task.id, at_time=task.created_at).title == "one"
        recorded = next(client.tasks.events(task.id)).recorded_at
        assert client.tasks.get(task.id, at_time=recorded, clock="recorded").title == "one"
        [change] = client.tasks.diff(task.id, from_version=1, to_version=2).changes
        assert (change.field, change.from_, change.to) == ("title", "one", "two")

    def test_a_board_is_read_at_an_earlier_time(self, client: Client) -> None:
        project = client.projects.create("P")
        task = client.tasks.create("x", project_id=project.id)
        client.tasks.complete(task.id)
        then = {one.status: one.count for one in client.projects.board(project.id, at_time=task.created_at).columns}
        now = {one.status: one.count for one in client.projects.board(project.id).columns}
        assert (then["todo"], now["todo"], now["done"]) == (1, 0, 1)


class TestPlaces:
    def test_a_task_moves_between_projects(self, client: Client) -> None:
        project = client.projects.create("There")
        task = client.tasks.create("x")
        moved = client.tasks.move(task.id, project.id, status="done")
        assert (moved.project_id, moved.status) == (project.id, "done")
        assert [one.id for one in client.tasks.list(project=[project.id])] == [task.id]

    def test_tasks_are_ranked(self, client: Client) -> None:
        first, second, third = (client.tasks.create(title).id for title in "abc")
        client.tasks.rank(third, before=first)
        client.tasks.rank(first, after=second)
        assert [task.id for task in client.tasks.list(sort="rank")] == [third, second, first]

    def test_texts_are_searched(self, client: Client) -> None:
        task = client.tasks.create("The quick brown fox")
        client.tasks.create("A lazy dog")
        assert [one.id for one in client.tasks.list(q="quick fox")] == [task.id]


class TestParts:
    def test_comments(self, client: Client) -> None:
        task = client.tasks.create("x")
        said = client.tasks.comments.add(task.id, "*well*")
        client.tasks.comments.add(task.id, "and then")
        assert client.tasks.comments.edit(task.id, said.id, "better").edited_at is not None
        assert [one.body for one in client.tasks.comments.list(task.id, limit=1)] == ["better", "and then"]
        assert client.tasks.comments.get(task.id, said.id).body == "better"
        with pytest.raises(VersionConflict):
            client.tasks.comments.delete(task.id, said.id, expected_version=1)
        client.tasks.comments.delete(task.id, said.id)
        assert client.tasks.get(task.id).comment_count == 1

    def test_checklists(self, client: Client) -> None:
        task = client.tasks.create("x")
        first = client.tasks.checklist.add(task.id, "one")
        second = client.tasks.checklist.add(task.id, "two")
        assert not second.done
        client.tasks.checklist.edit(task.id, second.id, done=True)
        moved = client.tasks.checklist.edit(task.id, first.id, text="later", after=second.id)
        assert [(item.text, item.done) for item in moved.checklist] == [("two", True), ("later", False)]
        assert len(client.tasks.checklist.delete(task.id, first.id).checklist) == 1

    def test_relations(self, client: Client) -> None:
        task, other = client.tasks.create("x"), client.tasks.create("y")
        related = client.tasks.relations.add(task.id, "blocks", other.id)
        assert [(one.type, one.task_id) for one in related.relations] == [("blocks", other.id)]
        with pytest.raises(Rejected) as cycle:
            client.tasks.relations.add(other.id, "blocks", task.id)
        assert cycle.value.code == "cycle"
        assert client.tasks.relations.remove(task.id, "blocks", other.id).relations == ()


class TestProjects:
    def test_workflow_labels_and_statistics(self, client: Client) -> None:
        project = client.projects.create("P")
        statuses = [Status("new", "New", "todo"), Status("shipped", "Shipped", "done")]
        changed = client.projects.set_workflow(project.id, statuses, [Transition("new", "shipped")])
        assert [status.key for status in changed.workflow.statuses] == ["new", "shipped"]
        task = client.tasks.create("x", project_id=project.id)
        assert client.tasks.complete(task.id).status == "shipped"
        with pytest.raises(Rejected) as refused:
            client.tasks.reopen(task.id)
        assert refused.value.code == "transition"
        assert client.projects.set_label(project.id, "urgent & big", "#ff0000").labels[0].name == "urgent & big"
        assert client.projects.remove_label(project.id, "urgent & big").labels == ()
        stats = client.projects.stats(project.id)
        assert (stats.total, stats.by_category["done"]) == (1, 1)

    def test_invitations(self, client: Client, url: str, account: Callable[[str], Account]) -> None:
        project, bob = client.projects.create("P"), account("Bob")
        invitation = client.projects.invitations.create(project.id, bob.email, "member")
        assert invitation.token is not None
        assert [one.id for one in client.projects.invitations.list(project.id)] == [invitation.id]
        assert client.projects.invitations.get(project.id, invitation.id).email == bob.email
        with Client(url) as theirs:
            theirs.auth.login(bob.email, bob.password)
            theirs.projects.invitations.accept(invitation.token)
            assert theirs.projects.get(project.id).role == "member"
        another = client.projects.invitations.create(project.id, "c@example.com", "viewer")
        client.projects.invitations.withdraw(project.id, another.id)
        assert list(client.projects.invitations.list(project.id)) == []

    def test_a_removed_status_needs_a_replacement(self, client: Client) -> None:
        project = client.projects.create("P")
        task = client.tasks.create("x", project_id=project.id)
        statuses = [Status("new", "New", "todo"), Status("done", "Done", "done")]
        with pytest.raises(Rejected) as refused:
            client.projects.set_workflow(project.id, statuses)
        assert refused.value.code == "status-in-use"
        client.projects.set_workflow(project.id, statuses, mapping={"todo": "new"})
        assert client.tasks.get(task.id).status == "new"

    def test_archived_projects_are_listed_separately(self, client: Client) -> None:
        kept, archived = client.projects.create("kept"), client.projects.create("archived")
        client.projects.archive(archived.id)
        assert [one.id for one in client.projects.list(archived=True)] == [archived.id]
        assert kept.id in {one.id for one in client.projects.list(archived=False)}

    def test_activity_is_listed_newest_first(self, client: Client) -> None:
        project = client.projects.create("P")
        task = client.tasks.create("x", project_id=project.id)
        client.tasks.comments.add(task.id, "well")
        told = [event.type for event in client.projects.activity(project.id, limit=2)]
        assert told == ["CommentAdded", "TaskCreated", "ProjectCreated"]


class TestViews:
    def test_are_saved_run_changed_and_deleted(self, client: Client) -> None:
        mine, other = client.tasks.create("mine", priority="high", labels=["q4"]), client.tasks.create("other")
        view = client.views.create("Now", {"priority": ["high", "urgent"], "label": "q4", "trashed": False})
        assert (view.query["priority"], view.query["trashed"]) == (("high", "urgent"), False)
        assert [task.id for task in client.views.tasks(view)] == [mine.id]
        edited = client.views.edit(view.id, name="Later", query={"priority": "medium", "label": None})
        assert (edited.name, edited.query) == ("Later", {"priority": "medium", "trashed": False})
        assert [task.id for task in client.views.tasks(view.id)] == [other.id]
        assert client.views.get(view.id).name == "Later"
        with pytest.raises(VersionConflict):
            client.views.delete(view.id, expected_version=1)
        client.views.delete(view.id)
        with pytest.raises(NotFound):
            client.views.get(view.id)
        with pytest.raises(Invalid) as invalid:
            client.views.create("x", {"priority": "whatever"})
        assert [fault.pointer for fault in invalid.value.errors] == ["/query/priority"]

    def test_of_a_project_are_visible_to_its_members(
        self, client: Client, url: str, account: Callable[[str], Account]
    ) -> None:
        project, bob = client.projects.create("P"), account("Bob")
        shared = client.views.create("Ours", {"project": project.id, "sort": "-due_at"}, project_id=project.id)
        own = client.views.create("Mine", {"assignee": "me"})
        assert sorted(view.id for view in client.views.list(limit=1)) == sorted([shared.id, own.id])
        assert [view.id for view in client.views.list(project=[project.id])] == [shared.id]
        with Client(url) as theirs:
            theirs.auth.login(bob.email, bob.password)
            join(client, project.id, theirs, "member")
            assert [view.id for view in theirs.views.list()] == [shared.id]


class TestFiles:
    def test_a_project_is_exported(self, client: Client) -> None:
        project = client.projects.create("P")
        titles = {f'{number} \u2028日本, "x"' for number in range(3)}
        for title in titles:
            client.tasks.create(title, project_id=project.id)
        whole = json.loads(b"".join(client.projects.export(project.id)))
        assert {task["title"] for task in whole["tasks"]} == titles
        table = b"".join(client.projects.export(project.id, csv=True)).decode()
        rows = list(csv.DictReader(io.StringIO(table, newline="")))
        assert [row["title"] for row in rows if row["kind"] == "project"] == ["P"]
        assert {row["title"] for row in rows if row["kind"] == "task"} == titles
        with pytest.raises(NotFound):
            list(client.projects.export(uuid4()))

    async def test_a_project_is_exported_by_the_async_client(self, url: str, account: Callable[[str], Account]) -> None:
        ada = account("Ada")
        async with AsyncClient(url) as client:
            await client.auth.login(ada.email, ada.password)
            project = await client.projects.create("P")
            whole = b"".join([piece async for piece in client.projects.export(project.id)])
        assert json.loads(whole)["project"]["name"] == "P"

    def test_events_are_downloaded_as_csv(self, client: Client) -> None:
        task = client.tasks.create("x")
        table = b"".join(client.events.csv(stream=[task.id])).decode()
        assert [row["type"] for row in csv.DictReader(io.StringIO(table, newline=""))] == ["TaskCreated"]

    def test_due_tasks_are_a_calendar_whose_secret_can_be_changed(self, client: Client, url: str) -> None:
        task = client.tasks.create("Due", due_at=datetime(2026, 12, 1, tzinfo=UTC))
        assert client.tasks.get(task.id).due_at  # waits until the view has it
        calendar = client.users.open_calendar()
        assert calendar.url.endswith(f"/{calendar.secret}.ics")
        assert calendar.secret not in repr(calendar)
        with Client(url) as nobody:
            assert b"SUMMARY:Due" in nobody.users.calendar(calendar.secret)
            client.users.open_calendar()
            with pytest.raises(NotFound):
                nobody.users.calendar(calendar.secret)


class TestBatches:
    def test_later_commands_refer_to_what_earlier_ones_create(self, client: Client) -> None:
        parent = Command(type="CreateTask", data={"title": "whole"})
        part = Command(type="CreateTask", data={"title": "part", "parent_id": parent.made})
        done = Command(type="CompleteTask", target=part.made)
        answer = client.commands.batch([parent, part, done], atomic=True)
        assert [outcome.outcome for outcome in answer.results] == ["applied"] * 3
        whole, half = (outcome.result for outcome in answer.results[:2])
        assert whole is not None
        assert half is not None
        assert half["parent_id"] == whole["id"]
        assert client.position == max(outcome.position or 0 for outcome in answer.results)
        assert {task.title for task in client.tasks.list()} == {"whole", "part"}

    def test_a_batch_is_atomic_or_each_command_has_its_outcome(self, client: Client) -> None:
        good, bad = Command(type="CreateTask", data={"title": "x"}), Command(type="CompleteTask", target=uuid4())
        outcomes = client.commands.batch([bad, good], atomic=False).results
        assert [outcome.outcome for outcome in outcomes] == ["rejected", "applied"]
        assert outcomes[0].problem is not None
        with pytest.raises(NotFound):
            client.commands.batch([Command(type="CreateTask", data={"title": "y"}), bad], atomic=True)
        assert [task.title for task in client.tasks.list()] == ["x"]


class TestEvents:
    def test_pages_lists_and_downloads_are_the_same_events(self, client: Client) -> None:
        tasks = [client.tasks.create(f"{number}\u2028日本") for number in range(5)]
        client.tasks.complete(tasks[0].id)
        after = (tasks[0].position or 0) - 1
        listed = list(client.events.list(after=after, limit=2))
        assert [event.type for event in listed] == ["TaskCreated"] * 5 + ["TaskStatusChanged"]
        assert list(client.events.download(after=after)) == listed
        page = client.events.page(after=after, limit=3, types=["TaskCreated"])
        assert [event.stream_id for event in page.items] == [task.id for task in tasks[:3]]
        assert client.events.page(after=client.position).items == ()
        assert listed[0].data["title"] == "0\u2028日本"
        assert {event.stream_id for event in client.events.list(stream=[tasks[0].id])} == {tasks[0].id}

    async def test_the_stream_resumes_after_a_break(
        self, own_api: Callable[..., OwnApi], url: str, account: Callable[[str], Account]
    ) -> None:
        """The API process that serves the stream is killed; no event is missed or received twice."""
        api, ada = own_api(), account("Ada")
        async with AsyncClient(api.url, retries=STUBBORN) as listener, AsyncClient(url) as writer:
            await listener.auth.login(ada.email, ada.password)
            await writer.auth.login(ada.email, ada.password)
            heard: list[str] = []
            stream = listener.events.stream(last_event_id=writer.position)

            async def hear(count: int) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while len(heard) < count:
                        event = await anext(stream)
                        heard.append(event.data["title"])

            await writer.tasks.create("one")
            await hear(1)
            api.end()
            await writer.tasks.create("two")
            api.start()
            await writer.tasks.create("three")
            await hear(3)
            assert heard == ["one", "two", "three"]
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    def test_the_stream_continues_after_its_token_expires(
        self, own_api: Callable[..., OwnApi], url: str, account: Callable[[str], Account]
    ) -> None:
        """With tokens valid for two seconds, the server ends the stream each time, and the client resumes with a new
        token."""
        api, ada = own_api(access_token_ttl_s=2), account("Ada")
        heard: list[int] = []
        renewed = threading.Event()

        def write() -> None:
            with Client(url) as writer:
                writer.auth.login(ada.email, ada.password)
                while not renewed.is_set():
                    writer.tasks.create("x")

        writing = threading.Thread(target=write)
        with Client(api.url, retries=STUBBORN) as client:
            client.auth.login(ada.email, ada.password)
            first = client._session.refresh_token
            stream = client.events.stream(last_event_id=client.position)
            writing.start()
            try:
                while client._session.refresh_token == first:
                    heard.append(next(stream).position)
            finally:
                renewed.set()
                writing.join()
        assert len(heard) > 1
        assert heard == sorted(set(heard))


class Copy:
    """A local copy to which a client applies the answers of `/sync`."""

    def __init__(self) -> None:
        self.tasks: dict[Any, str] = {}
        self.projects: dict[Any, str] = {}

    def apply(self, changes: Changes) -> None:
        self.projects |= {project.id: project.name for project in changes.projects}
        self.tasks |= {task.id: task.title for task in changes.tasks}
        for removed in changes.removed:
            (self.tasks if removed.kind == "task" else self.projects).pop(removed.id, None)


class TestSync:
    def test_a_local_copy_equals_the_lists(self, client: Client) -> None:
        copy = Copy()

        def pull() -> None:
            for changes in client.sync.changes():
                copy.apply(changes)

        kept, trashed = client.tasks.create("kept"), client.tasks.create("trashed")
        pull()
        assert copy.tasks == {kept.id: "kept", trashed.id: "trashed"}
        assert set(copy.projects.values()) == {"Inbox"}
        client.tasks.edit(kept.id, title="renamed")
        client.tasks.trash(trashed.id)
        pull()
        assert copy.tasks == {kept.id: "renamed"}
        token = client.sync.token
        pull()
        assert copy.tasks == {kept.id: "renamed"}
        assert client.sync.token is not None
        client.sync.token = f"{token}x"
        with pytest.raises((Gone, Invalid)):
            pull()


def test_grace_undoes_comments_moves_and_searches(url: str, stack: Stack, tmp_path: Any) -> None:
    grace = Person(tmp_path, url)
    grace.signs_up(f"{tmp_path.name}-{stack.relay.pid}@example.com", "correct horse battery", "Grace Hopper")
    task = grace.gets("tasks", "add", "Write the report")["id"]
    piece = task[-8:]
    grace.does("tasks", "edit", piece, "--title", "Burn the report")
    assert grace.does("tasks", "undo", piece) == f"undone  {piece}  Write the report  (todo, version 3)\n"
    assert "every change is already undone" in grace.fails(5, "tasks", "undo", piece)
    assert grace.does("tasks", "comment", piece, "-", stdin="*First* thought\n") == f"commented  {piece}\n"
    assert grace.gets("tasks", "comment", piece, "second")["body"] == "second"
    assert "*First* thought" in grace.does("tasks", "show", piece)
    assert grace.gets("tasks", "show", piece, "--version", "2")["title"] == "Burn the report"
    grace.does("projects", "add", "Website")
    assert grace.does("tasks", "move", piece, "website").startswith(f"moved to Website  {piece}")
    assert [one["id"] for one in grace.gets("tasks", "search", "report")] == [task]
    assert grace.does("tasks", "search", "nonsense") == "no tasks\n"
