"""Every event ever stored, as it is shown: today's shape, and nothing of people whom the reader does not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.unit.test_golden_events import GOLDEN, KEY, READ_AS, A, recorded

from taskflow.api.envelopes import SHOWN, as_sent, envelopes
from taskflow.privacy.sealing import personal_fields
from taskflow.store.mapper import Mapper
from taskflow.streams import EVENT_TYPES

PATHS = sorted(GOLDEN.glob("*.json"))


class Keys:
    """Knows one person's key, and who was asked for."""

    def __init__(self) -> None:
        self.asked: set[UUID] = set()

    async def fetch(self, persons: Any) -> dict[UUID, bytes]:
        self.asked |= set(persons)
        return {A: KEY}


async def shown(path: Path, sees: Any) -> tuple[dict[str, Any], Keys]:
    keys = Keys()
    mapper = Mapper(keys)  # type: ignore[arg-type]  # a key ring without a store behind it
    (envelope,) = await envelopes(mapper, [recorded(path.stem, path.read_bytes().strip())], sees)
    assert envelope.schema_version == EVENT_TYPES[envelope.type].schema_version
    assert as_sent(envelope).endswith(b"\n\n")
    assert as_sent(envelope).count(b"\n") == 4
    data: dict[str, Any] = msgspec.json.decode(envelope.data)
    return data, keys


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
async def test_whom_one_does_not_see_one_reads_nothing_of(path: Path) -> None:
    event = READ_AS[path.stem]
    data, keys = await shown(path, lambda _: False)
    assert keys.asked == set()
    for field in personal_fields(type(event)):
        assert data.get(field) is None
    whole = msgspec.json.decode(msgspec.json.encode(event))
    hidden = personal_fields(type(event))
    assert {name: value for name, value in data.items() if name not in hidden} == {
        name: value for name, value in whole.items() if name not in hidden
    }


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
async def test_whom_one_sees_one_reads_but_for_secrets(path: Path) -> None:
    event = READ_AS[path.stem]
    data, _ = await shown(path, lambda person: person == A)
    whole = msgspec.json.decode(msgspec.json.encode(event))
    for field in personal_fields(type(event)):
        assert data.get(field) == (whole[field] if field in SHOWN else None)


def test_a_hash_of_a_password_and_settings_are_never_shown() -> None:
    every = {field for event in EVENT_TYPES.values() for field in personal_fields(event)}
    assert every - SHOWN == {"password_hash", "settings"}
