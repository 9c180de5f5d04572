"""What an account may ask for, over two workers: exactly that, told in every answer, and decided when Redis is away."""

from __future__ import annotations

import re
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import httpx
import pytest

from tests.support.assertions import error_of
from tests.support.files import CONTACTS
from tests.support.forms import REQUIRED
from tests.support.secured import READS, TIERS, UPLOADS, WINDOW, Guarded, Limited
from tests.support.waiting import wait_for
from tests.support.workers import Worker


def account() -> dict[str, str]:
    """The header of an account that nobody has used."""
    return {"accountid": f"rate-{uuid.uuid4().hex[:12]}"}


def upload(worker: Worker, headers: dict[str, str], content: bytes = CONTACTS) -> httpx.Response:
    files = {"file": ("upload.csv", content, "text/csv")}
    return worker.client.post("/bulk-actions", data=REQUIRED, files=files, headers=headers)


def knock(worker: Worker, headers: dict[str, str]) -> httpx.Response:
    """An upload that has no file: it counts like any other."""
    return worker.client.post("/bulk-actions", headers=headers)


def read(worker: Worker, headers: dict[str, str]) -> httpx.Response:
    return worker.client.get("/bulk-actions", params={"limit": "1"}, headers=headers)


def refused(answer: httpx.Response) -> dict[str, object]:
    """Check that an answer is a refusal by a rate limit in its documented form; return its body."""
    assert answer.status_code == 429, answer.text
    body: dict[str, object] = answer.json()
    assert list(body) == ["error", "message", "retryAfter", "code", "requestId"]
    assert (body["error"], body["code"]) == ("Too Many Requests", "RATE_LIMITED")
    assert answer.headers["Retry-After"] == str(body["retryAfter"])
    assert 1 <= int(str(body["retryAfter"])) <= WINDOW
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    return body


def figure(worker: Worker, name: str) -> float:
    """A figure of a worker, as Prometheus would read it."""
    text = worker.client.get("/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


# Accuracy


@dataclass(frozen=True)
class Asked:
    """A request, when it was sent and answered, and whether it passed."""

    sent: float
    answered: float
    passed: bool


def hammer(limited: Limited, headers: dict[str, str], method: str, seconds: float) -> list[Asked]:
    """Four clients, over two workers, as fast as they can."""
    asked: list[Asked] = []
    begin = threading.Barrier(4)

    def client(first: int) -> None:
        ports = [worker.port for worker in limited.both]
        with httpx.Client(timeout=60) as connection:
            begin.wait()
            until = time.monotonic() + seconds
            for port in cycle(ports[first:] + ports[:first]):
                if (sent := time.monotonic()) > until:
                    return
                answer = connection.request(method, f"http://127.0.0.1:{port}/bulk-actions", headers=headers)
                assert answer.status_code in (200, 400, 429), answer.text
                asked.append(Asked(sent, time.monotonic(), answer.status_code != 429))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(client, number % 2) for number in range(4)]:
            done.result()
    return asked


@pytest.mark.parametrize(("method", "limit"), [("POST", UPLOADS), ("GET", READS)])
def test_limit_is_exact_in_any_window(
    limited: Limited, method: str, limit: int, record_property: pytest.RecordProperty
) -> None:
    """Four clients over two workers get exactly the limit in any window."""
    asked = hammer(limited, account(), method, seconds=2.5 * WINDOW)
    passed = [one for one in asked if one.passed]
    # The k-th request that was counted was so after the k-th was sent, and before the k-th was answered.
    sent, answered = sorted(one.sent for one in passed), sorted(one.answered for one in passed)
    spans = [later - earlier for earlier, later in zip(sent, answered[limit:], strict=False)]
    began = min(one.sent for one in asked)
    first = sum(moment < began + WINDOW for moment in answered)
    told_figures = f"{len(asked)} asked, {len(passed)} passed, {first} in the first window; limit {limit} in {WINDOW} s"
    print(f"{method}: {told_figures}; {limit + 1} in a row never within less than {min(spans):.3f} s")
    record_property(method, told_figures)
    assert first == limit
    assert min(spans) >= WINDOW, "more than the limit has passed within one window"
    assert 2 * limit <= len(passed) <= 3 * limit, "places that are free again are given away"


# What is said


def test_answers_tell_what_is_left(limited: Limited) -> None:
    """Every answer says what is left, and a refusal when to come again."""
    headers = account()
    answers = [knock(worker, headers) for worker in (*limited.both * 2, limited.lenient)]
    assert [error_of(answer)[1] for answer in answers] == ["FILE_REQUIRED"] * UPLOADS
    assert [answer.headers["X-RateLimit-Limit"] for answer in answers] == [str(UPLOADS)] * UPLOADS
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["4", "3", "2", "1", "0"]
    assert all(0 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= WINDOW + 1 for answer in answers)
    before = figure(limited.strict, 'bulk_rate_limit_refusals_total{class="uploads"}')
    body = refused(knock(limited.strict, headers))
    assert body["message"] == "The account may send 5 uploads in 3 seconds."
    assert figure(limited.strict, 'bulk_rate_limit_refusals_total{class="uploads"}') == before + 1


def test_told_wait_is_enough(limited: Limited) -> None:
    """Who waits as long as was said gets in."""
    headers = account()
    for _ in range(UPLOADS):
        knock(limited.lenient, headers)
    time.sleep(int(refused(knock(limited.strict, headers))["retryAfter"]))  # type: ignore[call-overload]
    assert error_of(knock(limited.strict, headers))[1] == "FILE_REQUIRED"


def test_uploads_have_own_places(limited: Limited) -> None:
    """Uploads and other requests have places of their own."""
    headers = account()
    for _ in range(UPLOADS):
        knock(limited.lenient, headers)
    refused(knock(limited.lenient, headers))
    answer = limited.lenient.client.get(f"/bulk-actions/{'0' * 24}/stats", headers=headers)
    assert (answer.status_code, answer.headers["X-RateLimit-Limit"]) == (404, str(READS))
    assert answer.headers["X-RateLimit-Remaining"] == str(READS - 1)
    others = [("GET", "/dead-letters"), ("POST", "/dead-letters/x/replay"), ("HEAD", "/bulk-actions")]
    left = [
        limited.strict.client.request(method, path, headers=headers).headers["X-RateLimit-Remaining"]
        for method, path in others
    ]
    assert left == [str(READS - 2), str(READS - 3), str(READS - 4)]


def test_tier_sets_the_limits(limited: Limited) -> None:
    """An account has the limits of its tier."""
    gold = {"accountid": "gold"}
    assert knock(limited.lenient, gold).headers["X-RateLimit-Limit"] == str(TIERS["gold"]["uploads"])
    assert read(limited.lenient, gold).headers["X-RateLimit-Limit"] == str(TIERS["gold"]["reads"])
    for worker in limited.both * UPLOADS:
        answer = knock(worker, {"accountid": "free"})
        assert answer.status_code == 400
        assert "X-RateLimit-Limit" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unnamed_account_is_not_counted(limited: Limited, method: str) -> None:
    """Who names no account is not counted."""
    for _ in range(2 * READS):
        answer = limited.lenient.client.request(method, "/bulk-actions")
        assert answer.status_code in (200, 400)
        assert "X-RateLimit-Limit" not in answer.headers


@pytest.mark.parametrize("path", ["/health", "/ready", "/nope"])
def test_open_routes_are_not_counted(limited: Limited, path: str) -> None:
    """What is open, or not there, is not counted."""
    assert "X-RateLimit-Limit" not in limited.lenient.client.get(path, headers=account()).headers


def test_accounts_share_no_places(limited: Limited) -> None:
    """An account cannot use up the places of another."""
    one, other = account(), account()
    for _ in range(UPLOADS + 1):
        knock(limited.lenient, one)
    assert knock(limited.lenient, other).headers["X-RateLimit-Remaining"] == str(UPLOADS - 1)


# Uploads that are refused


def exhaust(limited: Limited) -> dict[str, str]:
    headers = account()
    for _ in range(UPLOADS):
        knock(limited.lenient, headers)
    return headers


def test_a_refused_upload_is_not_read(limited: Limited) -> None:
    headers = exhaust(limited)
    lines = ["POST /bulk-actions HTTP/1.1", "Host: localhost", f"accountid: {headers['accountid']}"]
    lines += ["Content-Type: multipart/form-data; boundary=x", "Content-Length: 1000000000", "", ""]
    with socket.create_connection(("127.0.0.1", limited.lenient.port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert b" 429 " in connection.recv(65536).split(b"\r\n")[0]


def test_sending_client_gets_an_answer(limited: Limited) -> None:
    """A client that is still sending gets the answer, and no reset."""
    headers = exhaust(limited)
    before = limited.stored()
    refused(upload(limited.lenient, headers, CONTACTS + b"r2,Bob,bob@example.com,active\n" * 500_000))
    assert limited.stored() == before


# Redis is away


def tells_that_redis_is_away(worker: Worker) -> bool:
    """Whether the list of workers has this one alone, which is not ready; it looks once a second at most."""
    listed = worker.client.get("/workers").json()
    shown = [(one["self"], one["state"]) for one in listed["workers"]]
    return (shown, listed["complete"]) == ([(True, "NOT_READY")], False)


def test_absent_redis_follows_settings(limited: Limited) -> None:
    """While Redis is away requests pass or not, as the operator wants."""
    headers = account()
    name = 'bulk_rate_limiter_failures_total{class="reads"}'
    assert read(limited.lenient, headers).headers["X-RateLimit-Remaining"] == str(READS - 1)
    before = [figure(worker, name) for worker in limited.both]
    limited.redis.kill()
    try:
        for _ in range(READS + 10):
            began = time.monotonic()
            passed, held = read(limited.lenient, headers), read(limited.strict, headers)
            assert time.monotonic() - began < 10
            assert passed.status_code == 200
            assert "X-RateLimit-Limit" not in passed.headers
            assert error_of(held)[:2] == (503, "RATE_LIMITS_UNAVAILABLE")
            assert held.headers["Retry-After"] == "5"
        assert limited.strict.client.get("/bulk-actions").status_code == 200, "nothing is to be counted"
        assert [figure(worker, name) for worker in limited.both] == [figures + READS + 10 for figures in before]
        for worker in limited.both:
            assert worker.log.read_text(errors="replace").count("rate limits cannot be told, Redis is away") == 1
            # Who runs the platform wants to know now, of all times: of this worker at least.
            wait_for(partial(tells_that_redis_is_away, worker), "the worker has looked at Redis again")
            # A page that is opened now is to say so, and not that nobody is known.
            assert worker.client.get("/whoami").json()["accountId"] == "default"
        assert limited.lenient.client.get("/whoami", headers=headers).status_code == 200
        assert limited.lenient.client.get("/api-keys", headers=headers).json() == []
    finally:
        limited.redis.start()
    for worker in limited.both:
        wait_for(lambda worker=worker: "X-RateLimit-Limit" in read(worker, account()).headers, "requests are counted")  # type: ignore[misc]
        worker.wait_ready()


# Figures


def test_labels_have_no_client_input(limited: Limited) -> None:
    """What clients make up is in no label."""
    worker = limited.lenient
    for number in range(20):
        worker.client.request("PURGE", f"/made-up-{number}")
        worker.client.request(f"MADEUP{number}", "/bulk-actions", headers=account())
    text = worker.client.get("/metrics").text
    assert "made-up" not in text
    assert "MADEUP" not in text
    assert "PURGE" not in text
    assert "rate-" not in text
    assert figure(worker, 'bulk_http_requests_total{method="other",route="unknown",status="404"}') >= 20


def test_figures_have_three_labels(limited: Limited) -> None:
    """Figures are counted by route, method and status."""
    name = 'bulk_http_requests_total{method="GET",route="/bulk-actions/{action_id}",status="404"}'
    limited.strict.client.get(f"/bulk-actions/{'0' * 24}")
    before = figure(limited.strict, name)
    limited.strict.client.get(f"/bulk-actions/{'1' * 24}")
    assert figure(limited.strict, name) == before + 1


def test_metrics_may_be_open(federated: Guarded, guarded: Guarded) -> None:
    """Metrics may be open where nothing else is."""
    assert "bulk_http_requests_total" in federated.worker.client.get("/metrics").text
    assert error_of(federated.worker.client.get("/bulk-actions"))[0] == 401
    assert error_of(guarded.worker.client.get("/metrics"))[0] == 401
