"""Health checks for operators: `/health` (the servers), `/livez` (this process), `/readyz` (ready for requests).

A process becomes ready once everything works that an answer may wait for, including relay and projectors. It then stays
ready even if Kafka, MongoDB or Redis fails, since it can still serve the requests that do not need the failed part,
writes among them: one failed server must not take every process out of rotation at once.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiokafka.errors import KafkaError
from litestar import Request, Response, get
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from taskflow.dates.timestamps import timestamp
from taskflow.kafka.connection import BrokerRefuses, ping
from taskflow.projections.registry import PROJECTIONS
from taskflow.relay import status as relay_status
from taskflow.settings import BadSettings
from taskflow.store.lease import WORKER, holder
from taskflow.store.pool import TRANSIENT_ERRORS, abandon_after
from taskflow.store.projector_faults import read_faults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from litestar.handlers import HTTPRouteHandler

    from taskflow.api.context import Context

PROBE_TIMEOUT_S: Final = 1.5
"""A server that does not answer within this time counts as failed."""
RESULT_REUSED_S: Final = 1.0
"""How long the result of a check is reused."""
RELAY_IDLE_MAX_S: Final = 10.0
_TRANSIENT_ERRORS: Final = (*TRANSIENT_ERRORS, PyMongoError, RedisError, KafkaError)


class Health:
    """Checks everything, at most once in `RESULT_REUSED_S`, and keeps the result."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._checked_at = float("-inf")
        self._checking = asyncio.Lock()
        self._servers: dict[str, str | None] = {}
        self._workers: dict[str, str | None] = {}
        self._faults: dict[str, str] = {}
        """Why a projection cannot be written, as its projector says."""
        self.started = False
        """Whether all checks have passed at the same time at least once."""

    async def check(self) -> None:
        async with self._checking:
            if time.monotonic() - self._checked_at < RESULT_REUSED_S:
                return
            context = self._context
            servers: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
                "postgres": lambda: context.store.pool.fetchval("select 1"),
                "mongodb": lambda: context.readmodels.database.command("ping"),
                "redis": lambda: _answer(context.cache.redis.ping()),
                "kafka": self._ping_kafka,
            }
            workers: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
                "relay": self._relay,
                "projections": self._projections,
                "projectors": self._projectors,
                "worker": self._worker,
            }
            probes = [_probe(probe) for probe in (*servers.values(), *workers.values())]
            results = await asyncio.gather(*probes)
            self._servers = dict(zip(servers, results[: len(servers)], strict=True))
            self._workers = dict(zip(workers, results[len(servers) :], strict=True))
            self._checked_at = time.monotonic()
            # No answer ever waits for a worker.
            needed = [fault for name, fault in self.checks().items() if name != "worker"]
            if not any(needed):
                self.started = True

    @property
    def servers(self) -> dict[str, str | None]:
        """By server: None if it answers, else the fault."""
        return self._servers

    def checks(self) -> dict[str, str | None]:
        """The results of all checks: None if it passed, else the fault."""
        return {"access": self.unable(), **self._servers, **self._workers}

    def unable(self) -> str | None:
        """The reason why this process cannot serve requests; None if it can."""
        context = self._context
        if context.stopping.is_set():
            return "this process is stopping"
        if context.follower.failure is not None:
            return context.follower.failure
        if context.follower.age_s > context.settings.auth_stale_max_s:
            return f"the log was last seen {context.follower.age_s:.0f} s ago"
        halted = context.readmodels.freshness.halted
        if halted:
            return "; ".join(f"{view} stands still: {reason}" for view, reason in sorted(halted.items()))
        if self._faults:
            return "; ".join(f"{view} cannot be written: {reason}" for view, reason in sorted(self._faults.items()))
        return None

    async def _ping_kafka(self) -> None:
        try:
            await ping(self._context.settings)
        except BrokerRefuses as refusal:
            raise _ProbeFailed(refusal.why) from refusal
        except BadSettings as error:
            raise _ProbeFailed("the certificate files cannot be read") from error

    async def _relay(self) -> None:
        relay = await relay_status.read(self._context.store.pool)
        if relay.fault is not None:
            raise _ProbeFailed(relay.fault)
        if relay.leader is None:
            raise _ProbeFailed("no relay holds the lease")
        if relay.idle_s is None or relay.idle_s > RELAY_IDLE_MAX_S:
            raise _ProbeFailed("Kafka has acknowledged no message recently")

    async def _projections(self) -> None:
        silent = await self._context.readmodels.freshness.silent_s()
        stale_s = self._context.settings.projector_stale_ms / 1000
        late = sorted(view for view in PROJECTIONS if silent[view] > stale_s)
        if late:
            raise _ProbeFailed(f"no recent checkpoint of {', '.join(late)}")

    async def _projectors(self) -> None:
        self._faults = await read_faults(self._context.store.pool)
        if self._faults:
            raise _ProbeFailed("; ".join(f"{view}: {reason}" for view, reason in sorted(self._faults.items())))

    async def _worker(self) -> None:
        if await holder(self._context.store.pool, WORKER) is None:
            raise _ProbeFailed("no worker holds the lease")


class _ProbeFailed(Exception):
    """A probe found a fault."""


async def _answer(asking: Awaitable[Any]) -> Any:
    return await asking


async def _probe(probe: Callable[[], Coroutine[Any, Any, Any]]) -> str | None:
    try:
        await abandon_after(PROBE_TIMEOUT_S, probe())
    except _ProbeFailed as failed:
        return str(failed)
    except _TRANSIENT_ERRORS as error:
        # Only the error's type: its message may contain addresses and passwords.
        return f"does not answer ({type(error).__name__})"
    return None


def handlers(context: Context) -> list[HTTPRouteHandler]:
    """The operators' routes at the root."""
    state = Health(context)

    @get("/health")
    async def health() -> Response[bytes]:
        await state.check()
        up = {name: fault is None for name, fault in state.servers.items()}
        well = not any(state.checks().values())
        body = {
            "status": "healthy" if well else "degraded",
            "timestamp": timestamp(datetime.now(UTC)),
            "uptime": round(time.monotonic() - context.started_at, 3),
            **up,
        }
        return _json(body, 200 if up["postgres"] else 503)

    @get("/livez")
    async def livez() -> Response[bytes]:
        return _json({"status": "alive"}, 200)

    @get("/readyz")
    async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not context.stopping.is_set():
            await state.check()
        checks = state.checks()
        ready = state.started and checks["access"] is None
        body: dict[str, Any] = {"status": "ready" if ready else "not ready"}
        if "verbose" in request.query_params:
            body["checks"] = {name: fault or "ok" for name, fault in checks.items()}
        return _json(body, 200 if ready else 503)

    return [health, livez, readyz]


def _json(body: dict[str, Any], status: int) -> Response[bytes]:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
