"""Who may import whom: write side, read side and edges do not reach into each other sideways."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import taskflow

PACKAGE = Path(taskflow.__file__).parent
LEAVES = {
    "backoff",
    "base64url",
    "cancellation",
    "errors",
    "former_settings",
    "ids",
    "key_formats",
    "log_fields",
    "lru",
    "off_loop",
    "page_bounds",
    "signed_tokens",
    "settings",
    "taskflow",
    "turns",
}
"""What everybody may import; `taskflow` itself holds the version alone."""

# A folder, or a module of the top, and what it may import beside the leaves and itself.
ALLOWED: dict[str, set[str]] = {
    "backoff": set(),
    "base64url": set(),
    "cancellation": set(),
    "errors": set(),
    "former_settings": set(),
    "ids": set(),
    "key_formats": set(),
    "log_fields": set(),
    "lru": set(),
    "off_loop": set(),
    "page_bounds": set(),
    "signed_tokens": set(),
    "settings": set(),
    "turns": set(),
    "logs": set(),
    "text": set(),
    "dates": {"text"},
    "query": {"streams", "text", "dates"},
    "streams": {"text"},
    "privacy": {"streams", "text"},
    "store": {"streams", "privacy"},
    "commands": {"streams", "privacy", "store", "text", "query", "dates"},
    "follower": {"streams", "store"},
    "kafka": {"store"},
    "relay": {"store", "kafka"},
    "cache": set(),
    "limits": set(),
    "projections": {"streams", "text", "dates", "privacy", "store", "kafka", "cache"},
    "readmodels": {"streams", "projections", "cache", "query", "text", "dates"},
    "api": {
        *(
            "streams",
            "privacy",
            "store",
            "commands",
            "follower",
            "kafka",
            "relay",
            "cache",
            "projections",
            "readmodels",
        ),
        *("query", "text", "limits", "dates"),
    },
    "worker": {"store", "commands", "projections", "readmodels"},
    "importer": {"client", "text", "dates"},
    "local": {"store"},
    "client": set(),
    "terminal": {"client", "importer"},
    "cli": {
        *("logs", "local", "api", "relay", "projections", "worker"),
        *("commands", "store", "terminal"),
    },
    "__main__": {"cli"},
    "__init__": set(),
}

# A driver, and the places that may speak to its server. `api/health` asks each whether it is there,
# `api/problems` names their errors.
DRIVERS: dict[str, set[str]] = {
    "asyncpg": {"store", "relay", "privacy", "kafka", "local", "projections/process.py"},
    "aiokafka": {"kafka", "relay", "projections", "local", "api/health.py"},
    "pymongo": {"projections", "readmodels", "local", "api/health.py", "api/metrics.py", "api/problems.py"},
    "redis": {"cache", "limits", "local", "api/health.py"},
    "litestar": {"api"},
    "uvicorn": {"api"},
    "eventsourcing": {"store/library.py"},
    "psycopg": set(),
    "jwt": {"api/tokens.py"},
    "httpx": {"client", "terminal", "local"},
    "rich": {"terminal", "importer"},
}


def modules() -> list[Path]:
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a thing is"
            module = node.module or ""
            yield from (f"{module}.{name.name}" for name in node.names) if module == "taskflow" else [module]


DECLARATIONS = {
    f"taskflow.projections.{name}"
    for name in ("projection", "registry", "invalidation_versions", "collection_names", "mongo")
}
"""Of `projections`, what those import who never write a view."""


def room(path: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else path.stem


@pytest.mark.parametrize("path", modules(), ids=str)
def test_a_module_imports_what_its_room_may(path: Path) -> None:
    own = room(path)
    allowed = ALLOWED[own] | LEAVES | {own, "__version__"}
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "taskflow" and len(parts) > 1:
            assert parts[1] in allowed, f"{path} imports {name}; {own} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_a_driver_is_met_in_few_places(path: Path) -> None:
    for name in imports(path):
        places = DRIVERS.get(name.split(".")[0])
        if places is not None:
            assert {room(path), str(path)} & places, f"{path} imports {name}, which is for {sorted(places)}"


@pytest.mark.parametrize("path", [path for path in modules() if room(path) in {"readmodels", "api", "worker"}], ids=str)
def test_who_reads_views_does_not_import_what_writes_them(path: Path) -> None:
    for name in imports(path):
        declared = name in DECLARATIONS or name.startswith("taskflow.projections.declarations")
        assert not name.startswith("taskflow.projections") or declared, f"{path} imports {name}"


ROUTES = [path for path in modules() if path.parent == Path("api/routes")]


@pytest.mark.parametrize("path", ROUTES, ids=str)
def test_routes_do_not_import_each_other(path: Path) -> None:
    assert [name for name in imports(path) if name.startswith("taskflow.api.routes")] == []


CALLERS = {"client": {"client"}, "terminal": {"client", "importer", "terminal"}, "importer": ALLOWED["importer"]}


@pytest.mark.parametrize("path", [path for path in modules() if room(path) in CALLERS], ids=str)
def test_whoever_only_calls_the_server_holds_nothing_of_it(path: Path) -> None:
    """Not even what everybody else may import. An importer reads what others wrote by the pure modules that say how."""
    for name in imports(path):
        own = {room(path), "__version__"} | CALLERS[room(path)]
        assert not name.startswith("taskflow.") or name.split(".")[1] in own, name


PROCESSES = (
    "taskflow.cli",
    "taskflow.api.process",
    "taskflow.relay.process",
    "taskflow.projections.process",
    "taskflow.worker.process",
)


def test_the_servers_processes_do_not_load_the_client() -> None:
    code = f"import sys, {', '.join(PROCESSES)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(PROCESSES) <= set(loaded)
    assert not {"httpx", "rich", "taskflow.client"} & set(loaded)


PURE = {
    *(
        "text/addresses.py",
        "query/task_query.py",
        "text/csv_escaping.py",
        "text/invisible.py",
        "text/names.py",
        "query/query_params.py",
        "dates/time_zones.py",
        "dates/times.py",
        "dates/timestamps.py",
        "text/search_tokens.py",
    ),
    *(
        "commands/access.py",
        "commands/annul.py",
        "commands/fields.py",
        "commands/import_scope.py",
        "commands/project.py",
        "commands/project_import.py",
        "commands/task_import.py",
    ),
    *("commands/checklist.py", "commands/comments.py", "commands/ranks.py", "commands/relations.py"),
    *("commands/move.py", "commands/purge.py", "commands/ranking.py", "commands/recurrence.py"),
    "commands/recurrence_rule.py",
    *("commands/saved_view.py", "commands/session.py", "commands/task.py", "commands/user.py"),
    *("commands/schedule.py", "commands/undo.py", "commands/undo_schedule.py", "commands/undoing.py"),
    *("commands/invitation_tokens.py", "commands/invitations.py", "commands/labels.py", "commands/workflow.py"),
    *(
        "projections/batch.py",
        "projections/messages.py",
        "projections/registry.py",
        "projections/projection.py",
    ),
    *(str(path) for path in modules() if path.parent == Path("projections/declarations")),
}
"""Deciders and views, beside all of `streams`: what replaying the log runs, and what is decided on it."""


def test_streams_deciders_and_views_do_no_io_and_know_no_time() -> None:
    assert {str(path) for path in modules()} >= PURE
    for path in modules():
        if room(path) == "streams" or str(path) in PURE:
            roots = {name.split(".")[0] for name in imports(path)}
            assert not roots & {"asyncio", "os", "time", "random", "socket", "pathlib", "secrets"}, path
            text = (PACKAGE / path).read_text()
            assert not re.search(r"\b(now|utcnow|today|uuid4|new_id)\(", text), f"{path}: ids and time are given"
