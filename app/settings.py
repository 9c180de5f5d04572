"""Every setting of the platform: its name, its default, and what makes it valid.

Values come from the environment or from a file ``.env`` in the working directory. A wrong value stops the
start with one line that names the setting.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:]+\]|[^\s:/@,;\[\]]+)(:\d{1,5})?")
_BUCKET_AND_PREFIX = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s/]+)*/?")


def _broker_url(value: str) -> str:
    """Accept ``host:port``, ``kafka://host:port`` and lists of them separated by ``,`` or ``;``."""
    hosts = [part.strip().removeprefix("kafka://") for part in value.replace(",", ";").split(";") if part.strip()]
    if not hosts or not all(_HOST_PORT.fullmatch(host) for host in hosts):
        raise ValueError("one or more host:port are needed")
    return ";".join(f"kafka://{host}" for host in hosts)


def _redis_url(value: str) -> str:
    """Accept ``redis://…``, ``rediss://…``, ``unix://…`` and a bare ``host:port``."""
    url = value if "://" in value else f"redis://{value}"
    scheme, _, rest = url.partition("://")
    if scheme not in {"redis", "rediss", "unix"} or not rest:
        raise ValueError("must be redis://, rediss:// or unix://, or host:port")
    return url


def _mongo_uri(value: str) -> str:
    if not re.match(r"mongodb(\+srv)?://[^/\s]", value):
        raise ValueError("must be mongodb://host:port/database")
    return value


def _storage_uri(value: str) -> str:
    if not value.startswith("file:///") and not _BUCKET_AND_PREFIX.fullmatch(value):
        raise ValueError("must be file:///absolute/directory or s3://bucket/prefix")
    return value


def _endpoint_url(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^/\s?#]+(/[^\s?#]*)?", value):
        raise ValueError("must be http://host:port or https://host/path")
    return value


def _topic(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("is not a name that Kafka allows")
    return value


def _split(value: object) -> object:
    """Accept ``15,30,60`` and the JSON list of it."""
    return value.strip("[] ").split(",") if isinstance(value, str) else value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The settings, read once at start (see :func:`get_settings`)."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    # Where things are
    mongo_db_uri: Annotated[str, AfterValidator(_mongo_uri)] = Field(
        "mongodb://127.0.0.1:27017/bulk", description="MongoDB, with the database name"
    )
    kafka_broker: Annotated[str, AfterValidator(_broker_url)] = Field(
        "kafka://127.0.0.1:9092", description="one or more brokers"
    )
    kafka_topic: Annotated[str, AfterValidator(_topic)] = Field(
        "bulk-action",
        pattern=r"^[A-Za-z0-9._-]{1,120}$",
        description="name of the chunk topic and prefix of the others",
    )
    redis_uri: Annotated[str, AfterValidator(_redis_url)] = Field(
        "redis://127.0.0.1:6379/0", description="Redis; a bare host:port is accepted"
    )
    storage_uri: Annotated[str, AfterValidator(_storage_uri)] = Field(
        default_factory=lambda: (Path.cwd() / "data" / "uploads").as_uri(),
        description="where uploads are kept, file:///directory or s3://bucket/prefix; the same for every worker",
    )
    # Beside these, which may stand in .env as well, botocore's own variables and files work: profiles, roles, ...
    aws_endpoint_url: Annotated[str, AfterValidator(_endpoint_url)] = Field(
        "", description="server of an s3:// storage, unless it is Amazon's"
    )
    aws_region: str = Field("", description="region of the bucket")
    aws_access_key_id: str = Field("", description="who we are to the server; empty: found as by every AWS client")
    aws_secret_access_key: SecretStr = Field(SecretStr(""), description="the secret of that key")
    aws_session_token: SecretStr = Field(SecretStr(""), description="goes with a key that is temporary")
    data_dir: Path = Field(Path("data/worker"), description="this worker's tables; each worker needs its own")

    # The web server
    host: str = Field("127.0.0.1", description="address the web server listens on")
    port: int = Field(3000, ge=1, le=65535, description="port of the web server (or --web-port)")
    max_upload_bytes: int = Field(5 * 1024**3, ge=1, description="largest accepted file, bytes")
    max_field_bytes: int = Field(131_072, ge=1, description="largest accepted field of a row, bytes")
    max_record_bytes: int = Field(1024**2, ge=1, description="largest accepted row, bytes")

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

    # Time
    dispatch_interval_ms: int = Field(1000, ge=50, description="how often schedules and lost actions are looked at")
    requeue_after: Seconds = Field(5.0, description="seconds after which an action still QUEUED is sent again")
    stall_timeout: Seconds = Field(
        20.0, description="seconds without a result after which the missing chunks are sent again"
    )
    action_max_stalls: int = Field(
        30, ge=1, description="stalls in a row, without a single new result, after which an action is FAILED"
    )
    retry_moment: Seconds = Field(10.0, description="seconds for which a fault is tried again on the spot")
    retry_delays: Annotated[tuple[Seconds, Seconds, Seconds], NoDecode, BeforeValidator(_split)] = Field(
        (15.0, 30.0, 60.0), description="seconds in each of the three retry topics"
    )
    shutdown_timeout: Seconds = Field(30.0, description="seconds a stopping worker has for what it has in hand")
    progress_interval: Seconds = Field(0.5, description="seconds between two writes of an action's counters")
    snapshot_interval: Seconds = Field(0.1, description="seconds between two live snapshots of an action")
    broker_session_timeout: Seconds = Field(
        8.0, description="seconds after which a dead worker's partitions move to the others"
    )

    @property
    def brokers(self) -> list[str]:
        """The brokers as host:port."""
        return [url.partition("://")[2] for url in self.kafka_broker.split(";")]

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


def get_settings() -> Settings:
    """Read the settings.

    Raises:
        SystemExit: a value is wrong; the message has one line for each such setting.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"Setting {str(e['loc'][0]).upper()} is wrong: {e['msg']} (it is {e.get('input')!r})"
            for e in error.errors()
        ]
        sys.exit("\n".join(lines))
