"""What is named is there: errors are raised, settings read, problems answered, reasons given, commands and metrics known."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

import taskflow
from taskflow import cli, errors
from taskflow.api import problems
from taskflow.settings import CALLERS, Settings, variable
from taskflow.streams.session import EndReason

ROOT = Path(__file__).parent.parent.parent
PACKAGE = Path(taskflow.__file__).parent
DOCUMENTS = sorted(path for pattern in ("*.md", "ADR/*.md", "benchmarks/*.md") for path in ROOT.glob(pattern))
PRINTED_BY_THE_LIBRARY = re.compile(r"_(total|bucket|sum|count|created)$")
"""What the metrics library appends to a name."""


@cache
def nodes() -> list[ast.AST]:
    """Everything in the source but the settings."""
    return [
        node
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "settings.py"
        for node in ast.walk(ast.parse(path.read_text()))
    ]


@cache
def texts() -> frozenset[str]:
    """Every string, docstrings among them."""
    return frozenset(node.value for node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str))


@cache
def attributes() -> frozenset[str]:
    return frozenset(node.attr for node in nodes() if isinstance(node, ast.Attribute))


@cache
def called() -> set[str]:
    found = (node.func for node in nodes() if isinstance(node, ast.Call))
    return {func.id if isinstance(func, ast.Name) else getattr(func, "attr", "") for func in found}


@pytest.mark.parametrize(
    "error",
    [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.TaskflowError) and not one.__subclasses__()
    ],
    ids=lambda error: error.__name__,
)
def test_every_error_is_raised(error: type[Exception]) -> None:
    """Those with subclasses are there to be caught."""
    assert error.__name__ in called()


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_read(name: str) -> None:
    """One that nobody reads is a knob that does nothing."""
    # Secrets are read as bytes.
    assert {name, f"{name}_bytes"} & attributes()


def test_every_kind_of_problem_is_answered() -> None:
    named = [node.value for node in nodes() if isinstance(node, ast.Constant) and node.value in problems._TITLES]
    once = {slug for slug in problems._TITLES if named.count(slug) < 2}
    assert not once, "these have a title, and nothing answers with them"


def test_every_reason_for_which_a_session_ends_is_given() -> None:
    given = {
        argument.value.value
        for node in nodes()
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SessionEnded"
        for argument in node.keywords
        if isinstance(argument.value, ast.Constant)
    }
    assert given == set(get_args(EndReason))


def test_every_command_that_the_source_names_is_one() -> None:
    known = set(re.findall(r"[\w-]+", cli.parser().format_usage() + cli.parser().format_help()))
    named = {name for text in texts() for name in re.findall(r"`taskflow ([a-z]+)", text)}
    assert named
    assert named <= known


def test_every_variable_that_the_source_names_is_a_setting() -> None:
    known = {variable(name) for name in Settings.__struct_fields__}
    named = {name for text in texts() for name in re.findall(r"\bTASKFLOW_[A-Z0-9_]*[A-Z0-9]\b", text)}
    assert named
    assert named - known - CALLERS == set()


def test_every_metric_that_documents_name_is_made() -> None:
    made = {text for text in texts() if re.fullmatch(r"taskflow_\w+", text)}
    for document in DOCUMENTS:
        named = set(re.findall(r"`(taskflow_\w+)", document.read_text())) - {"taskflow_server"}
        assert {PRINTED_BY_THE_LIBRARY.sub("", name) for name in named} <= {
            PRINTED_BY_THE_LIBRARY.sub("", name) for name in made
        }, document.name
