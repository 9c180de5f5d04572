"""The client library without a server: settings, retries and their pauses, errors, what is sent."""

from __future__ import annotations

import gzip
import io
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

import bulk_client
from bulk_client import ApiError, AsyncClient, BadSettings, Client, Connection, NetworkError, UnexpectedAnswer, Upload
from bulk_client.errors import BulkError
from bulk_client.retrying import passes
from bulk_client.uploads import PackedReader
from bulk_client.watching import Watching

ACTION_ID = "6b04d285235ca65e4442eb33"
COUNTERS = {
    "actionId": ACTION_ID,
    "status": "COMPLETED",
    **{f"{name}Count": 1 for name in ("total", "processed", "success")},
    "failureCount": 0,
    "skippedCount": 0,
}
ACTION = {**COUNTERS, "actionType": "BULK_UPDATE", "entityType": "Contact", "createdAt": "2026-11-23T23:55:49.253Z"}
ACCEPTED = {"actionId": ACTION_ID, "status": "QUEUED", "totalCount": 1}


class Server:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, url: str = "http://bulk.example.com", **settings: Any) -> Client:
        return Client(Connection(url=url, **settings), transport=httpx.MockTransport(self))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without waiting for them."""
    made: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", made.append)
    return made


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {
        "error": "It is not to be.",
        "code": code,
        "requestId": "r1",
        "errors": [{"field": "x", "code": code, "message": "m"}],
    }
    return httpx.Response(status, json=body, headers=headers)


# Retries


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept(pauses: list[float], status: int) -> None:
    server = Server(problem(status, "NOT_NOW", **{"Retry-After": "7"}), httpx.Response(200, json=ACTION))
    assert server.client().action(ACTION_ID).status == "COMPLETED"
    assert pauses == [7.0]


def test_retry_after_may_be_a_date(pauses: list[float]) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30))
    server = Server(problem(503, "NOT_NOW", **{"Retry-After": at}), httpx.Response(200, json=ACTION))
    server.client().action(ACTION_ID)
    assert 25 < pauses[0] <= 30


def test_long_pause_is_not_made(pauses: list[float]) -> None:
    """Where the server asks for more than there is patience, the error comes at once."""
    server = Server(problem(429, "TOO_MANY_REQUESTS", **{"Retry-After": "40"}))
    with pytest.raises(ApiError) as error:
        server.client(patience=30).action(ACTION_ID)
    assert (error.value.retry_after, pauses) == (40.0, [])


def test_pauses_grow_and_end(pauses: list[float]) -> None:
    """A server that always fails is given up, after pauses that double."""
    server = Server(*[problem(503, "NOT_NOW")] * 100)
    with pytest.raises(ApiError):
        server.client(patience=30).action(ACTION_ID)
    assert sum(pauses) <= 30
    assert pauses[3] > 2 * pauses[1] > 0


def test_refusal_is_not_repeated(pauses: list[float]) -> None:
    server = Server(problem(409, "TRANSITION_NOT_ALLOWED"))
    with pytest.raises(ApiError) as error:
        server.client().cancel(ACTION_ID)
    assert (len(server.asked), pauses) == (1, [])
    assert (error.value.code, error.value.request_id, error.value.faults[0]["field"]) == (
        "TRANSITION_NOT_ALLOWED",
        "r1",
        "x",
    )


@pytest.mark.parametrize(
    ("error", "repeatable", "expected"),
    [
        (NetworkError("x", sent=True), True, True),
        (NetworkError("x", sent=True), False, False),
        (NetworkError("x", sent=False), False, True),
        (ApiError(503, {}, request_id="", retry_after=None), False, True),
        (ApiError(504, {}, request_id="", retry_after=None), False, False),
        (ApiError(504, {}, request_id="", retry_after=None), True, True),
        (ApiError(500, {}, request_id="", retry_after=None), True, False),
        (UnexpectedAnswer("x"), True, False),
    ],
)
def test_only_what_passes_is_repeated(error: BulkError, repeatable: bool, expected: bool) -> None:
    """What may have been carried out is sent again only where that is no harm."""
    assert passes(error, repeatable=repeatable) is expected


def test_broken_upload_is_sent_again(pauses: list[float]) -> None:
    """From its beginning, with the same key."""
    server = Server(httpx.ReadError("gone"), httpx.Response(201, json=ACCEPTED))
    taken = server.client().import_file(io.BytesIO(b"id\n1\n"), name="a.csv")
    assert taken.action_id == ACTION_ID
    first, second = server.asked
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert [gzip.decompress(packed_part(request)) for request in server.asked] == [b"id\n1\n"] * 2


async def test_async_client_retries_alike() -> None:
    server = Server(problem(503, "NOT_NOW", **{"Retry-After": "0"}), httpx.Response(200, json=ACTION))
    async with AsyncClient(Connection(), transport=httpx.MockTransport(server)) as client:
        assert (await client.action(ACTION_ID)).status == "COMPLETED"
    assert len(server.asked) == 2


def packed_part(request: httpx.Request) -> bytes:
    """The file of a form."""
    boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
    [part] = [part for part in request.content.split(b"--" + boundary) if b'name="file"' in part]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


# What is sent


def test_url_may_have_a_prefix() -> None:
    server = Server(httpx.Response(200, json=ACTION))
    server.client("https://example.com/bulk/").action("a/b?c")
    assert server.asked[0].url.raw_path == b"/bulk/bulk-actions/a%2Fb%3Fc"


def test_pages_follow_the_cursor() -> None:
    """And nothing else of a link: a credential goes to no other host."""
    link = {"Link": '<https://elsewhere.example.com/x?limit=1&cursor=abc>; rel="next"'}
    server = Server(httpx.Response(200, json=[ACTION], headers=link), httpx.Response(200, json=[ACTION]))
    assert len(list(server.client(api_key="k").actions())) == 2
    assert server.asked[1].url.host == "bulk.example.com"
    assert server.asked[1].url.params["cursor"] == "abc"


def test_key_follows_from_file_and_options() -> None:
    """The same bytes, name and options have one key; anything else has another."""
    file = io.BytesIO(b"id\n1\n")
    keys = [
        Upload().key_of(file, "a.csv"),
        Upload().key_of(file, "a.csv"),
        Upload().key_of(file, "b.csv"),
        Upload(delimiter=";").key_of(file, "a.csv"),
        Upload().key_of(io.BytesIO(b"id\n2\n"), "a.csv"),
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


@pytest.mark.parametrize("packed", [True, False])
def test_file_is_read_in_pieces(packed: bool) -> None:
    """Whatever its size: no piece is larger than a part of it, and it can be read again from its beginning."""
    content = bytes(range(256)) * 8192
    seen: list[int] = []
    reader = PackedReader(io.BytesIO(content), packed=packed, on_bytes=seen.append)
    for _ in range(2):
        pieces = list(iter(lambda: reader.read(65536), b""))
        sent = b"".join(pieces)
        assert (gzip.decompress(sent) if packed else sent) == content
        assert max(map(len, pieces)) <= 256 * 1024 + 64
        reader.seek(0)
    assert seen[: len(seen) // 2][-1] == len(content)


def test_packed_file_is_not_packed_again() -> None:
    packed = gzip.compress(b"id\n1\n")
    server = Server(httpx.Response(201, json=ACCEPTED))
    server.client().import_file(io.BytesIO(packed))
    assert packed_part(server.asked[0]) == packed


# What is answered


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, text="<html>"), "The answer is no JSON"),
        (httpx.Response(200, json={"a": 1}), "The answer is no Action: actionId"),
        (httpx.Response(302, headers={"Location": "/login"}), "The server sends to /login"),
        (httpx.Response(413, text="too large"), "The server has answered 413 Request Entity Too Large."),
        (httpx.Response(429, json={"error": "Too Many Requests", "message": "5 uploads a minute"}), "5 uploads a"),
    ],
)
def test_other_answers_are_told(answer: httpx.Response, said: str) -> None:
    """What is not the API's own answer is an error in one line."""
    with pytest.raises(BulkError, match=said):
        Server(answer).client(patience=0).action(ACTION_ID)


def test_newer_answers_are_read() -> None:
    """Fields and statuses that this client does not know are kept."""
    server = Server(httpx.Response(200, json={**ACTION, "status": "RESTING", "mood": "calm"}))
    action = server.client().action(ACTION_ID)
    assert (action.status, action.raw["mood"], action.ended) == ("RESTING", "calm", False)


def test_parts_keep_what_was_answered() -> None:
    """The events of a page, and a page that another one follows, are as they came as well."""
    event = {"id": "e", "at": "2026-11-23T23:55:49Z", "type": "t", "level": "info", "message": "m", "more": 1}
    answer = {"engine": "ledger", "events": [event], "counts": {}, "searched": {"complete": False}}
    link = {"Link": '</search?cursor=abc>; rel="next"'}
    found = Server(httpx.Response(200, json=answer, headers=link)).client().search("m", limit=1)
    assert (found.following, found.raw["searched"], found.events[0].raw) == ("abc", {"complete": False}, event)


# Watching


def test_watching_begins_where_it_was() -> None:
    watching = Watching(ACTION_ID, patience=60)
    assert "Last-Event-ID" not in watching.headers
    told = watching.take("progress", json.dumps({**COUNTERS, "status": "PROCESSING"}), "17", 2000)
    assert told is not None
    assert (told.status, watching.headers["Last-Event-ID"], watching.ended) == ("PROCESSING", "17", False)
    watching.take("status", json.dumps(COUNTERS), "18", None)
    assert watching.ended


def test_watching_without_streams_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a proxy lets no stream through, the counters are asked for."""
    monkeypatch.setattr("bulk_client.client.time.sleep", lambda seconds: None)
    server = Server(
        httpx.ReadError("gone"),
        httpx.Response(200, text="no stream"),
        httpx.Response(200, json={**COUNTERS, "status": "PROCESSING"}),
        problem(503, "TOO_MANY_STREAMS"),
        httpx.Response(204),
        httpx.Response(200, json=COUNTERS),
    )
    assert [told.status for told in server.client().watch(ACTION_ID)] == ["PROCESSING", "COMPLETED"]


def test_unknown_action_is_not_watched() -> None:
    with pytest.raises(ApiError):
        list(Server(problem(404, "ACTION_NOT_FOUND")).client().watch(ACTION_ID))


# Settings


@pytest.fixture
def profiles(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        file = tmp_path / "profiles.toml"
        file.write_text(text)
        file.chmod(0o600)
        return file

    return write


def test_arguments_win_over_environment(profiles: Callable[[str], Path]) -> None:
    """Then the environment, then the profile, then the defaults."""
    file = profiles('[default]\nurl = "http://p"\naccount = "p"\ntimeout = 5\napi_key = "p"\n')
    environment = {"BULK_URL": "http://p", "BULK_ACCOUNT": "e", "BULK_PATIENCE": "9"}
    found = Connection.load(config_file=file, environment=environment, account="a")
    assert (found.url, found.account, found.timeout, found.patience, found.api_key) == ("http://p", "a", 5, 9, "p")
    assert Connection.load(config_file=file, environment=environment).account == "e"
    assert "api_key" not in repr(found)


def test_key_of_a_profile_stays_there(profiles: Callable[[str], Path]) -> None:
    """It is not sent to another server than that of the profile."""
    file = profiles('[default]\nurl = "http://p"\napi_key = "p"\n')
    assert Connection.load(config_file=file, environment={}, url="http://other").api_key is None
    assert Connection.load(config_file=file, environment={"BULK_API_KEY": "e"}, url="http://other").api_key == "e"


@pytest.mark.parametrize(
    ("text", "profile", "said"),
    [
        ("[default]\nurll = 'http://p'", None, "Unknown in the profile: urll"),
        ("[default]\nurl = 5", None, "url of the profile must be a text"),
        ("[default]\nurl = 'ftp://p'", None, "The URL must be like"),
        ("[default]\nurl = 'http://me:pw@p'", None, "The URL must be like"),
        ("[default]\ntimeout = 'long'", None, "timeout must be a number"),
        ('[default]\napi_key = "a\\nb"', None, "api_key must be printable"),
        ("[here]\n", "there", "has no profile there; it has: here"),
        ("default = 1", None, "has no profile"),
        ("[", None, "is no TOML"),
    ],
)
def test_wrong_profiles_are_refused(profiles: Callable[[str], Path], text: str, profile: str | None, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        Connection.load(config_file=profiles(text), environment={}, profile=profile)


def test_certificates_are_those_of_the_file(tmp_path: Path) -> None:
    """A server with a certificate of its own is trusted by its file, and by nothing else."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(ACTION).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that does not trust the certificate leaves

    with Quiet(("localhost", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"https://localhost:{server.server_port}"
            with Client(Connection(url=url, ca_file=str(certificate), patience=0)) as client:
                assert client.action(ACTION_ID).action_id == ACTION_ID
            with Client(Connection(url=url, patience=0)) as client, pytest.raises(NetworkError, match="certificate"):
                client.action(ACTION_ID)
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(BadSettings, match="cannot be used"):
        Client(Connection(ca_file=str(key.with_name("none.pem"))))


def test_missing_extra_is_told(tmp_path: Path) -> None:
    """Without what ``[cli]`` brings the command says in one line what to install."""
    script = "import sys; sys.modules['rich'] = None; from bulk_client.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "bulk needs more than is installed (rich): pip install 'bulk-operations[cli]'"
    ]


def test_package_names_what_it_has() -> None:
    assert all(getattr(bulk_client, name) for name in bulk_client.__all__)
    with pytest.raises(AttributeError):
        _ = bulk_client.Nothing
