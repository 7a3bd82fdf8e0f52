"""Who may import is judged command by command, on the project's own stream: see `tests/api/test_import_commands.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from taskflow.client import NotFound
from taskflow.store.eventstore import EventStore
from tests.importer.world import INCIDENTS, SINCE, Person, head, rows_of, run, write

ROWS = rows_of(INCIDENTS)
BOUND_S = 60.0


async def test_no_row_of_a_removed_admin_slips_in(
    ada: Person, person: Callable[[str], Awaitable[Person]], store: EventStore, tmp_path: Path
) -> None:
    first = await run(ada, write(tmp_path / "a.csv", ROWS[:2]), tmp_path)
    project = first.project_id
    assert project is not None
    admin = await person("Admin")
    await ada.adds(project, admin, "admin")
    many = [ROWS[0]] + [[f"{copy}-{row[0]}", *row[1:]] for copy in range(8) for row in ROWS[1:]]
    begun = await head(store)
    work = asyncio.create_task(run(admin, write(tmp_path / "b.csv", many), tmp_path, project=str(project), at_once=1))
    async with asyncio.timeout(BOUND_S):
        while await head(store) < begun + 200:
            await asyncio.sleep(0.002)
    await ada.client.projects.remove_member(project, admin.me.id)
    with pytest.raises(NotFound, match="no project"):
        await work
    removed = await store.pool.fetchval(
        "select position from events where type = 'MemberRemoved' and position > $1", SINCE.position
    )
    last = await store.pool.fetchval("select max(position) from events where actor = $1", admin.me.id)
    assert begun < last < removed
