"""Fields that every log line carries while something is under way: a request's id, for example.

They follow the task that set them, and whatever tasks and threads it starts.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_FIELDS: Final[ContextVar[Mapping[str, object] | None]] = ContextVar("log_fields", default=None)
