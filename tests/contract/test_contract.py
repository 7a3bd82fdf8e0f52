"""What is served and what the document says of it are the same: tried by schemathesis, which makes requests that the
document allows and such as it does not, and holds every answer against it.

`CONTRACT_EXAMPLES` is how many are made up for every operation, beside those that its limits suggest. More than by
default are others each time; the seed is told, and `CONTRACT_SEED` makes the same again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.stack import ROOT, accepted
from tests.contract.conftest import World

SOME = 6
"""As many as three minutes have room for, all phases together."""
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", SOME))
BOUND_S = 280 if EXAMPLES <= SOME else 0
SHOWN = {
    "task_id": "TASK",
    "related_id": "OTHER_TASK",
    "project_id": "PROJECT",
    "user_id": "MEMBER",
    "comment_id": "COMMENT",
    "item_id": "ITEM",
    "invitation_id": "INVITATION",
    "view_id": "VIEW",
    "file": "CALENDAR_FILE",
}
"""Parameters of paths, and what of the world they name."""


@pytest.mark.timeout(BOUND_S)
@pytest.mark.parametrize("phase", ["examples", "coverage", "fuzzing", "stateful"])
def test_the_api_does_what_its_document_says(world: World, phase: str, tmp_path: Path) -> None:
    document = accepted(httpx.get(f"{world.url}/openapi.json"))
    _close(document)
    _show(document, world.names)
    if phase == "coverage":
        _without(document, "If-Match")
    location = tmp_path / "openapi.json"
    location.write_text(json.dumps(document))
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(world.configuration(steady=EXAMPLES <= SOME))
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run", str(location)),
            *("--phases", phase, "--max-examples", str(EXAMPLES), "--no-color"),
            *(("--seed", os.environ["CONTRACT_SEED"]) if "CONTRACT_SEED" in os.environ else ()),
        ],
        cwd=tmp_path,
        env=os.environ | world.environ() | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def _close(document: dict[str, Any]) -> None:
    """Leaves no room for a field that is not named: clients must allow for one, and this must not."""
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)


def _show(document: dict[str, Any], names: dict[str, str]) -> None:
    """What there is in the world are the examples, which every phase begins with."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            # What is in the trash or archived takes no writes: the others' share stays as it is.
            spared = "SPARE_" if method == "delete" and path.endswith(("/{task_id}", "/{project_id}")) else ""
            for parameter in operation["parameters"]:
                if parameter.get("in") == "path" and parameter["name"] in SHOWN:
                    parameter["example"] = names[spared + SHOWN[parameter["name"]]]


def _without(document: dict[str, Any], header: str) -> None:
    """For the phase that finds no value for the pattern of this one, and would send every write with another."""
    reference = f"#/components/parameters/{header}"
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["parameters"] = [one for one in operation["parameters"] if one.get("$ref") != reference]
