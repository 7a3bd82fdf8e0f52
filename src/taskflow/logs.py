"""Logging as JSON lines on standard error: one object for each record, including its `extra`."""

from __future__ import annotations

import logging
import sys
import time
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from taskflow.log_fields import LOG_FIELDS

if TYPE_CHECKING:
    from taskflow.settings import Settings

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OWN_FIELDS: Final = len(vars(logging.makeLogRecord({})))
"""Attributes that a record always has. Those of `extra` come after them."""
_encoder: Final = msgspec.json.Encoder(enc_hook=str)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= LOG_FIELDS.get() or {}
        line |= {key: value for key, value in islice(vars(record).items(), _OWN_FIELDS, None) if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encoder.encode(line).decode()


class RateLimitFilter(logging.Filter):
    """Passes each message template at most once in `every_s`, with the number of suppressed records (`held_back`).

    aiokafka logs each failed attempt while a broker is unavailable: thousands of lines in seconds.
    """

    def __init__(self, every_s: float = 10.0) -> None:
        super().__init__()
        self._every_s = every_s
        self._last: dict[str, float] = {}
        self._held = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        template = str(record.msg)
        if now - self._last.get(template, -self._every_s) < self._every_s:
            self._held += 1
            return False
        if len(self._last) > 1000:  # noqa: PLR2004 - messages without a template must not pile up
            self._last.clear()
        self._last[template] = now
        record.held_back, self._held = self._held, 0
        return True


def configure(settings: Settings, process: str) -> None:
    """Sets up the root logger of a process."""
    # No line shows these, so they are not looked up for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    seldom = RateLimitFilter()
    for name in (
        "aiokafka",
        "aiokafka.conn",
        "aiokafka.cluster",
        "aiokafka.client",
        "aiokafka.producer.sender",
        "aiokafka.consumer.fetcher",
        "aiokafka.consumer.group_coordinator",
        "pymongo",
    ):
        quiet = logging.getLogger(name)
        quiet.setLevel(logging.WARNING)
        quiet.addFilter(seldom)
