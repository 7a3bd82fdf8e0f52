"""Commands of the operator, run on a server: `taskflow admin grant` makes the first admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from taskflow.commands.claims import claimed_address, holder
from taskflow.commands.execute import Executor, Request
from taskflow.commands.user import set_roles
from taskflow.errors import Rejected
from taskflow.ids import new_id
from taskflow.store.append import NOBODY, Outcome
from taskflow.store.eventstore import open_event_store

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.settings import Settings
    from taskflow.streams.user import SystemRole


async def grant(settings: Settings, email: str, role: SystemRole) -> None:
    """Adds a system role to those of the person with this address, and prints the result.

    Raises Rejected if nobody is registered with the address, or if two people have different spellings of it.
    """
    address = claimed_address(settings.claim_secret_bytes, email)

    async def add(unit: UnitOfWork) -> UUID:
        user = await holder(unit.read, address)
        if user is None:
            raise Rejected("no-such-address", f"nobody is registered as {email}; register first, then grant {role}")
        return await set_roles(unit, user.id, (*user.roles, role))

    async with open_event_store(settings, "taskflow admin") as store:
        accepted = await Executor(store, settings).execute(
            Request(caller=NOBODY, command_id=new_id(), fingerprint=b"grant", at=datetime.now(UTC), handler=add)
        )
    done = "now has" if accepted.receipt.outcome is Outcome.APPLIED else "already had"
    print(f"{email} {done} the role {role}; theirs are {', '.join(accepted.state.roles)}")
