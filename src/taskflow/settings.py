"""All settings (bounds, addresses, secrets), read from the environment.

The field `append_queue_max` is the variable `TASKFLOW_APPEND_QUEUE_MAX`. `taskflow config` shows all settings.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import msgspec.inspect
from msgspec import Meta, Struct

from taskflow.errors import TaskflowError
from taskflow.former_settings import NEW_NAMES
from taskflow.key_formats import key_fault, secret_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "TASKFLOW_"
SECRETS: Final = ("master_key", "claim_secret", "token_secret", "message_key", "jwt_private_key")
KEYS: Final = (*SECRETS, "jwt_previous_public_key", "message_previous_keys")
MASKED: Final = (*SECRETS, "message_previous_keys", "kafka_password")
CALLERS: Final = frozenset(("TASKFLOW_URL", "TASKFLOW_TOKEN"))
"""Variables of the client commands (`taskflow tasks …`), which a server process ignores."""

_PASSWORD_IN_URL: Final = re.compile(
    r"(?<=://)\S*@|(?<=[?&])([^=&]*(?:password|passphrase|token)[^=&]*=)[^&]*", re.IGNORECASE
)

Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]


class BadSettings(TaskflowError):
    """The environment has invalid settings; the message names every faulty variable."""


class Settings(Struct, frozen=True, kw_only=True):
    # --- what kind of place this is
    env: Literal["development", "production"] = "development"
    """Production generates no secrets and starts no servers."""
    data_dir: str = ".taskflow"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # --- servers; empty: `taskflow up` starts one
    postgres_url: str = ""
    kafka_bootstrap: str = ""
    mongodb_url: str = ""
    redis_url: str = ""
    mongodb_database: str = "taskflow"
    postgres_port: Port = 18432
    kafka_port: Port = 18092
    kafka_controller_port: Port = 18093
    mongodb_port: Port = 18017
    redis_port: Port = 18379

    # --- secrets; base64url of at least 32 bytes, the JWT key as PEM
    master_key: str = ""
    """Wraps the keys of persons. Losing it loses all personal data."""
    claim_secret: str = ""
    """Hides addresses in stream ids. Never rotated: claims would be lost."""
    token_secret: str = ""
    """Fingerprints of requests, refresh tokens, cursors."""
    message_key: str = ""
    """Signs the relay's messages to Kafka; projectors reject all others."""
    message_previous_keys: tuple[str, ...] = ()
    """Previous message keys, separated by commas; needed while Kafka keeps messages that they signed."""
    jwt_private_key: str = ""
    """Ed25519, PEM. Signs access tokens."""
    jwt_previous_public_key: str = ""
    """PEM of the previous key's public part: tokens that it signed stay valid until they expire."""

    # --- the event store
    postgres_pool_max: Positive = 20
    postgres_connect_timeout_ms: Positive = 3_000
    postgres_command_timeout_ms: Positive = 10_000
    append_queue_max: Positive = 10_000
    """Commands that may wait to be stored; one more is refused (503)."""
    append_queue_bytes_max: Positive = 67_108_864
    """Of the events of those that wait; whoever brings more is refused."""
    append_group_max: Positive = 256
    append_group_events_max: Positive = 2_000
    append_group_bytes_max: Positive = 4_194_304
    """Of the events that are stored in one transaction, as for the two above; what is larger alone goes alone."""
    append_timeout_ms: Positive = 5_000
    append_transaction_timeout_ms: Positive = 1_000
    """Maximum duration of a transaction that holds the append lock."""
    append_deadline_ms: Positive = 8_000
    """How long a commit with an unknown outcome is retried before its callers get 503."""
    conflict_retries_max: Positive = 100
    state_cache_bytes_max: Positive = 134_217_728
    """Maximum size of the cached stream states in one process."""
    snapshot_every_events: Positive = 200
    history_bytes_max: Positive = 268_435_456
    """Maximum size of one stream's events that a request may fold for `?version=`, `?at=`, a diff or an undo; more is
    refused. The events are read in small chunks."""
    history_events_max: Positive = 100_000
    """Maximum number of a task's events that an undo may read; more is refused."""
    move_tasks_max: Positive = 500
    """Subtasks that move with a task to another project, in one command or one bundle; more is refused."""
    events_range_size: Positive = 10_000_000
    person_key_ttl_s: Positive = 60
    person_keys_max: Positive = 10_000

    # --- the log follower
    follower_poll_ms: Positive = 50
    follower_batch_max: Positive = 2_000
    follower_ring_max: Positive = 10_000
    follower_snapshot_every_events: Positive = 10_000
    follower_history_bytes_max: Positive = 33_554_432
    """Of memberships that ended and names that changed, which `/sync` tells of. The oldest are dropped: a client whose
    token is older starts again (410)."""
    auth_stale_max_s: Positive = 10
    """How long a process that cannot reach the log may continue to authorise requests."""

    # --- Kafka, and how it is reached
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    kafka_username: str = ""
    kafka_password: str = ""
    kafka_ca_file: str = ""
    """PEM of the certificate authorities for the broker's certificate; empty: the system's."""
    kafka_certificate_file: str = ""
    """PEM, for a broker that requires client certificates."""
    kafka_certificate_key_file: str = ""

    # --- the relay and Kafka
    kafka_topic: str = "taskflow.events"
    kafka_partitions: Annotated[int, Meta(ge=1, le=1024)] = 8
    kafka_retention_hours: Positive = 168
    kafka_replication: Positive = 1
    kafka_request_timeout_ms: Positive = 10_000
    kafka_message_bytes_max: Positive = 8_388_608
    """Well above the largest event: an event that Kafka refuses would block all later ones."""
    relay_batch_max: Positive = 1_000
    relay_batch_bytes_max: Positive = 8_388_608
    """A batch ends with the event that reaches this."""
    relay_poll_ms: Positive = 20
    """Pause between two reads of the log, unless more than a batch is waiting."""
    relay_check_ends_ms: Positive = 5_000
    """How often the broker's end offsets are compared with the published ones."""
    relay_standby_poll_ms: Positive = 500
    relay_backoff_min_ms: Positive = 100
    relay_backoff_max_ms: Positive = 2_000
    relay_ranges_check_s: Positive = 60
    watermark_interval_ms: Positive = 1_000
    lease_ttl_ms: Positive = 3_000
    """Duration of the leases of the leading relay and of the active worker."""
    lease_renew_ms: Positive = 1_000

    # --- projectors and views
    mongodb_pool_max: Positive = 50
    mongodb_pool_min: Annotated[int, Meta(ge=0)] = 10
    mongodb_timeout_ms: Positive = 5_000
    mongodb_socket_timeout_ms: Positive = 20_000
    """Timeout of one answer from MongoDB. Must allow for a batch, which is one transaction."""
    projector_batch_max: Positive = 1_000
    projector_batch_bytes_max: Positive = 16_777_216
    """A batch read from the log ends with the event that reaches this; a transaction with the event that does, together
    with the states of the streams so far."""
    projector_fetch_bytes_max: Positive = 8_388_608
    """Messages that a worker fetches from Kafka at a time; what is not decoded yet waits at the broker. A larger message
    is fetched alone."""
    projector_inbox_bytes_max: Positive = 8_388_608
    """Decoded messages that wait for one projection of a worker. With more, the projection reads the log instead, and
    the others go on."""
    projector_linger_ms: Annotated[int, Meta(ge=0)] = 20
    """Minimum time between the starts of two batches that are not full: small transactions are inefficient."""
    checkpoint_interval_ms: Positive = 250
    """How long progress past events that a view does not fold may stay unsaved."""
    projector_stall_timeout_ms: Positive = 5_000
    """A projector that receives nothing for this long reads the log, and creates a new consumer."""
    projector_states_bytes_max: Positive = 67_108_864
    """Maximum size of the stream states in memory, for each view of a worker."""
    parked_streams_max: Positive = 100
    """More parked streams than this halt the partition, because the fault is then not in single streams."""
    projector_stale_ms: Positive = 10_000
    """A view with a partition that was not saved for this long counts as stale: no projector advances it."""
    checkpoint_poll_ms: Positive = 20
    """How often checkpoints are read while a request waits for a position."""

    # --- caches
    user_cache_ttl_s: Positive = 3_600
    user_cache_bytes_max: Positive = 16_777_216
    """Maximum size of the users cached in an API process."""
    board_cache_ttl_s: Positive = 300
    cache_entry_bytes_max: Positive = 1_048_576
    """A larger value is not cached in Redis, because its transfer would delay all others."""
    cache_lease_ttl_ms: Positive = 5_000
    cache_timeout_ms: Positive = 250
    """Timeout of Redis; after it a read counts as a cache miss."""
    cache_breaker_open_ms: Positive = 1_000
    """After a failure the cache does not use Redis for this long."""
    pages_bytes_max: Positive = 67_108_864
    """Of lists of tasks, and of single tasks, in an API process's memory."""
    invalidations_pending_max: Positive = 10_000

    # --- the API
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    public_url: str = "http://127.0.0.1:8000"
    """The `iss` of tokens, and the beginning of calendar URLs."""
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: Annotated[int, Meta(ge=0)] = 0
    """How many proxies in front add to X-Forwarded-For; 0: the header is ignored."""
    connections_max: Positive = 8_192
    """Connections of one process. A further one closes the longest idle ones; if none is idle, it gets 503."""
    request_line_bytes_max: Positive = 16_384
    """Maximum size of path and query; above it, and above the next two settings, the response is 431."""
    request_fields_max: Positive = 100
    """Header fields of one request."""
    request_head_bytes_max: Positive = 32_768
    request_head_timeout_ms: Positive = 10_000
    """From the first byte (or the connection) to the end of the head; then the response is 408."""
    request_body_timeout_ms: Positive = 20_000
    """Time for a body, in addition to its transfer time at the minimum rate; then the response is 408."""
    request_body_bytes_per_s_min: Positive = 16_384
    response_stall_timeout_ms: Positive = 30_000
    """Time for a client to read a response, in addition to the transfer time at the minimum rate; then the connection
    is closed."""
    response_bytes_per_s_min: Positive = 16_384
    keep_alive_timeout_ms: Positive = 75_000
    """Longer than a proxy keeps an idle connection, so that the proxy is the one to close it."""
    body_bytes_max: Positive = 1_048_576
    body_drain_bytes_max: Positive = 8_388_608
    sse_connections_max: Positive = 5_000
    """SSE connections of one process; one more is refused (503)."""
    sse_connections_per_user_max: Positive = 20
    """SSE connections of one user in one process; one more is refused (429)."""
    waits_per_caller_max: Positive = 64
    """Reads of one caller that wait for a position in one process; one more is refused (429)."""
    exports_per_caller_max: Positive = 4
    """Files (events, projects) of one caller that one process is sending; one more is refused (429)."""
    exports_max: Positive = 500
    """Files that one process is sending; one more is refused (503)."""
    export_pages_max: Positive = 1
    """Pages of such files that one process renders at once: more would only delay all other requests."""
    batches_per_caller_max: Positive = 20
    """Batches of commands of one caller running in one process; one more is refused (429)."""
    syncs_per_caller_max: Positive = 8
    """Responses of `/sync` that one process prepares for one caller at once; one more is refused (429)."""
    historical_boards_per_caller_max: Positive = 2
    """Historical boards that one caller requests at once from one process; one more is refused (429)."""
    calendars_per_caller_max: Positive = 8
    """Calendars that one process is sending to one network; one more is refused (429)."""
    calendars_max: Positive = 100
    """Calendars that one process is sending; one more is refused (503)."""
    stream_buffer_bytes_max: Positive = 262_144
    """Buffered events of one SSE client; with more the client is disconnected, and can resume where it was."""
    stream_heartbeat_ms: Positive = 15_000
    access_token_ttl_s: Positive = 900
    argon2_parallel_max: Positive = 2
    argon2_queue_max: Positive = 128
    """Passwords waiting to be hashed or checked in one process; if full, the network with the most of them is
    refused."""
    argon2_wait_max_ms: Positive = 3_000
    """Maximum wait of a password to be hashed or checked; then 503."""
    argon2_memory_kib: Positive = 19_456
    argon2_time_cost: Positive = 2
    historical_board_events_max: Positive = 100_000
    """Maximum number of events for a historical board, of all tasks that were ever on it. More is refused."""
    historical_board_bytes_max: Positive = 268_435_456
    """Maximum size of those events; more is refused. The events are read in small chunks."""
    historical_boards_concurrency_max: Positive = 2
    """Historical boards that one process folds at once; a further request waits until its own timeout (503)."""
    calendars_bytes_max: Positive = 33_554_432
    """Maximum size of the rendered calendar feeds cached in an API process."""
    calendar_renders_max: Positive = 2
    """Feeds that one process renders at once; another waits."""
    calendar_timeout_ms: Positive = 20_000
    """A feed that is not rendered within this is refused (503)."""
    metrics: Literal["on", "off"] = "on"

    # --- the trash
    trash_retention_s: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 2_592_000
    """A task that was in the trash for this long (thirty days) is purged."""
    purge_interval_ms: Positive = 300_000
    """Pause between two searches of the worker for such tasks."""
    purge_batch_max: Positive = 200

    # --- rate limits
    rate_limits: Literal["on", "off"] = "on"
    """`off` is for load tests and acceptance runs."""
    anonymous_requests_max: Positive = 100
    anonymous_window_s: Positive = 900
    token_checks_per_s: Positive = 20
    """Access tokens of one network whose signature a process verifies; above it the network limit is checked first."""
    token_checks_burst_max: Positive = 200
    user_requests_per_s: Positive = 50
    user_burst_max: Positive = 200
    login_attempts_max: Positive = 20
    """Failed sign-ins from one network, to any accounts, in a window."""
    login_failures_max: Positive = 10
    """Failed sign-ins to one account from one network in a window."""
    login_account_failures_max: Positive = 20
    """Failed sign-ins to one account from all networks in a window, from unknown devices."""
    login_device_failures_max: Positive = 10
    """Failed sign-ins to one account from one known device in a window, counted separately from all others."""
    sign_ins_max: Positive = 200
    """Sign-ins to one account in a window; each adds a session to the log."""
    registrations_max: Positive = 20
    """Registrations from one network in a window."""
    refreshes_max: Positive = 100
    """Token refreshes of one session in a window, from all networks."""
    login_window_s: Positive = 900
    device_token_ttl_s: Positive = 15_552_000
    """How long after its last sign-in (180 days) a device is still known."""
    unchanged_max: Positive = 500
    """Commands of one caller that change nothing in a window: their receipts are kept for ever."""
    unchanged_window_s: Positive = 3_600
    api_processes: Positive = 1
    """Number of API processes: each grants this fraction of a limit while Redis is unavailable."""
    limits_timeout_ms: Positive = 250
    """Timeout of Redis for counting; after it this process counts by itself."""
    limits_breaker_open_ms: Positive = 1_000
    """After a failure the counters do not use Redis for this long."""
    limits_connections_max: Positive = 32
    """Connections to Redis of one process's counters; the cache has its own."""

    @property
    def master_key_bytes(self) -> bytes:
        return secret_bytes(self.master_key)

    @property
    def claim_secret_bytes(self) -> bytes:
        return secret_bytes(self.claim_secret)

    @property
    def token_secret_bytes(self) -> bytes:
        return secret_bytes(self.token_secret)

    @property
    def message_key_bytes(self) -> bytes:
        return secret_bytes(self.message_key)

    @property
    def message_previous_keys_bytes(self) -> tuple[bytes, ...]:
        return tuple(secret_bytes(key) for key in self.message_previous_keys)

    @property
    def data_path(self) -> Path:
        return Path(self.data_dir).resolve()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Reads the variables that are set; an empty one counts as not set.

        Raises BadSettings naming each bad one and what it takes.
        """
        environ = os.environ if environ is None else environ
        given: dict[str, Any] = {}
        faults: list[str] = []
        fields = {variable(field.name): field for field in msgspec.structs.fields(cls)}
        for name, field in fields.items():
            raw = environ.get(name)
            if not raw:
                continue
            several = isinstance(field.default, tuple)
            value: Any = tuple(part.strip() for part in raw.split(",")) if several else raw
            try:
                given[field.name] = msgspec.convert(value, field.type, strict=False)
            except msgspec.ValidationError:
                faults.append(f"{name}: expected {_expected(field.type)}, found {raw!r}")
        for name in KEYS:
            value = given.get(name, "")
            found = [key_fault(name, one) for one in (value if isinstance(value, tuple) else (value,))]
            faults += [f"{variable(name)}: {fault}" for fault in found if fault]
        faults += [
            f"{name}: {_unknown(name)}"
            for name in sorted(environ)
            if name.startswith(PREFIX) and name not in fields and name not in CALLERS
        ]
        if not faults:
            settings = cls(**given)
            faults = _contradictions(settings)
        if faults:
            raise BadSettings("bad settings:\n  " + "\n  ".join(faults))
        return settings

    def __repr__(self) -> str:
        """Returns the settings that differ from their default, without secrets, for logs and tracebacks."""
        given = (field.name for field in msgspec.structs.fields(self) if getattr(self, field.name) != field.default)
        return f"Settings({', '.join(f'{name}={_masked(name, getattr(self, name))}' for name in given)})"

    def environ(self) -> dict[str, str]:
        """Returns the environment variables for a child process with these settings."""
        variables = {}
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                variables[variable(field.name)] = ",".join(value) if isinstance(value, tuple) else str(value)
        return variables

    def shown(self) -> dict[str, str]:
        """Returns every setting by its variable's name, each on one line, with secrets and passwords masked."""
        return {variable(name): _masked(name, getattr(self, name)) for name in self.__struct_fields__}


def variable(field: str) -> str:
    """Returns the environment variable of a field."""
    return PREFIX + field.upper()


def _unknown(name: str) -> str:
    new_name = NEW_NAMES.get(name.removeprefix(PREFIX).lower())
    return "no such setting" if new_name is None else f"this setting is called {variable(new_name)} now"


def _expected(kind: Any) -> str:
    """Describes a setting's type in words."""
    info = msgspec.inspect.type_info(kind)
    match info:
        case msgspec.inspect.LiteralType(values):
            return " or ".join(str(value) for value in values)
        case msgspec.inspect.IntType(ge=least, le=most):
            return f"a whole number from {least}" + ("" if most is None else f" to {most}")
        case _:
            return type(info).__name__.removesuffix("Type").lower()


def _contradictions(settings: Settings) -> list[str]:
    """Returns the faults of settings that are valid one by one but contradict each other."""
    pairs = (
        # (the lesser, the greater, why)
        ("lease_renew_ms", "lease_ttl_ms", "a lease that is renewed after it ended changes hands for nothing"),
        ("mongodb_pool_min", "mongodb_pool_max", "the pool cannot hold fewer than it keeps"),
        ("relay_backoff_min_ms", "relay_backoff_max_ms", "the pauses grow from the one to the other"),
        (
            "projector_stall_timeout_ms",
            "projector_stale_ms",
            "a projector that reads the log instead would be called gone",
        ),
        ("checkpoint_interval_ms", "projector_stall_timeout_ms", "a projector that is well would be called gone"),
        ("watermark_interval_ms", "projector_stall_timeout_ms", "a projector would call an idle relay dead"),
        ("body_bytes_max", "body_drain_bytes_max", "a body that is taken is read to its end"),
        ("request_line_bytes_max", "request_head_bytes_max", "the line is a part of the head"),
        ("sse_connections_max", "connections_max", "each stream is a connection"),
    )
    return _kafka_contradictions(settings) + [
        f"{variable(less)}: expected at most {variable(more)} ({getattr(settings, more)}), "
        f"found {getattr(settings, less)}: {why}"
        for less, more, why in pairs
        if getattr(settings, less) > getattr(settings, more)
    ]


def _kafka_contradictions(settings: Settings) -> list[str]:
    """Returns the faults of the Kafka connection: settings that the protocol needs, or would silently ignore."""
    protocol = settings.kafka_security_protocol
    faults: list[str] = []
    for name, needs in (
        ("kafka_sasl_mechanism", "SASL"),
        ("kafka_username", "SASL"),
        ("kafka_password", "SASL"),
        ("kafka_ca_file", "SSL"),
        ("kafka_certificate_file", "SSL"),
        ("kafka_certificate_key_file", "SSL"),
    ):
        if getattr(settings, name) and needs not in protocol:
            faults.append(f"{variable(name)}: of no use, {variable('kafka_security_protocol')} is {protocol}")
        elif needs == "SASL" and needs in protocol and not getattr(settings, name):
            faults.append(f"{variable(name)}: not set, {variable('kafka_security_protocol')} is {protocol}")
    if bool(settings.kafka_certificate_file) != bool(settings.kafka_certificate_key_file):
        both = f"{variable('kafka_certificate_file')} and {variable('kafka_certificate_key_file')}"
        faults.append(f"{both}: expected both or none")
    return faults


def _masked(name: str, value: object) -> str:
    if name in MASKED:
        return "(set)" if value else "(not set)"
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    masked = _PASSWORD_IN_URL.sub(lambda found: f"{found[1]}***" if found[1] else "***@", text)
    return masked.replace("\n", "\\n")
