"""Renamed settings, so that the error for an old name tells the new name."""

from __future__ import annotations

from typing import Final

NEW_NAMES: Final = {
    "cache_pause_ms": "cache_breaker_open_ms",
    "decide_attempts_max": "conflict_retries_max",
    "folds_bytes_max": "state_cache_bytes_max",
    "limits_pause_ms": "limits_breaker_open_ms",
    "past_board_bytes_max": "historical_board_bytes_max",
    "past_board_events_max": "historical_board_events_max",
    "past_boards_max": "historical_boards_concurrency_max",
    "past_boards_per_caller_max": "historical_boards_per_caller_max",
    "people_bytes_max": "user_cache_bytes_max",
    "projector_gather_ms": "projector_linger_ms",
    "projector_idle_save_ms": "checkpoint_interval_ms",
    "projector_silence_ms": "projector_stall_timeout_ms",
    "streams_max": "sse_connections_max",
    "streams_per_user_max": "sse_connections_per_user_max",
    "trash_batch_max": "purge_batch_max",
    "trash_keep_s": "trash_retention_s",
    "trash_look_ms": "purge_interval_ms",
    "watch_poll_ms": "checkpoint_poll_ms",
}
"""Old name → new name."""
