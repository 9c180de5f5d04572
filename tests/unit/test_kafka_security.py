"""Security of Kafka's clients: settings that fit together become options, others are one line at the start."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka.errors import KafkaConnectionError

from app.kafka.oauth import TokenEndpoint, TokenFile
from app.kafka.security import client_options
from app.settings import Settings, get_settings

SCRAM = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "bulk",
    "KAFKA_SASL_PASSWORD": "hidden",
}
OAUTH = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
TOKEN_URL = {
    "KAFKA_OAUTH_TOKEN_URL": "https://issuer.example/token",
    "KAFKA_OAUTH_CLIENT_ID": "bulk",
    "KAFKA_OAUTH_CLIENT_SECRET": "hidden",
}

SetAll = Callable[..., None]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate, its key plain and encrypted, and another key."""
    directory = tmp_path_factory.mktemp("pem")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=bulk", "-nodes")
    openssl(*new, "-keyout", "key.pem", "-out", "certificate.pem")
    openssl(*new, "-keyout", "other.pem", "-out", "another.pem")
    openssl("ec", "-in", "key.pem", "-aes256", "-passout", "pass:opens", "-out", "locked.pem")
    (directory / "nonsense.pem").write_text("nonsense")
    return directory


@pytest.fixture(autouse=True)
def set_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SetAll]:
    """Only what a test sets, no ``.env``."""
    names = {name.upper() for name in Settings.model_fields}
    for name in [name for name in os.environ if name in names]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def set_all(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    yield set_all


def refusal() -> list[str]:
    with pytest.raises(SystemExit) as stopped:
        get_settings()
    return str(stopped.value.code).split("\n")


def test_nothing_set_is_plaintext() -> None:
    assert client_options(get_settings()) == {"security_protocol": "PLAINTEXT"}


def test_scram_has_a_login_and_tls(set_all: SetAll) -> None:
    set_all(**SCRAM)
    options = client_options(get_settings())
    context = options.pop("ssl_context")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert options == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "bulk",
        "sasl_plain_password": "hidden",
    }
    assert "hidden" not in repr(get_settings())


def test_a_certificate_of_ours_is_loaded(set_all: SetAll, pem: Path) -> None:
    set_all(
        KAFKA_SECURITY_PROTOCOL="SSL",
        KAFKA_SSL_CA_FILE=str(pem / "certificate.pem"),
        KAFKA_SSL_CERT_FILE=str(pem / "certificate.pem"),
        KAFKA_SSL_KEY_FILE=str(pem / "locked.pem"),
        KAFKA_SSL_KEY_PASSWORD="opens",
    )
    context = client_options(get_settings())["ssl_context"]
    assert [dict(part[0] for part in ca["subject"])["commonName"] for ca in context.get_ca_certs()] == ["bulk"]


def test_token_sources(set_all: SetAll, tmp_path: Path) -> None:
    """Tokens come from an endpoint or a file."""
    set_all(**OAUTH, **TOKEN_URL, KAFKA_OAUTH_EXTENSIONS="logicalCluster=lkc-1, identityPoolId=pool-1")
    provider = client_options(get_settings())["sasl_oauth_token_provider"]
    assert isinstance(provider, TokenEndpoint)
    assert provider.extensions() == {"logicalCluster": "lkc-1", "identityPoolId": "pool-1"}
    (tmp_path / "token").write_text("t\n")
    set_all(**dict.fromkeys(TOKEN_URL, ""), KAFKA_OAUTH_TOKEN_FILE=str(tmp_path / "token"))
    assert isinstance(client_options(get_settings())["sasl_oauth_token_provider"], TokenFile)


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL", "Input should be"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_MECHANISM", "is needed with"),
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_SASL_MECHANISM", "that would be SASL_PLAINTEXT"),
        ({**SCRAM, "KAFKA_SASL_MECHANISM": "SCRAM-SHA-1"}, "KAFKA_SASL_MECHANISM", "Input should be"),
        ({**SCRAM, "KAFKA_SASL_USERNAME": ""}, "KAFKA_SASL_USERNAME", "is needed with"),
        ({**SCRAM, "KAFKA_SASL_PASSWORD": ""}, "KAFKA_SASL_PASSWORD", "is needed with"),
        ({"KAFKA_SASL_PASSWORD": "hidden"}, "KAFKA_SASL_PASSWORD", "has no effect without"),
        ({**OAUTH, **TOKEN_URL, "KAFKA_SASL_USERNAME": "me"}, "KAFKA_SASL_USERNAME", "has no effect without"),
        ({"KAFKA_SSL_CA_FILE": "certificate.pem"}, "KAFKA_SSL_CA_FILE", "has no effect without"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": "gone"}, "KAFKA_SSL_CA_FILE", "No such file"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": "nonsense.pem"},
            "KAFKA_SSL_CA_FILE",
            "no certificate",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEY_FILE": "key.pem"}, "KAFKA_SSL_KEY_FILE", "without"),
        (OAUTH, "KAFKA_OAUTH_TOKEN_FILE", "needs either this or KAFKA_OAUTH_TOKEN_URL"),
        ({**OAUTH, **TOKEN_URL, "KAFKA_OAUTH_TOKEN_FILE": "key.pem"}, "KAFKA_OAUTH_TOKEN_FILE", "needs either"),
        ({**OAUTH, "KAFKA_OAUTH_TOKEN_FILE": "gone"}, "KAFKA_OAUTH_TOKEN_FILE", "is no file"),
        ({**OAUTH, **TOKEN_URL, "KAFKA_OAUTH_CLIENT_SECRET": ""}, "KAFKA_OAUTH_CLIENT_SECRET", "is needed with"),
        (
            {**OAUTH, **TOKEN_URL, "KAFKA_OAUTH_TOKEN_URL": "http://issuer.example"},
            "KAFKA_OAUTH_TOKEN_URL",
            "must be https",
        ),
        ({**OAUTH, **TOKEN_URL, "KAFKA_OAUTH_EXTENSIONS": "nonsense"}, "KAFKA_OAUTH_EXTENSIONS", "name=value"),
        ({"KAFKA_OAUTH_SCOPE": "kafka"}, "KAFKA_OAUTH_SCOPE", "has no effect without"),
    ],
)
def test_what_cannot_work_is_one_line(
    set_all: SetAll, pem: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, str], name: str, words: str
) -> None:
    monkeypatch.chdir(pem)
    set_all(**values)
    lines = refusal()
    named = [line for line in lines if line.startswith(f"Setting {name} is wrong: ")]
    assert [words in line for line in named] == [True], lines
    assert not any("hidden" in line for line in lines)


@pytest.mark.parametrize(
    ("key", "password"), [("other.pem", ""), ("locked.pem", ""), ("locked.pem", "hidden"), ("nonsense.pem", "")]
)
def test_mismatched_key_is_one_line(set_all: SetAll, pem: Path, key: str, password: str) -> None:
    """A key that does not fit is one line."""
    set_all(
        KAFKA_SECURITY_PROTOCOL="SSL",
        KAFKA_SSL_CERT_FILE=str(pem / "certificate.pem"),
        KAFKA_SSL_KEY_FILE=str(pem / key),
        KAFKA_SSL_KEY_PASSWORD=password,
    )
    [line] = refusal()
    assert line.startswith("Setting KAFKA_SSL_KEY_PASSWORD is wrong: the certificate, its key and this password do not")
    assert "hidden" not in line


async def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    provider = TokenFile(file, {})
    with pytest.raises(KafkaConnectionError, match="cannot be read"):
        await provider.token()
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert await provider.token() == token
    file.write_text("\n")
    with pytest.raises(KafkaConnectionError, match="is empty"):
        await provider.token()


class Endpoint:
    """A token endpoint, which gives what it is told to give."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, dict[str, Any]]] = []
        self.status = 200
        self.answer: Any = {"access_token": "t1", "expires_in": 600}

    async def answer_post(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers.get("Authorization"), dict(await request.post())))
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def endpoint() -> Any:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_post("/token", endpoint.answer_post)
    async with TestServer(app) as server:
        yield endpoint, TokenEndpoint(str(server.make_url("/token")), "me", "a:b", scope="kafka", extensions={})


async def test_a_token_is_asked_for_and_kept(endpoint: tuple[Endpoint, TokenEndpoint]) -> None:
    server, provider = endpoint
    assert [await provider.token() for _ in range(3)] == ["t1"] * 3
    assert server.asked == [
        ("Basic bWU6YSUzQWI=", {"grant_type": "client_credentials", "scope": "kafka"}),
    ]


async def test_a_token_about_to_end_is_renewed(endpoint: tuple[Endpoint, TokenEndpoint]) -> None:
    server, provider = endpoint
    server.answer = {"access_token": "short", "expires_in": 1}
    await provider.token()
    server.answer = {"access_token": "new"}
    assert await provider.token() == "new"


async def test_a_provider_serves_several_loops(endpoint: tuple[Endpoint, TokenEndpoint]) -> None:
    """Faust's consumer has a thread of its own."""
    _, provider = endpoint
    assert await provider.token() == await asyncio.to_thread(asyncio.run, provider.token())


@pytest.mark.parametrize(("status", "answer"), [(401, {}), (200, {}), (200, []), (200, {"access_token": 1})])
async def test_no_token_is_a_fault_of_kafka(endpoint: tuple[Endpoint, TokenEndpoint], status: int, answer: Any) -> None:
    server, provider = endpoint
    server.status, server.answer = status, answer
    with pytest.raises(KafkaConnectionError, match="KAFKA_OAUTH_TOKEN_URL"):
        await provider.token()
