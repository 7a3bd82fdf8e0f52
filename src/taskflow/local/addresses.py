"""The addresses of the local servers, stored in a file for commands run beside `taskflow up`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from taskflow.local.private import write_private
from taskflow.settings import BadSettings, variable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from taskflow.settings import Settings

FIELDS: Final = ("postgres_url", "kafka_bootstrap", "mongodb_url", "redis_url")


def remember(settings: Settings) -> None:
    """Writes the addresses to a file that only the owner can read, because they contain passwords."""
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, "".join(f"{name}={getattr(settings, name)}\n" for name in FIELDS))


def forget(settings: Settings) -> None:
    _path(settings).unlink(missing_ok=True)


def with_local_urls(settings: Settings, needed: Sequence[str] = FIELDS) -> Settings:
    """Fills in the addresses that are not set. Raises BadSettings if `taskflow up` is not running here."""
    missing = [name for name in needed if not getattr(settings, name)]
    if not missing:
        return settings
    names = ", ".join(variable(name) for name in missing)
    if settings.env == "production":
        raise BadSettings(f"production requires the URLs of its servers; not set: {names}")
    try:
        known = dict(line.split("=", 1) for line in _path(settings).read_text().splitlines())
    except FileNotFoundError:
        raise BadSettings(f"no running servers found: run `taskflow up` first, or set {names}") from None
    return replace(settings, **{name: known[name] for name in missing})


def _path(settings: Settings) -> Path:
    return settings.data_path / "secrets" / "addresses"
