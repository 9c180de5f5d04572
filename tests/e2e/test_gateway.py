"""The gateway in front of several workers: what it passes on, what it refuses, and what a client sees of a death."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import httpx
import pytest

from stack import GATEWAY, Instance, Options, Stack
from stack.addresses import free_port
from stack.gateway import NGINX, RULES
from stack.samples import Sample
from tests.support.assertions import assert_exact, error_of
from tests.support.namespaces import namespace
from tests.support.waiting import wait_for
from tests.support.workers import Worker
from web.middleware.response_headers import PROTECTIVE

#: Chunks that are small, and survivors that need not be waited for.
SETTINGS = {"BROKER_SESSION_TIMEOUT": "6", "STALL_TIMEOUT": "5", "BATCH_SIZE": "250"}

OpenGateway = Callable[..., Instance]


@pytest.fixture(scope="module")
def nginx() -> None:
    """The gateway is nginx; without it these tests are skipped, but not in CI."""
    if (problem := NGINX.problem()) and not os.environ.get("CI"):
        pytest.skip(f"no gateway: {NGINX.command}: {problem}")


@dataclass(frozen=True)
class Cluster:
    """Workers, and the way to them: a worker by its methods, the gateway by its address."""

    gateway: Instance
    workers: list[Worker]
    through: Worker
    storage: Path
    mongo_uri: str


@pytest.fixture(scope="module")
def cluster(nginx: None, services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    environment = {**namespace(services, tmp_path_factory.mktemp("namespace")), **SETTINGS}
    ports = [free_port() for _ in range(3)]
    # Tests ask more often than people.
    limits = limits_with(tmp_path_factory.mktemp("limits") / "limits.conf", {"rate=100r/s": "rate=100000r/s"})
    options = Options(workers=(*ports,), gateway_limits=limits)
    workers = [Worker({**environment, "PORT": str(port)}, tmp_path_factory.mktemp("worker")) for port in ports]
    with Stack(tmp_path_factory.mktemp("gateway"), [GATEWAY], "free", options=options) as stack:
        gateway = stack[GATEWAY]
        through = Worker({**environment, "PORT": str(gateway.port)}, tmp_path_factory.mktemp("client"))
        try:
            for worker in workers:
                worker.launch()
            for worker in workers:
                worker.wait_ready()
            storage = Path(unquote(urlsplit(environment["STORAGE_URI"]).path))
            yield Cluster(gateway, workers, through, storage, environment["MONGO_DB_URI"])
        finally:
            for worker in (*workers, through):
                worker.kill()
                worker.client.close()


def limits_with(file: Path, instead: dict[str, str]) -> Path:
    """Write limits.conf with other values in it."""
    text = (RULES / "limits.conf").read_text()
    for written, other in instead.items():
        assert text.count(written) == 1, written
        text = text.replace(written, other)
    file.write_text(text)
    return file


@pytest.fixture
def open_gateway(nginx: None, tmp_path: Path) -> Iterator[OpenGateway]:
    """Open gateways, with something else ``instead`` of what limits.conf says."""
    stacks: list[Stack] = []

    def start(*ports: int, instead: dict[str, str] | None = None, tls: Path | None = None) -> Instance:
        directory = tmp_path / f"gateway{len(stacks)}"
        directory.mkdir()
        limits = limits_with(directory / "limits.conf", instead or {})
        options = Options(workers=ports, gateway_limits=limits, gateway_tls=tls)
        stacks.append(Stack(directory, [GATEWAY], "free", options=options))
        stacks[-1].start()
        return stacks[-1][GATEWAY]

    yield start
    for stack in stacks:
        stack.stop()


def on_disk(gateway: Instance) -> list[str]:
    """What the gateway has put into files, those included that have no name any more."""
    temporary = gateway.directory / "temporary"
    opened = [str(link.readlink()) for link in Path(f"/proc/{gateway.pid}/fd").iterdir() if link.is_symlink()]
    return [str(file) for file in temporary.rglob("*") if file.is_file()] + [
        file for file in opened if str(temporary) in file
    ]


@pytest.mark.parametrize("key", ["a/b", "//", "../x", "a%2Fb", "{id} ?#", "ключ"])
def test_odd_ids_pass(cluster: Cluster, key: str) -> None:
    """A part of a path reaches the worker as it was sent, whatever it would mean to a file system; it is not logged."""
    row = f"id,name,email,status\n{key},Odd,{key.encode().hex()}@example.com,active\n"
    cluster.through.wait_ended(cluster.through.submit(row.encode()))
    answer = cluster.through.client.get(f"/records/Contact/{quote(key, safe='').replace('.', '%2E')}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["record"]["id"] == key
    assert len(answer.json()["history"]) == 1
    line = rf'"GET /records/Contact/- HTTP/1.1" 200 .* {answer.headers["X-Request-ID"]}\n'
    wait_for(lambda: re.search(line, cluster.gateway.log.read_text()), "its line in the log, without the id")


def test_container_configuration_is_valid(nginx: None, tmp_path: Path) -> None:
    """The configuration for containers is accepted."""
    shutil.copytree(RULES, tmp_path / "nginx")
    # What takes a later nginx than Debian's, or the privileges that a container has.
    for name, written, instead in (
        ("workers.conf", r"(?m)^resolver .*$", ""),
        ("workers.conf", r"worker:3000 resolve", "127.0.0.1:3000"),
        ("listen.conf", r"(?m)^listen 80;$", f"listen 127.0.0.1:{free_port()};"),
    ):
        text, found = re.subn(written, instead, (tmp_path / "nginx" / name).read_text())
        assert found == 1, written
        (tmp_path / "nginx" / name).write_text(text)
    main = f"pid {tmp_path / 'pid'};"
    files = ("-p", str(tmp_path), "-c", str(tmp_path / "nginx" / "nginx.conf"), "-e", "stderr")
    tested = subprocess.run([NGINX.path() or "", "-t", *files, "-g", main], capture_output=True, text=True, check=False)
    assert "syntax is ok" in tested.stderr, tested.stderr


# Uploads


def test_upload_is_streamed_to_worker(cluster: Cluster, tmp_path: Path) -> None:
    """An upload reaches the worker while it is sent, and nothing of it stays in the gateway."""
    sample = Sample(2_000, prefix="streamed", note=8_000)
    expected = sample.write(tmp_path / "file.csv")
    content = (tmp_path / "file.csv").read_bytes()
    early = len(content) // 2
    seen: list[list[str]] = []

    def received() -> bool:
        seen.append(on_disk(cluster.gateway))
        return any(file.stat().st_size > early // 2 for file in cluster.storage.rglob("*") if file.is_file())

    def body() -> Iterator[bytes]:
        for name, value in (("actionType", "BULK_UPDATE"), ("entityType", "Contact")):
            yield f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="file.csv"\r\n\r\n' + content[:early]
        wait_for(received, "the worker stores the first half, before the second is sent")
        yield content[early:] + b"\r\n--x--\r\n"

    answer = cluster.through.client.post(
        "/bulk-actions", content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["totalCount"] == 2_000
    assert seen
    assert not any(seen)
    action = cluster.through.wait_ended(answer.json()["actionId"])
    assert action["sha256"] == hashlib.sha256(content).hexdigest()
    assert_exact(cluster.through, action["actionId"], sample, expected, cluster.mongo_uri)
    assert on_disk(cluster.gateway) == []


def test_no_get_fails_when_worker_dies(cluster: Cluster, tmp_path: Path) -> None:
    """A worker is killed in the middle, no GET fails, and every row is exact."""
    sample = Sample(20_000, prefix="killed")
    expected = sample.write(tmp_path / "file.csv")
    action_id = cluster.through.submit(tmp_path / "file.csv")
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=cluster.gateway.uri, timeout=60) as client:
            while not stop.is_set():
                statuses.append(client.get(f"/bulk-actions/{action_id}/stats").status_code)
                stop.wait(0.03)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: cluster.through.action(action_id)["processedCount"] > 0, "under way", pause=0.02)
        cluster.workers[0].kill()
        assert cluster.through.action(action_id)["status"] == "PROCESSING", "it is the middle"
        before = len(statuses)
        cluster.through.wait_ended(action_id)
        wait_for(lambda: len(statuses) > before + 50, "many questions after the death")
    finally:
        stop.set()
        for client in clients:
            client.join()
    # Stronger than "after the health check": what the dead worker does not answer, the next one does at once.
    assert set(statuses) == {200}
    assert_exact(cluster.through, action_id, sample, expected, cluster.mongo_uri)


def test_all_workers_get_requests(cluster: Cluster) -> None:
    for _ in range(30):
        assert cluster.through.client.get("/bulk-actions", params={"limit": 1}).status_code == 200
    ports = [f"127.0.0.1:{worker.port}" for worker in cluster.workers]

    def all_named() -> bool:
        log = cluster.gateway.log.read_text()
        return all(port in log for port in ports)

    wait_for(all_named, "a line of each worker in the log")


def test_events_pass_through(cluster: Cluster) -> None:
    """A stream of events comes through the gateway as it is sent, and not when it has ended."""
    sample = Sample(40_000, prefix="streamed")
    sample.write(cluster.storage.parent / "streamed.csv")
    action = cluster.through.submit(cluster.storage.parent / "streamed.csv")
    with cluster.through.client.stream("GET", f"/bulk-actions/{action}/events") as answer:
        lines = iter(answer.iter_lines())
        assert next(line for line in lines if line.startswith("event: ")) == "event: status"
        assert cluster.through.action(action)["status"] != "COMPLETED"
        assert any('"status":"COMPLETED"' in line for line in lines)


# Answers


def test_outsiders_see_status_alone(cluster: Cluster) -> None:
    """What is inside is not told outside.

    Whoever asks through the gateway learns whether the system can work, and no more; a neighbour of a worker may.
    """
    outside, inside = cluster.through.client, cluster.workers[-1].client
    assert outside.get("/ready").json() == {"status": "UP"}
    told = inside.get("/ready").json()
    assert set(told["checks"]) == {"mongodb", "redis", "storage", "kafka", "worker"}
    assert all(one["ok"] and one["latencyMs"] >= 0 for one in told["dependencies"])
    assert error_of(outside.get("/metrics"))[:2] == (404, "NOT_FOUND")
    assert "http_requests" in inside.get("/metrics").text


def test_request_ids_pass_through(cluster: Cluster) -> None:
    """Request ids pass through to the worker and back."""
    get = cluster.through.client.get
    status, code, _ = error_of(refused := get("/bulk-actions/none", headers={"X-Request-ID": "my-request.1"}))
    assert (status, code) == (404, "ACTION_NOT_FOUND")
    assert refused.headers.get_list("X-Request-ID") == ["my-request.1"]
    named = get("/health-of-nobody", headers={"X-Request-ID": "not a usable name"})
    assert re.fullmatch(r"[0-9a-f]{32}", named.headers["X-Request-ID"])
    # The gateway writes its log line after the answer.
    wait_for(lambda: named.headers["X-Request-ID"] in cluster.gateway.log.read_text(), "its line in the log")


def test_protective_headers_come_once(cluster: Cluster) -> None:
    """The answers of workers and of the gateway have the same protective headers, once."""
    for path in ("/dead-letters", "/nowhere", "/health", "/-/too-many"):
        answer = cluster.through.client.get(path)
        assert {name: answer.headers.get_list(name) for name in PROTECTIVE} == {
            name: [value] for name, value in PROTECTIVE.items()
        }, path
        assert answer.headers.get_list("Server") == ["nginx"]
        assert "Strict-Transport-Security" not in answer.headers


def test_answer_without_workers(open_gateway: OpenGateway) -> None:
    """Without any worker the gateway says so as a worker would."""
    gateway = open_gateway(free_port(), free_port())
    for method in ("GET", "POST"):
        answer = httpx.request(method, f"{gateway.uri}/bulk-actions")
        assert error_of(answer)[:2] == (503, "SERVICE_UNAVAILABLE")
        assert answer.headers["Retry-After"] == "5"
    assert httpx.get(f"{gateway.uri}/health").json() == {"status": "UP"}


@dataclass
class Silent:
    """An upstream that reads a request and closes the connection without an answer, as one that dies does."""

    server: socket.socket
    requests: list[bytes]

    @property
    def port(self) -> int:
        return int(self.server.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65_536))


@pytest.fixture
def silent() -> Iterator[list[Silent]]:
    servers = [Silent(socket.create_server(("127.0.0.1", free_port())), []) for _ in range(2)]
    threads = [threading.Thread(target=server.serve, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    yield servers
    for server in servers:
        server.server.shutdown(socket.SHUT_RDWR)
        server.server.close()


def test_gateway_sets_client_address(open_gateway: OpenGateway, silent: list[Silent]) -> None:
    """A worker is told who asks, and not what the client says about it."""
    gateway = open_gateway(silent[0].port)
    httpx.get(
        gateway.uri, headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "Host": "bulk.example"}
    )
    [request] = silent[0].requests
    assert b"192.0.2.1" not in request
    for header in (b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: http", b"Host: bulk.example"):
        assert request.split(b"\r\n").count(header) == 1


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("HEAD", 2), ("POST", 1), ("PATCH", 1)])
def test_only_safe_requests_are_retried(
    open_gateway: OpenGateway, silent: list[Silent], method: str, times: int
) -> None:
    """Only what changes nothing is sent to a second worker."""
    gateway = open_gateway(*(server.port for server in silent))
    answer = httpx.request(method, f"{gateway.uri}/bulk-actions", content=b"x" if times == 1 else None)
    assert answer.status_code == 503
    assert sum(len(server.requests) for server in silent) == times


# Limits


def test_oversized_body_is_refused(open_gateway: OpenGateway) -> None:
    """A body above the limit is refused in JSON."""
    gateway = open_gateway(free_port(), instead={"client_max_body_size 5121m": "client_max_body_size 100k"})
    answer = httpx.post(f"{gateway.uri}/bulk-actions", content=b"x" * 102_401)
    assert error_of(answer) == (413, "FILE_TOO_LARGE", "The file is larger than the limit.")


def refused(answer: httpx.Response) -> str:
    """Check that a refusal has the form of a worker's own; return its code."""
    assert answer.status_code == 429
    body = answer.json()
    assert list(body) == ["error", "message", "retryAfter", "code", "requestId"]
    assert (body["error"], str(body["retryAfter"])) == ("Too Many Requests", answer.headers["Retry-After"])
    assert body["requestId"] == answer.headers["X-Request-ID"]
    return str(body["code"])


def test_rate_limit_of_an_address(open_gateway: OpenGateway) -> None:
    """An address that asks too often is told when to come back."""
    gateway = open_gateway(free_port(), instead={"rate=100r/s": "rate=1r/m", "burst=200": "burst=5"})
    answers = [httpx.get(f"{gateway.uri}/ready") for _ in range(7)]
    assert {answer.status_code for answer in answers[:6]} == {503}
    assert refused(answers[-1]) == "RATE_LIMITED"
    assert answers[-1].headers["Retry-After"] == "1"
    assert httpx.get(f"{gateway.uri}/health").status_code == 200


def test_a_network_of_ipv6_is_one_client(open_gateway: OpenGateway) -> None:
    """Whoever has one address has its whole /64, and would be another client with each."""
    gateway = open_gateway(
        free_port(),
        instead={
            "rate=100r/s": "rate=1r/m",
            "burst=200": "burst=1",
            # The addresses of clients are those that they say.
            "limit_req_status 429;": "limit_req_status 429; set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;",
        },
    )

    def statuses(*addresses: str) -> list[int]:
        return [httpx.get(gateway.uri, headers={"X-Real-IP": address}).status_code for address in addresses]

    one = ("2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2:a::")
    assert statuses(*one) == [503, 503, 429, 429]
    assert statuses("2001:db8:1:3::1", "2001:db8:1::1", "2001:db8::1") == [503, 503, 503]
    # Of IPv4 each address is a client, however it is written.
    assert statuses("192.0.2.1", "192.0.2.2", "192.0.2.3") == [503, 503, 503]
    assert statuses("::ffff:192.0.2.4", "::ffff:192.0.2.5", "::ffff:192.0.2.6") == [503, 503, 503]


def test_connections_are_limited(open_gateway: OpenGateway) -> None:
    """An address may have so many connections at once, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as upstream:  # takes connections, and never answers
        gateway = open_gateway(upstream.getsockname()[1], instead={"connections 100": "connections 1"})
        with socket.create_connection(("127.0.0.1", gateway.port)) as first:
            first.sendall(b"GET /bulk-actions HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = wait_for(
                lambda: answered if (answered := httpx.get(gateway.uri)).status_code == 429 else None,
                "the second connection is one too many",
            )
    assert refused(answer) == "RATE_LIMITED"


def ask(gateway: Instance, request: bytes) -> tuple[int, str]:
    """Send bytes; status and code of the answer."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        head, _, body = b"".join(iter(lambda: connection.recv(65_536), b"")).partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head
    assert b"\r\nX-Content-Type-Options: nosniff" in head
    return int(head.split()[1]), str(json.loads(body)["code"])


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/9.1\r\nHost: x\r\n\r\n", 400, "BAD_REQUEST"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n", 400, "BAD_REQUEST"),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "METHOD_NOT_ALLOWED"),
        (b"GET /-/unavailable HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404, "NOT_FOUND"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
    ],
    ids=lambda value: value[:40].decode() if isinstance(value, bytes) else str(value),
)
def test_malformed_request_is_refused(cluster: Cluster, request_: bytes, status: int, code: str) -> None:
    """What is not a request is refused in JSON."""
    assert ask(cluster.gateway, request_) == (status, code)


def test_unfinished_head_is_dropped(open_gateway: OpenGateway) -> None:
    """The gateway closes the connection of a client that does not finish the head of its request."""
    gateway = open_gateway(free_port(), instead={"client_header_timeout 10s": "client_header_timeout 1s"})
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


# TLS


def test_certificate_ends_tls(open_gateway: OpenGateway, tmp_path: Path) -> None:
    """With a certificate the gateway is the end of TLS."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "1", "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    gateway = open_gateway(free_port(), tls=tmp_path)
    port = json.loads((gateway.directory / "ports.json").read_text())["tls"]
    trusted = str(tmp_path / "certificate.pem")
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}", verify=ssl.create_default_context(cafile=trusted)
    ) as client:
        for path in ("/health", "/bulk-actions"):
            assert client.get(path).headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in httpx.get(f"{gateway.uri}/health").headers
    assert error_of(httpx.get(f"http://127.0.0.1:{port}/health"))[:2] == (400, "BAD_REQUEST")
