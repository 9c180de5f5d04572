"""A broker that asks for TLS and a login: who fits is let in, and who does not learns why, soon."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.kafka.admin import create_topics
from app.kafka.broker_access import BrokerRefuses, check_access
from app.kafka.security import client_options
from app.settings import Settings
from stack.addresses import free_port
from tests.support.secure_kafka import SecureKafka, unsecured_token

# asyncio leaves a transport open whose handshake failed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Read = Callable[[dict[str, str]], Settings]


@pytest.fixture(autouse=True)
def collect() -> Iterator[None]:
    """Drop here what asyncio has left open, and not in a later test, which would fail by it."""
    yield
    gc.collect()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read settings from an environment."""

    def read(values: dict[str, str]) -> Settings:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return Settings(_env_file=None)

    return read


async def enter(settings: Settings, topic: str) -> bytes | None:
    """Come in by every kind of client that there is; return a message that went through."""
    security: dict[str, Any] = client_options(settings)
    await check_access(settings.brokers, security)
    await create_topics(settings.brokers, [topic], partitions=1, replication=1, security=security)
    async with asyncio.timeout(60):
        async with AIOKafkaProducer(bootstrap_servers=settings.brokers, **security) as producer:
            await producer.send_and_wait(topic, b"through")
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=settings.brokers, auto_offset_reset="earliest", **security)
        async with consumer:
            value: bytes | None = (await consumer.getone()).value
            return value


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_login_over_tls_lets_in(secure_kafka: SecureKafka, read: Read, mechanism: str) -> None:
    assert await enter(read(secure_kafka.settings(mechanism)), f"t-{mechanism}") == b"through"


async def test_a_login_without_tls_lets_in(secure_kafka: SecureKafka, read: Read) -> None:
    assert await enter(read(secure_kafka.settings(protocol="SASL_PLAINTEXT")), "t-plaintext") == b"through"


async def test_a_client_certificate_lets_in(secure_kafka: SecureKafka, read: Read) -> None:
    path = secure_kafka.authority.path
    settings = read(
        {
            "KAFKA_BROKER": secure_kafka.broker("SSL"),
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CA_FILE": path("ca.pem"),
            "KAFKA_SSL_CERT_FILE": path("client.crt"),
            "KAFKA_SSL_KEY_FILE": path("client.key"),
        }
    )
    assert await enter(settings, "t-certificate") == b"through"


async def test_a_token_lets_in(secure_kafka: SecureKafka, read: Read, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(unsecured_token())
    settings = read(
        {
            "KAFKA_BROKER": secure_kafka.broker("SASL_SSL"),
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "KAFKA_OAUTH_TOKEN_FILE": str(tmp_path / "token"),
            "KAFKA_SSL_CA_FILE": secure_kafka.authority.path("ca.pem"),
        }
    )
    assert await enter(settings, "t-token") == b"through"
    (tmp_path / "token").write_text(unsecured_token(life=-600))
    with pytest.raises(BrokerRefuses, match="does not take the token"):
        await check_access(settings.brokers, client_options(settings))


REFUSED = [
    ("SASL_SSL", {"KAFKA_SASL_PASSWORD": "wrong"}, "KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is wrong"),
    ("SASL_SSL", {"KAFKA_SASL_USERNAME": "nobody"}, "KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is wrong"),
    ("SASL_SSL", {"KAFKA_SSL_CA_FILE": "foreign.pem"}, r"its certificate is not trusted \(KAFKA_SSL_CA_FILE\)"),
    ("SASL_SSL", {"KAFKA_SSL_CA_FILE": ""}, r"its certificate is not trusted \(KAFKA_SSL_CA_FILE\)"),
    ("SASL_SSL", {"protocol": "PLAINTEXT"}, "speaks TLS: KAFKA_SECURITY_PROTOCOL must be SSL or SASL_SSL"),
    ("SASL_SSL", {"protocol": "SASL_PLAINTEXT"}, "speaks TLS: KAFKA_SECURITY_PROTOCOL must be SASL_SSL"),
    ("SASL_SSL", {"protocol": "SSL"}, "asks for a login: KAFKA_SECURITY_PROTOCOL must be SASL_SSL"),
    ("SASL_PLAINTEXT", {"protocol": "PLAINTEXT"}, "asks for a login: KAFKA_SECURITY_PROTOCOL must be SASL_PLAINTEXT"),
    ("SASL_PLAINTEXT", {}, "does not speak TLS: KAFKA_SECURITY_PROTOCOL must be SASL_PLAINTEXT"),
    ("PLAINTEXT", {}, "does not speak TLS: KAFKA_SECURITY_PROTOCOL must be SASL_PLAINTEXT"),
    ("PLAINTEXT", {"protocol": "SASL_PLAINTEXT"}, "asks for no login: KAFKA_SECURITY_PROTOCOL must be PLAINTEXT"),
    ("SSL", {"protocol": "SSL"}, r"it refuses our certificate \(KAFKA_SSL_CERT_FILE\)"),
    ("SSL", {"protocol": "PLAINTEXT"}, "speaks TLS: KAFKA_SECURITY_PROTOCOL must be SSL or SASL_SSL"),
]


@pytest.mark.parametrize(("listener", "changes", "words"), REFUSED)
async def test_who_does_not_fit_learns_why(
    secure_kafka: SecureKafka, read: Read, listener: str, changes: dict[str, str], words: str
) -> None:
    values = secure_kafka.settings() | {"KAFKA_BROKER": secure_kafka.broker(listener)}
    protocol = changes.get("protocol", "SASL_SSL")
    values["KAFKA_SECURITY_PROTOCOL"] = protocol
    values |= {name: value for name, value in changes.items() if name != "protocol"}
    if values["KAFKA_SSL_CA_FILE"] == "foreign.pem":
        values["KAFKA_SSL_CA_FILE"] = secure_kafka.authority.path("foreign.pem")
    if not protocol.startswith("SASL"):
        values = {name: value for name, value in values.items() if "SASL" not in name}
    if not protocol.endswith("SSL"):
        values.pop("KAFKA_SSL_CA_FILE")
    settings = read(values)
    began = time.monotonic()
    with pytest.raises(BrokerRefuses, match=words):
        await check_access(settings.brokers, client_options(settings))
    assert time.monotonic() - began < 30


async def test_absent_broker_does_not_refuse() -> None:
    """A broker that is away does not refuse."""
    with pytest.raises(KafkaError, match="does not answer"):
        await check_access([f"127.0.0.1:{free_port()}"], {"security_protocol": "PLAINTEXT"})


async def test_one_admitting_broker_is_enough(secure_kafka: SecureKafka) -> None:
    """One broker that lets in is enough."""
    brokers = [f"127.0.0.1:{free_port()}", secure_kafka.broker("SASL_SSL"), secure_kafka.broker("PLAINTEXT")]
    await check_access(brokers, {"security_protocol": "PLAINTEXT"})
