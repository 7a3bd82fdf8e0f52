"""Who may import is judged row by row, on the project's own stream."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor, Handler, Request, Target
from taskflow.commands.imports import ImportPerson, ImportRow, import_person, import_row
from taskflow.commands.project import Member, RemoveMember
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import Forbidden, NotFound
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from tests.importer.world import INCIDENTS, add_member, head, register, rows_of, run, write

ROWS = rows_of(INCIDENTS)
AT = datetime(2012, 5, 1, tzinfo=UTC)
BOUND_S = 60.0


async def send(store: EventStore, settings: Settings, actor: UUID, handler: Handler) -> None:
    request = Request(caller=actor, command_id=uuid4(), fingerprint=b"", at=datetime.now(UTC), actor=actor)
    await Executor(store, settings).execute(request, handler)


def a_row(project_id: UUID, assignee_id: UUID | None = None) -> ImportRow:
    return ImportRow(
        project_id=project_id,
        external_id="x",
        at=AT,
        title="X",
        status="Completed/Closed",
        priority=None,
        labels=(),
        prefixes=(),
        assignee_id=assignee_id,
        source=None,
    )


async def test_rows_and_people_take_an_admin_of_the_project(
    settings: Settings, store: EventStore, tmp_path: Path
) -> None:
    report = await run(settings, write(tmp_path / "a.csv", ROWS[:2]), tmp_path)
    project, owner = report.project_id, report.who.user_id
    assert project is not None
    member = await register(store, settings, "member@example.com")
    stranger = await register(store, settings, "stranger@example.com")
    await add_member(store, settings, project, owner, member, "member")

    async def row(unit: UnitOfWork) -> Target:
        return await import_row(unit, uuid4(), a_row(project))

    async def person(unit: UnitOfWork) -> Target:
        return await import_person(unit, uuid4(), ImportPerson(project_id=project, name="N", at=AT))

    before = await head(store)
    for handler in (row, person):
        with pytest.raises(Forbidden):
            await send(store, settings, member, handler)
        with pytest.raises(NotFound):
            await send(store, settings, stranger, handler)
    assert await head(store) == before


async def test_an_assignee_has_to_be_a_person(settings: Settings, store: EventStore, tmp_path: Path) -> None:
    report = await run(settings, write(tmp_path / "a.csv", ROWS[:2]), tmp_path)
    project = report.project_id
    assert project is not None

    async def row(unit: UnitOfWork) -> Target:
        return await import_row(unit, uuid4(), a_row(project, assignee_id=project))

    with pytest.raises(NotFound, match=f"no user {project}"):
        await send(store, settings, report.who.user_id, row)


async def test_no_row_of_a_removed_admin_slips_in(settings: Settings, store: EventStore, tmp_path: Path) -> None:
    """The import runs in its own process's place, with its own caches: what stops it is the guard."""
    first = await run(settings, write(tmp_path / "a.csv", ROWS[:2]), tmp_path)
    project, owner = first.project_id, first.who.user_id
    assert project is not None
    admin = await register(store, settings, "admin@example.com")
    await add_member(store, settings, project, owner, admin, "admin")
    many = [ROWS[0]] + [[f"{copy}-{row[0]}", *row[1:]] for copy in range(8) for row in ROWS[1:]]
    begun = await head(store)
    slow = replace(settings, import_inflight_max=4)
    work = asyncio.create_task(run(slow, write(tmp_path / "b.csv", many), tmp_path, user="admin@example.com"))
    async with asyncio.timeout(BOUND_S):
        while await head(store) < begun + 200:
            await asyncio.sleep(0.002)

    async def remove(unit: UnitOfWork) -> Target:
        return await handler_of(RemoveMember)(unit, Member(project, admin), RemoveMember())

    await send(store, settings, owner, remove)
    with pytest.raises(NotFound, match="no project"):
        await work
    removed = await store.pool.fetchval("select position from events where type = 'MemberRemoved'")
    last = await store.pool.fetchval("select max(position) from events where actor = $1", admin)
    assert begun < last < removed
