"""Everything that can be read, compared with what the model holds: by every process the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from tests.api.model.doors import Body, sorted_where_there_is_no_order
from tests.api.model.of_parts import shown_comment
from tests.api.model.order import place_of, standing
from tests.api.model.project import Project
from tests.api.model.undo import altered
from tests.api.model.world import World


class Looking:
    """What reads, of a conversation."""

    world: World
    ids: list[str]
    http: list[httpx.Client]
    position: int
    turn: int
    through: int | None
    """The process that every request goes to; None: in turns."""

    def call(self, who: int, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        raise NotImplementedError  # the conversation's own: Hypothesis's metaclass goes with no other

    def fresh(self, who: int, path: str) -> httpx.Response:
        """A read that sees everything so far."""
        separator = "&" if "?" in path else "?"
        return self.call(who, "GET", f"{path}{separator}min_position={self.position}&wait_ms=10000")

    def every_process(self) -> Iterator[None]:
        for process in range(len(self.http)):
            self.through = process
            yield
        self.through = None

    def wait_for_views(self, who: int) -> None:
        """In the process that is next but one, after this request: it asks the views who stands where, or what is in
        use, and on a slow machine it would not wait long enough."""
        self.through = (self.turn + 2) % len(self.http)
        self.fresh(who, "/tasks?limit=1")
        self.through = None

    # --- one task

    def read_task(self, who: int, task_id: str, version: int | None) -> None:
        path = f"/tasks/{task_id}"
        response = self.fresh(who, path) if version is None else self.call(who, "GET", f"{path}?version={version}")
        if self.ids[who] not in self.world.project_of(task_id).members:
            assert response.status_code == 404, response.text
            return
        task = self.world.tasks[task_id]
        expected = self.world.shown(task) if version is None else task.seen[version]
        assert response.status_code == 200, response.text
        assert sorted_where_there_is_no_order(response.json()) == expected

    # --- everything

    def look(self) -> None:
        """At tasks and boards through every process, at the rest through one or the other."""
        for who in range(len(self.ids)):
            self.look_at_projects(who)
            self.look_at_all_tasks(who)
        for project in self.looked_at():
            who = self.somebody_in(project)
            for _ in self.every_process():
                self.look_at_tasks(who, project)
                self.look_at_board(who, project)
            self.look_at_trash(who, project)
            self.look_at_people(who, project)
        for task in self.world.tasks.values():
            if "comment" in {name for change in task.changes for name, _ in altered(change)}:
                self.look_at_comments(self.somebody_in(self.world.project_of(task.id)), task.id)
            if task.changes:
                self.read_task(self.somebody_in(self.world.project_of(task.id)), task.id, sorted(task.seen)[-2])

    def looked_at(self) -> list[Project]:
        """Those in which something happens."""
        return [one for one in self.world.projects.values() if not one.inbox or self.has_tasks(one)]

    def has_tasks(self, project: Project) -> bool:
        return any(task.now.project == project.id for task in self.world.tasks.values())

    def somebody_in(self, project: Project) -> int:
        return self.ids.index(next(iter(project.members)))

    def look_at_projects(self, who: int) -> None:
        person = self.ids[who]
        listed = items(self.fresh(who, "/projects?limit=200"))
        mine = [one for one in self.world.projects.values() if person in one.members]
        assert listed == [one.shown(person) for one in sorted(mine, key=lambda one: one.id)]

    def look_at_all_tasks(self, who: int) -> None:
        """Nobody names a project: those of archived ones are apart."""
        for archived in (False, True):
            mine = [one for one in self.world.projects.values() if self.ids[who] in one.members]
            there = [one.id for one in mine if (one.archived_at is not None) == archived]
            query = "/tasks?limit=200&archived=true" if archived else "/tasks?limit=200"
            shown = {one["id"] for one in items(self.fresh(who, query))}
            tasks = self.world.tasks.values()
            assert shown == {one.id for one in tasks if one.now.project in there and one.now.trashed_at is None}

    def look_at_tasks(self, who: int, project: Project) -> None:
        query = f"/tasks?project={project.id}&limit=200&sort=rank"
        shown = [sorted_where_there_is_no_order(one) for one in items(self.fresh(who, query))]
        assert shown == [self.world.shown(task) for task in standing(self.world, project.id)]

    def look_at_trash(self, who: int, project: Project) -> None:
        query = f"/tasks?project={project.id}&limit=200&sort=rank"
        trashed = [sorted_where_there_is_no_order(one) for one in items(self.fresh(who, f"{query}&trashed=true"))]
        there = [
            task
            for task in self.world.tasks.values()
            if task.now.project == project.id and task.now.trashed_at is not None
        ]
        assert trashed == [self.world.shown(task) for task in sorted(there, key=place_of)]

    def look_at_board(self, who: int, project: Project) -> None:
        board: Body = self.fresh(who, f"/projects/{project.id}/board").json()
        tasks = [self.world.shown(task) for task in standing(self.world, project.id)]
        expected = []
        for status in project.workflow.statuses:
            column = [task for task in tasks if task["status"] == status.key]
            expected.append(
                {
                    "status": status.key,
                    "name": status.name,
                    "category": status.category,
                    "count": len(column),
                    "tasks": column[:50],
                    "more": len(column) > 50,
                }
            )
        for column in board["columns"]:
            column["tasks"] = [sorted_where_there_is_no_order(one) for one in column["tasks"]]
        assert board == {"columns": expected}

    def look_at_people(self, who: int, project: Project) -> None:
        members = items(self.fresh(who, f"/projects/{project.id}/members?limit=200"))
        expected = [{"user": self.world.person(one), "role": project.members[one]} for one in sorted(project.members)]
        assert members == expected
        invitations = self.fresh(who, f"/projects/{project.id}/invitations")
        if project.members[self.ids[who]] in {"admin", "owner"}:
            shown = [project.shown_invitation(one) for one in sorted(project.invitations, key=lambda one: one.id)]
            assert items(invitations) == shown
        else:
            assert invitations.status_code == 403, invitations.text

    def look_at_comments(self, who: int, task_id: str) -> None:
        task = self.world.tasks[task_id]
        comments = items(self.fresh(who, f"/tasks/{task_id}/comments?limit=200"))
        assert comments == [shown_comment(self.world, task, comment) for comment in task.now.comments]


def items(response: httpx.Response) -> list[Body]:
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["next_cursor"] is None
    found: list[Body] = body["items"]
    return found
