"""No route reads a view but through `Reading.read`, which waits, notes the position and has it confirmed."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

from taskflow import api
from taskflow.api.app import ROUTES
from taskflow.api.reads import begin, begin_for
from taskflow.api.route import Route
from taskflow.readmodels.read_models import ReadModels

API = Path(api.__file__).parent
HOLDERS = {"context.py", "reads.py", "health.py", "metrics.py", "projection_status.py"}
"""Who opens the read models, hands them to a query, or tells operators of them."""
READERS = {*ReadModels.__annotations__.values(), ReadModels.__name__}
KEYS = "/.well-known/jwks.json"
"""Of this process, and of no view and no log."""
BEGINNINGS = {begin.__name__, begin_for.__name__}


def modules(folder: Path = API) -> list[Path]:
    return sorted(path.relative_to(API) for path in folder.rglob("*.py"))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse((API / path).read_text()))


def called(node: ast.AST) -> set[str]:
    """The plain names that are called in it."""
    return {one.func.id for one in ast.walk(node) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}


@pytest.mark.parametrize("path", [path for path in modules() if str(path) not in HOLDERS], ids=str)
def test_read_models_are_had_from_the_primitive_alone(path: Path) -> None:
    taken = [node for node in nodes(path) if isinstance(node, ast.Attribute) and node.attr == "readmodels"]
    assert taken == [], f"{path} takes the read models by itself: use Reading.read"


@pytest.mark.parametrize("path", modules(API / "routes"), ids=str)
def test_routes_make_no_readers_and_no_freshness_of_their_own(path: Path) -> None:
    tree = ast.parse((API / path).read_text())
    assert not called(tree) & (READERS | {"Reading"})
    imported = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("taskflow.readmodels")
        for alias in node.names
    }
    assert not imported & READERS, "outside annotations"


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.method == "GET" and route.path != KEYS],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_every_read_begins_by_the_primitive(route: Route) -> None:
    assert isinstance(route.run, FunctionType)
    tree = ast.parse(inspect.getsource(inspect.getmodule(route.run) or api))
    functions = {
        node.name: called(node) for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    reached, left = set[str](), [route.run.__name__]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += functions.get(name, ())
    assert reached & BEGINNINGS


WRITES = {"batches.py", "identity.py"}
"""What they answer is what was just written."""


@pytest.mark.parametrize("path", [path for path in modules(API / "routes") if path.name not in WRITES], ids=str)
def test_routes_do_not_say_themselves_how_fresh_an_answer_is(path: Path) -> None:
    said = [node for node in nodes(path) if isinstance(node, ast.Constant) and node.value == "Taskflow-Position"]
    assert [node.lineno for node in said] == [], "Reading.headers says it"
