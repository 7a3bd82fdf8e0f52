"""A file's rows, one at a time: what can be read becomes a Row, the rest a Bad row with its reason.

file ─▶ lines (plain or gzip, UTF-8) ─▶ records (CSV, or JSON: an object a line) ─▶ Row
                                                                                └─▶ Bad: line number and reason
The file is never in memory whole: a line has a bound.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final, Self, TextIO

from taskflow.importer.failures import BadFile
from taskflow.importer.jsonlines import cells
from taskflow.importer.mapping import Mapping
from taskflow.importer.rows import Bad, Row, RowFault, reader

LINE_CHARS_MAX: Final = 1_000_000
JSON_SUFFIXES: Final = frozenset((".jsonl", ".ndjson", ".json"))
_GZIP: Final = b"\x1f\x8b"


class Source:
    """An open file and its header. Use as a context manager, then iterate `rows`."""

    def __init__(self, path: Path, mapping: Mapping) -> None:
        try:
            self._raw = path.open("rb")
        except OSError as error:
            raise BadFile(f"{path}: {error.strerror}") from None
        self._path = path
        self.size = max(1, path.stat().st_size)
        # Held here: a wrapper that nobody holds closes what it wraps.
        self._file = _text(self._raw)
        self._taken: list[str] = []
        self._overlong = False
        lines = self._lines(self._file)
        first = self._first_line(lines)
        self._json_lines = chain([first], lines) if _is_json(path, first) else None
        self._records = csv.reader(chain([first], lines), delimiter=mapping.delimiter, strict=True)
        self.header = self._header() if self._json_lines is None else mapping.columns
        """Of JSON rows what the mapping names: whatever else they say is not looked at."""
        self._read = reader(mapping, self.header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._raw.close()

    @property
    def bytes_read(self) -> int:
        """How much of the file, as it lies on the disk, has been read."""
        return self._raw.tell()

    def rows(self) -> Iterator[Row | Bad]:
        """Raises BadFile where the file ends in the middle of its compression."""
        return self._csv_rows() if self._json_lines is None else self._json_rows(self._json_lines)

    def _json_rows(self, lines: Iterator[str]) -> Iterator[Row | Bad]:
        number = 0
        while True:
            number += 1
            self._taken.clear()
            self._overlong = False
            fields: tuple[str, ...] = ()
            try:
                text = next(lines).strip()
                if self._overlong:
                    raise RowFault(f"expected at most {LINE_CHARS_MAX} characters a line")
                if text:
                    fields = (text,)
                    fields = cells(text, self.header)
                    yield self._read(number, fields)
            except StopIteration:
                return
            except RowFault as fault:
                yield Bad(line=number, reason=str(fault), fields=fields)
            except (EOFError, OSError, zlib.error) as error:
                raise BadFile(f"{self._path}: cannot be read past line {number - 1}: {error}") from None

    def _csv_rows(self) -> Iterator[Row | Bad]:
        while True:
            line = self._records.line_num + 1
            self._taken.clear()
            self._overlong = False
            fields: list[str] = []
            try:
                fields = next(self._records)
                if self._overlong:
                    raise RowFault(f"expected at most {LINE_CHARS_MAX} characters a line")
                if fields:  # an empty line is no row
                    yield self._read(line, fields)
            except StopIteration:
                return
            except csv.Error as error:
                yield Bad(line=line, reason=f"no CSV: {error}", fields=("".join(self._taken).rstrip("\r\n"),))
            except RowFault as fault:
                yield Bad(line=line, reason=str(fault), fields=tuple(fields))
            except (EOFError, OSError, zlib.error) as error:
                raise BadFile(f"{self._path}: cannot be read past line {line - 1}: {error}") from None

    def _first_line(self, lines: Iterator[str]) -> str:
        try:
            return next(lines, "")
        except (EOFError, OSError, zlib.error) as error:
            raise BadFile(f"{self._path}: {error}") from None

    def _header(self) -> tuple[str, ...]:
        try:
            header = tuple(next(self._records, ()))
        except (csv.Error, EOFError, OSError, zlib.error) as error:
            raise BadFile(f"{self._path}: {error}") from None
        if not any(header):
            raise BadFile(f"{self._path}: expected a header with the columns' names, found nothing")
        return header

    def _lines(self, file: TextIO) -> Iterator[str]:
        """Physical lines; an overlong one is cut, and what was cut off is passed over."""
        while line := file.readline(LINE_CHARS_MAX):
            rest = line if len(line) == LINE_CHARS_MAX else ""
            while rest and not rest.endswith("\n"):
                self._overlong = True
                rest = file.readline(LINE_CHARS_MAX)
            self._taken.append(line)
            yield line


def _is_json(path: Path, first: str) -> bool:
    """By the name's end, else by the first character. Raises BadFile for a file that is one JSON array."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    named = bool(suffixes) and suffixes[-1].lower() in JSON_SUFFIXES
    if named and first.lstrip().startswith("["):
        raise BadFile(f"{path}: expected JSON Lines, one object a line; found an array")
    return named or first.lstrip().startswith("{")


def _text(raw: io.BufferedReader) -> TextIO:
    # Bytes that are no UTF-8 reach their row as surrogates, so that one bad row is not the file's end.
    binary = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == _GZIP else raw
    return io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
