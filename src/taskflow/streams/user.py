"""The user stream: profile, password and system roles. The stream id is the user's id."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.streams.stream_type import PERSONAL, Event, EventMetadata, StreamType

SystemRole = Literal["analyst", "admin"]
Settings = dict[str, str | int | bool | None]

# --- events --------------------------------------------------------------------------------------


class UserRegistered(Event, frozen=True):
    email: Annotated[str | None, PERSONAL]
    name: Annotated[str | None, PERSONAL]
    password_hash: Annotated[str | None, PERSONAL]
    """Sealed like personal data, so that neither Kafka messages nor exports contain the hash in clear."""
    claim_id: UUID
    inbox_id: UUID


class UserImported(Event, frozen=True):
    """An import created a user, who can be assigned to tasks but cannot sign in."""

    name: Annotated[str | None, PERSONAL]


class UserRenamed(Event, frozen=True):
    name: Annotated[str | None, PERSONAL]


class UserAvatarSet(Event, frozen=True):
    avatar_url: Annotated[str | None, PERSONAL] = None


class UserSettingsChanged(Event, frozen=True):
    """Settings were changed; the value None removes a setting. The names of settings are personal data too."""

    schema_version = 2
    sealed_since = 2
    settings: Annotated[Settings | None, PERSONAL]


class UserPasswordChanged(Event, frozen=True):
    password_hash: Annotated[str | None, PERSONAL]


class UserClaimMoved(Event, frozen=True):
    """The claim of the user's unchanged e-mail address moved to another claim stream."""

    claim_id: UUID


class UserCalendarOpened(Event, frozen=True):
    """The calendar feed got a new secret, derived from `generation`; the previous secret is no longer valid."""

    generation: int


class UserRolesSet(Event, frozen=True):
    roles: tuple[SystemRole, ...]


# --- state ---------------------------------------------------------------------------------------


class UserState(Struct, frozen=True, kw_only=True, gc=False):
    id: UUID
    email: Annotated[str | None, PERSONAL]
    name: Annotated[str | None, PERSONAL]
    password_hash: Annotated[str | None, PERSONAL]
    avatar_url: Annotated[str | None, PERSONAL]
    settings: Annotated[Settings | None, PERSONAL]
    roles: tuple[SystemRole, ...]
    claim_id: UUID | None
    inbox_id: UUID | None
    calendar: int = 0
    """The generation of the calendar feed's secret; 0: there is no secret."""
    created_at: datetime
    updated_at: datetime
    version: int


def evolve(state: UserState | None, event: Event, metadata: EventMetadata) -> UserState:
    at = metadata.occurred_at
    if isinstance(event, UserRegistered | UserImported):
        registered = event if isinstance(event, UserRegistered) else None
        return UserState(
            id=metadata.stream_id,
            email=registered.email if registered else None,
            name=event.name,
            password_hash=registered.password_hash if registered else None,
            avatar_url=None,
            settings={},
            roles=(),
            claim_id=registered.claim_id if registered else None,
            inbox_id=registered.inbox_id if registered else None,
            created_at=at,
            updated_at=at,
            version=metadata.version,
        )
    if state is None:
        raise AssertionError(f"stream {metadata.stream_id} does not begin with a registration")
    changed: dict[str, Any]
    match event:
        case UserRenamed(name=name):
            changed = {"name": name}
        case UserAvatarSet(avatar_url=avatar_url):
            changed = {"avatar_url": avatar_url}
        case UserSettingsChanged(settings=settings):
            changed = {"settings": None if settings is None else _merged(state.settings or {}, settings)}
        case UserPasswordChanged(password_hash=password_hash):
            changed = {"password_hash": password_hash}
        case UserClaimMoved(claim_id=claim_id):
            changed = {"claim_id": claim_id}
        case UserCalendarOpened(generation=generation):
            changed = {"calendar": generation}
        case UserRolesSet(roles=roles):
            changed = {"roles": roles}
        case _:
            raise AssertionError(f"a user has no {type(event).__name__}")
    return replace(state, updated_at=at, version=metadata.version, **changed)


def _merged(settings: Settings, changed: Settings) -> Settings:
    return {key: value for key, value in (settings | changed).items() if value is not None}


USER: Final = StreamType(
    name="user",
    state=UserState,
    events=(
        UserRegistered,
        UserImported,
        UserRenamed,
        UserAvatarSet,
        UserSettingsChanged,
        UserPasswordChanged,
        UserClaimMoved,
        UserCalendarOpened,
        UserRolesSet,
    ),
    evolve=evolve,
    state_version=2,
)
