"""No route and no command is forgotten: each has its other door, and is tried by a stranger."""

from __future__ import annotations

import re

from tests.api import test_authorisation as authorisation

from taskflow.api.app import ROUTES
from taskflow.api.route import BASE
from taskflow.commands.catalog import COMMANDS

ONES_OWN = {
    "GET /users/me",
    "PATCH /users/me",
    "POST /auth/logout",
    "POST /invitations/{}/accept",
    "GET /projects",
    "POST /projects",
    "POST /users/me/calendar",
    "GET /tasks",
    "GET /views",
    "POST /commands",
    "POST /commands/batch",
    "GET /commands/types",
    "GET /stream",
    "GET /sync",
}
"""Routes on what is the caller's own, or nobody's, or whoever's who has the token. What lists hold is in the tests
of authorisation too."""
COMMANDS_ON_ONES_OWN = {"AcceptInvitation", "CreateProject", "EditProfile", "ImportProject", "OpenCalendar"}
COMMANDS_OF_IMPORTS = {"ImportPerson", "ImportProject", "ImportProjectSettings", "ImportTask", "ImportTaskChange"}
"""Sent in batches only: no route stands before them."""


DECIDED_FURTHER = {"EditComment", "DeleteComment", "SetMember", "RemoveMember"}
"""Commands whose deciders ask for more than the role that is declared."""


def test_the_role_that_a_command_declares_is_the_weakest_that_may_send_it() -> None:
    for name, _, _, weakest in authorisation.COMMANDS:
        declared = COMMANDS[name].role
        if declared is not None and name not in DECIDED_FURTHER:
            assert declared == weakest, name


def test_every_command_but_those_of_imports_is_behind_a_route() -> None:
    bodies = {route.body for route in ROUTES}
    assert {name for name, entry in COMMANDS.items() if entry.body not in bodies} == COMMANDS_OF_IMPORTS


def test_every_route_on_what_may_be_somebodys_is_tried_by_a_stranger() -> None:
    tried = {
        f"{method} {re.sub(r'{[^}]*}', '{}', path.partition('?')[0])}"
        for method, path, *_ in (
            *authorisation.READS,
            *authorisation.WRITES,
            *authorisation.ADMIN_READS,
            *authorisation.ADMIN_WRITES,
        )
    }
    routes = {
        f"{route.method} {re.sub(r'{[^}]*}', '{}', route.path.removeprefix(BASE))}"
        for route in ROUTES
        if route.signed_in
    }
    assert routes - ONES_OWN - tried == set()
    assert tried | ONES_OWN <= routes, "what is listed here is there"


def test_every_command_on_what_may_be_somebodys_is_tried_by_a_stranger() -> None:
    tried = {name for name, *_ in (*authorisation.COMMANDS, *authorisation.ADMIN_COMMANDS)}
    assert set(COMMANDS) == tried | COMMANDS_ON_ONES_OWN


def test_every_command_for_admins_of_the_system_is_known_as_one() -> None:
    for_admins = {name for name, entry in COMMANDS.items() if entry.system_role == "admin"}
    assert for_admins == {name for name, *_ in authorisation.ADMIN_COMMANDS}
