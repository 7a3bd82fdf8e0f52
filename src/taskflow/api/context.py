"""The connections and shared objects of an API process, open from its first request to its last."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from taskflow.api.adjacent_tasks import ViewAdjacentTasks
from taskflow.api.calendar_feeds import CalendarFeeds
from taskflow.api.concurrency_limits import Slots
from taskflow.api.device_tokens import DeviceTokens
from taskflow.api.envelopes import as_sent_live
from taskflow.api.loop_lag import LoopLag, open_loop_lag
from taskflow.api.rate_limits import RateLimits
from taskflow.api.sign_in_limits import SignInLimits
from taskflow.api.status_counts import ViewStatusCounts
from taskflow.api.token_checks import TokenChecks
from taskflow.api.tokens import Tokens
from taskflow.api.user_directory import UserDirectory
from taskflow.cache.cache import open_cache
from taskflow.commands.earlier_claims import EarlierClaims, open_earlier_claims
from taskflow.commands.execute import Executor
from taskflow.commands.hints import Hints
from taskflow.follower.follower import open_follower
from taskflow.follower.sse_hub import SseHub
from taskflow.kafka.topics import current_generation
from taskflow.limits.counters import open_counters
from taskflow.privacy.passwords import Passwords
from taskflow.readmodels.read_models import ReadModels, open_read_models
from taskflow.store.eventstore import open_event_store
from taskflow.store.history import History

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.cache.cache import Cache
    from taskflow.follower.follower import Follower
    from taskflow.limits.counters import Counters
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore


class Context(Struct, frozen=True, kw_only=True, eq=False):
    """The objects that all requests of a process share."""

    settings: Settings
    store: EventStore
    history: History
    executor: Executor
    earlier_claims: EarlierClaims
    follower: Follower
    sse_hub: SseHub
    readmodels: ReadModels
    """The projections. Routes use them only through `Reading.read`."""
    cache: Cache
    user_directory: UserDirectory
    tokens: Tokens
    token_checks: TokenChecks
    passwords: Passwords
    counters: Counters
    limits: RateLimits
    sign_in_limits: SignInLimits
    device_tokens: DeviceTokens
    calendars: CalendarFeeds
    slots: Slots
    past_boards: asyncio.Semaphore
    """Bounds the number of historical boards that are folded at once."""
    connections: set[Any]
    """The open connections of clients; the server's own set."""
    loop_lag: LoopLag
    started_at: float
    """In seconds of the monotonic clock."""
    stopping: asyncio.Event
    """Set once this process was told to stop: it still answers requests, but is no longer ready for new ones."""


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[Context]:
    """Opens everything and follows the log to its head; closes in reverse order.

    Raises StoreError for a log that this release cannot read, and PostgreSQL's own errors while it does not answer.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_event_store(settings, "taskflow api"))
        generation = await current_generation(store.pool, settings)
        follower = await stack.enter_async_context(open_follower(store, settings, generation.partitions))
        cache = await stack.enter_async_context(open_cache(settings, follower.epoch))
        readmodels = await stack.enter_async_context(
            open_read_models(settings, cache, follower.recent_positions, generation.number)
        )
        views, freshness = readmodels.views, readmodels.freshness
        counters = await stack.enter_async_context(open_counters(settings))
        limits = RateLimits(counters, settings)
        executor = Executor(
            store,
            settings,
            hints=Hints(
                adjacent_tasks=ViewAdjacentTasks(views, freshness, follower),
                status_counts=ViewStatusCounts(views, readmodels.saved, freshness, follower),
                acquaintances=follower,
            ),
            unchanged=limits,
            on_commit=follower.note_commit,
        )
        earlier_claims = await stack.enter_async_context(open_earlier_claims(store, executor, settings))
        history = History(store.pool)
        loop_lag = await stack.enter_async_context(open_loop_lag())
        yield Context(
            settings=settings,
            store=store,
            executor=executor,
            earlier_claims=earlier_claims,
            history=history,
            follower=follower,
            sse_hub=SseHub(follower, history, as_sent_live(store.mapper), settings),
            readmodels=readmodels,
            cache=cache,
            user_directory=UserDirectory(
                store=store, follower=follower, views=views, freshness=freshness, cache=cache, settings=settings
            ),
            tokens=Tokens(settings),
            token_checks=TokenChecks(settings),
            passwords=Passwords(settings),
            counters=counters,
            limits=limits,
            sign_in_limits=SignInLimits(counters, settings),
            device_tokens=DeviceTokens(settings),
            calendars=CalendarFeeds(settings),
            slots=Slots(settings),
            past_boards=asyncio.Semaphore(settings.historical_boards_concurrency_max),
            connections=set(),
            loop_lag=loop_lag,
            started_at=time.monotonic(),
            stopping=asyncio.Event(),
        )
