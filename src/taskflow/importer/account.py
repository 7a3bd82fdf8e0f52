"""Who imports: a registered person, or the mapping's owner, for whom an account is made."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

from msgspec import Struct

from taskflow.commands.claims import claimed_address, holder, new_address
from taskflow.commands.earlier_claims import EarlierClaims
from taskflow.commands.execute import Executor, Request
from taskflow.commands.schedule import zone_in
from taskflow.commands.user import RegisterUser, Registration, register_user
from taskflow.errors import Rejected
from taskflow.ids import new_id
from taskflow.privacy.passwords import Passwords
from taskflow.store.append import NOBODY
from taskflow.streams import USER
from taskflow.time_zones import UTC_NAME

if TYPE_CHECKING:
    from taskflow.commands.execute import Target
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.importer.sending import Executes
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore
    from taskflow.streams import StreamType

S = TypeVar("S")
PASSWORD_BYTES: Final = 18


class Importer(Struct, frozen=True):
    """Who imports. `password` is there only where the account was made just now, and nowhere else."""

    user_id: UUID
    email: str
    password: str | None = None


async def importer(
    store: EventStore, executor: Executes, settings: Settings, *, owner: str, user: str | None, register: bool
) -> Importer:
    """The person registered as `user`, else as `owner`, else, to `register`, a new account for the owner.

    Raises Rejected where nobody is registered.
    """
    email = user or owner
    address = claimed_address(settings.claim_secret_bytes, email)

    async def read(kind: StreamType[S], stream_id: UUID) -> S | None:
        state: S | None = (await store.state_cache.load(kind, stream_id)).state
        return state

    known = await holder(read, address)
    if known is not None:
        return Importer(known.id, email)
    if user is not None or not register:
        raise Rejected("no-such-address", f"nobody is registered as {email}; --as names who imports")
    address = new_address(settings.claim_secret_bytes, email, "owner")
    if isinstance(executor, Executor):
        await EarlierClaims(store, executor, settings).move()
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await Passwords(settings).hash(password)
    registration = Registration(user_id=new_id(), address=address, inbox_id=new_id(), password_hash=password_hash)
    command = RegisterUser(email=email, password=password, name=email.partition("@")[0])

    async def make(unit: UnitOfWork) -> Target:
        return await register_user(unit, registration, command)

    request = Request(caller=NOBODY, command_id=new_id(), fingerprint=b"import", at=datetime.now(UTC))
    await executor.execute(request, make)
    return Importer(registration.user_id, email, password)


async def zone_of(store: EventStore, who: Importer) -> str:
    """The zone of whoever imports: for times of which a file says none."""
    found = (await store.state_cache.load(USER, who.user_id)).state
    return UTC_NAME if found is None else zone_in(found.settings)
