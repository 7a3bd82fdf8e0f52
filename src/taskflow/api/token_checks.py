"""How many signatures a network may have verified: before a token is known, only its sender's network is."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from taskflow.api.rate_limits import network_of

if TYPE_CHECKING:
    from taskflow.settings import Settings

NETWORKS_MAX: Final = 10_000
"""Of which the checks are counted; the one that was silent for longest is forgotten first."""


class TokenChecks:
    """A token bucket a network, in this process: verifying a signature is this process's work.

    Whoever has an empty bucket is counted as a caller without a token before anything of the token is looked at.
    """

    def __init__(self, settings: Settings) -> None:
        self._burst_max = settings.token_checks_burst_max
        self._per_s = settings.token_checks_per_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By network: what was left, and when."""

    def take(self, address: str) -> bool:
        """Counts one check. False where the network has had all of its own."""
        network, now = network_of(address), time.monotonic()
        left, at = self._buckets.pop(network, (float(self._burst_max), now))
        left = min(self._burst_max, left + (now - at) * self._per_s)
        self._buckets[network] = (max(left - 1, 0.0), now)
        while len(self._buckets) > NETWORKS_MAX:
            self._buckets.popitem(last=False)
        return left >= 1
