"""Projects and their members over HTTP."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from litestar import Response
from msgspec import Raw, Struct

from taskflow.api import encoding, render
from taskflow.api.cursors import after_page, page_of, to_cursor
from taskflow.api.project_reads import load, load_one
from taskflow.api.reads import COMMON, PAGED, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.page_bounds import PAGE_BYTES_MAX

LOAD_MAX: Final = 25
"""Projects in memory at once while a list is made of them."""


async def list_projects(call: RequestContext) -> Response[bytes]:
    archived = call.parameters.truth("archived")
    reading = await begin(call, paged=True)
    roles = await reading.projects()
    left = after_page(reading, "projects", roles)
    items: list[Raw] = []
    shown: list[UUID] = []
    size = 0
    for some in (left[at : at + LOAD_MAX] for at in range(0, len(left), LOAD_MAX)):
        projects = await load(reading, some)
        roles = reading.known_projects()
        for one in some:
            project, role = projects.get(one), roles.get(one)
            if project is None or role is None:
                continue
            if archived is not None and (project.archived_at is not None) != archived:
                continue
            item = Raw(encoding.ENCODER.encode(render.project(project, role)))
            size += len(bytes(item))
            if items and (len(items) == reading.limit or size > PAGE_BYTES_MAX):
                return reading.page(items, to_cursor("projects", str(shown[-1])))
            items.append(item)
            shown.append(one)
    return reading.page(items, None)


async def get_project(call: RequestContext) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    reading = await begin(call)
    project = await load_one(reading, project_id)
    return reading.resource(render.project(project, await reading.role(project_id)), project.version)


async def list_members(call: RequestContext) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    reading = await begin(call, paged=True)
    project = await load_one(reading, project_id)
    page, next_cursor = page_of(reading, "members", project.members)
    names = await reading.names(page)
    items = [render.MemberBody(render.Person(one, names.get(one)), project.members[one]) for one in page]
    return reading.page(items, next_cursor, cursor_after=lambda index: to_cursor("members", str(page[index])))


class ProjectPage(Struct, frozen=True):
    items: list[render.ProjectBody]
    next_cursor: str | None


class MemberPage(Struct, frozen=True):
    items: list[render.MemberBody]
    next_cursor: str | None


ALL: Final = f"{BASE}/projects"
ONE: Final = f"{ALL}/{{project_id:str}}"
ROUTES: Final = (
    Route("GET", ALL, list_projects, "My projects", answer=ProjectPage, query=("archived", *PAGED)),
    Route("GET", ONE, get_project, "A project", answer=render.ProjectBody, query=COMMON),
    Route("GET", f"{ONE}/members", list_members, "A project's members", answer=MemberPage, query=PAGED),
)
