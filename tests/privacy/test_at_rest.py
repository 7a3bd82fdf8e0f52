"""What a thief of disks finds: PostgreSQL's files with its journal, Kafka's segments, the servers' logs.

Each search is shown to work by something that is there in clear: a task's title.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from taskflow.commands import user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor
from taskflow.commands.session import NewSession
from taskflow.errors import Rejected
from taskflow.follower.follower import open_follower
from taskflow.ids import new_id
from taskflow.relay import process
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import EventStore, open_event_store
from tests.commands.world import edit, make_project, make_task, register, registration, send, until

TITLE = "Wvutsrq in clear"
NAMES = ("Zephyrine Quxelbaum", "Østen Jyxqvist", "Ωmikron Вжышкин")
SECRETS = (
    *NAMES,
    *(f"qxz{n}.jkwpv@mail-of-nobody.example" for n in range(len(NAMES))),
    *(f"$argon2id$v=19$qzjx{n}" for n in range(len(NAMES))),
    "https://example.com/face-of-zephyrine",
    "203.0.113.217",
    "Vxqbrowser/7.3",
    "Renamed Qwzxella",
    "Setting of Vqzzyx",
    "named-after-Qxwvorn",
    "Loser Qqvbxomir",
)


def found_in(files: Iterable[Path], words: Iterable[str]) -> set[str]:
    """Which of the words stand in any of the files, as they are or in base64."""
    spellings = [(word, spelling) for word in words for spelling in _spellings(word)]
    found: set[str] = set()
    for path in files:
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # a server works here
            continue
        found |= {word for word, spelling in spellings if spelling in data}
    return found


def _spellings(word: str) -> list[bytes]:
    raw = word.encode()
    # At each of the three places where a run of base64 can begin, without the letters its neighbours share.
    runs = [b64encode(b"\0" * shift + raw)[(0, 2, 3)[shift] : -4] for shift in range(3)]
    escaped = word.encode("ascii", "backslashreplace")
    return [raw, raw.lower(), raw.upper(), raw.hex().encode(), escaped, word.encode("utf-16-le"), *runs]


def below(folder: Path, pattern: str = "**/*") -> list[Path]:
    return [path for path in folder.glob(pattern) if path.is_file()]


def test_the_search_finds_a_word_in_each_of_its_spellings(tmp_path: Path) -> None:
    for index, spelling in enumerate(_spellings(NAMES[1])):
        (tmp_path / str(index)).write_bytes(b"some" + spelling + b"thing")
        assert found_in([tmp_path / str(index)], SECRETS) == {NAMES[1]}
    for shift in range(3):
        (tmp_path / "run").write_bytes(b64encode(b"x" * shift + NAMES[2].encode() + b"yz"))
        assert found_in([tmp_path / "run"], SECRETS) == {NAMES[2]}


async def people_with_a_history(settings: Settings) -> None:
    """Everything that a person can leave in the log, more than once, and a registration that lost."""
    often = replace(settings, snapshot_every_events=5)
    async with open_event_store(often, "test") as store:
        executor = Executor(store, often)
        for n, name in enumerate(NAMES):
            email = SECRETS[len(NAMES) + n]
            session = NewSession(session_id=new_id(), address="203.0.113.217", agent="Vxqbrowser/7.3")
            person = registration(often, email, password_hash=SECRETS[2 * len(NAMES) + n], session=session)
            command = user.RegisterUser(email=email, password="not looked at", name=name)
            await send(executor, NOBODY, user.register_user, person, command)
            await send(
                executor,
                person.user_id,
                handler_of(user.EditProfile),
                None,
                user.EditProfile(
                    avatar_url="https://example.com/face-of-zephyrine",
                    settings={"named-after-Qxwvorn": "Setting of Vqzzyx"},
                ),
            )
            for _ in range(4):
                for new_name in ("Renamed Qwzxella", name):
                    await send(
                        executor, person.user_id, handler_of(user.EditProfile), None, user.EditProfile(name=new_name)
                    )
            task_id = await make_task(executor, person.user_id, await make_project(executor, person.user_id))
            await edit(executor, person.user_id, task_id, title=TITLE, assignee_id=person.user_id)
        with pytest.raises(Rejected):
            await register(executor, often, email=SECRETS[len(NAMES)], name="Loser Qqvbxomir")


async def test_nothing_personal_lies_on_the_disks_of_postgresql_and_kafka(
    settings: Settings, store: EventStore
) -> None:
    # The journal may hold pages compressed, where no search would find a word.
    await store.pool.execute(f"alter database {settings.postgres_url.rpartition('/')[2]} set wal_compression = off")
    journal_began = await store.pool.fetchval("select pg_walfile_name(pg_current_wal_insert_lsn())")
    await people_with_a_history(settings)
    head = (await store.log.head()).position

    follows = replace(settings, follower_snapshot_every_events=1)
    async with open_follower(store, follows, settings.kafka_partitions):

        async def saved() -> bool:
            position: int | None = await store.pool.fetchval("select max(position) from progress")
            return position == head

        # A snapshot is taken once there is something new.
        async with open_event_store(settings, "test") as another:
            await make_project(Executor(another, settings), await register(Executor(another, settings), settings))
        head = (await store.log.head()).position
        await until(saved, "a snapshot of the follower")

    relay = asyncio.create_task(process.run(settings))
    try:

        async def published() -> bool:
            position: int | None = await store.pool.fetchval("select position from relay")
            return position == head

        await until(published, "a relay that has caught up")
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)

    await store.pool.execute("checkpoint")
    data = Path(await store.pool.fetchval("show data_directory"))
    number = await store.pool.fetchval("select oid from pg_database where datname = current_database()")
    tables = [*below(data / "base" / str(number)), *below(data / "global")]
    journal = [path for path in below(data / "pg_wal", "*") if path.name >= journal_began]
    segments = below(settings.data_path / "kafka" / "logs", f"{settings.kafka_topic}-*/*.log")
    for files in (tables, journal, segments):
        assert found_in(files, [TITLE]) == {TITLE}, "the search looks in the wrong place"
        assert found_in(files, SECRETS) == set()
    assert found_in(below(settings.data_path / "logs"), SECRETS) == set()
    assert await store.pool.fetchval("select count(*) from snapshots") >= len(NAMES), "there were none to look into"
