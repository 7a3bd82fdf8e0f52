"""Options of every Kafka client: address, TLS and SASL, from the settings alone.

When a broker refuses a client, aiokafka says only that it cannot bootstrap. `explained` finds the reason, for the log and
the health check: an untrusted certificate or a wrong password needs an operator.
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
    """The broker answers and refuses this client. The message names the setting to check; `why` is short and holds
    nothing secret."""

    def __init__(self, address: str, why: str, where: str) -> None:
        super().__init__(f"Kafka at {address}: {why} ({where})")
        self.why = why


def connection(settings: Settings) -> dict[str, Any]:
    """The options that every aiokafka client is created with. Raises BadSettings for files that are not valid PEM."""
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
    """Trusts the authorities of the CA file, else those of the system; the broker's name must match its certificate."""
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
    """Returns once one of the bootstrap addresses accepts this client. Raises BrokerRefuses, and the connection's own
    error where no broker answers."""
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
    """The reason why a client could not start: BrokerRefuses if the broker answers and refuses, else the error itself."""
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
