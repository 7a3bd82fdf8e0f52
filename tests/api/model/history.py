"""A task folded from its events as the API shows them, without those that were annulled: what each event sets, once more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from msgspec.structs import replace

from tests.api.model.task import Comment, Facts, Item, Relation, Series, begun, entered
from tests.api.model.times import normal
from tests.api.model.workflow import Status

Event = dict[str, Any]
"""An envelope."""
NEVER_ANNULLED: Final = ("TaskCreated", "TaskMoved", "TaskPurged", "TaskEventAnnulled")
_ONE_FIELD: Final = {
    "TaskRetitled": "title",
    "TaskDescribed": "description",
    "TaskPrioritised": "priority",
    "TaskAssigned": "assignee_id",
    "TaskParentSet": "parent_id",
    "TaskRanked": "rank",
}


def annulled_in(events: Sequence[Event]) -> set[int]:
    """The versions that events annul."""
    return {event["data"]["version"] for event in events if event["type"] == "TaskEventAnnulled"}


def fold(events: Sequence[Event], left_out: Collection[int]) -> Facts:
    """What the task is after these events, without the versions that are left out."""
    facts = _created(events[0])
    for event in events[1:]:
        if event["stream_version"] not in left_out:
            at = event["occurred_at"]
            changed = _changed(facts, event["type"], event["data"], event["actor"], at)
            facts = replace(facts, **changed, version=event["stream_version"], updated_at=at)
    return facts


def _created(event: Event) -> Facts:
    data, at = event["data"], event["occurred_at"]
    due_at, due_on, rule = normal(data.get("due_at")), data.get("due_on"), data.get("recurrence")
    return Facts(
        project=data["project_id"],
        title=data["title"],
        description=data.get("description", ""),
        priority=data.get("priority", "medium"),
        status=data["status"],
        category=data["category"],
        due_at=due_at,
        due_on=due_on,
        zone=data.get("time_zone"),
        labels=frozenset(data.get("labels", ())),
        assignee=data.get("assignee_id"),
        parent=data.get("parent_id"),
        rank=data["rank"],
        recurrence=rule,
        series=None if rule is None else begun(due_at, due_on, at),
        created_by=event["actor"],
        created_at=at,
        updated_at=at,
        started_at=at if data["category"] == "in_progress" else None,
        completed_at=at if data["category"] == "done" else None,
    )


def _changed(facts: Facts, type_: str, data: Event, actor: str, at: str) -> dict[str, Any]:
    match type_:
        case "TaskEventAnnulled":
            return {}
        case "TaskTrashed":
            return {"trashed_at": at}
        case "TaskRestored":
            return {"trashed_at": None}
        case "TaskStatusChanged":
            return _entered(facts, data, at)
        case "TaskMoved":
            place = {name: data.get(f"{name}_id") for name in ("project", "assignee", "parent")}
            return {**_entered(facts, data, at), **place, "rank": data["rank"]}
        case "TaskLabelled":
            removed, added = set(data.get("removed", ())), set(data.get("added", ()))
            return {"labels": facts.labels - removed | added}
        case "TaskDueSet" | "TaskRecurrenceSet" | "TaskRecurred":
            return _scheduled(facts, type_, data, at)
        case one if one in _ONE_FIELD:
            name = _ONE_FIELD[one]
            return {name.removesuffix("_id"): data[name]}
        case one if one.startswith("Comment"):
            return {"comments": _comments(facts, type_, data, actor, at)}
        case one if one.startswith("Checklist"):
            return {"items": _items(facts.items, type_, data)}
        case _:
            relation = Relation(data["relation"], data["task_id"])
            others = facts.relations - {relation}
            return {"relations": others | {relation} if type_ == "RelationAdded" else others}


def _entered(facts: Facts, data: Event, at: str) -> dict[str, Any]:
    return entered(facts, Status(data["status"], data["status"], data["category"]), at)


def _scheduled(facts: Facts, type_: str, data: Event, at: str) -> dict[str, Any]:
    zone = {"zone": data["time_zone"]} if "time_zone" in data else {}
    if type_ == "TaskRecurrenceSet":
        rule = data["recurrence"]
        series = _series(data["series"]) if "series" in data else begun(facts.due_at, facts.due_on, at)
        return {"recurrence": rule, "series": None if rule is None else series, **zone}
    due_at, due_on = normal(data["due_at"]), data.get("due_on")
    due = {"due_at": due_at, "due_on": due_on}
    if type_ == "TaskRecurred":
        series = facts.series
        if series is not None:
            series = replace(series, slot=due_at if due_on is None else f"{due_on}T00:00:00.000000Z")
        unticked = data.get("unticked", ())
        items = tuple(replace(one, done=False) if one.id in unticked else one for one in facts.items)
        return {**due, **_entered(facts, data, at), "series": series, "items": items}
    if data.get("restarts") and facts.recurrence is not None:
        return {**due, **zone, "series": begun(due_at, due_on, at)}
    return {**due, **zone, **({"series": _series(data["series"])} if "series" in data else {})}


def _series(data: Event | None) -> Series | None:
    if data is None:
        return None
    return Series(normal(data["start"]) or "", normal(data["slot"]) or "", data.get("days", False))


def _comments(facts: Facts, type_: str, data: Event, actor: str, at: str) -> tuple[Comment, ...]:
    comment_id = data["comment_id"]
    there, others = facts.comment(comment_id), [one for one in facts.comments if one.id != comment_id]
    match type_:
        case "CommentAdded":
            others.append(Comment(comment_id, actor, data["body"], at))
        case "CommentEdited" if there is not None:
            others.append(replace(there, body=data["body"], edited_at=at))
        case "CommentRestored":
            times = normal(data["created_at"]) or "", normal(data.get("edited_at"))
            others.append(Comment(comment_id, data["author_id"], data["body"], *times))
    return tuple(sorted(others, key=lambda one: (one.created_at, one.id)))


def _items(items: tuple[Item, ...], type_: str, data: Event) -> tuple[Item, ...]:
    item_id = data["item_id"]
    there, others = next((one for one in items if one.id == item_id), None), [one for one in items if one.id != item_id]
    match type_:
        case "ChecklistItemAdded":
            others.append(Item(item_id, data["text"], data["rank"], data.get("done", False)))
        case "ChecklistItemReworded" if there is not None:
            others.append(replace(there, text=data["text"]))
        case "ChecklistItemChecked" if there is not None:
            others.append(replace(there, done=data["done"]))
        case "ChecklistItemRanked" if there is not None:
            others.append(replace(there, rank=data["rank"]))
    return tuple(sorted(others, key=lambda one: (one.rank, one.id)))
