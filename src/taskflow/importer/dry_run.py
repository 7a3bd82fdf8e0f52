"""`--dry-run` of rows: the server says what becomes of a ticket's first new row, and its later ones are judged here.

The server stores nothing of a dry run, so it judges each batch on what is stored. What an earlier batch of this run
would have made of a ticket is kept here, and the rows that follow are compared with it by the rules of an import.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from unicodedata import normalize

from msgspec import Struct, convert
from msgspec.structs import replace

from taskflow.client.answers import Appended
from taskflow.importer.sender import Result

_MADE: Final = (Appended("TaskCreated", 1, 0),)


class Foreseen(Struct):
    """A ticket's task as this run would leave it."""

    at: datetime
    status: str
    priority: str
    labels: set[str]
    assignee: str | None


class Foresight:
    """What a run would have made by now."""

    def __init__(self) -> None:
        self.people: dict[str, str] = {}
        """Ids by the source's keys, as far as the server has told them."""
        self._tasks: dict[str, Foreseen] = {}

    def foresee(self, data: dict[str, Any], result: Result) -> Result:
        """What would become of a row, of which the server says `result`."""
        if not result.ours and result.reason is None:
            return result
        task = self._tasks.get(data["key"])
        if task is not None:
            return self._change(task, data, result)
        if result.reason is not None:
            return result
        if result.outcome.result is not None:
            self._tasks[data["key"]] = _of(result.outcome.result)
            return result
        if data["at"] > datetime.now(UTC):
            return _refused(result, f"the time {data['at'].isoformat()} has not come yet")
        labels = set(map(_plain, data.get("labels", ())))
        self._tasks[data["key"]] = Foreseen(
            data["at"], data["status"], data.get("priority", "medium"), labels, self._assignee(data)
        )
        return replace(result, outcome=replace(result.outcome, events=_MADE))

    def _change(self, task: Foreseen, data: dict[str, Any], result: Result) -> Result:
        at = data["at"]
        if at > datetime.now(UTC):
            return _refused(result, f"the time {at.isoformat()} has not come yet")
        if at < task.at:
            return _refused(
                result,
                f"the time is before the last change: expected {task.at.isoformat()} or later, found {at.isoformat()}",
            )
        said = set(map(_plain, data.get("labels", ())))
        owned = {label for label in task.labels if label.startswith(tuple(data.get("prefixes", ())))}
        after = Foreseen(
            task.at,
            data["status"],
            data.get("priority", task.priority),
            (task.labels - owned) | said,
            None if data.get("nobody") else self._assignee(data) or task.assignee,
        )
        if after == task:
            return replace(
                result, reason=None, code="", ours=True, outcome=replace(result.outcome, outcome="unchanged")
            )
        after.at = at
        self._tasks[data["key"]] = after
        applied = replace(result.outcome, outcome="applied", events=())
        return replace(result, reason=None, code="", ours=True, outcome=applied)

    def _assignee(self, data: dict[str, Any]) -> str | None:
        key = data.get("assignee")
        return None if key is None else self.people.get(key, key)


def _of(task: dict[str, Any]) -> Foreseen:
    assignee = task["assignee"]
    return Foreseen(
        convert(task["updated_at"], datetime),
        task["status"],
        task["priority"],
        set(map(_plain, task["labels"])),
        None if assignee is None else assignee["id"],
    )


def _refused(result: Result, reason: str) -> Result:
    return replace(result, reason=reason, code="", ours=True)


def _plain(label: str) -> str:
    return normalize("NFC", label).strip()
