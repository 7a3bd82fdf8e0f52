"""Limits the verification of signatures per network: before a token is verified, only the sender's network is known."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from taskflow.api.rate_limits import network_of

if TYPE_CHECKING:
    from taskflow.settings import Settings

NETWORKS_MAX: Final = 10_000
"""Networks whose checks are counted; the one with the oldest check is dropped first."""


class TokenChecks:
    """One token bucket per network, in this process, whose own time the checks take.

    A request from a network with an empty bucket is counted like one without a token before the token is verified.
    """

    def __init__(self, settings: Settings) -> None:
        self._burst_max = settings.token_checks_burst_max
        self._per_s = settings.token_checks_per_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By network: the tokens that were left, and the time."""

    def take(self, address: str) -> bool:
        """Counts one check. False if the network's bucket is empty."""
        network, now = network_of(address), time.monotonic()
        left, at = self._buckets.pop(network, (float(self._burst_max), now))
        left = min(self._burst_max, left + (now - at) * self._per_s)
        self._buckets[network] = (max(left - 1, 0.0), now)
        while len(self._buckets) > NETWORKS_MAX:
            self._buckets.popitem(last=False)
        return left >= 1
