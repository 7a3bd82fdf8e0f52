"""Context fields that are added to every log line, for example a request's id.

The fields apply to the task that set them, and to the tasks and threads that this task starts.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_FIELDS: Final[ContextVar[Mapping[str, object] | None]] = ContextVar("log_fields", default=None)
