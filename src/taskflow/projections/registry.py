"""The registry of projections by name: every Projection declared in a module of `declarations`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Final

from taskflow.projections import declarations
from taskflow.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Iterator


def _declared() -> Iterator[Projection]:
    for found in iter_modules(declarations.__path__):
        module = import_module(f"{declarations.__name__}.{found.name}")
        yield from (value for value in vars(module).values() if isinstance(value, Projection))


PROJECTIONS: Final[dict[str, Projection]] = {view.name: view for view in _declared()}
