"""An address is one person's, whatever its spelling, and claims of before there was a canonical form stay good."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taskflow.commands import session
from taskflow.commands.claims import claimed_address, holder, holders
from taskflow.commands.earlier_claims import EarlierClaims
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.session import NewSession
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import Rejected, Unauthenticated, Unavailable
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.streams import CLAIM, USER
from taskflow.streams.claim import AddressClaimed, claim_id, earlier_claim_id
from taskflow.streams.user import UserRegistered, UserState

from .world import register, send

PLAIN = "ada@example.com"
WIDE = "\uff41da@example.com"
WIDER = "\uff41d\uff41@example.com"
SHARP, SHARPLESS = "stra\u00dfe@example.com", "strasse@example.com"


async def registered_before(executor: Executor, settings: Settings, email: str, *, at: datetime | None = None) -> UUID:
    """As the release before did it: the claim is on the stream of the address trimmed and case-folded."""
    user_id = new_id()
    claim = earlier_claim_id(settings.claim_secret_bytes, email)

    async def handler(unit: UnitOfWork) -> UUID:
        held = await unit.read(CLAIM, claim)
        if held is not None and held.user_id is not None:
            raise Rejected("email-taken", "as before")
        await unit.read(USER, user_id)
        unit.make_key(user_id)
        unit.append(CLAIM, claim, AddressClaimed(user_id=user_id), actor=user_id)
        unit.append(
            USER,
            user_id,
            UserRegistered(email=email, name="Ada", password_hash=f"$of-{user_id}", claim_id=claim, inbox_id=new_id()),
            actor=user_id,
        )
        return user_id

    await send(executor, NOBODY, handler, at=at or datetime.now(UTC))
    return user_id


async def found(store: EventStore, settings: Settings, typed: str) -> list[UUID]:
    async def read(kind: Any, stream_id: UUID) -> Any:
        return (await store.state_cache.load(kind, stream_id)).state

    return [one.id for one in await holders(read, claimed_address(settings.claim_secret_bytes, typed))]


async def state_of(store: EventStore, user_id: UUID) -> UserState:
    state = (await store.state_cache.load(USER, user_id)).state
    assert isinstance(state, UserState)
    return state


async def holder_of(store: EventStore, stream_id: UUID) -> UUID | None:
    claim = (await store.state_cache.load(CLAIM, stream_id)).state
    holder: UUID | None = None if claim is None else claim.user_id
    return holder


async def sign_in(store: EventStore, executor: Executor, settings: Settings, typed: str, user_id: UUID) -> Accepted:
    address = claimed_address(settings.claim_secret_bytes, typed)
    new = NewSession(session_id=new_id(), address=None, agent=None)
    checked = await state_of(store, user_id)
    return await send(executor, NOBODY, session.start_session, settings.claim_secret_bytes, address, checked, new)


@pytest.fixture
def secret(settings: Settings) -> bytes:
    return settings.claim_secret_bytes


class TestRegistering:
    async def test_of_all_spellings_at_once_in_two_processes_one_wins(
        self, executor: Executor, other: Executor, store: EventStore, settings: Settings
    ) -> None:
        spellings = (
            "zoe\u0301@stra\u00dfe.de",
            "Zo\u00e9@xn--strae-oqa.de",
            "\uff5aO\u00c9@STRA\u1e9eE.de",
            " zo\u00e9@stra\u00dfe\u3002de ",
        )
        answers = await asyncio.gather(
            *[register(one, settings, email) for one in (executor, other) for email in spellings * 2],
            return_exceptions=True,
        )
        assert sum(isinstance(answer, UUID) for answer in answers) == 1
        assert {answer.code for answer in answers if isinstance(answer, Rejected)} == {"email-taken"}
        assert await store.pool.fetchval("select count(*) from keys") == 1

    async def test_the_mail_goes_to_what_was_typed_without_the_blanks_around_it(
        self, executor: Executor, store: EventStore, settings: Settings
    ) -> None:
        user_id = await register(executor, settings, f"\u00a0{WIDE} ")
        assert (await state_of(store, user_id)).email == WIDE

    async def test_a_claim_of_before_is_found_taken_whatever_is_typed(
        self, executor: Executor, other: Executor, settings: Settings
    ) -> None:
        await registered_before(executor, settings, "Ada@Example.com")
        for typed in (PLAIN, "ADA@example.com", WIDE, WIDER):
            with pytest.raises(Rejected, match="registered already"):
                await register(other, settings, typed)

    async def test_a_claim_of_before_of_another_spelling_is_found_taken_once_it_was_moved(
        self, executor: Executor, store: EventStore, settings: Settings
    ) -> None:
        await registered_before(executor, settings, WIDE)
        assert await EarlierClaims(store, executor, settings).move() == 1
        for typed in (PLAIN, WIDE, WIDER):
            with pytest.raises(Rejected, match="registered already"):
                await register(executor, settings, typed)

    async def test_a_claim_of_before_blocks_no_address_that_is_another(
        self, executor: Executor, store: EventStore, settings: Settings
    ) -> None:
        """The form before took the two for one."""
        first = await registered_before(executor, settings, SHARP)
        second = await register(executor, settings, SHARPLESS)
        assert await found(store, settings, SHARP) == [first]
        assert await found(store, settings, SHARPLESS) == [second]
        with pytest.raises(Rejected):
            await register(executor, settings, SHARP.upper())


class TestSigningIn:
    @pytest.mark.parametrize("typed", [PLAIN, " ADA@EXAMPLE.COM", WIDE])
    async def test_moves_a_claim_of_before_in_the_append_of_the_session(
        self, executor: Executor, store: EventStore, settings: Settings, secret: bytes, typed: str
    ) -> None:
        user_id = await registered_before(executor, settings, PLAIN)
        assert await found(store, settings, typed) == [user_id]
        head = (await store.log.head()).position
        await sign_in(store, executor, settings, typed, user_id)
        events = await store.log.read(head, limit=9)
        assert [event.type for event in events] == [
            "AddressReleased",
            "AddressClaimed",
            "UserClaimMoved",
            "SessionStarted",
        ]
        assert len({event.command_id for event in events}) == 1
        assert await holder_of(store, earlier_claim_id(secret, PLAIN)) is None
        assert await holder_of(store, claim_id(secret, PLAIN)) == user_id
        assert (await state_of(store, user_id)).claim_id == claim_id(secret, PLAIN)
        head = (await store.log.head()).position
        await sign_in(store, executor, settings, typed, user_id)
        assert [event.type for event in await store.log.read(head, limit=9)] == ["SessionStarted"], "once"

    async def test_many_at_once_in_two_processes_move_it_once(
        self, executor: Executor, other: Executor, store: EventStore, settings: Settings
    ) -> None:
        user_id = await registered_before(executor, settings, PLAIN)
        await asyncio.gather(
            *[sign_in(store, one, settings, typed, user_id) for one in (executor, other) for typed in (PLAIN, WIDE) * 3]
        )
        types = [event.type for event in await store.log.read(0, limit=100)]
        assert (types.count("UserClaimMoved"), types.count("SessionStarted")) == (1, 12)

    async def test_with_an_address_that_has_no_canonical_form_is_by_the_form_before(
        self, executor: Executor, store: EventStore, settings: Settings
    ) -> None:
        email = "a\u200bda@ex_ample.com"
        user_id = await registered_before(executor, settings, email)
        assert await EarlierClaims(store, executor, settings).move() == 0
        assert await found(store, settings, email.upper()) == [user_id]
        await sign_in(store, executor, settings, email, user_id)
        assert await found(store, settings, "ada@ex_ample.com") == []

    async def test_is_not_by_an_address_that_the_form_before_took_for_ones_own(
        self, executor: Executor, store: EventStore, settings: Settings
    ) -> None:
        user_id = await registered_before(executor, settings, SHARP)
        assert await found(store, settings, SHARPLESS) == []
        with pytest.raises(Unauthenticated):
            await sign_in(store, executor, settings, SHARPLESS, user_id)
        await sign_in(store, executor, settings, SHARP, user_id)


AT = datetime(2026, 1, 1, tzinfo=UTC)


class TestTwins:
    """Two people whom the release before let register spellings of one address."""

    @pytest.mark.parametrize(("older", "younger"), [(WIDE, PLAIN), (PLAIN, WIDE), (WIDE, WIDER)])
    @pytest.mark.parametrize("by", ["moving", "signing in, the older first", "signing in, the younger first"])
    async def test_the_older_has_the_canonical_form_and_both_sign_in(
        self,
        executor: Executor,
        store: EventStore,
        settings: Settings,
        secret: bytes,
        older: str,
        younger: str,
        by: str,
    ) -> None:
        first = await registered_before(executor, settings, older, at=AT)
        second = await registered_before(executor, settings, younger, at=AT + timedelta(days=1))
        people = [(older, first), (younger, second)]
        if by == "moving":
            await EarlierClaims(store, executor, settings).move()
        for typed, user_id in people if by.endswith("the older first") else reversed(people):
            await sign_in(store, executor, settings, typed, user_id)
        assert await holder_of(store, claim_id(secret, PLAIN)) == first
        assert await holder_of(store, earlier_claim_id(secret, younger)) == second, "where it was"
        assert (await state_of(store, first)).claim_id == claim_id(secret, PLAIN)
        assert (await state_of(store, second)).claim_id == earlier_claim_id(secret, younger)
        assert await found(store, settings, older) == ([first, second] if younger == PLAIN else [first])
        assert await found(store, settings, younger) == [first, second]
        for typed, user_id in people:
            await sign_in(store, executor, settings, typed, user_id)
        with pytest.raises(Rejected):
            await register(executor, settings, PLAIN)

    async def test_who_is_named_by_an_operator_is_the_one_of_that_spelling(
        self, executor: Executor, store: EventStore, settings: Settings
    ) -> None:
        first = await registered_before(executor, settings, WIDE, at=AT)
        second = await registered_before(executor, settings, PLAIN, at=AT + timedelta(days=1))
        await EarlierClaims(store, executor, settings).move()

        async def read(kind: Any, stream_id: UUID) -> Any:
            return (await store.state_cache.load(kind, stream_id)).state

        async def named(typed: str) -> UUID | None:
            one = await holder(read, claimed_address(settings.claim_secret_bytes, typed))
            return None if one is None else one.id

        assert (await named(WIDE), await named(PLAIN), await named("eve@x.org")) == (first, second, None)
        with pytest.raises(Rejected, match=f"{first}, {second}"):
            await named(PLAIN.upper())


class TestMoving:
    async def test_goes_on_where_it_was_and_moves_each_once(
        self, executor: Executor, other: Executor, store: EventStore, other_store: EventStore, settings: Settings
    ) -> None:
        people = [await registered_before(executor, settings, f"\uff41{n}@example.com") for n in range(3)]
        await registered_before(executor, settings, PLAIN)
        both = await asyncio.gather(
            EarlierClaims(store, executor, settings).move(), EarlierClaims(other_store, other, settings).move()
        )
        assert max(both) == 3
        types = [event.type for event in await store.log.read(0, limit=100)]
        assert types.count("UserClaimMoved") == len(people), "that of the plain spelling is found as it is"
        assert await EarlierClaims(store, executor, settings).move() == 0
        await registered_before(executor, settings, "\uff41late@example.com")
        await register(executor, settings, SHARP)
        assert await EarlierClaims(store, executor, settings).move() == 1, "a process of the release before still ran"

    async def test_a_person_whose_key_is_missing_keeps_nobody_from_registering(
        self, executor: Executor, store: EventStore, settings: Settings
    ) -> None:
        damaged = await registered_before(executor, settings, WIDE)
        whole = await registered_before(executor, settings, SHARP)
        await store.pool.execute("delete from keys where person = $1", damaged)
        async with open_event_store(settings, "test another") as another:
            assert await EarlierClaims(another, Executor(another, settings), settings).move() == 1
        assert (await state_of(store, whole)).claim_id is not None

    async def test_who_registers_waits_until_it_is_done(
        self, executor: Executor, store: EventStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claims = EarlierClaims(store, executor, settings)
        waiting = asyncio.create_task(claims.moved())
        await asyncio.sleep(0)
        assert not waiting.done()
        await claims.move()
        await waiting
        monkeypatch.setattr("taskflow.commands.earlier_claims.WAIT_S", 0.01)
        with pytest.raises(Unavailable):
            await EarlierClaims(store, executor, settings).moved()
