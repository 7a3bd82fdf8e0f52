"""Every method of the client against the real API, with each of its arguments: the server accepts all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from taskflow.client import Client, Command
from taskflow.client.answers import Comment, Project, Status, Task, Transition
from taskflow.settings import Settings
from tests.api.beside import grant_at_the_machine
from tests.api.stack import Stack
from tests.client.conftest import Account
from tests.client.described import NOWHERE, URL, methods

SOON: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
COLOUR: Final = "#1e90ff"
TOGETHER: Final = {"tasks.get": ({"version"}, {"at_time", "clock"}), "tasks.diff": ({"from_version", "to_version"},)}
"""The valid combinations for methods whose optional arguments exclude each other; others are also tried all at once."""
EITHER_OR: Final = {"tasks.create": ("due_at", "due_on"), "tasks.edit": ("due_at", "due_on")}
"""Optional arguments that exclude each other."""
NEEDED_BESIDE: Final = {
    ("tasks.get", "clock"): {"at_time"},
    ("projects.board", "clock"): {"at_time"},
    ("tasks.create", "parent_id"): {"project_id"},
    ("tasks.rank", "expected_version"): {"after"},
}
"""Optional arguments that need another one, by name."""
NEEDED: Final = {
    "projects.set_workflow": {"mapping"},  # a task is in the removed status
    "events.stream": {"last_event_id"},  # without it, no event would arrive
}
"""Optional arguments that these tests must always give."""
NOT_ALONE: Final = {"tasks.rank"}
"""Methods that need at least one of their optional arguments."""


class World:
    """A signed-in client, and things to act on, newly created at each access."""

    def __init__(
        self, client: Client, settings: Settings, url: str, account: Callable[[str], Account], ada: Account
    ) -> None:
        self.client, self.settings, self.url, self.account, self.ada = client, settings, url, account, ada
        self.me = client.users.me().id

    def project(self) -> Project:
        return self.client.projects.create("P")

    def task(self, project: Project | None = None) -> Task:
        task = (
            self.client.tasks.create("x") if project is None else self.client.tasks.create("x", project_id=project.id)
        )
        return self.client.tasks.edit(task.id, title="y")

    def commented(self) -> tuple[Task, Comment]:
        task = self.task()
        return task, self.client.tasks.comments.add(task.id, "well")

    def as_admin(self) -> dict[str, Any]:
        grant_at_the_machine(self.settings, str(self.me), "admin")
        return {}

    def position(self) -> int:
        """The position of an event that this client may annul."""
        self.as_admin()
        return list(self.client.tasks.events(self.task().id))[-1].position

    def version_of(self, task: UUID) -> int:
        return self.client.tasks.get(task).version

    def member(self) -> tuple[Account, UUID]:
        somebody = self.account("Bob")
        with Client(self.url) as theirs:
            return somebody, theirs.auth.login(somebody.email, somebody.password).user.id

    def shared(self) -> tuple[Project, UUID]:
        """A project that somebody else has joined by an invitation."""
        project, (somebody, user) = self.project(), self.member()
        token = self.client.projects.invitations.create(project.id, somebody.email, "viewer").token
        assert token is not None
        with Client(self.url) as theirs:
            theirs.auth.login(somebody.email, somebody.password)
            return theirs.projects.invitations.accept(token), user

    def invited(self) -> str:
        """The token of an invitation that this client may accept."""
        somebody = self.account("Carol")
        with Client(self.url) as theirs:
            theirs.auth.login(somebody.email, somebody.password)
            token = theirs.projects.invitations.create(theirs.projects.create("Q").id, self.ada.email, "member").token
        assert token is not None
        return token


Arguments = Callable[[World], dict[str, Any]]


def task_(**more: Any) -> Arguments:
    def arguments(world: World) -> dict[str, Any]:
        task = world.task()
        return {"task": task.id, "expected_version": task.version, **more}

    return arguments


def project_(**more: Any) -> Arguments:
    def arguments(world: World) -> dict[str, Any]:
        project = world.project()
        return {"project": project.id, "expected_version": project.version, **more}

    return arguments


def create_task(world: World) -> dict[str, Any]:
    project = world.project()
    parent = world.task(project)
    return {
        "title": "x", "project_id": project.id, "description": "x", "status": "todo", "priority": "high", "due_at": SOON,
        "due_on": SOON.date(), "time_zone": "Europe/Berlin",
        "labels": ["x"], "assignee_id": world.me, "parent_id": parent.id, "recurrence": "FREQ=DAILY",
    }  # fmt: skip


def edit_task(world: World) -> dict[str, Any]:
    made = create_task(world)
    task = world.client.tasks.create("y", project_id=made.pop("project_id"))
    return made | {"task": task.id, "status": "in_progress", "expected_version": task.version}


def list_tasks(world: World) -> dict[str, Any]:
    task = world.task()
    return {
        "project": [task.project_id], "status": ["todo"], "category": ["todo"], "assignee": ["me", world.me, "none"],
        "label": ["x"], "priority": ["low", "high"], "parent": [task.id], "due_before": SOON, "due_after": SOON,
        "q": "x \U0001f389", "trashed": True, "archived": False, "sort": "-due_at", "limit": 7,
    }  # fmt: skip


def of_comment(*, versioned: bool = True, **more: Any) -> Arguments:
    def arguments(world: World) -> dict[str, Any]:
        task, comment = world.commented()
        expected = {"expected_version": world.version_of(task.id)} if versioned else {}
        return {"task": task.id, "comment": comment.id, **expected, **more}

    return arguments


def of_item(**more: Any) -> Arguments:
    def arguments(world: World) -> dict[str, Any]:
        task = world.task()
        item = world.client.tasks.checklist.add(task.id, "x")
        other = world.client.tasks.checklist.add(task.id, "y")
        known = {"task": task.id, "item": item.id, "expected_version": world.version_of(task.id)}
        return known | ({"after": other.id} if more else {}) | more

    return arguments


def related(world: World) -> dict[str, Any]:
    task, other = world.task(), world.task()
    changed = world.client.tasks.relations.add(task.id, "relates_to", other.id)
    return {"task": task.id, "kind": "relates_to", "other": other.id, "expected_version": changed.version}


def workflow(world: World) -> dict[str, Any]:
    project = world.project()
    task = world.task(project)
    assert world.client.tasks.get(task.id).status == "todo"
    statuses = [Status("new", "New", "todo"), Status("over", "Over", "done")]
    mapping = {"todo": "new", "in_progress": "new", "done": "over", "cancelled": "over"}
    return {
        "project": project.id, "statuses": statuses, "transitions": [Transition("new", "over")], "mapping": mapping,
        "expected_version": project.version,
    }  # fmt: skip


def labelled(world: World) -> dict[str, Any]:
    project = world.project()
    changed = world.client.projects.set_label(project.id, "a/b", COLOUR)
    return {"project": project.id, "name": "a/b", "expected_version": changed.version}


def member_(**more: Any) -> Arguments:
    def arguments(world: World) -> dict[str, Any]:
        project, user = world.shared()
        return {"project": project.id, "user": user, "expected_version": project.version, **more}

    return arguments


def withdrawn(world: World) -> dict[str, Any]:
    project = world.project()
    invitation = world.client.projects.invitations.create(project.id, "c@example.com", "viewer")
    version = world.client.projects.get(project.id).version
    return {"project": project.id, "invitation": invitation.id, "expected_version": version}


def view_(*, versioned: bool = True, **more: Any) -> Arguments:
    def arguments(world: World) -> dict[str, Any]:
        view = world.client.views.create(uuid4().hex, {"q": "x"})
        expected = {"expected_version": view.version} if versioned else {}
        return {"view": view.id, **expected, **more}

    return arguments


def events(world: World) -> dict[str, Any]:
    task = world.task()
    return {
        "after": 0, "limit": 7, "types": ["TaskCreated"], "stream": [task.id], "project": [task.project_id],
        "actor": [world.me, "system"], "command": [uuid4()], "correlation": ["a-request", str(uuid4())],
        "from_time": SOON - timedelta(days=9_000), "to_time": SOON, "clock": "recorded",
    }  # fmt: skip


def but(arguments: Arguments, *names: str) -> Arguments:
    return lambda world: {name: value for name, value in arguments(world).items() if name not in names}


CALLS: Final[dict[str, Arguments]] = {
    "auth.register": lambda _: {"email": f"{uuid4().hex}@example.com", "password": uuid4().hex, "name": "Dan"},
    "auth.login": lambda world: {
        "email": world.ada.email, "password": world.ada.password, "otp": "123456",
        "device_token": world.client.auth.login(world.ada.email, world.ada.password).device_token,
    },
    "auth.refresh": lambda _: {},
    "auth.logout": lambda _: {},
    "users.me": lambda _: {},
    "users.edit_me": lambda world: {
        "name": "Ada", "avatar_url": "https://example.com/a.png", "settings": {"theme": "dark"},
        "expected_version": world.client.users.me().version,
    },
    "users.get": lambda world: {"user": world.shared()[1]},
    "users.open_calendar": lambda world: {"expected_version": world.client.users.me().version},
    "users.calendar": lambda world: {"secret": world.client.users.open_calendar().secret},
    "projects.create": lambda _: {"name": "P", "description": "x"},
    "projects.get": but(project_(), "expected_version"),
    "projects.list": lambda _: {"archived": True, "limit": 7},
    "projects.edit": project_(name="Q", description="x"),
    "projects.archive": project_(),
    "projects.unarchive": project_(),
    "projects.members": but(project_(limit=7), "expected_version"),
    "projects.set_member": member_(role="member"),
    "projects.remove_member": member_(),
    "projects.set_workflow": workflow,
    "projects.set_label": project_(name="a/b", colour=COLOUR),
    "projects.remove_label": labelled,
    "projects.board": but(project_(at_time=SOON, clock="recorded"), "expected_version"),
    "projects.stats": but(project_(), "expected_version"),
    "projects.activity": but(project_(limit=7), "expected_version"),
    "projects.export": but(project_(csv=True), "expected_version"),
    "projects.invitations.create": project_(email="c@example.com", role="viewer"),
    "projects.invitations.get": but(withdrawn, "expected_version"),
    "projects.invitations.list": but(project_(limit=7), "expected_version"),
    "projects.invitations.withdraw": withdrawn,
    "projects.invitations.accept": lambda world: {"token": world.invited()},
    "tasks.create": create_task,
    "tasks.get": but(task_(version=1, at_time=SOON, clock="recorded"), "expected_version"),
    "tasks.list": list_tasks,
    "tasks.edit": edit_task,
    "tasks.trash": task_(),
    "tasks.restore": task_(),
    "tasks.start": task_(),
    "tasks.complete": task_(),
    "tasks.reopen": task_(),
    "tasks.cancel": task_(),
    "tasks.assign": lambda world: task_(user=world.me)(world),
    "tasks.move": lambda world: task_(project=world.project().id, status="done")(world),
    "tasks.rank": lambda world: task_(after=world.task().id, before=world.task().id)(world),
    "tasks.undo": task_(version=2),
    "tasks.events": but(task_(limit=7), "expected_version"),
    "tasks.diff": but(task_(from_version=1, to_version=2), "expected_version"),
    "tasks.comments.list": but(task_(limit=7), "expected_version"),
    "tasks.comments.get": of_comment(versioned=False),
    "tasks.comments.add": task_(body="x"),
    "tasks.comments.edit": of_comment(body="x"),
    "tasks.comments.delete": of_comment(),
    "tasks.checklist.add": task_(text="x"),
    "tasks.checklist.edit": of_item(text="z", done=True),
    "tasks.checklist.delete": of_item(),
    "tasks.relations.add": lambda world: task_(kind="blocks", other=world.task().id)(world),
    "tasks.relations.remove": related,
    "views.create": lambda world: {
        "name": uuid4().hex, "query": but(list_tasks, "limit")(world), "project_id": world.project().id,
    },
    "views.list": lambda world: {"project": [world.project().id], "limit": 7},
    "views.get": view_(versioned=False),
    "views.edit": view_(name="z", query={"archived": True, "q": None}),
    "views.delete": view_(),
    "views.tasks": view_(versioned=False, limit=7),
    "commands.send": lambda world: {
        "command": Command(type="EditTask", target=(task := world.task()).id, expected_version=task.version, data={})
    },
    "commands.batch": lambda _: {
        "commands": [Command(type="CreateTask", data={"title": "x"})],
        "atomic": True,
        "dry_run": True,
        "minimal": True,
        "request_id": "a-batch-of-several",
    },
    "commands.types": lambda _: {},
    "events.page": events,
    "events.list": events,
    "events.download": but(events, "limit"),
    "events.csv": but(events, "limit"),
    "events.stream": lambda world: {"project": world.task().project_id, "last_event_id": 1},
    "sync.changes": lambda _: {},
    "admin.projections": lambda world: world.as_admin(),
    "admin.annul_event": lambda world: {"position": world.position(), "reason": "x", "expected_version": 2},
}  # fmt: skip


@pytest.fixture
def world(stack: Stack, url: str, account: Callable[[str], Account]) -> Iterator[World]:
    ada = account("Ada")
    with Client(url) as client:
        client.auth.login(ada.email, ada.password)
        yield World(client, stack.settings, url, account, ada)


def every_method() -> list[str]:
    with Client(URL, transport=NOWHERE) as client:
        return list(methods(client))


def method_of(client: Client, name: str) -> Any:
    method: Any = client
    for part in name.split("."):
        method = getattr(method, part)
    return method


def selections(name: str, optional: set[str]) -> Iterator[set[str]]:
    """The combinations of optional arguments to try: none, each alone, and all that are allowed together."""
    if name not in NOT_ALONE:
        yield set()
    for one in sorted(optional):
        yield {one} | NEEDED_BESIDE.get((name, one), set())
    alternatives = EITHER_OR.get(name, ())
    all_at_once = [optional - {other} for other in alternatives] or [optional]
    yield from TOGETHER.get(name, all_at_once)


@pytest.mark.parametrize("name", every_method())
def test_the_arguments_of_a_method_are_accepted(world: World, name: str) -> None:
    parameters = list(inspect.signature(method_of(world.client, name)).parameters.values())[1:]
    assert {one.name for one in parameters} == CALLS[name](world).keys()
    required = {one.name for one in parameters if one.default is one.empty} | NEEDED.get(name, set())
    for given in selections(name, {one.name for one in parameters} - required):
        known = CALLS[name](world)
        answer = method_of(world.client, name)(**{one: known[one] for one in required | given})
        if name == "events.stream":
            assert next(answer) is not None
        elif isinstance(answer, Iterator):
            list(answer)
        if name == "auth.logout":
            world.client.auth.login(world.ada.email, world.ada.password)
