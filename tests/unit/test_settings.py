"""Settings: names that deployments rely on, defaults that work, and one clear line for each wrong value."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.domain.account_limits import AccountLimits
from app.settings import Settings, get_settings, secret_names

Environment = Callable[..., None]

#: DESIGN.md: names that existing deployments set, with the defaults they may rely on.
KEPT = {
    "MONGO_DB_URI": "mongodb://127.0.0.1:27017/bulk",
    "BATCH_SIZE": 2000,
    "KAFKA_BROKER": "kafka://127.0.0.1:9092",
    "KAFKA_TOPIC": "bulk-action",
    "PORT": 3000,
    "REDIS_URI": "redis://127.0.0.1:6379/0",
    "RATE_LIMIT_MAX": 5,
    "RATE_LIMIT_WINDOW_MS": 60_000,
}

WRONG = [
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("BATCH_SIZE", "0"),
    ("BATCH_SIZE", "10001"),
    ("BATCH_SIZE", "1.5"),
    ("KAFKA_TOPIC", "with blank"),
    ("KAFKA_TOPIC", "topic\n"),
    ("KAFKA_TOPIC", "t" * 121),
    ("KAFKA_TOPIC", "."),
    ("KAFKA_TOPIC", ".."),
    ("KAFKA_BROKER", " ; , "),
    ("KAFKA_BROKER", "kafka://"),
    ("KAFKA_BROKER", "no-port-here:x"),
    ("KAFKA_BROKER", "good:9092,bad host:9092"),
    ("KAFKA_BROKER", "http://broker:9092"),
    ("KAFKA_BROKER", "broker:9092/topic"),
    ("MONGO_DB_URI", "nonsense"),
    ("MONGO_DB_URI", "mongodb://"),
    ("MONGO_DB_URI", "mongodb://mongo/bulk?w=0"),
    ("MONGO_DB_URI", "mongodb:///bulk"),
    ("MONGO_DB_URI", "http://mongo/bulk"),
    ("REDIS_URI", "ftp://host"),
    ("REDIS_URI", "redis://"),
    ("STORAGE_URI", "/var/uploads"),
    ("STORAGE_URI", "ftp://host/uploads"),
    ("STORAGE_URI", "file://relative/dir"),
    ("STORAGE_URI", "file://"),
    ("STORAGE_URI", "s3://"),
    ("STORAGE_URI", "s3:///prefix"),
    ("STORAGE_URI", "s3://ab"),
    ("STORAGE_URI", "s3://With-Capitals/prefix"),
    ("STORAGE_URI", "s3://bucket//prefix"),
    ("STORAGE_URI", "s3://bucket/two words"),
    ("STORAGE_URI", "s3://user:secret@bucket/prefix"),
    ("AWS_ENDPOINT_URL", "127.0.0.1:7070"),
    ("AWS_ENDPOINT_URL", "http://"),
    ("AWS_ENDPOINT_URL", "s3://bucket"),
    ("MAX_UPLOAD_BYTES", "0"),
    ("MAX_FIELD_BYTES", "-1"),
    ("MAX_RECORD_BYTES", "1 MB"),
    ("MAX_GZIP_RATIO", "0"),
    ("MAX_GZIP_RATIO", "2001"),
    ("REQUEST_HEAD_TIMEOUT", "0"),
    ("UPLOAD_IDLE_TIMEOUT", "0"),
    ("UPLOAD_MIN_RATE", "-1"),
    ("UPLOAD_TIMEOUT", "0"),
    ("ORPHAN_AGE", "-1"),
    ("ORPHAN_AGE", "43199"),
    ("ORPHAN_AGE", "inf"),
    ("RETENTION_DAYS", "-1"),
    ("RETENTION_DAYS", "36501"),
    ("RETENTION_DAYS", "inf"),
    ("RETENTION_DAYS", "a month"),
    ("CHUNK_BYTES", "1000"),
    ("CHUNK_BYTES", "3145729"),
    ("FEED_WINDOW", "1"),
    ("PROCESSOR_CONCURRENCY", "0"),
    ("TOPIC_PARTITIONS", "0"),
    ("TOPIC_REPLICATION", "0"),
    ("DEDUPE_TTL", "1"),
    ("DISPATCH_INTERVAL_MS", "1"),
    ("REQUEUE_AFTER", "0"),
    ("STALL_TIMEOUT", "-5"),
    ("STALL_TIMEOUT", "soon"),
    ("STALL_TIMEOUT", "inf"),
    ("PROGRESS_INTERVAL", "0"),
    ("SNAPSHOT_INTERVAL", "0"),
    ("SNAPSHOT_INTERVAL", "nan"),
    ("BROKER_SESSION_TIMEOUT", "0"),
    ("AUTH_MODE", "off"),
    ("AUTH_MODE", "Required"),
    ("API_KEY_CACHE", "-1"),
    ("API_KEY_CACHE", "61"),
    ("JWT_JWKS_CACHE", "9"),
    ("JWT_LEEWAY", "301"),
    ("JWT_LEEWAY", "-1"),
    ("JWT_LEEWAY", "nan"),
    ("RATE_LIMIT_MAX", "-1"),
    ("RATE_LIMIT_MAX", "five"),
    ("RATE_LIMIT_READS_MAX", "1.5"),
    ("RATE_LIMIT_WINDOW_MS", "0"),
    ("RATE_LIMIT_WINDOW_MS", "86400001"),
    ("RATE_LIMIT_FAIL", "ajar"),
    ("MAX_ACTIVE_ACTIONS", "-1"),
    ("MAX_ACTIVE_ROWS", "many"),
    ("MAX_STORED_BYTES", "1 GB"),
    ("MAX_API_KEYS_PER_ACCOUNT", "0"),
    ("MAX_API_KEYS_PER_ACCOUNT", "10001"),
    ("RATE_LIMIT_TIERS", "acme=100"),
    ("RATE_LIMIT_TIERS", '["acme"]'),
    ("RATE_LIMIT_TIERS", '{"acme": 100}'),
    ("RATE_LIMIT_TIERS", '{"a:b": {"uploads": 1}}'),
    ("RATE_LIMIT_TIERS", '{"acme": {"upload": 1}}'),
    ("RATE_LIMIT_TIERS", '{"acme": {"uploads": "1"}}'),
    ("RATE_LIMIT_TIERS", '{"acme": {"uploads": -1}}'),
    ("RATE_LIMIT_TIERS", '{"acme": {}, "acme": {}}'),
    ("METRICS_AUTH", "off"),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    """Only what a test sets: none of the machine's own settings, no ``.env``."""
    names = {f"{name}{end}".upper() for name in Settings.model_fields for end in ("", "_file")}
    for name in [name for name in os.environ if name.upper() in names]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def set_all(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


def plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_the_defaults_are_valid() -> None:
    settings = get_settings()
    assert Settings.model_validate(settings.model_dump()) == settings


def test_names_and_defaults_are_kept() -> None:
    """Names and defaults that deployments rely on are kept."""
    settings = get_settings()
    assert {name: plain(getattr(settings, name.lower())) for name in KEPT} == KEPT


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("value", "url", "brokers"),
    [
        ("broker:9092", "kafka://broker:9092", ["broker:9092"]),
        ("kafka://broker:9092", "kafka://broker:9092", ["broker:9092"]),
        ("a:1,b:2", "kafka://a:1;kafka://b:2", ["a:1", "b:2"]),
        ("a:1 ; kafka://b:2;", "kafka://a:1;kafka://b:2", ["a:1", "b:2"]),
    ],
)
def test_brokers_may_be_bare_and_many(environment: Environment, value: str, url: str, brokers: list[str]) -> None:
    environment(KAFKA_BROKER=value)
    assert (get_settings().kafka_broker, get_settings().brokers) == (url, brokers)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("cache:6379", "redis://cache:6379"),
        ("127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
        ("rediss://user:secret@cache:6380/1", "rediss://user:secret@cache:6380/1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_redis_may_be_bare(environment: Environment, value: str, url: str) -> None:
    environment(REDIS_URI=value)
    assert get_settings().redis_uri.get_secret_value() == url


@pytest.mark.parametrize("value", ["15,30,60", "15.0,30.0,60.0", " 15, 30 ,60 ", "[15,30,60]", "[15.0, 30.0, 60.0]"])
def test_retry_delays_formats(environment: Environment, value: str) -> None:
    """Retry delays may be a plain or a JSON list."""
    environment(RETRY_DELAYS=value)
    assert get_settings().retry_delays == (15.0, 30.0, 60.0)


def test_chunk_bounds_are_valid(environment: Environment) -> None:
    """The bounds of a chunk are valid values."""
    environment(BATCH_SIZE="10000", CHUNK_BYTES=str(3 * 1024**2))
    assert (get_settings().batch_size, get_settings().chunk_bytes) == (10_000, 3 * 1024**2)


def test_an_empty_value_is_no_value(environment: Environment) -> None:
    environment(**dict.fromkeys(KEPT, ""))
    assert {name: plain(getattr(get_settings(), name.lower())) for name in KEPT} == KEPT


def test_environment_precedes_file(environment: Environment) -> None:
    """Values come from a file, and the environment goes before it."""
    Path(".env").write_text("PORT=4000\nBATCH_SIZE=10\n", encoding="utf-8")
    environment(PORT="5000")
    assert (get_settings().port, get_settings().batch_size) == (5000, 10)


def test_default_upload_directory(tmp_path: Path) -> None:
    """Uploads are kept below the working directory unless said otherwise."""
    assert get_settings().storage_uri == (tmp_path / "data" / "uploads").as_uri()


@pytest.mark.parametrize("value", ["s3://bucket", "s3://bucket/", "s3://my.bucket-1/prefix", "s3://bucket/a/b=c/"])
def test_uploads_may_be_kept_in_a_bucket(environment: Environment, value: str) -> None:
    environment(STORAGE_URI=value)
    assert get_settings().storage_uri == value


def test_s3_client_settings(environment: Environment) -> None:
    """A client of S3 gets what is set, and looks for the rest by itself."""
    assert set(get_settings().s3_client.values()) == {None}
    Path(".env").write_text("AWS_ACCESS_KEY_ID=key\nAWS_SECRET_ACCESS_KEY=hidden\nAWS_SESSION_TOKEN=\n")
    environment(AWS_ENDPOINT_URL="http://127.0.0.1:7070", AWS_REGION="eu-north-1")
    assert get_settings().s3_client == {
        "endpoint_url": "http://127.0.0.1:7070",
        "region_name": "eu-north-1",
        "aws_access_key_id": "key",
        "aws_secret_access_key": "hidden",
        "aws_session_token": None,
    }


def test_secrets_are_not_shown(environment: Environment) -> None:
    environment(AWS_SECRET_ACCESS_KEY="hidden", AWS_SESSION_TOKEN="hidden", PORT="x")
    assert "hidden" not in "".join(refusal())
    environment(PORT="3000")
    assert "hidden" not in repr(get_settings())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGO_DB_URI", "mongodb://user:hid/den@mongo/bulk"),
        ("MONGO_DB_URI", "mongodb://user:hid@den@mongo/bulk"),
        ("MONGO_DB_URI", "postgres://user:hidden@mongo/bulk"),
        ("REDIS_URI", "redis://:hid/den@cache:6379"),
        ("REDIS_URI", "user:hidden@cache:x"),
        ("KAFKA_BROKER", "kafka://user:hidden@broker:9092"),
        ("AWS_ENDPOINT_URL", "https://user:hidden@s3.example"),
        ("STORAGE_URI", "s3://user:hidden@bucket"),
    ],
)
def test_password_is_never_shown(environment: Environment, name: str, value: str) -> None:
    """A password is not shown where it is wrong or does not belong."""
    environment(**{name: value})
    [line] = refusal()
    assert line.startswith(f"Setting {name} is wrong: ")
    assert "hid" not in line
    assert "den" not in line


@pytest.mark.parametrize(
    "value",
    ["mongodb://user:p%40ss@a:1,b:2/bulk?replicaSet=x", "mongodb+srv://user@cluster.example", "mongodb://h/b?a=@"],
)
def test_database_uri_may_have_hosts(environment: Environment, value: str) -> None:
    """A database may have a password and many hosts."""
    environment(MONGO_DB_URI=value)
    assert get_settings().mongo_db_uri.get_secret_value() == value
    assert value not in repr(get_settings())


def refusal() -> list[str]:
    """The lines with which a start ends."""
    with pytest.raises(SystemExit) as stopped:
        get_settings()
    assert isinstance(stopped.value.code, str), "the exit code is a message: Python prints it and exits with 1"
    return stopped.value.code.split("\n")


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_value_is_one_line(environment: Environment, name: str, value: str) -> None:
    """A wrong value ends the start with one line that names the setting."""
    environment(**{name: value})
    [line] = refusal()
    assert line.startswith(f"Setting {name} is wrong: ")
    may_have_a_password = name in {"MONGO_DB_URI", "REDIS_URI"} or "@" in value
    assert ("not shown" if may_have_a_password else repr(value)) in line


@pytest.mark.parametrize(
    "value", ["15,30", "15,30,60,90", "15;30;60", "15,30,soon", "[-1,1,1]", "0,1,2", "1,2,inf", "1,nan,3", "1,,3", "{}"]
)
def test_wrong_retry_delays_are_named(environment: Environment, value: str) -> None:
    """Wrong retry delays are named in each line of the refusal."""
    environment(RETRY_DELAYS=value)
    assert all(line.startswith("Setting RETRY_DELAYS is wrong: ") for line in refusal())


def test_each_wrong_value_has_a_line(environment: Environment) -> None:
    """Each wrong value has its own line."""
    environment(PORT="x", BATCH_SIZE="0", STORAGE_URI="nowhere")
    lines = refusal()
    named = sorted(line.split()[1] for line in lines)
    assert named == ["BATCH_SIZE", "PORT", "STORAGE_URI"]


def test_order_of_limits(
    environment: Environment,
) -> None:
    """An account has the limits of its tier, then those of everybody, then those of the settings."""
    environment(
        RATE_LIMIT_MAX="7",
        MAX_ACTIVE_ACTIONS="3",
        RATE_LIMIT_TIERS='{"acme": {"uploads": 100, "storedBytes": 0}, "default": {"reads": 50, "storedBytes": 10}}',
    )
    settings = get_settings()
    assert settings.limits_of("acme") == AccountLimits(uploads=100, reads=50, active_actions=3, stored_bytes=0)
    assert settings.limits_of("other") == AccountLimits(uploads=7, reads=50, active_actions=3, stored_bytes=10)


SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("secret", ["hunter2", SECRET[1:]])
def test_short_secret_is_refused(environment: Environment, secret: str) -> None:
    """A short secret is refused and not shown."""
    environment(AUTH_MODE="required", JWT_SECRET=secret, JWT_ISSUER="issuer")
    [line] = refusal()
    assert line.startswith("Setting JWT_SECRET is wrong: ")
    assert "at least 32 bytes" in line
    assert secret not in line


def test_settings_hide_secrets(environment: Environment) -> None:
    """A secret is not shown by the settings either."""
    environment(AUTH_MODE="required", JWT_SECRET=SECRET, JWT_ISSUER="issuer")
    settings = get_settings()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize(
    "url", ["issuer.example/keys", "http://issuer.example/keys", "ftp://issuer.example", "https://", "file:///etc/keys"]
)
def test_keys_are_fetched_by_https_alone(environment: Environment, url: str) -> None:
    environment(AUTH_MODE="required", JWT_JWKS_URL=url, JWT_ISSUER="issuer")
    [line] = refusal()
    assert line.startswith("Setting JWT_JWKS_URL is wrong: ")
    assert repr(url) in line


def test_key_url_has_no_password(environment: Environment) -> None:
    """Keys are not fetched with a password."""
    environment(AUTH_MODE="required", JWT_JWKS_URL="https://user:hidden@issuer.example/keys", JWT_ISSUER="issuer")
    [line] = refusal()
    assert "a key set is public" in line
    assert "hidden" not in line


@pytest.mark.parametrize("url", ["https://issuer.example/keys", "http://localhost:8080/keys", "http://[::1]/keys"])
def test_key_url_is_https_or_local(environment: Environment, url: str) -> None:
    """Keys may be fetched by HTTPS and from this machine."""
    environment(AUTH_MODE="required", JWT_JWKS_URL=url, JWT_ISSUER="issuer")
    assert get_settings().jwt_jwks_url == url


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ({"JWT_SECRET": SECRET}, "JWT_ISSUER", "is needed with"),
        ({"JWT_JWKS_URL": "https://issuer.example"}, "JWT_ISSUER", "is needed with"),
        (
            {"JWT_SECRET": SECRET, "JWT_JWKS_URL": "https://issuer.example", "JWT_ISSUER": "issuer"},
            "JWT_JWKS_URL",
            "only one of them",
        ),
        ({"AUTH_MODE": "none", "JWT_SECRET": SECRET, "JWT_ISSUER": "issuer"}, "JWT_SECRET", "has no effect without"),
    ],
)
def test_misfit_token_settings(environment: Environment, values: dict[str, str], name: str, words: str) -> None:
    """Settings of tokens that do not fit together are refused."""
    environment(**{"AUTH_MODE": "required", **values})
    [line] = refusal()
    assert line.startswith(f"Setting {name} is wrong: ")
    assert words in line


def test_orphan_age_exceeds_uploads(environment: Environment) -> None:
    """Orphans are older than any upload, or left alone."""
    environment(UPLOAD_TIMEOUT="100", ORPHAN_AGE="200")
    assert get_settings().orphan_age == 200
    environment(ORPHAN_AGE="199")
    assert "at least twice UPLOAD_TIMEOUT" in refusal()[0]
    environment(ORPHAN_AGE="0")
    assert get_settings().orphan_age == 0


def test_settings_are_frozen() -> None:
    """Settings do not change while the worker runs."""
    with pytest.raises(ValueError, match="frozen"):
        get_settings().port = 1  # type: ignore[misc]


# Names


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("AUTH_MOD=required", "Setting AUTH_MOD in .env is unknown: did you mean AUTH_MODE?"),
        ("auth_mod=", "Setting AUTH_MOD in .env is unknown: did you mean AUTH_MODE?"),
        ("REDIS_URL=cache:6379", "Setting REDIS_URL in .env is unknown: did you mean REDIS_URI?"),
        ("MONGODB_URI=x", "Setting MONGODB_URI in .env is unknown: did you mean MONGO_DB_URI?"),
        ("AWS_REGOIN=x", "Setting AWS_REGOIN in .env is unknown: did you mean AWS_REGION?"),
        ("JWT_SECRET_FLIE=x", "Setting JWT_SECRET_FLIE in .env is unknown: did you mean JWT_SECRET_FILE?"),
        ("MAX_UPLOAD_SIZE=1", "Setting MAX_UPLOAD_SIZE in .env is unknown: did you mean MAX_UPLOAD_BYTES?"),
        ("PORT_FILE=x", "Setting PORT_FILE in .env is unknown: .env.example has all names"),
        ("NOTHING_LIKE_IT=1", "Setting NOTHING_LIKE_IT in .env is unknown: .env.example has all names"),
    ],
)
def test_unknown_name_in_file_stops(line: str, said: str) -> None:
    """An unknown name in the file stops. A mistyped AUTH_MODE would leave the API open without a word."""
    Path(".env").write_text(f"{line}\nPORT=4000\n")
    assert refusal() == [said]


def test_unknown_names_and_wrong_values() -> None:
    """Unknown names are told with wrong values."""
    Path(".env").write_text("AUTH_MOD=required\nPORT=0\n")
    assert [line.split()[1] for line in refusal()] == ["AUTH_MOD", "PORT"]


@pytest.mark.parametrize("name", ["STACK", "GATEWAY_URI", "S3_ACCESS_KEY", "COMPOSE_PROFILES", "AWS_PROFILE"])
def test_names_of_others_are_known(name: str) -> None:
    Path(".env").write_text(f"{name}=x\n")
    assert get_settings().port == 3000


@pytest.mark.parametrize("name", ["AUTH_MOD", "KAFKA_BROKERS", "REDIS_URL"])
def test_mistyped_variable_warns(environment: Environment, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A mistyped name in the environment warns."""
    environment(**{name: "x"})
    get_settings()
    assert f"warning: {name} in the environment has no effect: did you mean " in capsys.readouterr().err


def test_other_variables_are_ignored(environment: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    """The environment of others is let alone."""
    environment(HOME="x", HOSTNAME="x", PATH="x", AWS_PROFILE="x", MONGO_URL="x", STACK="x", HOSTTYPE="x", POST="")
    get_settings()
    assert capsys.readouterr().err == ""


# Secrets from files


def test_a_secret_may_come_from_a_file(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "uri").write_text("mongodb://user:hidden@mongo/bulk\n")
    (tmp_path / "password").write_text(" with blanks \r\n")
    Path(".env").write_text(f"KAFKA_SASL_PASSWORD_FILE={tmp_path / 'password'}\n")
    environment(
        MONGO_DB_URI_FILE=str(tmp_path / "uri"),
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_MECHANISM="PLAIN",
        KAFKA_SASL_USERNAME="me",
    )
    settings = get_settings()
    assert settings.mongo_db_uri.get_secret_value() == "mongodb://user:hidden@mongo/bulk"
    assert plain(settings.kafka_sasl_password) == " with blanks "
    assert "hidden" not in repr(settings)


def test_every_secret_may_be_in_a_file(environment: Environment) -> None:
    """Every secret may come from a file."""
    secrets = secret_names()
    assert {"mongo_db_uri", "redis_uri", "jwt_secret", "aws_secret_access_key", "kafka_sasl_password"} <= set(secrets)
    environment(**{f"{name}_FILE".upper(): "/nowhere" for name in secrets})
    assert sorted(line.split()[1] for line in refusal()) == sorted(f"{name}_FILE".upper() for name in secrets)


def test_secret_given_twice_is_refused(environment: Environment, tmp_path: Path) -> None:
    """A secret and its file are one too many."""
    (tmp_path / "secret").write_text("hidden")
    Path(".env").write_text("REDIS_URI=cache:6379\n")
    environment(REDIS_URI_FILE=str(tmp_path / "secret"))
    [line] = refusal()
    assert line.startswith("Setting REDIS_URI_FILE is wrong: REDIS_URI is set as well, and only one of them can be")


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff", "not UTF-8")])
def test_empty_secret_file_is_one_line(
    environment: Environment, tmp_path: Path, content: bytes | None, words: str
) -> None:
    """A file without a secret is one line."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    environment(JWT_SECRET_FILE=str(tmp_path / "secret"))
    [line] = refusal()
    assert line.startswith("Setting JWT_SECRET_FILE is wrong: ")
    assert words in line
    assert str(tmp_path / "secret") in line


def test_wrong_secret_of_file_is_hidden(environment: Environment, tmp_path: Path) -> None:
    """A wrong secret of a file is not shown."""
    (tmp_path / "secret").write_text("hidden")
    environment(MONGO_DB_URI_FILE=str(tmp_path / "secret"))
    [line] = refusal()
    assert line.startswith("Setting MONGO_DB_URI is wrong: ")
    assert "hidden" not in line
