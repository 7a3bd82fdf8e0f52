"""Message authentication codes: who can write to the topic, but has no key, is believed nothing.

    ce_mackeyid   the id of the key, which is derived from it and reveals nothing of it
    ce_mac        the last of all: HMAC-SHA-256, in hexadecimal, over what follows

    topic · partition · names of headers · key · value · headers, in their order: all that are attributes of
    CloudEvents but `ce_mac`

Each part counts with its length, and null is another length than 0, so that no two messages have the
same bytes. A genuine message that somebody copies to another partition or topic fails. One that is
repeated where it stood passes: readers drop it by its position.
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
"""Of a message; the relay sends fewer than half as many."""

SEPARATOR: Final = "\0"
_VERSION: Final = b"taskflow/message/1"
_KEY_ID_OF: Final = b"taskflow/message-key-id"
_KEY_ID_BYTES: Final = 8
_NULL: Final = -1


def key_id(key: bytes) -> bytes:
    """The public name of a key."""
    return hmac.digest(key, _KEY_ID_OF, "sha256")[:_KEY_ID_BYTES].hex().encode()


class MessageKeys:
    """The key that signs, and those that verify."""

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        """Raises BadSettings for a key that could be guessed."""
        if any(len(key) < SECRET_BYTES_MIN for key in (current, *previous)):
            raise BadSettings(f"{variable('message_key')}: expected keys of at least {SECRET_BYTES_MIN} bytes")
        self._current = current
        self._current_id = key_id(current)
        self._by_id = {key_id(key): key for key in (*previous, current)}

    @classmethod
    def of(cls, settings: Settings) -> MessageKeys:
        return cls(settings.message_key_bytes, settings.message_previous_keys_bytes)

    def sign(self, topic: str, partition: int, message: Encoded) -> Encoded:
        """The message as it is sent to this partition, and to no other."""
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
        """The attributes of a message that a holder of a key sent to this partition. Raises UnverifiedMessage."""
        if len(headers) > HEADERS_MAX:
            raise UnverifiedMessage("headers")
        # Attributes of CloudEvents in Kafka's binary mode; tools on the way may add headers of their own.
        covered = [one for one in headers if one[0][:3] == "ce_" or one[0] == "content-type"]
        attributes = dict(covered)
        mac, secret = attributes.get(MAC), self._by_id.get(attributes.get(KEY_ID) or b"")
        if mac is None:
            raise UnverifiedMessage("no-mac")
        if secret is None:
            raise UnverifiedMessage("unknown-key")
        if len(attributes) != len(covered) or covered.pop()[0] != MAC:
            raise UnverifiedMessage("headers")  # of two of one name readers would have to choose one
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
        raise UnverifiedMessage("headers")  # one name would read as two
    parts: list[Any] = [_VERSION, topic.encode(), b"%d" % partition, names.encode(), key, value]
    parts += [text for _, text in headers]
    lengths = [_NULL if part is None else len(part) for part in parts]
    return struct.pack(f">{len(parts) + 1}q", len(parts), *lengths) + b"".join([part or b"" for part in parts])
