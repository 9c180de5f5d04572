"""Every setting of the platform: its name, its default, and what makes it valid.

Values come from the environment or from a file ``.env`` in the working directory, secrets also from files of their own
(``NAME_FILE``). A wrong value, or an unknown name in ``.env``, stops the start with one line that names the setting.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    ValidationInfo,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.domain.account_limits import AccountLimits, limits_of, parse_tiers
from app.domain.entities import ENTITIES, DeclarationError
from app.settings import kafka_security
from app.settings.names import mistyped, unknown_names
from app.settings.secret_files import SecretFileError, SecretFiles

#: Names that settings had before, and are still read.
FORMER_NAMES = {"retry_moment": "retry_inline_seconds"}

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:]+\]|[^\s:/@,;\[\]]+)(:\d{1,5})?")
_MONGO_URI = re.compile(
    rf"mongodb(\+srv)?://([^/@:\s]+(:[^/@:\s]*)?@)?{_HOST_PORT.pattern}(,{_HOST_PORT.pattern})*(/\S*)?"
)
_SEARCH_URI = re.compile(r"https?://([^/@:\s]+:[^/@:\s]*@)?(\[[0-9A-Fa-f:]+\]|[^\s:/@,;\[\]]+)(:\d{1,5})?(/[^\s?#@]*)?")
_BUCKET_AND_PREFIX = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s/]+)*/?")


def _broker_url(value: str) -> str:
    """Accept ``host:port``, ``kafka://host:port`` and lists of them separated by ``,`` or ``;``."""
    hosts = [part.strip().removeprefix("kafka://") for part in value.replace(",", ";").split(";") if part.strip()]
    if not hosts or not all(_HOST_PORT.fullmatch(host) for host in hosts):
        raise ValueError("one or more host:port are needed")
    return ";".join(f"kafka://{host}" for host in hosts)


#: A password with a / or an @ cuts the address in pieces, which drivers then complain about, and show.
_ESCAPED = "; reserved characters of a password are written as in %40"


def _redis_url(secret: SecretStr) -> SecretStr:
    """Accept ``redis://…``, ``rediss://…``, ``unix://…`` and a bare ``host:port``."""
    value = secret.get_secret_value()
    url = value if "://" in value else f"redis://{value}"
    scheme, _, rest = url.partition("://")
    if scheme not in {"redis", "rediss", "unix"} or not rest or not _has_port_or_none(url):
        raise ValueError(f"must be redis://, rediss:// or unix://, or host:port{_ESCAPED}")
    return SecretStr(url)


def _has_port_or_none(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _mongo_uri(secret: SecretStr) -> SecretStr:
    options = {
        name.lower(): values[-1] for name, values in parse_qs(secret.get_secret_value().partition("?")[2]).items()
    }
    if options.get("w") == "0":
        raise ValueError("must not have w=0, with which nobody knows what was written")
    if not _MONGO_URI.fullmatch(secret.get_secret_value()):
        raise ValueError(f"must be mongodb://host:port/database{_ESCAPED}")
    return secret


def _storage_uri(value: str) -> str:
    if not value.startswith("file:///") and not _BUCKET_AND_PREFIX.fullmatch(value):
        raise ValueError("must be file:///absolute/directory or s3://bucket/prefix")
    return value


def _endpoint_url(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#@]*)?", value):
        raise ValueError("must be http://host:port or https://host/path")
    return value


def _search_uri(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """Accept ``https://user:password@host:port/path``, several separated by commas, and a bare ``host:port``."""
    if value is None:
        return None
    given = [part.strip() for part in value.get_secret_value().split(",") if part.strip()]
    urls = [part if "://" in part else f"http://{part}" for part in given]
    if not urls or not all(_SEARCH_URI.fullmatch(url) and _has_port_or_none(url) for url in urls):
        raise ValueError(f"must be http://host:port or https://user:password@host:port{_ESCAPED}")
    return SecretStr(",".join(urls))


def _instead_of_uri(value: str, info: ValidationInfo) -> str:
    if value and info.data.get("elasticsearch_uri") is not None:
        raise ValueError("ELASTICSEARCH_URI is set as well, and only one of them can be")
    return value


def _key_of_index(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    uri = info.data.get("elasticsearch_uri")
    if value is not None and uri is None and not info.data.get("elasticsearch_cloud_id"):
        raise ValueError("has no effect without ELASTICSEARCH_URI or ELASTICSEARCH_CLOUD_ID")
    if value is not None and uri is not None and "@" in uri.get_secret_value():
        raise ValueError("ELASTICSEARCH_URI has a login as well, and only one of them can be")
    return value


def _authorities(value: Path | None) -> Path | None:
    if value is not None:
        try:
            ssl.create_default_context(cafile=value)
        except OSError as error:
            raise ValueError(f"cannot be read as PEM: {error.strerror or error}") from error
    return value


def _topic(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("is not a name that Kafka allows")
    return value


def _split(value: object) -> object:
    """Accept ``15,30,60`` and the JSON list of it."""
    return value.strip("[] ").split(",") if isinstance(value, str) else value


def _split_names(value: object) -> object:
    """Accept ``a.example,b.example`` and the JSON list of it, in any case."""
    if not isinstance(value, str):
        return value
    names = (part.strip(" []\"'").lower() for part in value.split(","))
    return tuple(name for name in names if name)


HostName = Annotated[str, Field(pattern=r"^(\*|[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)$")]


def _has_effect(info: ValidationInfo) -> None:
    # Who configures tokens and stays open has forgotten something, and would not notice.
    if info.data.get("auth_mode") == "none":
        raise ValueError("has no effect without AUTH_MODE=required")


def _strong_secret(value: SecretStr, info: ValidationInfo) -> SecretStr:
    _has_effect(info)
    # RFC 7518, 3.2: at least as long as the hash; anything shorter can be found from a single token.
    if len(value.get_secret_value().encode()) < 32:
        raise ValueError("must have at least 32 bytes")
    return value


def _key_set_url(value: str, info: ValidationInfo) -> str:
    _has_effect(info)
    if info.data.get("jwt_secret") is not None:
        raise ValueError("JWT_SECRET is set as well, and only one of them can be")
    url = urlsplit(value)
    if url.username is not None:
        raise ValueError("must have no password in it: a key set is public")
    # Who can change the answer on its way can sign tokens for every account.
    if not url.hostname or not (
        url.scheme == "https" or (url.scheme == "http" and url.hostname in {"localhost", "127.0.0.1", "::1"})
    ):
        raise ValueError("must be https://, or http:// on this machine")
    return value


def _issuer(value: str | None, info: ValidationInfo) -> str | None:
    if value is None and any(info.data.get(name) is not None for name in ("jwt_secret", "jwt_jwks_url")):
        raise ValueError("is needed with JWT_SECRET or JWT_JWKS_URL")
    return value


def _longer_than_uploads(value: float, info: ValidationInfo) -> float:
    # What is younger may still be arriving; twice, because the clocks of storage and workers may differ.
    if value and value < 2 * info.data.get("upload_timeout", 0):
        raise ValueError("must be at least twice UPLOAD_TIMEOUT, or 0")
    return value


def _longer_than_a_step(value: float | None, info: ValidationInfo) -> float | None:
    # The database has most of STALL_TIMEOUT for a single answer.
    if value and value < info.data.get("stall_timeout", 0):
        raise ValueError("must be at least STALL_TIMEOUT, or 0")
    return value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The settings, read once at start (see :func:`get_settings`)."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    # Where things are
    mongo_db_uri: Annotated[SecretStr, AfterValidator(_mongo_uri)] = Field(
        SecretStr("mongodb://127.0.0.1:27017/bulk"), description="MongoDB, with the database name"
    )
    kafka_broker: Annotated[str, AfterValidator(_broker_url)] = Field(
        "kafka://127.0.0.1:9092", description="one or more brokers"
    )
    kafka_topic: Annotated[str, AfterValidator(_topic)] = Field(
        "bulk-action",
        pattern=r"^[A-Za-z0-9._-]{1,120}$",
        description="name of the chunk topic and prefix of the others",
    )
    redis_uri: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="Redis; a bare host:port is accepted"
    )
    storage_uri: Annotated[str, AfterValidator(_storage_uri)] = Field(
        default_factory=lambda: (Path.cwd() / "data" / "uploads").as_uri(),
        description="where uploads are kept, file:///directory or s3://bucket/prefix; the same for every worker",
    )
    # How clients of Kafka prove who they are (app/kafka/security.py); docs/operations.md has examples
    kafka_security_protocol: kafka_security.SecurityProtocol = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: Annotated[
        kafka_security.SaslMechanism | None, AfterValidator(kafka_security.check_mechanism)
    ] = Field(None, validate_default=True, description="with SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
    kafka_sasl_username: Annotated[str | None, AfterValidator(kafka_security.check_login)] = Field(
        None, validate_default=True, description="user of PLAIN and SCRAM"
    )
    kafka_sasl_password: Annotated[SecretStr | None, AfterValidator(kafka_security.check_login)] = Field(
        None, validate_default=True, description="password of PLAIN and SCRAM"
    )
    kafka_ssl_ca_file: Annotated[Path | None, AfterValidator(kafka_security.check_authorities)] = Field(
        None,
        description="PEM file of the authorities that brokers' certificates are checked against; empty: the system's",
    )
    kafka_ssl_cert_file: Annotated[Path | None, AfterValidator(kafka_security.check_tls_file)] = Field(
        None, description="PEM file of a client certificate, for brokers that ask for one"
    )
    kafka_ssl_key_file: Annotated[Path | None, AfterValidator(kafka_security.check_key)] = Field(
        None, description="PEM file of its key; empty: it is in the same file"
    )
    kafka_ssl_key_password: Annotated[SecretStr | None, AfterValidator(kafka_security.check_key_password)] = Field(
        None, validate_default=True, description="password of that key, if it is encrypted"
    )
    kafka_oauth_token_url: Annotated[str | None, AfterValidator(kafka_security.check_token_url)] = Field(
        None, description="with OAUTHBEARER: token endpoint (client credentials grant)"
    )
    kafka_oauth_client_id: Annotated[str | None, AfterValidator(kafka_security.check_token_login)] = Field(
        None, validate_default=True, description="who we are to the token endpoint"
    )
    kafka_oauth_client_secret: Annotated[SecretStr | None, AfterValidator(kafka_security.check_token_login)] = Field(
        None, validate_default=True, description="the secret of that client"
    )
    kafka_oauth_scope: Annotated[str, AfterValidator(kafka_security.check_oauth)] = Field(
        "", description="scope to ask the token endpoint for"
    )
    kafka_oauth_token_file: Annotated[Path | None, AfterValidator(kafka_security.check_token_file)] = Field(
        None, validate_default=True, description="with OAUTHBEARER, instead of the endpoint: a file with the token"
    )
    kafka_oauth_extensions: Annotated[
        dict[str, str],
        NoDecode,
        BeforeValidator(kafka_security.parse_extensions),
        AfterValidator(kafka_security.check_oauth),
    ] = Field(default_factory=dict, description="sent beside the token, name=value, several separated by commas")
    storage_reserve_bytes: int = Field(
        1024**3, ge=0, description="space that uploads leave free on the disk of a file:// storage, bytes"
    )
    # Beside these, which may stand in .env as well, botocore's own variables and files work: profiles, roles, ...
    aws_endpoint_url: Annotated[str, AfterValidator(_endpoint_url)] = Field(
        "", description="server of an s3:// storage, unless it is Amazon's"
    )
    aws_region: str = Field("", description="region of the bucket")
    aws_access_key_id: str = Field("", description="who we are to the server; empty: found as by every AWS client")
    aws_secret_access_key: SecretStr = Field(SecretStr(""), description="the secret of that key")
    aws_session_token: SecretStr = Field(SecretStr(""), description="goes with a key that is temporary")
    # What searches the events, where there is one; without it their ledger is searched
    elasticsearch_uri: Annotated[SecretStr | None, AfterValidator(_search_uri)] = Field(
        None, description="Elasticsearch 8, which searches the events; user:password@ is accepted; empty: there is none"
    )
    elasticsearch_cloud_id: Annotated[str, AfterValidator(_instead_of_uri)] = Field(
        "", description="instead of the address: the id of a deployment of Elastic Cloud"
    )
    elasticsearch_api_key: Annotated[SecretStr | None, AfterValidator(_key_of_index)] = Field(
        None, description="API key of Elasticsearch, encoded, instead of user and password"
    )
    elasticsearch_ca_file: Annotated[Path | None, AfterValidator(_authorities)] = Field(
        None, description="PEM file of the authorities that its certificate is checked against; empty: the system's"
    )
    elasticsearch_prefix: str = Field(
        "bulk",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$",
        description="what the names of its indices begin with; installations that share an Elasticsearch differ in it",
    )
    events_retention_days: float = Field(
        90.0,
        ge=0,
        le=36_500,
        allow_inf_nan=False,
        description="days for which events are kept; from Elasticsearch they go by the month, later; 0: for ever",
    )
    data_dir: Path = Field(Path("data/worker"), description="this worker's tables; each worker needs its own")

    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="how the log looks: json, text for people, or auto: text on a terminal, else json"
    )
    audit_log: Path | None = Field(
        None, description="file that the audit log goes to, as JSON; empty: it goes where the log goes"
    )
    log_faust: Literal["quiet", "verbose"] = Field(
        "quiet", description="verbose: with what Faust says of its tables, partitions and services"
    )

    # Traces (app/observability/tracing.py); beside these the other standard variables of OpenTelemetry work
    otel_traces_exporter: Literal["none", "otlp"] = Field(
        "none", description="otlp: export traces, by OTLP over HTTP; needs the extra tracing"
    )
    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(_endpoint_url)] = Field(
        "", description="where traces go to; empty: http://localhost:4318"
    )
    otel_service_name: str = Field("", description="what the workers are called in traces; empty: bulk-operations")
    otel_traces_sampler: str = Field("", description="which traces are made; empty: parentbased_always_on")
    otel_traces_sampler_arg: str = Field("", description="for the sampler, as 0.1 for parentbased_traceidratio")

    # The web server
    host: str = Field("127.0.0.1", description="address the web server listens on")
    port: int = Field(3000, ge=1, le=65535, description="port of the web server (or --web-port)")
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode, BeforeValidator(_split_names)] = Field(
        (),
        description="names by which the API may be called, beside localhost, HOST and addresses; *: any, "
        "as without names where AUTH_MODE is required",
    )
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split_names)] = Field(
        (),
        description="addresses or networks of the proxies whose X-Forwarded-For is believed, for the log",
    )
    max_upload_bytes: int = Field(5 * 1024**3, ge=1, description="largest accepted file, unpacked, bytes")
    max_gzip_ratio: float = Field(
        200.0, ge=1, le=2000, description="how many times its size a gzip file may unpack to, beyond its first 16 MiB"
    )
    max_rows: int = Field(20_000_000, ge=1, le=2**32 - 1, description="most rows of an upload")
    max_columns: int = Field(500, ge=1, le=10_000, description="most columns of a header")
    max_field_bytes: int = Field(131_072, ge=1, description="largest accepted field of a row, bytes")
    max_record_bytes: int = Field(1024**2, ge=1, le=32 * 1024**2, description="largest accepted row, bytes")

    request_head_timeout: Seconds = Field(
        60.0, description="seconds a connection has for the head of its next request; so long one may be idle"
    )
    upload_idle_timeout: Seconds = Field(60.0, description="seconds that an upload may send nothing")
    upload_min_rate: int = Field(
        4096, ge=0, description="bytes per second that an upload must reach on the whole, after UPLOAD_IDLE_TIMEOUT"
    )
    upload_timeout: Seconds = Field(6 * 3600.0, description="seconds in which an upload must have arrived")
    max_open_uploads: int = Field(200, ge=1, description="uploads that a worker takes at the same time")
    max_open_uploads_per_account: int = Field(
        50, ge=1, description="uploads of one account that a worker takes at the same time"
    )
    max_event_streams: int = Field(1000, ge=1, description="streams of events that a worker sends at the same time")
    max_event_streams_per_account: int = Field(
        200, ge=1, description="streams of events of one account that a worker sends at the same time"
    )
    max_open_downloads: int = Field(50, ge=1, description="results that a worker sends at the same time")
    max_open_downloads_per_account: int = Field(
        10, ge=1, description="results of one account that a worker sends at the same time"
    )
    max_open_lookups: int = Field(50, ge=1, description="searches and histories of records under way at a worker")
    max_open_lookups_per_account: int = Field(
        10, ge=1, description="searches and histories of one account under way at a worker"
    )
    event_stream_seconds: float = Field(
        900.0, ge=0, allow_inf_nan=False, description="seconds after which a stream of events ends; clients come again"
    )
    schedule_max_days: int = Field(366, ge=1, le=36_500, description="days that scheduledAt may be ahead")
    orphan_age: Annotated[float, AfterValidator(_longer_than_uploads)] = Field(
        24 * 3600.0,
        ge=0,
        allow_inf_nan=False,
        validate_default=True,
        description="seconds after which stored data that belongs to no action is removed; 0: never",
    )
    retention_days: float = Field(
        0.0,
        ge=0,
        le=36_500,
        allow_inf_nan=False,
        description="days for which an action is kept after its end, with its file and its outcomes; 0: for ever",
    )

    # Who may do what
    auth_mode: Literal["none", "required"] = Field(
        "none", description="required: every request needs an API key or a token (none: the API is open)"
    )
    api_key_cache: float = Field(
        5.0, ge=0, le=60, description="seconds for which a worker remembers a key: so long a revoked one may work on"
    )
    jwt_secret: Annotated[SecretStr, AfterValidator(_strong_secret)] | None = Field(
        None, description="secret of HS256 tokens, at least 32 bytes; empty: such tokens are not taken"
    )
    jwt_jwks_url: Annotated[str, AfterValidator(_key_set_url)] | None = Field(
        None, description="key set of the identity provider whose tokens are taken, instead of JWT_SECRET"
    )
    jwt_jwks_cache: float = Field(
        300.0, ge=10, le=86_400, description="seconds for which that key set is kept before it is fetched again"
    )
    jwt_jwks_stale: float = Field(
        3600.0, ge=0, le=86_400, description="seconds for which it is used beyond that while it cannot be fetched"
    )
    jwt_issuer: Annotated[str | None, AfterValidator(_issuer)] = Field(
        None, validate_default=True, description="issuer (iss) that a token must have; needed where tokens are taken"
    )
    jwt_audience: str = Field("bulk-operations", min_length=1, description="audience (aud) that a token must have")
    jwt_leeway: float = Field(
        30.0, ge=0, le=300, description="seconds by which the clock of the issuer of tokens may differ"
    )
    jwt_account_claim: str = Field("account", min_length=1, description="claim of a token that names the account")
    jwt_role_claim: str = Field("role", min_length=1, description="claim of a token that names the role or the roles")

    # How much an account may ask for
    rate_limit_max: int = Field(5, ge=0, description="uploads of an account in one window; 0: no limit")
    rate_limit_reads_max: int = Field(
        600, ge=0, description="requests of an account in one window, other than uploads; 0: no limit"
    )
    rate_limit_window_ms: int = Field(
        60_000, ge=1, le=86_400_000, description="the window, milliseconds, rounded up to whole seconds; it slides"
    )
    rate_limit_fail: Literal["open", "closed"] = Field(
        "open", description="while Redis is away: let requests pass (open) or answer 503 (closed)"
    )
    max_active_actions: int = Field(
        0, ge=0, description="actions of an account that have not ended, with those scheduled; 0: no limit"
    )
    max_active_rows: int = Field(
        0, ge=0, description="rows of an account's actions that have not ended, together; 0: no limit"
    )
    max_stored_bytes: int = Field(0, ge=0, description="size of all files of an account together, bytes; 0: no limit")
    max_api_keys_per_account: int = Field(
        100, ge=1, le=10_000, description="API keys of an account that are neither revoked nor expired"
    )
    rate_limit_tiers: Annotated[dict[str, dict[str, int]], NoDecode, BeforeValidator(parse_tiers)] = Field(
        default_factory=dict,
        description="JSON: limits of single accounts, and of all others as default; docs/security.md",
    )
    metrics_auth: Literal["none", "required"] = Field(
        "required", description="none: /metrics is open even where AUTH_MODE is required"
    )

    # The way of the rows
    batch_size: int = Field(2000, ge=1, le=10_000, description="rows of a chunk")
    # Four times this must fit into one command of the database, which takes 16 MiB.
    chunk_bytes: int = Field(
        2 * 1024**2, ge=1024, le=3 * 1024**2, description="a chunk of wide rows ends early at this size, bytes"
    )
    feed_window: int = Field(16, ge=2, le=10_000, description="chunks of one action sent ahead of their results")
    processor_concurrency: int = Field(4, ge=1, le=64, description="chunks that one worker has in hand at once")
    topic_partitions: int = Field(8, ge=1, le=1000, description="partitions of every topic, fixed at creation")
    topic_replication: int = Field(1, ge=1, le=10, description="replicas of every topic; 3 in production")
    dedupe_ttl: int = Field(7 * 24 * 3600, ge=60, description="seconds after which de-duplication claims expire")
    claims_release_after: Seconds = Field(
        10.0, description="seconds after the end of an action for which its de-duplication claims are kept"
    )

    # Time
    dispatch_interval_ms: int = Field(1000, ge=50, description="how often schedules and lost actions are looked at")
    requeue_after: Seconds = Field(5.0, description="seconds after which an action still QUEUED is sent again")
    stall_timeout: Seconds = Field(
        20.0, description="seconds without a result after which the missing chunks are sent again"
    )
    stream_timeout: Seconds = Field(
        3600.0,
        description="seconds without a chunk after which an action whose rows come over Kafka is FAILED "
        "if they are not all there",
    )
    stuck_timeout: Annotated[float | None, AfterValidator(_longer_than_a_step)] = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="seconds without any progress after which /health fails while messages wait; 0: never; "
        "empty: six times STALL_TIMEOUT, at least 60",
    )
    event_loop_timeout: float = Field(
        60.0,
        ge=0,
        allow_inf_nan=False,
        description="seconds for which a worker may be held up altogether, after which it ends itself; 0: for ever",
    )
    action_max_stalls: int = Field(
        30, ge=1, description="stalls in a row, without a single new result, after which an action is FAILED"
    )
    retry_inline_seconds: Seconds = Field(
        10.0,
        validation_alias=AliasChoices("retry_inline_seconds", "retry_moment"),
        description="seconds for which a fault is tried again on the spot",
    )
    retry_delays: Annotated[tuple[Seconds, Seconds, Seconds], NoDecode, BeforeValidator(_split)] = Field(
        (15.0, 30.0, 60.0), description="seconds in each of the three retry topics"
    )
    shutdown_timeout: Seconds = Field(30.0, description="seconds a stopping worker has for what it has in hand")
    progress_interval: Seconds = Field(0.5, description="seconds between two writes of an action's counters")
    snapshot_interval: Seconds = Field(0.1, description="seconds between two live snapshots of an action")
    worker_announce_seconds: float = Field(
        5.0,
        ge=0.1,
        le=60,
        description="seconds between two announcements of a worker to the others; without three it is shown as lost",
    )
    broker_session_timeout: Seconds = Field(
        8.0, description="seconds after which a dead worker's partitions move to the others"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the secrets that come from files."""
        places = [
            source.env_vars for source in (env_settings, dotenv_settings) if isinstance(source, EnvSettingsSource)
        ]
        return init_settings, env_settings, dotenv_settings, SecretFiles(settings_cls, secret_names(), *places)

    @property
    def database_timeout(self) -> float:
        """Seconds to wait for an answer of the database: less than it takes until a chunk counts as lost."""
        return 0.8 * self.stall_timeout

    @property
    def stuck_after(self) -> float:
        """Seconds without progress after which the consumer is stuck; 0: never."""
        return max(60.0, 6 * self.stall_timeout) if self.stuck_timeout is None else self.stuck_timeout

    @property
    def brokers(self) -> list[str]:
        """The brokers as host:port."""
        return [url.partition("://")[2] for url in self.kafka_broker.split(";")]

    def limits_of(self, account_id: str) -> AccountLimits:
        """The limits of an account."""
        common = AccountLimits(
            uploads=self.rate_limit_max,
            reads=self.rate_limit_reads_max,
            active_actions=self.max_active_actions,
            active_rows=self.max_active_rows,
            stored_bytes=self.max_stored_bytes,
        )
        return limits_of(account_id, common, self.rate_limit_tiers)

    @property
    def events_retention(self) -> timedelta | None:
        """How long events are kept; None: for ever."""
        return timedelta(days=self.events_retention_days) if self.events_retention_days else None

    @property
    def has_index(self) -> bool:
        """Whether there is an Elasticsearch in which events are searched."""
        return self.elasticsearch_uri is not None or bool(self.elasticsearch_cloud_id)

    @property
    def s3_client(self) -> dict[str, str | None]:
        """The arguments for a client of S3; None: botocore is to look in its usual places."""
        return {
            "endpoint_url": self.aws_endpoint_url or None,
            "region_name": self.aws_region or None,
            "aws_access_key_id": self.aws_access_key_id or None,
            "aws_secret_access_key": self.aws_secret_access_key.get_secret_value() or None,
            "aws_session_token": self.aws_session_token.get_secret_value() or None,
        }


class ReadSettings(NamedTuple):
    """What came of reading the settings.

    Attributes:
        settings: None where a value is wrong.
        wrong: a line for each value that is wrong, each unknown name in ``.env``, and an entity of another package that
            cannot be used.
        ignored: a line for each name in the environment that was hardly meant for somebody else.
    """

    settings: Settings | None
    wrong: list[str]
    ignored: list[str]


def get_settings() -> Settings:
    """Read the settings.

    Raises:
        SystemExit: something is wrong; the message has one line for each thing.
    """
    settings, wrong, ignored = read_settings()
    if settings is None or wrong:
        sys.exit("\n".join(wrong))
    for line in ignored:
        print(f"warning: {line}", file=sys.stderr)
    return settings


def read_settings() -> ReadSettings:
    """Read the settings, and tell all that is wrong with them."""
    secrets = (f"{name}_file" for name in secret_names())
    names = {name.upper() for name in (*Settings.model_fields, *FORMER_NAMES, *secrets)}
    wrong = [_unknown(name, near) for name, near in unknown_names(_names_in_file(), names).items()]
    settings = None
    try:
        settings = Settings()
    except SecretFileError as error:
        wrong += [
            f"Setting {name} is wrong: {reason} (it is {path!r})" for name, (reason, path) in error.reasons.items()
        ]
    except ValidationError as error:
        wrong += [_refusal(str(e["loc"][0]), e["msg"], e.get("input")) for e in error.errors()]
    try:
        len(ENTITIES)
    except DeclarationError as error:
        wrong.append(f"{error}.")
    # The environment is also for others, so what is in it is no fault; but these are hardly meant for them.
    ignored = [
        f"{name} in the environment has no effect: did you mean {near}?"
        for name in sorted(os.environ)
        if (near := mistyped(name.upper(), names))
    ]
    return ReadSettings(settings, wrong, ignored)


def secret_names() -> list[str]:
    """Return the fields that hold a secret, and may come from a file."""
    return [name for name, field in Settings.model_fields.items() if _is_secret(field.annotation)]


def _names_in_file() -> list[str]:
    # Without leaving out what is empty: a mistyped name has no effect whatever stands behind it.
    return [name.upper() for name in DotEnvSettingsSource(Settings, env_ignore_empty=False).env_vars]


def _unknown(name: str, near: str | None) -> str:
    hint = f"did you mean {near}?" if near else ".env.example has all names"
    return f"Setting {name} in .env is unknown: {hint}"


def _refusal(name: str, reason: str, value: object) -> str:
    # What is before an @ may be a password, where none is taken as well.
    field = Settings.model_fields[FORMER_NAMES.get(name, name)]
    secret = _is_secret(field.annotation) or "@" in str(value)
    shown = "not shown, because it is a secret" if secret else f"it is {value!r}"
    return f"Setting {name.upper()} is wrong: {reason.removeprefix('Value error, ')} ({shown})"


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
