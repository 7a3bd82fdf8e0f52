"""Hashing and checking of passwords with argon2id in a few threads, and the rules for new ones."""

from __future__ import annotations

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from taskflow.errors import Invalid
from taskflow.privacy.hash_queue import HashQueue
from taskflow.text.addresses import same_address

if TYPE_CHECKING:
    from taskflow.settings import Settings


def judge_password(password: str, address: str, pointer: str, *, least: int) -> None:
    """Raises Invalid for a password that is too short, among the most common ones or its person's own address.

    Compared without regard to case, in the normalised form in which passwords are hashed and checked.
    """
    plain = _plain(password)
    if len(plain) < least:
        raise Invalid(pointer, "normalised-length", f"expected at least {least} characters in NFKC, found {len(plain)}")
    if plain.casefold() in _common():
        raise Invalid(pointer, "common", "this password is among the most common ones; choose another")
    if _plain(address).strip().casefold() == plain.strip().casefold() or same_address(address, plain):
        raise Invalid(pointer, "own-address", "this password is your e-mail address; choose another")


@cache
def _common() -> frozenset[str]:
    return frozenset((resources.files("taskflow.privacy") / "common_passwords.txt").read_text().split("\n"))


def _plain(password: str) -> str:
    # Different keyboards may send different code points for what looks the same.
    return unicodedata.normalize("NFKC", password)


class Passwords:
    """Hashes and checks passwords, a bounded number at a time: each takes tens of megabytes and milliseconds."""

    def __init__(self, settings: Settings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time_cost, memory_cost=settings.argon2_memory_kib, parallelism=1
        )
        # Threads help here because argon2 releases the interpreter lock while it works.
        self.queue = HashQueue(
            parallel_max=settings.argon2_parallel_max,
            waiting_max=settings.argon2_queue_max,
            wait_max_s=settings.argon2_wait_max_ms / 1000,
        )
        self._threads = ThreadPoolExecutor(settings.argon2_parallel_max, thread_name_prefix="argon2")
        self._nobody = self._hasher.hash("nobody's password")

    async def hash(self, password: str, *, lane: str = "") -> str:
        """The hash of a password. `lane` is the network (or device) that this counts for in the queue. Raises TooManyAtOnce and
        QueueFull."""
        async with self.queue.turn(lane):
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, _plain(password))

    async def check(self, password: str, password_hash: str | None, *, lane: str = "") -> bool:
        """Whether the password has this hash. Without a hash the answer is no, after the same time. Raises as `hash` does."""
        async with self.queue.turn(lane):
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._check, _plain(password), password_hash
            )

    def _check(self, password: str, password_hash: str | None) -> bool:
        try:
            return self._hasher.verify(password_hash or self._nobody, password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False
