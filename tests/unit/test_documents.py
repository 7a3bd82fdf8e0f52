"""What the documents name is there: files, functions, commands, settings, and the glossary's words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from taskflow import cli
from taskflow.settings import CALLERS, Settings, variable

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "ADR/*.md", "benchmarks/*.md", ".github/*.md")
    for path in ROOT.glob(pattern)
    if not path.name.startswith(".")
)
ARCHITECTURE_LINES_MAX = 250
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
ENTRY = re.compile(r"^\*\*([^*]+)\*\* — (.+?)$(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
SETTINGS = {variable(name) for name in Settings.__struct_fields__}


def each_document() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def named_in(source: Path) -> set[str]:
    """What a file defines: `name`, and `Class.name`."""
    names: set[str] = set()
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {
                f"{node.name}.{one.name}"
                for one in node.body
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            names |= {one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return names


def test_there_are_documents() -> None:
    names = {path.name for path in DOCUMENTS}
    assert names >= {"README.md", "ARCHITECTURE.md", "GLOSSARY.md", "CONTRIBUTING.md", "CHANGELOG.md"}


@each_document()
def test_every_link_leads_somewhere(path: Path) -> None:
    for _, target in LINK.findall(path.read_text()):
        if not re.match(r"https?:|#|mailto:", target):
            assert (path.parent / target.partition("#")[0]).exists(), target


@each_document()
def test_every_file_that_is_named_is_there(path: Path) -> None:
    places = (ROOT, ROOT / "src" / "taskflow", path.parent)
    for name in re.findall(
        r"`((?:[\w.-]+/)+[\w.-]*\w\.(?:py|sql|lua|toml|csv|md|yml|js|json|xml|txt))`", path.read_text()
    ):
        assert any((place / name).exists() for place in places), name


@each_document()
def test_every_function_named_beside_its_file_is_in_it(path: Path) -> None:
    for source, names in re.findall(r"\]\((src/[\w/]+\.py)\)(?:,)?((?:\s`[\w.]+`,?)+)", path.read_text()):
        for name in re.findall(r"`([\w.]+)`", names):
            assert name in named_in(ROOT / source), f"{source} has no {name}"


@each_document()
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\bTASKFLOW_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
    assert named - SETTINGS - CALLERS <= {"TASKFLOW_WRITE_GOLDEN"}


@each_document()
def test_every_command_is_one(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^\$ )make ([\w-]+)", text, re.MULTILINE)) <= targets
    known = set(re.findall(r"[\w-]+", cli.parser().format_usage() + cli.parser().format_help()))
    assert set(re.findall(r"(?:`|bin/)taskflow ([a-z]+)", text)) <= known


def test_the_map_names_every_room() -> None:
    random_share = re.search(
        r"## The map of the code\n+```\nsrc/taskflow/\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert random_share is not None
    rooms = {path.name for path in (ROOT / "src" / "taskflow").iterdir() if (path / "__init__.py").exists()}
    assert set(re.findall(r"^  (\w+)/", random_share[1], re.MULTILINE)) == rooms


def test_each_outage_names_its_test_and_each_test_of_outages_is_named() -> None:
    text = (ROOT / "OPERATIONS.md").read_text()
    _, _, *rows = re.findall(r"^\|.*\|$", text.partition("\n## Stopping")[0], re.MULTILINE)
    assert len(rows) >= 7
    for row in rows:
        assert re.search(r"\]\(tests/outages/test_\w+\.py\) \|$", row), row.split("|")[1]
    tests = {path.name for path in (ROOT / "tests" / "outages").glob("test_*.py")}
    assert set(re.findall(r"\]\(tests/outages/(test_\w+\.py)\)", text)) == tests


def test_the_architecture_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= ARCHITECTURE_LINES_MAX


def joined(text: str) -> str:
    """Without what tells `state cache`, `state_cache` and `StateCache` apart."""
    return re.sub(r"[ _\n-]", "", text.casefold())


class TestGlossary:
    text = (ROOT / "GLOSSARY.md").read_text()
    entries = ENTRY.findall(text)

    def test_each_word_is_defined_once_in_order(self) -> None:
        words = [word for word, _ in self.entries]
        assert len(words) == self.text.count("\n**") > 50
        assert words == sorted(set(words), key=str.casefold)

    @pytest.mark.parametrize(("word", "definition"), entries, ids=[word for word, _ in entries])
    def test_each_word_is_the_codes_own(self, word: str, definition: str) -> None:
        links = [target for _, target in LINK.findall(definition)]
        assert links, "a definition says where the thing lives"
        sentences = re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)", "", definition).count(". ")
        assert sentences <= 2, "one or two sentences"
        for target in links:
            code = joined(target + (ROOT / target).read_text())
            assert any(joined(one) in code for one in word.split(", ")), target
