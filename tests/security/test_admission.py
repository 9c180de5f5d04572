"""Limits on what an account has, and idempotency keys, over two workers: exact, whoever comes at once and with what."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.assertions import error_of
from tests.support.files import HEADER
from tests.support.forms import REQUIRED
from tests.support.secured import Limited
from tests.support.workers import Worker

LATER = {"scheduledAt": "2100-01-01T00:00:00Z"}
FILE = HEADER + b"k1,Ada,ada@example.com,active\n"


def new_key() -> str:
    return uuid.uuid4().hex


def upload(
    worker: Worker, headers: dict[str, str], content: bytes = FILE, name: str = "upload.csv", **fields: str
) -> httpx.Response:
    return httpx.post(
        f"http://127.0.0.1:{worker.port}/bulk-actions",
        data={**REQUIRED, **fields},
        files={"file": (name, content, "text/csv")},
        headers=headers,
        timeout=60,
    )


def at_once(limited: Limited, count: int, send: Callable[[Worker], httpx.Response]) -> list[httpx.Response]:
    """Send as many requests at once, in turns to both workers."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(send, [limited.both[number % 2] for number in range(count)]))


def announce(worker: Worker, account: str, length: int) -> bytes:
    """Send the head of an upload, nothing of its body; the first line of the answer."""
    lines = ["POST /bulk-actions HTTP/1.1", "Host: localhost", f"accountid: {account}", f"Content-Length: {length}"]
    lines += ["Content-Type: multipart/form-data; boundary=x", "", ""]
    with socket.create_connection(("127.0.0.1", worker.port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(65536).split(b"\r\n")[0]


# What an account has


def test_active_actions_are_limited(limited: Limited) -> None:
    """Of many uploads at once exactly as many are taken as actions may be active."""
    before = limited.stored()
    answers = at_once(limited, 12, lambda worker: upload(worker, {"accountid": "crowded"}, **LATER))
    taken = [answer.json()["actionId"] for answer in answers if answer.status_code == 201]
    assert len(taken) == 3
    assert limited.stored() - before == set(taken)
    for answer in answers:
        if answer.status_code != 201:
            body = answer.json()
            assert (answer.status_code, body["code"]) == (429, "TOO_MANY_ACTIVE_ACTIONS")
            assert list(body) == ["error", "message", "retryAfter", "code", "requestId"]
            assert body["message"] == "The account may have 3 actions that have not ended, and has them."
            assert answer.headers["Retry-After"] == str(body["retryAfter"]) == "10"
    assert b" 429 " in announce(limited.strict, "crowded", 1000)
    assert upload(limited.lenient, {"accountid": "free"}).status_code == 201


def test_active_rows_are_limited(limited: Limited) -> None:
    """Of many uploads at once as many are taken as there is room for their rows; one that is too long never is."""
    before = limited.stored()
    content = FILE + b"k2,Bob,bob@example.com,active\n"
    answers = at_once(limited, 8, lambda worker: upload(worker, {"accountid": "busy"}, content, **LATER))
    taken = [answer.json()["actionId"] for answer in answers if answer.status_code == 201]
    assert len(taken) == 2
    assert limited.stored() - before == set(taken)
    refused = [answer.json() for answer in answers if answer.status_code == 429]
    assert {body["code"] for body in refused} == {"TOO_MANY_ACTIVE_ROWS"}
    assert refused[0]["message"].endswith("that have not ended may have 5 rows together, and have 4.")
    long = upload(limited.lenient, {"accountid": "busy"}, FILE + b"k2,Bob,bob@example.com,active\n" * 5)
    expected = "The file has 6 rows, and the actions of the account may have 5 together."
    assert error_of(long) == (413, "TOO_MANY_ROWS", expected)
    assert limited.stored() - before == set(taken)


def test_stored_bytes_are_limited(limited: Limited) -> None:
    """Of many uploads at once as many are taken as there is room for their bytes."""
    before = limited.stored()
    content = FILE + b"k2,Bob,bob@example.com,active\n" * 5
    room = 500 // len(content)
    answers = at_once(limited, 10, lambda worker: upload(worker, {"accountid": "full"}, content))
    taken = [answer.json()["actionId"] for answer in answers if answer.status_code == 201]
    assert len(taken) == room == 2
    assert limited.stored() - before == set(taken)
    expected = f"The files of the account may have 500 bytes together, and have {room * len(content)} already."
    for answer in answers:
        if answer.status_code != 201:
            assert error_of(answer) == (413, "STORAGE_LIMIT_REACHED", expected)


@pytest.mark.parametrize(("more", "status"), [(1, 413), (0, 201)])
def test_last_byte_fits(limited: Limited, more: int, status: int) -> None:
    """The last byte fits, and one more does not."""
    content = HEADER + b"e1,"
    end = b",ada@example.com,active\n"
    content += b"x" * 200 + end
    filler = b"\n" * (1000 + more - len(content))
    assert upload(limited.lenient, {"accountid": "exact"}, content + filler).status_code == status


def test_oversized_upload_is_not_read(limited: Limited) -> None:
    """An upload that cannot fit is not read."""
    assert b" 413 " in announce(limited.strict, "full", 1_000_000_000)


# Idempotency keys


def test_one_key_is_one_action(limited: Limited) -> None:
    """Twenty at once with one key are one action and one file."""
    before, key = limited.stored(), new_key()
    answers = at_once(limited, 20, lambda worker: upload(worker, {"Idempotency-Key": key}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    replayed = [answer for answer in answers if "Idempotency-Replayed" in answer.headers]
    assert len(replayed) == 19
    assert {answer.headers["Idempotency-Replayed"] for answer in replayed} == {"true"}
    assert limited.stored() - before == {answers[0].json()["actionId"]}


def test_answer_outlives_the_action(limited: Limited) -> None:
    """The answer stays the same when the action has ended."""
    headers = {"Idempotency-Key": new_key()}
    first = upload(limited.lenient, headers)
    limited.lenient.wait_ended(first.json()["actionId"])
    again = upload(limited.strict, headers)
    assert (again.status_code, again.content) == (201, first.content)
    planned = upload(limited.lenient, {"Idempotency-Key": new_key()}, **LATER)
    assert planned.json()["status"] == "SCHEDULED"
    assert "Idempotency-Replayed" not in planned.headers


@pytest.mark.parametrize("change", ["content", "name", "field"])
def test_key_of_another_request(limited: Limited, change: str) -> None:
    """Another request with the same key is refused, and leaves nothing."""
    headers = {"Idempotency-Key": new_key()}
    assert upload(limited.lenient, headers).status_code == 201
    before = limited.stored()
    answer = {
        "content": lambda: upload(limited.strict, headers, FILE + b"k2,Bob,bob@example.com,active\n"),
        "name": lambda: upload(limited.strict, headers, name="other.csv"),
        "field": lambda: upload(limited.strict, headers, **LATER),
    }[change]()
    message = "This Idempotency-Key has been used for another request: send a new one."
    assert error_of(answer) == (422, "IDEMPOTENCY_KEY_REUSED", message)
    assert limited.stored() == before


def test_one_of_two_requests_wins(limited: Limited) -> None:
    """Of two requests at once under one key one is made."""
    key = new_key()
    contents = [HEADER + f"k{number},Ada,ada@example.com,active\n".encode() for number in range(10)]
    with ThreadPoolExecutor(10) as threads:
        answers = list(
            threads.map(
                lambda number: upload(limited.both[number % 2], {"Idempotency-Key": key}, contents[number]), range(10)
            )
        )
    assert sorted(answer.status_code for answer in answers) == [201, *[422] * 9]


def test_failed_upload_frees_its_key(limited: Limited) -> None:
    """An upload that failed does not use up its key."""
    headers = {"Idempotency-Key": new_key()}
    assert error_of(upload(limited.lenient, headers, b"no,header\n1,2\n"))[1] == "INVALID_HEADER"
    answer = upload(limited.lenient, headers)
    assert answer.status_code == 201
    assert "Idempotency-Replayed" not in answer.headers


def test_a_key_belongs_to_its_account(limited: Limited) -> None:
    key = new_key()
    answers = [
        upload(limited.lenient, {"Idempotency-Key": key, **account}, content)
        for account, content in (({}, FILE), ({"accountid": "free"}, FILE + b"k2,Bob,bob@example.com,active\n"))
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    # The stored form of the key of another account is no way to it.
    stolen = upload(limited.lenient, {"Idempotency-Key": f"default:{key}", "accountid": "free"})
    assert stolen.status_code == 201
    assert len({answer.json()["actionId"] for answer in (*answers, stolen)}) == 3


def test_a_replay_needs_no_room(limited: Limited) -> None:
    headers = {"Idempotency-Key": new_key(), "accountid": "again"}
    first = upload(limited.lenient, headers, **LATER)
    assert first.status_code == 201
    assert told_code(upload(limited.lenient, {"accountid": "again"}, **LATER)) == "TOO_MANY_ACTIVE_ACTIONS"
    assert upload(limited.strict, headers, **LATER).content == first.content


def told_code(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_requests_ignore_keys(limited: Limited, method: str) -> None:
    """Other requests do not look at keys."""
    answer = limited.lenient.client.request(method, "/bulk-actions", headers={"Idempotency-Key": "x" * 300})
    assert answer.status_code == 200


# Hostile keys

CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F) if code not in b"\r\n"]

#: Values of the header as bytes: all of them are no key.
BAD_KEYS: list[bytes] = [
    *(b"before" + control + b"after" for control in CONTROLS),
    b"",
    b" ",
    b"\t",
    *(b"x" * length for length in (256, 300, 1000, 8000, 8300, 100_000)),
    *(text.encode() for text in ("é", "漢字", "😀", "\u202eabc", "\ufeffabc", "a\u0301", "ａ", "\u2028")),
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", "é".encode("latin-1"), b"\x80" * 255),
]

#: Strange, and keys all the same; each is an action of its own.
GOOD_KEYS: list[bytes] = [
    b'{"$ne": null}',
    b"$where",
    b"../../etc/passwd",
    b"default:x",
    b"a:b:c",
    b"'; DROP TABLE actions; --",
    b"<script>alert(1)</script>",
    b"%00%0d%0aSet-Cookie: a=b",
    b"${jndi:ldap://x}",
    b'"quoted"',
    b"null",
    b"x" * 255,
    b"-1",
    b"a b",
]


def body_of(content: bytes) -> bytes:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value.encode() + b"\r\n"
        for name, value in REQUIRED.items()
    ]
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="u.csv"\r\n\r\n' + content + b"\r\n"
    return b"".join(parts) + file + b"--x--\r\n"


def send_raw(worker: Worker, headers: Sequence[bytes]) -> tuple[int, bytes]:
    """Post an upload with header lines as they are; the status, and the whole answer."""
    body = body_of(FILE)
    lines = [b"POST /bulk-actions HTTP/1.1", b"Host: localhost", b"Connection: close", *headers]
    lines += [b"Content-Type: multipart/form-data; boundary=x", b"Content-Length: %d" % len(body), b"", b""]
    with socket.create_connection(("127.0.0.1", worker.port), timeout=30) as connection:
        answer = b""
        try:
            connection.sendall(b"\r\n".join(lines) + body)
            while block := connection.recv(65536):
                answer += block
        except ConnectionError:
            # The server has answered and closed before all was sent.
            assert answer
    found = re.match(rb"HTTP/1\.\d (\d{3}) ", answer)
    assert found, answer
    return int(found[1]), answer


def test_there_are_many_hostile_keys() -> None:
    assert len({*BAD_KEYS, *GOOD_KEYS}) >= 60


def test_bad_key_is_refused(limited: Limited) -> None:
    """What cannot be a key is refused, and nothing is stored."""
    before = limited.stored()
    for number, key in enumerate(BAD_KEYS):
        status, answer = send_raw(limited.both[number % 2], [b"Idempotency-Key: " + key])
        assert status == 400, (key[:40], answer)
        # What is no HTTP is refused before anybody looks at a key.
        assert re.search(rb'"code":"(INVALID_IDEMPOTENCY_KEY|BAD_REQUEST)"', answer), key[:40]
    assert limited.stored() == before


def test_strange_key_is_never_echoed(limited: Limited) -> None:
    """A strange key is a key, and nothing of it comes back."""
    actions = set()
    for number, key in enumerate(GOOD_KEYS):
        status, answer = send_raw(limited.both[number % 2], [b"Idempotency-Key: " + key])
        assert status == 201, (key, answer)
        # A short one may be a word of the answer itself, as null is.
        assert len(key) < 5 or key not in answer
        actions.add(re.search(rb'"actionId":"([0-9a-f]{24})"', answer)[1])  # type: ignore[index]
    assert len(actions) == len(GOOD_KEYS)


@pytest.mark.parametrize(
    "lines",
    [
        [b"Idempotency-Key: a", b"Idempotency-Key: b"],
        [b"Idempotency-Key: a", b"idempotency-key: a"],
        [b"Idempotency-Key:", b"Idempotency-Key: a"],
    ],
)
def test_several_keys_are_none(limited: Limited, lines: list[bytes]) -> None:
    status, answer = send_raw(limited.lenient, lines)
    assert status == 400
    assert b"must be sent once" in answer


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r", b"\r\n\r\n"])
def test_line_end_makes_no_header(limited: Limited, end: bytes) -> None:
    """A line end in a key makes no header of an answer."""
    key = new_key().encode()
    status, answer = send_raw(limited.lenient, [b"Idempotency-Key: " + key + end + b"X-Injected: yes"])
    assert status in (201, 400)
    # What is no HTTP may be quoted in the text of the refusal, as a literal.
    assert not re.search(rb"(?m)^X-Injected", answer)
    assert limited.lenient.client.get("/health").status_code == 200
