"""What a browser sends to an open worker for the page of somebody else changes nothing there, and reads nothing."""

from __future__ import annotations

import pytest

from tests.support.assertions import error_of
from tests.support.clients import UploadClient
from tests.support.files import CONTACTS
from tests.support.forms import MULTIPART, form
from tests.support.workers import Worker


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, "CROSS_SITE"),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8000"}, "CROSS_SITE"),
        ({"Origin": "https://evil.example"}, "CROSS_SITE"),
        ({"Origin": "null"}, "CROSS_SITE"),
        ({"Host": "evil.example"}, "UNKNOWN_HOST"),
    ],
)
def test_a_page_of_others_posts_nothing(
    worker: Worker, shared_environment: dict[str, str], headers: dict[str, str], code: str
) -> None:
    """A form posted by a page needs no permission of ours, so it must be refused."""
    uploads = UploadClient.of(worker, shared_environment)
    before = uploads.actions(), uploads.files()
    answer = worker.client.post("/bulk-actions", content=form(CONTACTS), headers={"Content-Type": MULTIPART, **headers})
    assert error_of(answer)[:2] == (403, code)
    assert (uploads.actions(), uploads.files()) == before


@pytest.mark.parametrize("path", ["/bulk-actions", "/dead-letters", "/metrics"])
def test_foreign_name_reads_nothing(worker: Worker, path: str) -> None:
    """A name that points here reads nothing."""
    assert error_of(worker.client.get(path, headers={"Host": "evil.example"}))[:2] == (403, "UNKNOWN_HOST")


def test_health_answers_any_name(worker: Worker) -> None:
    """Health can be asked for by any name."""
    for path in ("/health", "/ready"):
        assert worker.client.get(path, headers={"Host": "worker.cluster.internal"}).status_code == 200
