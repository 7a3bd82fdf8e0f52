"""Settings come from the environment, are judged all at once, and never show a secret."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from msgspec.structs import asdict, replace

from taskflow import cli
from taskflow.former_settings import NEW_NAMES
from taskflow.local.addresses import forget, remember, with_local_urls
from taskflow.local.dev_secrets import OF_API, OF_PROJECTOR, OF_RELAY, load_or_create_secret, new_secret, with_secrets
from taskflow.settings import SECRETS, BadSettings, Settings, variable

GOOD = {f"TASKFLOW_{name.upper()}": new_secret(name) for name in SECRETS}
PREVIOUS = [new_secret("message_key") for _ in range(2)]


def test_what_is_not_set_has_its_default() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"TASKFLOW_API_PORT": "", "HOME": "/"}) == Settings()


def test_every_fault_is_named_with_what_was_expected() -> None:
    with pytest.raises(BadSettings) as caught:
        Settings.from_env(
            {
                "TASKFLOW_API_PORT": "70000",
                "TASKFLOW_LOG_LEVEL": "loud",
                "TASKFLOW_MASTER_KEY": "c2hvcnQ",
                "TASKFLOW_APPEND_QUEUE": "5",
            }
        )
    assert str(caught.value).splitlines() == [
        "bad settings:",
        "  TASKFLOW_LOG_LEVEL: expected debug or error or info or warning, found 'loud'",
        "  TASKFLOW_API_PORT: expected a whole number from 0 to 65535, found '70000'",
        "  TASKFLOW_MASTER_KEY: expected at least 32 bytes, found 5",
        "  TASKFLOW_APPEND_QUEUE: no such setting",
    ]


@pytest.mark.parametrize(("old", "new"), NEW_NAMES.items())
def test_a_setting_that_was_renamed_is_refused_with_its_new_name(old: str, new: str) -> None:
    assert new in Settings.__struct_fields__
    with pytest.raises(BadSettings, match=f"{variable(old)}: this setting is called {variable(new)} now"):
        Settings.from_env({variable(old): "1"})


@pytest.mark.parametrize("value", ["correct horse battery staple, and many more words", "a" * 45, "+/" * 30])
def test_a_secret_that_is_no_base64url_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(BadSettings, match="TASKFLOW_TOKEN_SECRET: expected base64url") as caught:
        Settings.from_env({"TASKFLOW_TOKEN_SECRET": value})
    assert value not in str(caught.value)


def test_only_an_ed25519_key_signs() -> None:
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(BadSettings, match="expected an Ed25519 key, found one of another kind"):
        Settings.from_env({"TASKFLOW_JWT_PRIVATE_KEY": other.decode()})
    with pytest.raises(BadSettings, match="expected a key as PEM"):
        Settings.from_env({"TASKFLOW_JWT_PREVIOUS_PUBLIC_KEY": "no key"})


def test_bounds_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(
        BadSettings, match=r"LEASE_RENEW_MS: expected at most TASKFLOW_LEASE_TTL_MS \(3000\), found 4000"
    ):
        Settings.from_env({"TASKFLOW_LEASE_RENEW_MS": "4000"})


SASL = {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_USERNAME": "u", "KAFKA_PASSWORD": "hidden"}
TLS = {"KAFKA_CA_FILE": "/ca", "KAFKA_CERTIFICATE_FILE": "/c", "KAFKA_CERTIFICATE_KEY_FILE": "/k"}


@pytest.mark.parametrize(
    ("protocol", "given", "faulty"),
    [
        ("PLAINTEXT", {}, set()),
        ("PLAINTEXT", SASL | TLS, {*SASL, *TLS}),
        ("SSL", {}, set()),
        ("SSL", TLS, set()),
        ("SSL", SASL, set(SASL)),
        ("SASL_PLAINTEXT", {}, set(SASL)),
        ("SASL_PLAINTEXT", SASL, set()),
        ("SASL_PLAINTEXT", SASL | TLS, set(TLS)),
        ("SASL_SSL", SASL | TLS, set()),
        ("SASL_SSL", TLS | {"KAFKA_USERNAME": "u"}, {"KAFKA_SASL_MECHANISM", "KAFKA_PASSWORD"}),
        ("SASL_SSL", SASL | {"KAFKA_CERTIFICATE_FILE": "/c"}, {"KAFKA_CERTIFICATE_FILE"}),
        ("SSL", {"KAFKA_CERTIFICATE_KEY_FILE": "/k"}, {"KAFKA_CERTIFICATE_FILE"}),
    ],
)
def test_how_the_broker_is_reached_is_whole_and_leaves_nothing_unused(
    protocol: str, given: dict[str, str], faulty: set[str]
) -> None:
    environ = {f"TASKFLOW_{name}": value for name, value in given.items()}
    environ["TASKFLOW_KAFKA_SECURITY_PROTOCOL"] = protocol
    if not faulty:
        settings = Settings.from_env(environ)
        assert Settings.from_env(settings.environ()) == settings
        assert "hidden" not in f"{settings}{settings.shown()}"
        return
    with pytest.raises(BadSettings) as caught:
        Settings.from_env(environ)
    lines = str(caught.value).splitlines()[1:]
    assert {line.split()[0].rstrip(":") for line in lines} == {f"TASKFLOW_{name}" for name in faulty}
    assert "hidden" not in str(caught.value)


def test_each_key_before_is_judged_and_none_is_repeated() -> None:
    given = ",".join([*PREVIOUS, "c2hvcnQ"])
    with pytest.raises(
        BadSettings, match="TASKFLOW_MESSAGE_PREVIOUS_KEYS: expected at least 32 bytes, found 5"
    ) as caught:
        Settings.from_env({"TASKFLOW_MESSAGE_PREVIOUS_KEYS": given})
    assert PREVIOUS[0] not in str(caught.value)


def test_a_child_is_given_the_same_settings() -> None:
    given = Settings.from_env(
        GOOD
        | {"TASKFLOW_CORS_ORIGINS": "https://a.test, https://b.test", "TASKFLOW_API_PORT": "0"}
        | {"TASKFLOW_MESSAGE_PREVIOUS_KEYS": ", ".join(PREVIOUS)}
    )
    assert given.cors_origins == ("https://a.test", "https://b.test")
    assert Settings.from_env(given.environ()) == given


def test_no_secret_and_no_password_is_shown() -> None:
    settings = Settings.from_env(
        GOOD
        | {
            "TASKFLOW_POSTGRES_URL": "postgresql://taskflow:hidden@db.test/taskflow?sslpassword=hidden&connect_timeout=3",
            "TASKFLOW_MONGODB_URL": "mongodb://u:hidden@a.test,b.test/?replicaSet=rs0",
            "TASKFLOW_REDIS_URL": "redis://:hidd/en@cache.test/0?password=hidden",
            "TASKFLOW_MESSAGE_PREVIOUS_KEYS": ",".join(PREVIOUS),
        }
    )
    shown = settings.shown()
    assert set(shown) == {f"TASKFLOW_{name.upper()}" for name in asdict(settings)}
    text = "\n".join([*shown.values(), repr(settings), f"{settings}"])
    assert "hidd" not in text
    assert not any(secret in text for secret in (*GOOD.values(), *PREVIOUS))
    assert shown["TASKFLOW_POSTGRES_URL"] == "postgresql://***@db.test/taskflow?sslpassword=***&connect_timeout=3"
    assert all("\n" not in value for value in shown.values())


def test_config_says_where_each_value_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("TASKFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TASKFLOW_API_PORT", "9000")
    cli.main(["config"])
    lines = capsys.readouterr().out.splitlines()
    assert "TASKFLOW_API_PORT=9000  (environment)" in lines
    assert "TASKFLOW_RELAY_BATCH_MAX=1000  (default)" in lines
    assert "TASKFLOW_MASTER_KEY=(not set)  (.taskflow/secrets, made on first start)" in lines


def test_development_makes_its_secrets_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    made = with_secrets(settings, SECRETS)
    assert with_secrets(settings, SECRETS) == made
    assert Settings.from_env(made.environ()) == made
    files = sorted((tmp_path / "secrets").iterdir())
    assert [file.name for file in files] == sorted(SECRETS)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_of_many_first_starts_all_use_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: load_or_create_secret(tmp_path, "one", new_secret("one")), range(64)))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_production_makes_no_secrets(tmp_path: Path) -> None:
    settings = Settings(env="production", data_dir=str(tmp_path), master_key=new_secret("master_key"))
    with pytest.raises(
        BadSettings, match="not set: TASKFLOW_CLAIM_SECRET, TASKFLOW_TOKEN_SECRET, TASKFLOW_JWT_PRIVATE"
    ):
        with_secrets(settings)
    assert list(tmp_path.iterdir()) == []


def test_a_process_is_refused_without_the_secrets_that_it_uses_and_asks_for_no_others(tmp_path: Path) -> None:
    production = Settings(env="production", data_dir=str(tmp_path))
    for needed in (OF_API, OF_RELAY, OF_PROJECTOR):
        given = replace(production, **{name: new_secret(name) for name in needed})
        assert with_secrets(given, needed) == given
        with pytest.raises(BadSettings, match=f"not set: TASKFLOW_{needed[-1].upper()}$"):
            with_secrets(replace(given, **{needed[-1]: ""}), needed)


def test_a_command_beside_the_launcher_finds_its_servers(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), redis_url="redis://from.environment")
    with pytest.raises(BadSettings, match="run `taskflow up` first, or set TASKFLOW_POSTGRES_URL"):
        with_local_urls(settings)
    running = replace(settings, postgres_url="p?a=b", kafka_bootstrap="k", mongodb_url="m", redis_url="r")
    remember(running)
    assert stat.S_IMODE((tmp_path / "secrets" / "addresses").stat().st_mode) == 0o600
    assert with_local_urls(settings) == replace(running, redis_url="redis://from.environment")
    forget(running)
    with pytest.raises(BadSettings, match=r"set TASKFLOW_POSTGRES_URL$"):
        with_local_urls(settings, ["postgres_url"])


def test_production_never_uses_local_servers(tmp_path: Path) -> None:
    settings = Settings(env="production", data_dir=str(tmp_path), postgres_url="p")
    remember(replace(settings, kafka_bootstrap="k"))
    with pytest.raises(BadSettings, match=r"not set: TASKFLOW_KAFKA_BOOTSTRAP$"):
        with_local_urls(settings, ["postgres_url", "kafka_bootstrap"])
