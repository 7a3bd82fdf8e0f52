"""taskflow's append path: WRITERS loops, each appending one event at a time to a stream of its own, with its
check, its receipt and group commit. Prints {seconds, latencies} in ms, as the other peers do."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import UTC, datetime
from uuid import UUID

import uvloop

from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import NOBODY, Append, NewEvent, Outcome, Receipt
from taskflow.store.eventstore import open_event_store

DATA = b'{"title":"Write the report about the incident of last week"}'


def one_event(stream_id: UUID, version: int) -> Append:
    """The append of a stream's next event."""
    return Append(
        caller=NOBODY,
        command_id=new_id(),
        fingerprint=b"0" * 32,
        outcome=Outcome.APPLIED,
        result_stream=stream_id,
        result_kind="task",
        checks=((stream_id, "task", version),),
        events=(
            NewEvent(
                stream_id=stream_id,
                kind="task",
                version=version + 1,
                type="TaskRetitled",
                schema_version=1,
                event_id=new_id(),
                occurred_at=datetime.now(UTC),
                actor=None,
                correlation_id=None,
                causation_id=None,
                data=DATA,
            ),
        ),
    )


async def main(writers: int, seconds: float) -> None:
    latencies: list[float] = []
    async with open_event_store(Settings.from_env(), "benchmark") as store:
        started = time.perf_counter()

        async def writer() -> None:
            stream_id, version = new_id(), 0
            while (before := time.perf_counter()) < started + seconds:
                outcome = await store.committer.submit(one_event(stream_id, version))
                assert isinstance(outcome, Receipt)
                version += 1
                latencies.append((time.perf_counter() - before) * 1000)

        await asyncio.gather(*[writer() for _ in range(writers)])
        spent = time.perf_counter() - started
    print(json.dumps({"seconds": spent, "latencies": latencies}))


if __name__ == "__main__":
    uvloop.run(main(int(os.environ["WRITERS"]), float(os.environ["SECONDS"])))
