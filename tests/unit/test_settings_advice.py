"""Settings that are allowed and unwise."""

from __future__ import annotations

import pytest

from app.settings import Settings
from app.settings.advice import contradictions, weak_settings

ELSEWHERE = {
    "KAFKA_BROKER": "kafka-0.example:9092",
    "REDIS_URI": "redis://cache.example:6379",
    "MONGO_DB_URI": "mongodb://db-0.example,db-1.example/bulk",
}
PROTECTED = {
    "KAFKA_BROKER": "kafka-0.example:9092",
    "KAFKA_SECURITY_PROTOCOL": "SSL",
    "REDIS_URI": "rediss://:secret@cache.example:6379",
    "MONGO_DB_URI": "mongodb://user:secret@db-0.example/bulk?tls=true",
    "STORAGE_URI": "s3://bucket/uploads",
    "AUTH_MODE": "required",
    "HOST": "0.0.0.0",
}


def read(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


@pytest.mark.parametrize("values", [{}, PROTECTED, {"KAFKA_BROKER": "[::1]:9092", "HOST": "::1"}])
def test_good_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    settings = read(monkeypatch, values)
    assert [*weak_settings(settings), *contradictions(settings)] == []


def test_open_connections_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with what to set; on this machine nobody listens."""
    told = " ".join(f"{one.text} {one.advice}" for one in weak_settings(read(monkeypatch, ELSEWHERE)))
    for word in ("KAFKA_SECURITY_PROTOCOL", "rediss://", "requirepass", "tls=true", "no login", "STORAGE_URI"):
        assert word in told


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"HOST": "0.0.0.0"}, "AUTH_MODE=required"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"AUTH_MODE": "required", "METRICS_AUTH": "none", "HOST": "0.0.0.0"}, "METRICS_AUTH"),
        ({"STORAGE_URI": "s3://bucket/uploads", "AWS_ENDPOINT_URL": "http://s3.example"}, "AWS_ENDPOINT_URL"),
        ({"MONGO_DB_URI": "mongodb+srv://db.example/bulk"}, "no login"),
    ],
)
def test_weak_setting_is_named(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], word: str) -> None:
    [found] = weak_settings(read(monkeypatch, values))
    assert word in found.text + found.advice


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"STALL_TIMEOUT": "5"}, "STALL_TIMEOUT"),
        ({"PROCESSOR_CONCURRENCY": "32"}, "FEED_WINDOW"),
        ({"DEDUPE_TTL": "60", "CLAIMS_RELEASE_AFTER": "60"}, "DEDUPE_TTL"),
        ({"MAX_OPEN_DOWNLOADS": "5"}, "MAX_OPEN_DOWNLOADS_PER_ACCOUNT"),
        ({"KAFKA_TOPIC": "bulk.feed"}, "KAFKA_TOPIC"),
    ],
)
def test_contradiction_is_named(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], word: str) -> None:
    [found] = contradictions(read(monkeypatch, values))
    assert word in found.text + found.advice
