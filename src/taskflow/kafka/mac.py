"""Message authentication codes: readers ignore messages that were not signed with one of our keys.

    ce_mackeyid   the id of the key, derived from the key and revealing nothing of it
    ce_mac        the last header: HMAC-SHA-256, in hexadecimal, over these parts:

    topic · partition · names of headers · key · value · values of headers, in their order: all attributes of
    CloudEvents except `ce_mac`

Each part is preceded by its length, and null has another length than an empty part, so that no two messages have the same
bytes. A signed message that is copied to another partition or topic fails verification. A signed message that is repeated
on its own partition passes, and readers drop it by its position.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from taskflow.errors import UnverifiedMessage
from taskflow.kafka.message import Encoded
from taskflow.key_formats import SECRET_BYTES_MIN
from taskflow.settings import BadSettings, variable

if TYPE_CHECKING:
    from taskflow.settings import Settings

MAC: Final = "ce_mac"
KEY_ID: Final = "ce_mackeyid"
HEADERS_MAX: Final = 64
"""Per message; the relay sends fewer than half as many."""

SEPARATOR: Final = "\0"
_VERSION: Final = b"taskflow/message/1"
_KEY_ID_OF: Final = b"taskflow/message-key-id"
_KEY_ID_BYTES: Final = 8
_NULL: Final = -1


def key_id(key: bytes) -> bytes:
    """The public id of a key."""
    return hmac.digest(key, _KEY_ID_OF, "sha256")[:_KEY_ID_BYTES].hex().encode()


class MessageKeys:
    """The key that signs messages, and all keys that verify them."""

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        """Raises BadSettings for a key that is short enough to be guessed."""
        if any(len(key) < SECRET_BYTES_MIN for key in (current, *previous)):
            raise BadSettings(f"{variable('message_key')}: expected keys of at least {SECRET_BYTES_MIN} bytes")
        self._current = current
        self._current_id = key_id(current)
        self._by_id = {key_id(key): key for key in (*previous, current)}

    @classmethod
    def of(cls, settings: Settings) -> MessageKeys:
        return cls(settings.message_key_bytes, settings.message_previous_keys_bytes)

    def sign(self, topic: str, partition: int, message: Encoded) -> Encoded:
        """The message with its MAC, which is valid on this partition only."""
        headers = [*message.headers, (KEY_ID, self._current_id)]
        content = _content(topic, partition, message.key, message.value, headers)
        mac = hmac.digest(self._current, content, "sha256").hex().encode()
        return replace(message, headers=[*headers, (MAC, mac)])

    def verify(
        self,
        topic: str,
        partition: int,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, Any]],
    ) -> Mapping[str, Any]:
        """The attributes of a message whose MAC one of the keys made for this partition. Raises UnverifiedMessage."""
        if len(headers) > HEADERS_MAX:
            raise UnverifiedMessage("headers")
        # Attributes of CloudEvents in Kafka's binary mode; other tools may add headers of their own, which are not covered.
        covered = [one for one in headers if one[0][:3] == "ce_" or one[0] == "content-type"]
        attributes = dict(covered)
        mac, secret = attributes.get(MAC), self._by_id.get(attributes.get(KEY_ID) or b"")
        if mac is None:
            raise UnverifiedMessage("no-mac")
        if secret is None:
            raise UnverifiedMessage("unknown-key")
        if len(attributes) != len(covered) or covered.pop()[0] != MAC:
            raise UnverifiedMessage("headers")  # of two headers with one name, readers would have to choose one
        content = _content(topic, partition, key, value, covered)
        if not hmac.compare_digest(hmac.digest(secret, content, "sha256").hex().encode(), mac):
            raise UnverifiedMessage("wrong-mac")
        return attributes


def _content(
    topic: str,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, Any]],
) -> bytes:
    names = SEPARATOR.join([name for name, _ in headers])
    if names.count(SEPARATOR) >= max(1, len(headers)):
        raise UnverifiedMessage("headers")  # a name with a separator in it would be read as two names
    parts: list[Any] = [_VERSION, topic.encode(), b"%d" % partition, names.encode(), key, value]
    parts += [text for _, text in headers]
    lengths = [_NULL if part is None else len(part) for part in parts]
    return struct.pack(f">{len(parts) + 1}q", len(parts), *lengths) + b"".join([part or b"" for part in parts])
