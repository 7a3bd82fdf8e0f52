"""Turns the staged events of a unit of work into events for the store: encoded, with personal fields encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskflow.errors import Erased
from taskflow.privacy.sealing import personal_fields, says_of_person
from taskflow.store.append import NewEvent
from taskflow.store.mapper import encode
from taskflow.streams import USER
from taskflow.streams.project_scope import project_decided_by

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.commands.unit_of_work import Staged, UnitOfWork


async def sealed_events(unit: UnitOfWork, *, correlation_id: str | None) -> tuple[NewEvent, ...]:
    """The staged events, encoded; personal fields are encrypted with their person's key.

    The person's stream is read and so becomes a guard: if the person is erased in between, the append is refused.

    Raises Erased if the key is destroyed, and KeyMissing if there is no key and no record of an erasure.
    """
    persons = [_person(staged) for staged in unit.staged]
    needed = {person for person in persons if person is not None and person not in unit.new_keys}
    for person in needed:
        await unit.read(USER, person)
    keys = await unit.person_keys(needed)
    for staged, whose in zip(unit.staged, persons, strict=True):
        if whose is not None and whose not in keys and says_of_person(staged.event):
            raise Erased(whose, staged.turn)
    return tuple(
        NewEvent(
            stream_id=staged.metadata.stream_id,
            kind=staged.kind.name,
            version=staged.metadata.version,
            type=type(staged.event).__name__,
            schema_version=staged.event.schema_version,
            event_id=staged.event_id,
            occurred_at=staged.metadata.occurred_at,
            actor=staged.metadata.actor,
            correlation_id=correlation_id,
            causation_id=staged.causation_id,
            data=encode(staged.event, event_id=staged.event_id, key=None if person is None else keys.get(person)),
            project=project_decided_by(staged.event, staged.metadata.stream_id),
            parent=staged.parent,
        )
        for staged, person in zip(unit.staged, persons, strict=True)
    )


def _person(staged: Staged) -> UUID | None:
    event = type(staged.event)
    if not personal_fields(event):
        return None
    person: UUID = getattr(staged.event, event.person_field) if event.person_field else staged.metadata.stream_id
    return person
