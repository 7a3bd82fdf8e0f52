"""Secrets for development: generated at the first start, and kept in files that only their owner can read."""

from __future__ import annotations

import os
import secrets
import tempfile
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from taskflow.key_formats import SECRET_BYTES_MIN
from taskflow.settings import BadSettings, variable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from taskflow.settings import Settings

OF_API: Final = ("master_key", "claim_secret", "token_secret", "jwt_private_key")
"""The secrets needed by the API and by other processes that run commands: all but the key of Kafka messages."""
OF_RELAY: Final = ("message_key",)
OF_PROJECTOR: Final = ("master_key", "message_key")
OF_WORKER: Final = ("master_key", "claim_secret", "token_secret")


def new_secret(name: str) -> str:
    """Generates a new value for a secret setting."""
    if name != "jwt_private_key":
        return urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES_MIN)).decode().rstrip("=")
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def load_or_create_secret(folder: Path, name: str, fresh: str) -> str:
    """Reads the secret in `folder/name`; writes `fresh` there first, readable by its owner only, if there is none."""
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=folder) as partial:  # mode 0600
            partial.write(fresh)
            partial.flush()
            os.fsync(partial.fileno())
            with suppress(FileExistsError):  # several first starts at once: all use the secret of the first one
                os.link(partial.name, path)
    return path.read_text()


def with_secrets(settings: Settings, needed: Sequence[str] = OF_API) -> Settings:
    """Returns settings in which these secrets are set. Raises BadSettings in production, where none is generated."""
    missing = [name for name in needed if not getattr(settings, name)]
    if not missing:
        return settings
    if settings.env == "production":
        names = ", ".join(variable(name) for name in missing)
        raise BadSettings(f"production needs secrets from outside; not set: {names}")
    folder = settings.data_path / "secrets"
    return replace(settings, **{name: load_or_create_secret(folder, name, new_secret(name)) for name in missing})
