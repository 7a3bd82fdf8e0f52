"""Commands that create and change a user's account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from taskflow.commands.claims import ClaimedAddress, claim_address
from taskflow.commands.declaration import RestRoute, on_own_account
from taskflow.commands.fields import SETTINGS_MAX, Command, Email, Name, Password, Setting, SettingName, Url
from taskflow.commands.schedule import SETTING, known_zone
from taskflow.commands.session import NewSession, start
from taskflow.errors import Invalid
from taskflow.streams import PROJECT, SESSION, USER, Event
from taskflow.streams.project import DEFAULT_WORKFLOW, ProjectCreated
from taskflow.streams.user import (
    Settings,
    SystemRole,
    UserAvatarSet,
    UserCalendarOpened,
    UserRegistered,
    UserRenamed,
    UserRolesSet,
    UserSettingsChanged,
    UserState,
)
from taskflow.text.addresses import trimmed

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork

# --- commands ------------------------------------------------------------------------------------


class RegisterUser(Command, frozen=True):
    email: Email
    password: Password
    name: Name


class EditProfile(Command, frozen=True):
    """A JSON merge patch, `settings` included."""

    name: Name | UnsetType = UNSET
    avatar_url: Url | UnsetType | None = UNSET
    settings: dict[SettingName, Setting] | UnsetType = UNSET


class OpenCalendar(Command, frozen=True):
    """Opens a calendar feed of the caller's due tasks, with a new secret in its address."""


class Registration(Struct, frozen=True, kw_only=True):
    """The input of a registration besides its body: ids and a password hash, made by the API so that deciding is pure.

    Without a `session`, nobody is signed in: this is an account that an operator makes.
    """

    user_id: UUID
    address: ClaimedAddress
    inbox_id: UUID
    password_hash: str
    session: NewSession | None = None


# --- decide --------------------------------------------------------------------------------------


def edit(user: UserState, command: EditProfile) -> list[Event]:
    events: list[Event] = []
    if command.name is not UNSET and command.name != user.name:
        events.append(UserRenamed(name=command.name))
    if command.avatar_url is not UNSET and command.avatar_url != user.avatar_url:
        events.append(UserAvatarSet(avatar_url=command.avatar_url))
    if command.settings is not UNSET:
        if isinstance(zone := command.settings.get(SETTING), str):
            known_zone(zone, f"/settings/{SETTING}")
        elif zone is not None:
            raise Invalid(f"/settings/{SETTING}", "type", "expected the name of a time zone, a text")
        settings = user.settings or {}
        changed: Settings = {key: value for key, value in command.settings.items() if value != settings.get(key)}
        kept = [value for value in (settings | changed).values() if value is not None]
        if len(kept) > SETTINGS_MAX:
            raise Invalid("/settings", "too-many", f"expected at most {SETTINGS_MAX} settings")
        if changed:
            events.append(UserSettingsChanged(settings=changed))
    return events


# --- handlers ------------------------------------------------------------------------------------


async def register_user(unit: UnitOfWork, registration: Registration, command: RegisterUser) -> UUID:
    """Claims the address and creates the user with their key, their Inbox and any first session, in one append."""
    user_id = registration.user_id
    claim_id = await claim_address(unit, registration.address, user_id)
    await unit.read(USER, user_id)
    await unit.read(PROJECT, registration.inbox_id)
    unit.make_key(user_id)
    unit.append(
        USER,
        user_id,
        UserRegistered(
            email=trimmed(command.email),
            name=command.name,
            password_hash=registration.password_hash,
            claim_id=claim_id,
            inbox_id=registration.inbox_id,
        ),
        actor=user_id,
    )
    unit.append(
        PROJECT,
        registration.inbox_id,
        ProjectCreated(name="Inbox", owner_id=user_id, workflow=DEFAULT_WORKFLOW, inbox=True),
        actor=user_id,
    )
    if registration.session is not None:
        await unit.read(SESSION, registration.session.session_id)
        unit.append(SESSION, registration.session.session_id, *start(user_id, registration.session), actor=user_id)
    return user_id


async def set_roles(unit: UnitOfWork, user_id: UUID, roles: tuple[SystemRole, ...]) -> UUID:
    """Sets a user's system roles. The caller of this function has to check that this is allowed."""
    user = await unit.get(USER, user_id)
    wanted = tuple(sorted(set(roles)))
    unit.append(USER, user_id, *([UserRolesSet(roles=wanted)] if wanted != user.roles else []))
    return user_id


# --- declared ------------------------------------------------------------------------------------

COMMANDS: Final = (
    on_own_account(
        EditProfile, lambda on: edit(on.state, on.command), RestRoute("PATCH", "/users/me", "Change my profile")
    ),
    on_own_account(
        OpenCalendar,
        lambda on: [UserCalendarOpened(generation=on.state.calendar + 1)],
        RestRoute("POST", "/users/me/calendar", "A feed of my due tasks under a new secret"),
        answer="calendar",
        creates=True,
    ),
)
