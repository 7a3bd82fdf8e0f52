"""Plain `eventsourcing` on PostgreSQL, used as its documentation says: an application, aggregates, `save`.
WRITERS threads, each saving one event at a time. Prints {seconds, latencies} in ms."""

from __future__ import annotations

import json
import os
import threading
import time
from urllib.parse import urlparse
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Task(Aggregate):
    @event("Created")
    def __init__(self, title: str) -> None:
        self.title = title

    @event("Retitled")
    def retitle(self, title: str) -> None:
        self.title = title


def main(writers: int, seconds: float) -> None:
    url = urlparse(os.environ["POSTGRES_URL"])
    application: Application[UUID] = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": url.path.lstrip("/"),
            "POSTGRES_HOST": url.hostname or "",
            "POSTGRES_PORT": str(url.port),
            "POSTGRES_USER": url.username or "",
            "POSTGRES_PASSWORD": url.password or "",
            "POSTGRES_POOL_SIZE": str(min(writers, 64)),
            "POSTGRES_MAX_OVERFLOW": "64",
            "POSTGRES_POOL_TIMEOUT": "60",
        }
    )
    latencies: list[list[float]] = [[] for _ in range(writers)]
    started = time.perf_counter()

    def writer(mine: list[float]) -> None:
        task = Task("a task")
        application.save(task)
        while (before := time.perf_counter()) < started + seconds:
            task.retitle("Write the report about the incident of last week")
            application.save(task)
            mine.append((time.perf_counter() - before) * 1000)

    threads = [threading.Thread(target=writer, args=(mine,)) for mine in latencies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - started
    print(json.dumps({"seconds": spent, "latencies": [one for mine in latencies for one in mine]}))
    application.close()


if __name__ == "__main__":
    main(int(os.environ["WRITERS"]), float(os.environ["SECONDS"]))
