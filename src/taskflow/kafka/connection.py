"""How every client of ours reaches the broker: address, TLS and SASL, from the settings alone.

aiokafka says of a broker that refuses only that it cannot bootstrap. `explained` finds out why, for the
log and for health: a certificate that is not trusted and a wrong password need a person.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from taskflow.settings import BadSettings, variable

if TYPE_CHECKING:
    from taskflow.settings import Settings

_PROBE_MS: Final = 1_500


class BrokerRefuses(KafkaConnectionError):  # type: ignore[misc]  # aiokafka has no types
    """The broker is there, and does not let this client in. The message says what to look at; `why` is short, and
    may be shown to anybody."""

    def __init__(self, address: str, why: str, where: str) -> None:
        super().__init__(f"Kafka at {address}: {why} ({where})")
        self.why = why


def connection(settings: Settings) -> dict[str, Any]:
    """What each client of aiokafka is given. Raises BadSettings for files that cannot be read as what they are."""
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {"bootstrap_servers": settings.kafka_bootstrap, "security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password,
        }
    return options


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    """Trusts the authorities of the CA file, or else of the system; the broker's name must be its certificate's."""
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file or None)
    except (OSError, ValueError) as error:
        raise BadSettings(f"{variable('kafka_ca_file')}: expected certificates as PEM: {error}") from error
    if settings.kafka_certificate_file:
        try:
            context.load_cert_chain(
                settings.kafka_certificate_file,
                settings.kafka_certificate_key_file,
                password=lambda: "",  # or OpenSSL would ask at the terminal
            )
        except (OSError, ValueError) as error:
            names = f"{variable('kafka_certificate_file')} and {variable('kafka_certificate_key_file')}"
            raise BadSettings(
                f"{names}: expected a certificate and its key as PEM, without a password: {error}"
            ) from error
    return context


async def ping(settings: Settings) -> None:
    """Returns where one of the bootstrap addresses lets this client in. Raises BrokerRefuses, and what a broker
    that is away raises."""
    options = connection(settings)
    fault: BaseException | None = None
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
        try:
            made = await create_conn(host, port, request_timeout_ms=_PROBE_MS, **options)
        except (KafkaError, OSError, TimeoutError) as error:
            fault = _refusal(settings, f"{host}:{port}", error) or fault or error
        else:
            made.close()
            return
    raise fault or KafkaConnectionError(f"no address in {settings.kafka_bootstrap!r}")


async def explained(settings: Settings, error: BaseException) -> BaseException:
    """The error of a client that could not start; BrokerRefuses where the broker is there and refuses."""
    try:
        await ping(settings)
    except BrokerRefuses as refusal:
        return refusal
    except (KafkaError, OSError, TimeoutError):
        pass
    return error


def _refusal(settings: Settings, address: str, error: BaseException) -> BrokerRefuses | None:
    match error:
        case ssl.SSLCertVerificationError():
            why, where = "its certificate is not trusted", f"{error.verify_message}; see {variable('kafka_ca_file')}"
        case ssl.SSLError():
            why, where = "it does not take this client's TLS", str(error.reason)
        case SaslAuthenticationFailed():
            why = "it refuses the user name or the password"
            where = f"see {variable('kafka_username')} and {variable('kafka_password')}"
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            why = f"it does not take {settings.kafka_sasl_mechanism}"
            where = f"see {variable('kafka_sasl_mechanism')}"
        case _:
            return None
    return BrokerRefuses(address, why, where)
