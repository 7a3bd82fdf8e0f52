"""The client against everything that API.md promises: undo, moves, parts of tasks, batches, events, sync, the stream."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

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
from tests.api.stack import Stack
from tests.client.conftest import Account, OwnApi
from tests.client.person import Person

PATIENCE_S = 30.0
STUBBORN = Retries(attempts_max=10_000, total_s=60, pause_max_s=0.2)


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
        # The title was set again since; the priority still holds what the undo set.
        assert (again.title, again.priority) == ("one", "high")
        with pytest.raises(VersionConflict):
            client.tasks.undo(task.id, expected_version=edited.version)

    def test_a_task_is_read_as_it_was(self, client: Client) -> None:
        task = client.tasks.create("one")
        client.tasks.edit(task.id, title="two")
        assert client.tasks.get(task.id, version=1).title == "one"
        assert client.tasks.get(task.id, at_time=task.created_at).title == "one"
        recorded = next(client.tasks.events(task.id)).recorded_at
        assert client.tasks.get(task.id, at_time=recorded, clock="recorded").title == "one"
        [change] = client.tasks.diff(task.id, from_version=1, to_version=2).changes
        assert (change.field, change.from_, change.to) == ("title", "one", "two")

    def test_so_is_a_board(self, client: Client) -> None:
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
    def test_workflow_labels_and_figures(self, client: Client) -> None:
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
        with Client(url) as theirs:
            theirs.auth.login(bob.email, bob.password)
            theirs.projects.invitations.accept(invitation.token)
            assert theirs.projects.get(project.id).role == "member"
        another = client.projects.invitations.create(project.id, "c@example.com", "viewer")
        client.projects.invitations.withdraw(project.id, another.id)
        assert list(client.projects.invitations.list(project.id)) == []


class TestBatches:
    def test_later_commands_name_what_earlier_ones_make(self, client: Client) -> None:
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

    def test_each_for_itself_or_none(self, client: Client) -> None:
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

    async def test_the_stream_resumes_where_it_broke_off(
        self, own_api: Callable[..., OwnApi], url: str, account: Callable[[str], Account]
    ) -> None:
        """The API process that it is heard from is killed in the middle, and nothing is missed or heard twice."""
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

    def test_the_stream_outlives_its_token(
        self, own_api: Callable[..., OwnApi], url: str, account: Callable[[str], Account]
    ) -> None:
        """Tokens of two seconds: the server ends the stream with each, and the client comes back with another."""
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
    """What a client keeps that applies answer after answer."""

    def __init__(self) -> None:
        self.tasks: dict[Any, str] = {}
        self.projects: dict[Any, str] = {}

    def apply(self, changes: Changes) -> None:
        self.projects |= {project.id: project.name for project in changes.projects}
        self.tasks |= {task.id: task.title for task in changes.tasks}
        for removed in changes.removed:
            (self.tasks if removed.kind == "task" else self.projects).pop(removed.id, None)


class TestSync:
    def test_a_copy_follows_what_lists_show(self, client: Client) -> None:
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
    assert "no change is left" in grace.fails(5, "tasks", "undo", piece)
    assert grace.does("tasks", "comment", piece, "-", stdin="*First* thought\n") == f"commented  {piece}\n"
    assert grace.gets("tasks", "comment", piece, "second")["body"] == "second"
    assert "*First* thought" in grace.does("tasks", "show", piece)
    assert grace.gets("tasks", "show", piece, "--version", "2")["title"] == "Burn the report"
    grace.does("projects", "add", "Website")
    assert grace.does("tasks", "move", piece, "website").startswith(f"moved to Website  {piece}")
    assert [one["id"] for one in grace.gets("tasks", "search", "report")] == [task]
    assert grace.does("tasks", "search", "nonsense") == "no tasks\n"
