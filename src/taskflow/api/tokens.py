"""Access tokens (asymmetric JWTs) and refresh tokens.

Anybody who has the public key can verify an access token; the log follower knows whether its session has ended. A
refresh token is not stored: the token of generation n of a session is an HMAC of both, so that a repeated refresh can
get the same successor.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from msgspec import Struct

from taskflow.base64url import decode_base64url, encode_base64url
from taskflow.errors import Unauthenticated
from taskflow.ids import new_id, parse_id
from taskflow.signed_tokens import sign, verify

if TYPE_CHECKING:
    from taskflow.settings import Settings

AUDIENCE: Final = "taskflow"
VERIFIED_MAX: Final = 20_000
"""Verified tokens that are kept, until they expire, so that each signature is checked once."""
TOKEN_MAX: Final = 4_096
"""Characters of an access token; ours have some 500."""
_PREFIX: Final = "tfr_"
_PURPOSE: Final = b"taskflow/refresh"
_MAC_BYTES: Final = 32
_BODY_BYTES: Final = 16 + 4
_NOT_VALID: Final = "the access token is not valid; sign in or refresh"


class Claims(Struct, frozen=True):
    user_id: UUID
    session_id: UUID
    expires_at: float
    """Seconds since 1970."""


class Tokens:
    """Makes and verifies the tokens of one deployment."""

    def __init__(self, settings: Settings) -> None:
        key = load_pem_private_key(settings.jwt_private_key.encode(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise AssertionError("the settings refused every other kind of key")
        self._private = key
        self._key_id = _thumbprint(key.public_key())
        self._public: dict[str, Ed25519PublicKey] = {self._key_id: key.public_key()}
        if settings.jwt_previous_public_key:
            previous = load_pem_public_key(settings.jwt_previous_public_key.encode())
            if isinstance(previous, Ed25519PublicKey):
                self._public[_thumbprint(previous)] = previous
        self._issuer = settings.public_url
        self._secret = settings.token_secret_bytes
        self.ttl_s = settings.access_token_ttl_s
        self._verified: OrderedDict[str, Claims] = OrderedDict()

    # --- access tokens

    def access(self, user_id: UUID, session_id: UUID) -> str:
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(new_id()),
            "iat": now,
            "exp": now + self.ttl_s,
        }
        return jwt.encode(claims, self._private, algorithm="EdDSA", headers={"kid": self._key_id, "typ": "at+jwt"})

    def is_known(self, token: str) -> bool:
        """Whether the token was verified before, so that `verify` only looks it up."""
        return token in self._verified

    def verify(self, token: str) -> Claims:
        """The claims of a token. Raises Unauthenticated for one that is not ours, not an access token, or expired."""
        known = self._verified.get(token)
        if known is None:
            known = self._verified[token] = self._decode(token)
            while len(self._verified) > VERIFIED_MAX:
                self._verified.popitem(last=False)
        elif known.expires_at <= time.time():
            del self._verified[token]
            raise Unauthenticated("the access token has expired; refresh it")
        return known

    def _decode(self, token: str) -> Claims:
        if len(token) > TOKEN_MAX:
            raise Unauthenticated(_NOT_VALID)
        if any(decode_base64url(part) is None for part in token.split(".")):
            raise Unauthenticated(_NOT_VALID)  # another spelling of a token, which the library would accept
        try:
            head = jwt.get_unverified_header(token)
            key = self._public.get(str(head.get("kid")))
            if key is None or head.get("typ") != "at+jwt":
                raise Unauthenticated(_NOT_VALID)
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={"require": ["exp", "iat", "sub", "sid", "jti"]},
            )
            return Claims(parse_id(claims["sub"]), parse_id(claims["sid"]), float(claims["exp"]))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the access token has expired; refresh it") from None
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
            raise Unauthenticated(_NOT_VALID) from None

    def jwks(self) -> dict[str, Any]:
        """The public keys, the current one first."""
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": _x(public)}
                for kid, public in self._public.items()
            ]
        }

    # --- refresh tokens

    def refresh(self, session_id: UUID, generation: int) -> str:
        body = session_id.bytes + generation.to_bytes(4, "big")
        return _PREFIX + sign(self._secret, _PURPOSE, body, mac_bytes=_MAC_BYTES)

    def read_refresh(self, token: str) -> tuple[UUID, int]:
        """(session, generation). Raises Unauthenticated for any text that `refresh` did not make."""
        text = token.removeprefix(_PREFIX)
        body = None if text == token else verify(self._secret, _PURPOSE, text, mac_bytes=_MAC_BYTES)
        if body is None or len(body) != _BODY_BYTES:
            raise Unauthenticated("the refresh token is not valid")
        return UUID(bytes=body[:16]), int.from_bytes(body[16:], "big")


def _x(public: Ed25519PublicKey) -> str:
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return encode_base64url(raw)


def _thumbprint(public: Ed25519PublicKey) -> str:
    """RFC 7638: a key's id is a hash of the key."""
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{_x(public)}"}}'
    return encode_base64url(hashlib.sha256(members.encode()).digest())
