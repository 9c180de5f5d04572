"""Hostile uploads: each has its documented answer, none costs memory, and nothing of them stays."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from stack import Stack
from tests.security.hostile import LIMITS, MIB, PACKED, TEXT, Sent, attacks, post
from tests.support.assertions import assert_verified
from tests.support.clients import UploadClient, connect
from tests.support.files import CONTACTS, ROW
from tests.support.forms import END, FILE_HEAD, MULTIPART, fields, file_part, form, section
from tests.support.namespaces import namespace
from tests.support.paths import ROOT
from tests.support.secured import count_answers
from tests.support.waiting import wait_for
from tests.support.workers import Worker

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
#: By how much the worker may have grown after all of it, bytes.
GROWTH = 96 * MIB
LATER = "2100-01-01T00:00:00Z"

ATTACKS = dict(attacks())


class Answer(NamedTuple):
    """What came back. ``code`` is empty where nothing was refused."""

    status: int
    code: str
    body: bytes


def exchange(worker: Worker, sent: Sent, *, end: bool = False, timeout: float = 30) -> Answer | None:
    """Send until there is an answer; return that, or None when the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", worker.port), timeout=timeout) as connection:
        for piece in [sent] if isinstance(sent, bytes) else sent:
            rest = memoryview(piece)
            while rest and not (ready := select.select([connection], [connection], [], timeout))[0]:
                assert ready[1], "the worker neither reads nor answers"
                try:
                    rest = rest[connection.send(rest[:65_536]) :]
                except ConnectionError:
                    return None
            if rest:
                break
        if end:
            connection.shutdown(socket.SHUT_WR)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer | None:
    received = b""
    while (found := re.search(rb"(?s)\AHTTP/1\.\d (\d{3}) .*?\r\n\r\n", received)) is None or len(received) < (
        found.end() + int(re.search(rb"(?i)\r\ncontent-length: (\d+)", found[0])[1])  # type: ignore[index]
    ):
        try:
            piece = connection.recv(65_536)
        except ConnectionError:
            return None
        if not piece:
            assert not received, received
            return None
        received += piece
    body = received[found.end() :]
    return Answer(int(found[1]), json.loads(body).get("code", ""), body)


@pytest.fixture(scope="module")
def hostile_environment(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**namespace(services, tmp_path_factory.mktemp("namespace")), **LIMITS}


@pytest.fixture(scope="module")
def assaulted(
    hostile_environment: dict[str, str], pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UploadClient]:
    """A worker with narrow limits. At the end it is as large as it was at the beginning, and has met nothing new."""
    worker = Worker(hostile_environment, tmp_path_factory.mktemp("worker"))
    try:
        uploads = UploadClient.of(worker.start(), hostile_environment)
        # What it needs for ordinary files is not the question.
        for content in (CONTACTS + ROW * 200_000, PACKED):
            assert uploads.post(form(content, scheduledAt=LATER)).status_code == 201
        before = worker.peak_memory()
        yield uploads
        assert worker.running
        assert worker.peak_memory() - before < GROWTH
        count_answers(pytestconfig, worker)
        log = worker.log.read_text(errors="replace")
        assert "Traceback" not in log
    finally:
        worker.kill()
        worker.client.close()


@pytest.fixture
def uploads(assaulted: UploadClient) -> Iterator[UploadClient]:
    """A client of which nothing but whole uploads may be taken: these have two objects and an action."""
    yield assaulted
    wait_for(lambda: is_tidy(assaulted), "nothing is left in the storage")
    assert assaulted.worker.client.get("/health").json() == {"status": "UP"}


def is_tidy(uploads: UploadClient) -> bool:
    files = uploads.files()
    owners = {name.partition("/")[0] for name in files}
    return (
        files == {f"{owner}/{name}" for owner in owners for name in ("upload.csv", "spans")}
        and {owner for owner in owners if uploads.worker.client.get(f"/bulk-actions/{owner}").status_code == 200}
        == owners
    )


def documented() -> set[tuple[int, str]]:
    """The answers in the table of the page: status and code."""
    table = PAGE.partition("\n## Uploads\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d{3}) \| (?:`([A-Z_]+)`)? *\|", table, re.MULTILINE)
    return {(int(status), code) for status, code in rows}


def test_there_are_many_different_attacks() -> None:
    assert len(ATTACKS) >= 80


#: What this worker cannot be brought to by one upload: tests/integration/test_upload_limits.py has each.
TRIED_ELSEWHERE = {
    (400, "SCHEDULE_TOO_FAR"),
    (413, "TOO_MANY_ROWS"),
    (429, "TOO_MANY_OPEN_UPLOADS"),
    (503, "TOO_MANY_UPLOADS"),
    (507, "STORAGE_FULL"),
}


def test_page_has_every_answer() -> None:
    """The page has a row for each answer, and none besides."""
    seen = {(attack.status, attack.code) for attack in ATTACKS.values() if attack.status != 201}
    assert documented() == seen | TRIED_ELSEWHERE


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_upload_leaves_nothing(uploads: UploadClient, name: str) -> None:
    """A hostile upload gets its documented answer, and leaves nothing."""
    attack = ATTACKS[name]
    answer = exchange(uploads.worker, attack.request() if callable(attack.request) else attack.request)
    assert answer is not None, "closed without an answer"
    assert (answer.status, answer.code) == (attack.status, attack.code), answer.body


# Names of files

#: What stands in the head of the part, behind ``filename``, and what is shown of it.
NAMES = {
    "parents": (b'="../../../../etc/cron.d/evil.csv"', "evil.csv"),
    "absolute": (b'="/etc/passwd"', "passwd"),
    "backslashes": (rb'="..\\..\\win.ini"', "win.ini"),
    "drive": (rb'="C:\\boot.csv"', "boot.csv"),
    "encoded slashes": (b'="..%2f..%2fetc%2fpasswd"', None),
    "extended": (b"*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
    "extended nul": (b"*=UTF-8''a%00b.csv", "ab.csv"),
    "only parents": (b'=".."', "unnamed"),
    "empty": (b'=""', "unnamed"),
    "long": (b'="' + b"x" * 5000 + b'.csv"', "x" * 255),
    "turned": ('="\u202evsc.exe"'.encode(), "vsc.exe"),
    "fullwidth": ('="\uff0e\uff0e\uff0fetc"'.encode(), "\uff0e\uff0e\uff0fetc"),
    "device": (b'="CON"', "CON"),
    "stream": (b'="a.csv::$DATA"', "a.csv::$DATA"),
    "shell": (b'="$(reboot)|`id`;.csv"', None),
    "page": (b'="<img src=x onerror=alert(1)>"', None),
    "store": (b'="6b04d285235ca65e4442eb33"', "6b04d285235ca65e4442eb33"),
    "parts": (b'=".parts"', ".parts"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_file_name_is_never_a_path(uploads: UploadClient, kind: str) -> None:
    """A name of a file is shown, and never a path."""
    parameter, shown = NAMES[kind]
    head = FILE_HEAD.partition(b'="upload.csv"')[0] + parameter
    before = uploads.files()
    answer = exchange(uploads.worker, post(fields(scheduledAt=LATER) + section(head) + END))
    assert answer is not None
    assert answer.status == 201, answer.body
    action = json.loads(answer.body)["actionId"]
    assert uploads.files() - before == {f"{action}/upload.csv", f"{action}/spans"}
    name = uploads.worker.action(action)["fileName"]
    assert shown in (name, None)
    assert not set("/\\\0\r\n") & set(name)


# What is taken


def test_gzip_is_kept_unpacked(uploads: UploadClient) -> None:
    """A packed file is kept unpacked, and hashed so."""
    plain, packed = (
        uploads.worker.action(uploads.post(form(content, scheduledAt=LATER)).json()["actionId"])
        for content in (TEXT, PACKED)
    )
    assert [packed[name] for name in ("sha256", "fileSize", "totalCount")] == [
        plain[name] for name in ("sha256", "fileSize", "totalCount")
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t", "tab", "\\t"])
@pytest.mark.parametrize("first", [True, False], ids=["before the file", "behind the file"])
def test_delimiter_may_come_anywhere(uploads: UploadClient, delimiter: str, first: bool) -> None:
    """Each delimiter is taken wherever it stands."""
    mark = b"\t" if delimiter in {"tab", "\\t"} else delimiter.encode()
    parts = [fields(delimiter=delimiter, scheduledAt=LATER), file_part(CONTACTS.replace(b",", mark))]
    answer = uploads.post(b"".join(parts if first else parts[::-1]) + END)
    assert answer.status_code == 201, answer.text
    assert uploads.worker.action(answer.json()["actionId"])["ignoredColumns"] == []


@pytest.mark.parametrize("first", [True, False], ids=["before the file", "behind the file"])
def test_mapped_file_names_own_columns(uploads: UploadClient, hostile_environment: dict[str, str], first: bool) -> None:
    """A mapped file is read by its mapping, and errors name its own columns."""
    name = f"mapped{first}"
    rows = f"Nr,Kunde,Mail,Zustand,id\n{name},Ada,{name}@example.com,active,x\n{name}2,Bo,nobody,active,x\n".encode()
    mapping = {"Nr": "id", "Kunde": "name", "Mail": "email", "Zustand": "status", "id": None}
    parts = [fields(mapping=json.dumps(mapping)), file_part(rows)]
    action = uploads.post(b"".join(parts if first else parts[::-1]) + END).json()["actionId"]
    ended = uploads.worker.wait_ended(action)
    assert (ended["successCount"], ended["failureCount"]) == (1, 1)
    assert (ended["mapping"], ended["ignoredColumns"]) == (mapping, ["id"])
    failed = uploads.worker.records(action, status="FAILED")
    assert [(row["column"], row["message"]) for row in failed] == [("Mail", 'Mail is not an email address: "nobody"')]
    assert_verified(hostile_environment, action)


# Time

HEAD = (
    b"POST /bulk-actions HTTP/1.1\r\nHost: localhost\r\n"
    + f"Content-Type: {MULTIPART}\r\nContent-Length: 9000000\r\n\r\n".encode()
)
START = fields() + file_part(CONTACTS)[:-2]

#: What is sent at once, what then comes a piece at a time, and the pause between two pieces, seconds.
SLOW_BODIES: dict[str, tuple[bytes, bytes, float]] = {
    "nothing": (b"", b"", 0.1),
    "nothing behind the head of a part": (START[:100], b"", 0.1),
    "nothing within the file": (START, b"", 0.1),
    "nothing behind the form": (fields(scheduledAt=LATER) + file_part(CONTACTS) + END, b"", 0.1),
    "a byte now and then": (b"", b"x", 0.3),
    "a line now and then": (b"", b"x\r\n", 0.3),
    "a byte of a header now and then": (START[:30], b"x", 0.3),
    "a byte of the file now and then": (START, b"x", 0.3),
    "a row now and then": (START, ROW, 0.3),
    "always enough, but for ever": (START, ROW * 20, 0.1),
}
#: What of a request's head is sent at once, and then piece by piece.
SLOW_HEADS: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "a line": (b"GET /health HTTP/1.1\r\n", b""),
    "a byte now and then": (b"GET /health HTTP/1.1\r\n", b"x"),
    "a header now and then": (b"GET /health HTTP/1.1\r\n", b"X: y\r\n"),
    "a second request": (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /", b"x"),
}


def dribble(connection: socket.socket, piece: bytes, pause: float) -> float:
    """Send slowly until there is something to read; return after how many seconds that was."""
    begun = time.monotonic()
    while not select.select([connection], [], [], pause)[0]:
        assert time.monotonic() - begun < 60, "the worker waits for ever"
        if piece:
            try:
                connection.sendall(piece)
            except ConnectionError:
                break
    return time.monotonic() - begun


def test_slow_clients_are_let_go(uploads: UploadClient) -> None:
    """Slow clients are told so and let go, while others are served."""

    def body(case: tuple[bytes, bytes, float]) -> tuple[Answer | None, float]:
        start, piece, pause = case
        with connect(uploads.worker, HEAD + start) as connection:
            taken = dribble(connection, piece, pause)
            return read_answer(connection), taken

    def head(case: tuple[bytes, bytes]) -> tuple[bytes, float]:
        start, piece = case
        with connect(uploads.worker, start) as connection:
            begun, received = time.monotonic(), b""
            while time.monotonic() - begun < 60:
                dribble(connection, piece, 0.3)
                try:
                    if not (got := connection.recv(65_536)):
                        break
                except ConnectionError:
                    break
                received += got
            return received, time.monotonic() - begun

    with ThreadPoolExecutor(len(SLOW_BODIES) + len(SLOW_HEADS)) as pool:
        bodies = {name: pool.submit(body, case) for name, case in SLOW_BODIES.items()}
        heads = {name: pool.submit(head, case) for name, case in SLOW_HEADS.items()}
        answered = uploads.post(form(CONTACTS, scheduledAt=LATER))
        assert answered.status_code == 201
        assert not bodies["always enough, but for ever"].done(), "nobody waits for its end"
        for name, future in bodies.items():
            answer, taken = future.result()
            assert answer is not None, name
            assert (answer.status, answer.code) == (408, "UPLOAD_TOO_SLOW"), name
            assert 4 < taken < 45, name
        for name, closed in heads.items():
            received, taken = closed.result()
            # No answer to what is no request yet.
            assert received.count(b"HTTP/1.1 ") == (1 if name == "a second request" else 0), name
            assert 2 < taken < 45, name


@pytest.mark.parametrize("length", [0, 50, len(fields()), len(form(CONTACTS)) - 20])
def test_short_body_is_no_upload(uploads: UploadClient, length: int) -> None:
    """A body shorter than its length is not an upload."""
    whole = form(CONTACTS)
    answer = exchange(uploads.worker, post(whole[:length], length=len(whole)), end=True)
    assert answer is None or (answer.status, answer.code) in {(400, "BROKEN_MULTIPART"), (408, "UPLOAD_TOO_SLOW")}


def test_fast_upload_is_not_hurried(uploads: UploadClient) -> None:
    """An upload that is fast enough is not hurried."""
    body = form(CONTACTS + ROW * 2000, scheduledAt=LATER)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 3000):
            time.sleep(0.2)
            yield body[start : start + 3000]

    answer = exchange(uploads.worker, post(pieces(), length=len(body)))
    assert answer is not None
    assert answer.status == 201


# Crashes


def test_crash_remains_are_swept(uploads: UploadClient) -> None:
    """What a crash left is swept by a running worker, and nothing else is."""
    kept = {
        f"{uploads.post(form(CONTACTS, scheduledAt=LATER)).json()['actionId']}/{name}"
        for name in ("upload.csv", "spans")
    }
    left = [uploads.storage / ".parts" / "0123", uploads.storage / ("0" * 24) / "upload.csv"]
    left[1].parent.mkdir()
    long_ago = time.time() - 2 * float(LIMITS["ORPHAN_AGE"])
    for path in left:
        path.write_bytes(CONTACTS)
    for path in [*left, *(uploads.storage / name for name in kept)]:
        os.utime(path, (long_ago, long_ago))
    wait_for(lambda: not any(path.exists() for path in left), "what was left is gone")
    assert kept <= uploads.files()
