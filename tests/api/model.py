"""What taskflow promises about projects and tasks, once more and in few words: to be compared with the real one.

Nothing here is the product's: fields are what API.md calls them, a history is a list of changes, and undo is done
on values. What the model leaves open it takes from the answer: ids, versions and positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct, field

ROLES: Final = ("viewer", "member", "admin", "owner")
FIELDS: Final = ("title", "description", "priority", "status")
TARGET_OF_INTENT: Final = {"start": "in_progress", "complete": "done", "reopen": "todo", "cancel": "cancelled"}
ABSENT: Final = "absent"

Facets = dict[tuple[str, str], Any]
"""What can be set back by itself: (`title`, ""), (`label`, name), (`comment`, id) …"""


class Refused(Exception):
    """What the API must answer instead: a status, and a code where it is a rule's."""

    def __init__(self, status: int, code: str | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Change(Struct):
    """What one command did to a task."""

    first: int
    last: int
    before: Facets
    after: Facets
    undoes: Change | None = None

    def is_undone(self, later: Iterable[Change]) -> bool:
        return any(one.undoes is self and not one.is_undone(later) for one in later)


class Task(Struct):
    id: str
    version: int
    facets: Facets
    changes: list[Change] = field(default_factory=list)
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What a write answered, by version."""

    def get(self, name: str, key: str = "") -> Any:
        return self.facets.get((name, key), ABSENT)

    def labels(self) -> set[str]:
        return {key for (name, key), value in self.facets.items() if name == "label" and value is True}

    def comments(self) -> dict[str, str]:
        return {key: value for (name, key), value in self.facets.items() if name == "comment" and value != ABSENT}

    @property
    def project(self) -> str:
        return str(self.get("project"))

    @property
    def trashed(self) -> bool:
        return self.get("trashed") is True

    def changed(self, facets: Facets) -> Facets:
        """Those that differ from what there is."""
        return {key: value for key, value in facets.items() if self.facets.get(key, ABSENT) != value}

    def apply(self, facets: Facets, version: int, undoes: Change | None = None) -> None:
        before = {key: self.facets.get(key, ABSENT) for key in facets}
        self.changes.append(Change(self.version + 1, version, before, facets, undoes))
        self.facets |= facets
        self.version = version

    def to_undo(self, version: int | None) -> Change:
        """The change that an undo is of. Raises Refused."""
        if version is None:
            candidates = [c for c in self.changes if c.undoes is None and not c.is_undone(self.changes)]
        else:
            candidates = [c for c in self.changes if c.first <= version <= c.last]
            candidates = [c for c in candidates if not c.is_undone(self.changes)]
        if not candidates:
            raise Refused(409)
        return candidates[-1]

    def compensation(self, change: Change) -> Facets:
        """What it sets back: only what still holds what the change set. Raises Refused."""
        facets = {
            key: change.before[key] for key, set_to in change.after.items() if self.facets.get(key, ABSENT) == set_to
        }
        if self.trashed and ("trashed", "") not in facets:
            raise Refused(409, "trashed")
        if not facets:
            raise Refused(409, "changed-since")
        return facets


class Project(Struct):
    id: str
    members: dict[str, str]
    archived: bool = False

    def must_allow(self, person: str, minimum: str) -> None:
        """Raises Refused."""
        role = self.members.get(person)
        if role is None:
            raise Refused(404)
        if ROLES.index(role) < ROLES.index(minimum):
            raise Refused(403)

    def set_member(self, actor: str, person: str, role: str | None) -> bool:
        """Whether it changes anything; `role` None removes. Raises Refused."""
        leaving = role is None and actor == person
        self.must_allow(actor, "viewer" if leaving else "admin")
        current = self.members.get(person)
        if current == role:
            return False
        mine = self.members[actor]
        high = {"admin", "owner"}
        if not leaving and mine != "owner" and {current, role} & high:
            raise Refused(403)
        if current == "owner" and sum(one == "owner" for one in self.members.values()) == 1:
            raise Refused(409, "last-owner")
        if role is None:
            del self.members[person]
        else:
            self.members[person] = role
        return True


def of_fields(fields: dict[str, Any]) -> Facets:
    """The facets that a body sets."""
    facets: Facets = {(name, ""): fields[name] for name in FIELDS if name in fields}
    return facets | {("label", label): True for label in fields.get("labels", ())}


def of_labels(task: Task, labels: Iterable[str]) -> Facets:
    """The facets that replacing all labels sets."""
    wanted = set(labels)
    gone: Facets = {("label", label): ABSENT for label in task.labels() - wanted}
    return gone | {("label", label): True for label in wanted}


def attempt(step: Callable[[], Any]) -> tuple[Any, Refused | None]:
    """What a step answers, or why it is refused."""
    try:
        return step(), None
    except Refused as refused:
        return None, refused
