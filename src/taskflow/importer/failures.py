"""What ends an import, in words for whoever started it."""

from __future__ import annotations


class ImportFailure(Exception):
    """The message says what is wrong and what to do."""


class BadFile(ImportFailure):
    """The file cannot be read, or read on: the message says where and why."""


class BadMapping(ImportFailure):
    """The mapping does not say what an import needs; the message names the file, the place and what it takes."""


class BadArguments(ImportFailure):
    """What was typed does not go together."""


class ServerAway(ImportFailure):
    """The server did not answer for longer than an import waits."""
