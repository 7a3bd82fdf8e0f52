"""The rows that were refused, as a CSV file: line, reason, and the row as it was.

The columns keep their names, so that the file, once mended, can be imported under the same mapping.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self, TextIO

from taskflow.importer.failures import BadFile

SHOWN_MAX: Final = 50
"""Refused rows that a dry run tells of: it writes no file of them."""


class Shown:
    """The first rows that were refused, as lines to show, where no file is to be written."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    @property
    def told(self) -> tuple[str, ...]:
        return tuple(self._lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, line: int, reason: str, _: Sequence[str]) -> None:
        if len(self._lines) < SHOWN_MAX:
            self._lines.append(f"line {line}: {reason}")


class Rejects:
    """Made with the first row; that of an earlier run goes. Use as a context manager."""

    told = ()

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path = path
        self._header = header
        self._file: TextIO | None = None
        self._rows: Any = None

    def __enter__(self) -> Self:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise BadFile(f"rejects {self.path}: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, line: int, reason: str, fields: Sequence[str]) -> None:
        """Raises BadFile where the file cannot be written: a refused row is never lost in silence."""
        try:
            if self._file is None:
                # Bytes that are no UTF-8 came in as surrogates and go out as they were.
                self._file = self.path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
                self._rows = csv.writer(self._file, lineterminator="\n")
                self._rows.writerow(("line", "reason", *self._header))
            self._rows.writerow((line, reason, *fields))
            self._file.flush()
        except OSError as error:
            raise BadFile(f"rejects {self.path}: {error.strerror}") from None
