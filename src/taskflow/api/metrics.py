"""`/metrics` for Prometheus: counts and durations of this process, and the progress of relay and projections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from pymongo.errors import PyMongoError

from taskflow.api.concurrency_limits import Work
from taskflow.api.projection_status import ProjectionBody, projection_status
from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.rejections import read_rejections
from taskflow.relay import status as relay_status
from taskflow.store.lease import WORKER, holder
from taskflow.store.pool import TRANSIENT_ERRORS, abandon_after
from taskflow.store.projector_faults import read_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestar.handlers import HTTPRouteHandler

    from taskflow.api.context import Context
    from taskflow.relay.status import RelayStatus

BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
METRICS_TIMEOUT_S: Final = 1.0
_VIEW_METRICS: Final[tuple[tuple[str, str, Callable[[ProjectionBody], float]], ...]] = (
    ("taskflow_view_position", "Everything in the log at or before it is applied", lambda one: one.position),
    ("taskflow_view_lag_seconds", "Age of the oldest event that is not applied", lambda one: one.lag_seconds),
    ("taskflow_view_rate", "Events of the log that the view went past, per second", lambda one: one.rate),
    ("taskflow_view_halted", "Partitions that wait for an operator", lambda one: len(one.halted)),
    ("taskflow_view_parked", "Streams that could not be applied", lambda one: one.dead_letters),
    ("taskflow_view_workers", "Workers that advance the view", lambda one: len(one.workers)),
)
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Metrics(Collector):
    """The metrics of one API process."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._relay: RelayStatus | None = None
        self._worker_works: bool | None = None
        self._faults: dict[str, str] = {}
        self._projections: list[ProjectionBody] = []
        self._rejected: list[tuple[str, str, int]] = []
        self._rendered: list[Any] = []
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "taskflow_http_request_seconds",
            "Requests by route and status; seconds to the last byte handed over",
            ("method", "route", "status"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._series: dict[tuple[str, str, int], Histogram] = {}
        """The histogram's own series by their labels. The library keeps them too, but takes longer to find one."""
        self._registry.register(self)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request. `status` 0: the client disconnected before there was an answer."""
        # A client may send any word as the method; unknown ones share a label.
        known = method if method in _METHODS else "other"
        labels = (known, route, status)
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._requests.labels(*labels)
        series.observe(seconds)

    def handler(self) -> HTTPRouteHandler:
        @get("/metrics")
        async def metrics() -> Response[bytes]:
            await asyncio.gather(
                self._ask_relay(),
                self._ask_worker(),
                self._ask_rejections(),
                self._ask_faults(),
                self._ask_projections(),
            )
            # The samples are collected here. Formatting them takes long with many routes and statuses, so a thread
            # does.
            self._rendered = list(self._samples())
            return Response(await asyncio.to_thread(generate_latest, self._registry), media_type=CONTENT_TYPE_LATEST)

        return metrics

    async def _ask_relay(self) -> None:
        try:
            self._relay = await abandon_after(METRICS_TIMEOUT_S, relay_status.read(self._context.store.pool))
        except TRANSIENT_ERRORS:
            self._relay = None

    async def _ask_worker(self) -> None:
        try:
            self._worker_works = (
                await abandon_after(METRICS_TIMEOUT_S, holder(self._context.store.pool, WORKER)) is not None
            )
        except TRANSIENT_ERRORS:
            self._worker_works = None

    async def _ask_faults(self) -> None:
        # Apart from the status of the projections, because a MongoDB that refuses writes may refuse reads too.
        with suppress(*TRANSIENT_ERRORS):  # keeps the previous ones
            self._faults = await abandon_after(METRICS_TIMEOUT_S, read_faults(self._context.store.pool))

    async def _ask_projections(self) -> None:
        with suppress(PyMongoError, *TRANSIENT_ERRORS):  # keeps the previous ones
            self._projections = await abandon_after(METRICS_TIMEOUT_S, projection_status(self._context))

    async def _ask_rejections(self) -> None:
        with suppress(PyMongoError, TimeoutError):  # keeps the previous counts
            self._rejected = await abandon_after(METRICS_TIMEOUT_S, read_rejections(self._context.readmodels.database))

    def describe(self) -> list[Any]:
        """No metrics at registration, since collecting them needs servers."""
        return []

    def collect(self) -> Iterator[Any]:
        yield from self._rendered

    def _samples(self) -> Iterator[Any]:
        context = self._context
        committer, follower, cache = context.store.committer, context.follower, context.cache
        yield CounterMetricFamily("taskflow_appends", "Commands stored or answered by the store", committer.appends)
        yield CounterMetricFamily("taskflow_append_groups", "Transactions of the append path", committer.groups)
        yield GaugeMetricFamily("taskflow_append_queue", "Commands that wait to be stored", committer.queued)
        yield GaugeMetricFamily("taskflow_follower_position", "Log followed to here", follower.position)
        yield GaugeMetricFamily("taskflow_follower_age_seconds", "Since the last look at the log", follower.age_s)
        yield CounterMetricFamily("taskflow_cache_hits", "Entries that Redis had", cache.hits)
        yield CounterMetricFamily("taskflow_cache_too_large", "Values too large to be kept", cache.too_large)
        yield CounterMetricFamily("taskflow_cache_misses", "Entries that were loaded", cache.misses)
        yield CounterMetricFamily(
            "taskflow_limits_local", "Counted by this process alone: Redis was away", context.counters.counted_here
        )
        yield CounterMetricFamily(
            "taskflow_page_hits", "Lists and tasks that this process had in memory", context.readmodels.pages.hits
        )
        yield CounterMetricFamily(
            "taskflow_page_misses", "Lists and tasks that were read", context.readmodels.pages.misses
        )
        yield GaugeMetricFamily("taskflow_http_connections", "Open connections", len(context.connections))
        yield GaugeMetricFamily("taskflow_streams", "Open live streams", context.sse_hub.streams)
        yield CounterMetricFamily(
            "taskflow_streams_dropped", "Live streams whose client was slow", context.sse_hub.dropped
        )
        passwords = context.passwords.queue
        yield GaugeMetricFamily("taskflow_password_queue", "Passwords that wait to be hashed", passwords.waiting)
        yield CounterMetricFamily(
            "taskflow_passwords_shed", "Passwords that were refused a turn", passwords.refused_count
        )
        yield from self._slots()
        yield context.loop_lag.metric()
        yield GaugeMetricFamily("taskflow_loop_tasks", "Tasks of this process's event loop", len(asyncio.all_tasks()))
        lag = GaugeMetricFamily("taskflow_view_lag_events", "Log positions that a view is behind", labels=["view"])
        for view in PROJECTIONS:
            lag.add_metric([view], max(0, follower.position - context.readmodels.freshness.position([view])))
        yield lag
        yield from self._of_views()
        yield GaugeMetricFamily(
            "taskflow_parked_streams", "Streams that a view could not apply", len(context.readmodels.freshness.parked)
        )
        rejected = CounterMetricFamily(
            "taskflow_messages_rejected", "Messages of the topic that were not believed", labels=["reader", "reason"]
        )
        for reader, reason, count in self._rejected:
            rejected.add_metric([reader, reason], count)
        yield rejected
        if self._worker_works is not None:
            yield GaugeMetricFamily(
                "taskflow_worker_working", "Whether some worker holds the lease", self._worker_works
            )
        if self._relay is not None:
            yield GaugeMetricFamily("taskflow_log_position", "Last position of the log", self._relay.head)
            yield GaugeMetricFamily("taskflow_relay_lag_events", "Events not in Kafka yet", self._relay.lag_events)
            yield GaugeMetricFamily("taskflow_relay_lag_seconds", "Age of the oldest of them", self._relay.lag_s)

    def _of_views(self) -> Iterator[Any]:
        """What `GET /admin/projections` says, as numbers."""
        for name, what, value in _VIEW_METRICS:
            metric = GaugeMetricFamily(name, what, labels=["view"])
            for one in self._projections:
                metric.add_metric([one.name], value(one))
            yield metric
        faults = GaugeMetricFamily(
            "taskflow_view_refused", "Whether MongoDB refuses a view's writes until an operator acts", labels=["view"]
        )
        for view in PROJECTIONS:
            faults.add_metric([view], view in self._faults)
        yield faults

    def _slots(self) -> Iterator[Any]:
        """Long work that is running, and long work that was refused because too much was running."""
        slots = self._context.slots
        running = GaugeMetricFamily("taskflow_slots_held", "Long work under way", labels=["work"])
        refused = CounterMetricFamily("taskflow_slots_refused", "Long work refused: too much at once", labels=["work"])
        for work in Work:
            running.add_metric([work.name.lower()], slots.running(work))
            refused.add_metric([work.name.lower()], slots.refused[work])
        yield running
        yield refused
