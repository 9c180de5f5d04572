"""What is allowed and unwise in settings: weak in production, or at odds with each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from app.domain.diagnosis.findings import Finding, warning
from app.settings import Settings


def weak_settings(settings: Settings) -> Iterator[Finding]:
    """Yield what somebody in the network could make use of, or what is lost with one machine."""
    reachable = not _is_here(settings.host)
    if settings.auth_mode == "none" and reachable:
        yield warning(f"whoever reaches {settings.host} may do everything", "set AUTH_MODE=required")
    if settings.auth_mode == "none" and "*" in settings.allowed_hosts:
        yield warning("a web page of anybody may use the open API", "name the hosts in ALLOWED_HOSTS instead of *")
    if settings.auth_mode == "required" and settings.metrics_auth == "none" and reachable:
        yield warning("/metrics is open, and tells of all accounts", "set METRICS_AUTH=required")
    yield from _weak_connections(settings)
    elsewhere = not all(_is_here(_host(broker)) for broker in settings.brokers)
    if elsewhere and settings.storage_uri.startswith("file:"):
        yield warning(
            "uploads are in a directory", "make sure that all workers share it (a mount), or use s3:// in STORAGE_URI"
        )


def contradictions(settings: Settings) -> Iterator[Finding]:
    """Yield where one setting takes the effect of another."""
    if settings.stall_timeout <= settings.broker_session_timeout:
        yield warning(
            "STALL_TIMEOUT is not above BROKER_SESSION_TIMEOUT: chunks of a dead worker are sent twice",
            "raise STALL_TIMEOUT",
        )
    if settings.processor_concurrency > settings.feed_window:
        yield warning(
            "PROCESSOR_CONCURRENCY is above FEED_WINDOW: one action cannot use all places", "raise FEED_WINDOW"
        )
    if settings.dedupe_ttl <= settings.claims_release_after:
        yield warning(
            "DEDUPE_TTL is not above CLAIMS_RELEASE_AFTER: claims expire before they are released", "raise DEDUPE_TTL"
        )
    for each, total in _SHARES:
        if getattr(settings, each) > getattr(settings, total):
            yield warning(f"{each.upper()} is above {total.upper()}, and has no effect", f"lower {each.upper()}")
    if settings.kafka_topic.endswith((".feed", ".results", ".DLQ", ".POISON")):
        yield warning(
            f"KAFKA_TOPIC={settings.kafka_topic} looks like the topic of another installation", "choose another name"
        )


#: What one account may have of what there is.
_SHARES = (
    ("max_open_uploads_per_account", "max_open_uploads"),
    ("max_event_streams_per_account", "max_event_streams"),
    ("max_open_downloads_per_account", "max_open_downloads"),
    ("max_open_lookups_per_account", "max_open_lookups"),
)


def _weak_connections(settings: Settings) -> Iterator[Finding]:
    away = [broker for broker in settings.brokers if not _is_here(_host(broker))]
    if away and not settings.kafka_security_protocol.endswith("SSL"):
        yield warning("Kafka is spoken to without TLS", "set KAFKA_SECURITY_PROTOCOL=SASL_SSL or SSL")
    redis = settings.redis_uri.get_secret_value()
    if not redis.startswith("unix:") and not _is_here(urlsplit(redis).hostname or ""):
        if not redis.startswith("rediss:"):
            yield warning("Redis is spoken to without TLS", "use rediss:// in REDIS_URI")
        if not urlsplit(redis).password:
            yield warning("Redis asks for no password", "set one (requirepass, or an ACL), and name it in REDIS_URI")
    scheme, _, rest = settings.mongo_db_uri.get_secret_value().partition("://")
    _, at, servers = rest.partition("/")[0].rpartition("@")
    if not all(_is_here(_host(server)) for server in servers.split(",")):
        options = {name.lower(): values[-1] for name, values in parse_qs(rest.partition("?")[2]).items()}
        default = "true" if scheme == "mongodb+srv" else "false"
        if options.get("tls", options.get("ssl", default)) != "true":
            yield warning("MongoDB is spoken to without TLS", "add tls=true to MONGO_DB_URI")
        if not at and options.get("authmechanism") != "MONGODB-X509":
            yield warning("MongoDB asks for no login", "make a user, and name it in MONGO_DB_URI")
    endpoint = settings.aws_endpoint_url
    if endpoint.startswith("http:") and not _is_here(urlsplit(endpoint).hostname or ""):
        yield warning("the bucket is spoken to without TLS", "use https:// in AWS_ENDPOINT_URL")


def _host(address: str) -> str:
    """Return the host of ``host:port``, also of ``[::1]:9092``."""
    return urlsplit(f"//{address}").hostname or ""


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
