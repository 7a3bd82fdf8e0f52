"""Undo: which change it is of, and what it sets back. Everything that can be set back by itself is a value under a
name and a key; of what comes and goes, its being there is the value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tests.api.model.links import against_parent, against_relation
from tests.api.model.project import ROLES, Project, against_archived
from tests.api.model.refusals import FORBIDDEN, NOTHING_TO_UNDO, Reason, Refused, rule
from tests.api.model.task import Change, Comment, Draft, Facts, Item, Series, status_of

if TYPE_CHECKING:
    from tests.api.model.world import World

Values = dict[tuple[str, Any], Any]
COMES_AND_GOES: Final = ("label", "comment", "item", "relation")
OF_THE_PROJECT: Final = ("status", "assignee", "parent", "rank")
"""A move says these anew, and they stand only as long as it does."""
MISSING: Final = "missing"


def values(facts: Facts) -> Values:
    found: Values = {
        ("project", ""): facts.project,
        ("title", ""): facts.title,
        ("description", ""): facts.description,
        ("status", ""): facts.status,
        ("priority", ""): facts.priority,
        ("due", ""): (facts.due_at, facts.due_on),
        ("zone", ""): facts.zone,
        ("series", ""): facts.series,
        ("assignee", ""): facts.assignee,
        ("parent", ""): facts.parent,
        ("rank", ""): facts.rank,
        ("recurrence", ""): facts.recurrence,
        ("trashed", ""): facts.trashed_at is not None,
    }
    found |= {("label", label): True for label in facts.labels}
    found |= {("relation", relation): True for relation in facts.relations}
    for comment in facts.comments:
        found |= {("comment", comment.id): True, ("comment body", comment.id): comment.body}
    for item in facts.items:
        found |= {
            ("item", item.id): True,
            ("item text", item.id): item.text,
            ("item done", item.id): item.done,
            ("item rank", item.id): item.rank,
        }
    return found


def value(found: Values, name: tuple[str, Any]) -> Any:
    return found.get(name, False if name[0] in COMES_AND_GOES else MISSING)


# --- which change -------------------------------------------------------------------------------


def to_undo(changes: Sequence[Change], version: int | None) -> Change:
    """The one that led to that version; else the newest that is neither undone nor an undo. Raises Refused."""
    if version is None:
        gone = undone(changes)
        found = [change for change in changes if change.undoes is None and change.first not in gone]
    else:
        found = [change for change in changes if change.first <= version <= change.last]
    found = [change for change in found if not change.hidden]
    if not found:
        raise Refused(NOTHING_TO_UNDO)
    return found[-1]


def undone(changes: Sequence[Change]) -> set[int]:
    """By their first versions. An undo that is undone itself undoes nothing."""
    gone: set[int] = set()
    for change in reversed(changes):
        if change.undoes is not None and change.first not in gone and not change.hidden:
            gone.add(change.undoes)
    return gone


def altered(change: Change) -> Values:
    """What a change set, and to what; not what is part of something that came or went with it."""
    before, after = values(change.before), values(change.after)
    found = {name: value(after, name) for name in before | after if value(before, name) != value(after, name)}
    return {name: became for name, became in found.items() if MISSING not in {became, value(before, name)}}


def still_set(change: Change, now: Facts) -> Values:
    """What has the value that the change gave it, with the value from before."""
    before, present, set_to = values(change.before), values(now), altered(change)
    back = {name: value(before, name) for name, became in set_to.items() if value(present, name) == became}
    if ("project", "") in set_to and ("project", "") not in back:
        back = {name: was for name, was in back.items() if name[0] not in OF_THE_PROJECT}
    return back


# --- setting back -------------------------------------------------------------------------------


class Undoing:
    """One undo by one person; `home` is the project that the task will be in."""

    def __init__(self, world: World, who: str, task_id: str, change: Change, draft: Draft) -> None:
        self.world = world
        self.who = who
        self.task_id = task_id
        self.draft = draft
        self.change = change
        self.returning: set[str] = set()
        """Tasks that go back together: what they stand below among themselves is no question."""
        self.before = change.before
        self.here = world.projects[draft.facts.project]
        self.back = still_set(change, draft.facts)
        self.home = world.projects[self.back.get(("project", ""), self.here.id)]

    def set_back(self) -> Iterator[Reason]:
        """Puts everything back, and tells what stands against it."""
        began = self.draft.facts
        if began.trashed_at is not None and ("trashed", "") not in self.back:
            yield rule("trashed")
        if self.home is not self.here:
            yield from self.move_back()
        else:
            yield from self._of_the_project()
        self._fields()
        yield from self._comments()
        self._items()
        yield from self._relations()
        if self.draft.facts is began:
            yield rule("changed-since")

    def _one(self, name: str) -> Any:
        return self.back.get((name, ""), MISSING)

    def _each(self, name: str) -> Mapping[Any, Any]:
        return {key: was for (of, key), was in self.back.items() if of == name}

    def move_back(self) -> Iterator[Reason]:
        """In one event, with what belongs to a project. What is not set back stays, if it can be had there."""
        yield from against_archived(self.home)
        facts, workflow = self.draft.facts, self.home.workflow
        said = {name: was for name in OF_THE_PROJECT if (was := self._one(name)) != MISSING}
        if "status" in said:
            status = workflow.today(said["status"])
        else:
            today = status_of(facts, self.here.workflow)
            status = workflow.today(today.key) or workflow.first(today.category)
        assignee, parent = said.get("assignee", facts.assignee), said.get("parent", facts.parent)
        yield from self._assignable(assignee)
        if parent not in self.returning:
            yield from self._below(parent)
        if status is None:
            yield rule("no-such-status")
            return
        self.draft.enter(
            status, project=self.home.id, assignee=assignee, parent=parent, rank=said.get("rank", facts.rank)
        )

    def _of_the_project(self) -> Iterator[Reason]:
        """The workflow's transitions do not bind an undo."""
        status, assignee, parent, rank = [self._one(name) for name in OF_THE_PROJECT]
        if status != MISSING:
            today = self.home.workflow.today(status)
            if today is None:
                yield rule("no-such-status")
            elif today.key != status_of(self.draft.facts, self.home.workflow).key:
                self.draft.enter(today)
        if assignee != MISSING:
            yield from self._assignable(assignee)
            self.draft.set(assignee=assignee)
        if parent != MISSING:
            yield from self._below(parent)
            self.draft.set(parent=parent)
        if rank != MISSING:
            self.draft.set(rank=rank)

    def _assignable(self, person: str | None) -> Iterator[Reason]:
        if person is not None and person not in self.home.members:
            yield rule("not-a-member")

    def _below(self, parent: str | None) -> Iterator[Reason]:
        """The caller named no parent: one that is gone is a rule that is broken."""
        for reason in against_parent(self.world, self.task_id, parent, self.home.id):
            yield rule("no-such-parent") if reason.status == 404 else reason

    def _fields(self) -> None:
        draft = self.draft
        for name in ("title", "description", "priority"):
            if self._one(name) != MISSING:
                draft.set(**{name: self._one(name)})
        self._schedule()
        if self._one("trashed") != MISSING:
            draft.set(trashed_at=draft.at if self._one("trashed") else None)
        labels = self._each("label")
        if labels:
            draft.set(
                labels=frozenset({*draft.facts.labels, *labels} - {one for one, was in labels.items() if not was})
            )

    def _schedule(self) -> None:
        """As one: what other changes have set since needs its zone, and a rule its own series."""
        draft, was, now = self.draft, self.before, self.draft.facts
        back = {name: self._one(name) for name in ("due", "zone", "recurrence", "series") if self._one(name) != MISSING}
        due_at, due_on = back.get("due", (now.due_at, now.due_on))
        rule, zone = back.get("recurrence", now.recurrence), back.get("zone", now.zone)
        alone = (due_at, due_on, rule) in {(None, None, None), (was.due_at, was.due_on, was.recurrence)}
        if zone is None and not alone:
            zone = now.zone
        series = now.series
        if rule is None:
            series = None
        elif was.series is not None and rule == was.recurrence:
            if "series" in back:
                series = was.series
            elif rule != now.recurrence and (series is None or series.days == was.series.days):
                slot = was.series.slot if series is None else series.slot
                series = Series(was.series.start, slot, was.series.days)
        ruled = rule != now.recurrence
        due = {"due_at": due_at, "due_on": due_on, "zone": zone}
        if any(value != getattr(now, name) for name, value in due.items()) or (series != now.series and not ruled):
            draft.set(**due, series=now.series if ruled else series)
        if ruled:
            draft.set(recurrence=rule, series=series)

    def _comments(self) -> Iterator[Reason]:
        """By their author, or an admin."""
        for name, comment_id in [name for name in self.back if name[0].startswith("comment")]:
            now = self.draft.facts.comment(comment_id) or self.before.comment(comment_id)
            assert now is not None, "it is there, or was"
            if now.author != self.who and not _manages(self.home, self.who):
                yield FORBIDDEN
            others = [one for one in self.draft.facts.comments if one.id != comment_id]
            was = self.back[name, comment_id]
            if name == "comment body":
                others.append(Comment(now.id, now.author, was, now.created_at, self.draft.at))
            elif was:
                others.append(now)
            self.draft.set(comments=tuple(sorted(others, key=lambda one: (one.created_at, one.id))))

    def _items(self) -> None:
        for name, item_id in [name for name in self.back if name[0].startswith("item")]:
            others = tuple(one for one in self.draft.facts.items if one.id != item_id)
            now = self.draft.facts.item(item_id) or self.before.item(item_id)
            assert now is not None, "it is there, or was"
            was = self.back[name, item_id]
            match name:
                case "item text":
                    now = Item(now.id, was, now.rank, now.done)
                case "item done":
                    now = Item(now.id, now.text, now.rank, was)
                case "item rank":
                    now = Item(now.id, now.text, was, now.done)
            self.draft.set_items(others if was is False and name == "item" else (*others, now))

    def _relations(self) -> Iterator[Reason]:
        for relation, was in self._each("relation").items():
            relations = self.draft.facts.relations
            if not was:
                self.draft.set(relations=relations - {relation})
                continue
            if self.who not in self.world.project_of(relation.task_id).members:
                yield rule("no-such-task")
            yield from against_relation(self.world, self.task_id, relation.type, relation.task_id)
            self.draft.set(relations=relations | {relation})


def _manages(project: Project, person: str) -> bool:
    return ROLES.index(project.members[person]) >= ROLES.index("admin")
