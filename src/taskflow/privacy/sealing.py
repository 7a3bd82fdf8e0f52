"""Encryption of the personal fields of events and states ("sealing").

A sealed value is a string `~1.<base64url of nonce and ciphertext>`: AES-256-GCM over the value's JSON,
with the field's name and a context (the event's id, a snapshot's stream and version) as associated
data, so that a ciphertext cannot be moved to another field or another event.
"""

from __future__ import annotations

import os
import typing
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from taskflow.errors import StoreError
from taskflow.streams.stream_type import PERSONAL

if TYPE_CHECKING:
    from msgspec import Struct

S = TypeVar("S", bound="Struct")

_PREFIX: Final = "~1."
_NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32


def personal_fields(struct: type[Struct]) -> tuple[str, ...]:
    """The encoded names of a Struct's fields that are marked PERSONAL."""
    return tuple(field.encode_name for field in _personal(struct))


@cache
def _personal(struct: type[Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    # Cached by type: finding a type's fields takes longer than encoding an event.
    hints = typing.get_type_hints(struct, include_extras=True)
    return tuple(
        field for field in msgspec.structs.fields(struct) if PERSONAL in getattr(hints[field.name], "__metadata__", ())
    )


def says_of_person(value: Struct) -> bool:
    """Whether any personal field of a Struct has a value."""
    return any(getattr(value, field.name) is not None for field in _personal(type(value)))


def without_person(value: S) -> S:
    """The Struct as it is read after its person's key was destroyed: personal fields are None."""
    return msgspec.structs.replace(value, **dict.fromkeys(field.name for field in _personal(type(value))))


def new_key() -> bytes:
    """A fresh 256-bit key for one person."""
    return AESGCM.generate_key(KEY_BYTES * 8)


def _associated(context: bytes, field: str) -> bytes:
    return context + b"\x1f" + field.encode()


def seal_fields(value: Struct, key: bytes, context: bytes) -> bytes:
    """The Struct as JSON with its personal fields encrypted; `None` stays `null`."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    cipher = AESGCM(key)
    for field in personal_fields(type(value)):
        if plain.get(field) is not None:
            nonce = os.urandom(_NONCE_BYTES)
            sealed = cipher.encrypt(nonce, msgspec.json.encode(plain[field]), _associated(context, field))
            plain[field] = _PREFIX + urlsafe_b64encode(nonce + sealed).decode()
    return msgspec.json.encode(plain)


def open_fields(
    struct: type[Struct], plain: dict[str, Any], key: bytes | None, context: bytes, *, in_clear: bool = False
) -> None:
    """Decrypts the personal fields of a decoded JSON object in place; without a key they become None. `in_clear`: the
    object was stored before these fields were marked as personal."""
    if in_clear and key is not None:
        return
    cipher = None if key is None else AESGCM(key)
    for field in personal_fields(struct):
        sealed = plain.get(field)
        if sealed is None:
            continue
        if cipher is None:
            plain[field] = None
            continue
        if not (isinstance(sealed, str) and sealed.startswith(_PREFIX)):
            raise StoreError(f"{struct.__name__}.{field} is not sealed: expected {_PREFIX}…")
        try:
            raw = urlsafe_b64decode(sealed[len(_PREFIX) :])
            value = cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _associated(context, field))
        except (InvalidTag, ValueError):
            raise StoreError(
                f"{struct.__name__}.{field} cannot be decrypted with the person's key: "
                "the master key is wrong, or the data was moved"
            ) from None
        plain[field] = msgspec.json.decode(value)
