"""The signed-in accounts, one for each server: a file in the user's configuration folder that only the user can read.

The environment takes precedence: TASKFLOW_URL names the server, TASKFLOW_TOKEN a token, which is not renewed. Besides
the tokens, the file holds the position of the last write, so that the next command reads what this one wrote.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from taskflow.client import Tokens

URL: Final = "TASKFLOW_URL"
TOKEN: Final = "TASKFLOW_TOKEN"  # noqa: S105 - the variable's name
PORT: Final = "TASKFLOW_API_PORT"
PORT_DEFAULT: Final = "8000"


class BadFile(Exception):
    """The accounts file cannot be read; the message says what to do."""


class Account(Struct, frozen=True, omit_defaults=True):
    """The account at one server."""

    access: str | None = None
    refresh: str | None = None
    position: int = 0
    device: str | None = None
    """The device token of the last sign-in; it is kept after signing out."""

    def __repr__(self) -> str:
        return "Account(…)"


class StoredAccounts(Struct, frozen=True):
    """The content of the file. `current` is the server of the last sign-in."""

    current: str | None = None
    accounts: dict[str, Account] = {}


class Accounts:
    """The accounts file. It is read again at each access, because other commands may run at the same time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "accounts.json"

    def read(self) -> StoredAccounts:
        """Raises BadFile."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=StoredAccounts)
        except FileNotFoundError:
            return StoredAccounts()
        except (OSError, msgspec.MsgspecError) as error:
            raise BadFile(f"cannot read {self.path} ({error}); remove it and sign in again") from error

    def of(self, url: str) -> Account:
        return self.read().accounts.get(url, Account())

    def update(self, url: str, change: Callable[[Account], Account], *, current: bool = False) -> None:
        """Changes one account under a file lock, so that no concurrent command writes an older refresh token back."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            known = self.read()
            account = change(known.accounts.get(url, Account()))
            known = StoredAccounts(url if current else known.current, {**known.accounts, url: account})
            self._write(msgspec.json.format(msgspec.json.encode(known)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self.path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, content: bytes) -> None:
        """Writes the file atomically; it is never readable by others, not even briefly."""
        part = self.path.with_suffix(".part")
        part.unlink(missing_ok=True)
        file = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(content + b"\n")
        part.replace(self.path)


class Kept:
    """The client's token store for one server: see `taskflow.client.TokenStore`."""

    def __init__(self, accounts: Accounts, url: str) -> None:
        self._accounts = accounts
        self._url = url

    def read(self) -> Tokens | None:
        account = self._accounts.of(self._url)
        return None if account.access is None else Tokens(account.access, account.refresh)

    def write(self, tokens: Tokens | None) -> None:
        access, refresh = (None, None) if tokens is None else (tokens.access, tokens.refresh)
        self._accounts.update(
            self._url,
            lambda account: replace(account, access=access, refresh=refresh),
            current=tokens is not None,
        )


def reached(accounts: Accounts, url: str, position: int) -> None:
    """Stores the position of a command's last write. If the folder is read-only (in a container), nothing is stored,
    and the next command does not wait for what this one wrote."""
    with suppress(OSError):
        accounts.update(url, lambda account: replace(account, position=max(position, account.position)))


def config_folder() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "taskflow"


def url_of(given: str | None, known: StoredAccounts, *, local: bool = False) -> str:
    """The server that is named, else the one of the last sign-in, else this machine's at TASKFLOW_API_PORT.

    `local`: where that port is set, it precedes the last sign-in.
    """
    port = os.environ.get(PORT)
    here = f"http://127.0.0.1:{port or PORT_DEFAULT}"
    last = here if local and port else known.current or here
    return (given or os.environ.get(URL) or last).rstrip("/")
