"""The main job with the uploads in a bucket of S3."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.adapters.storage.s3 import PART_SIZE
from stack import Stack
from stack.samples import Sample
from tests.support.assertions import assert_exact, assert_verified
from tests.support.buckets import Bucket
from tests.support.files import MISLEADING
from tests.support.namespaces import namespace
from tests.support.waiting import wait_for
from tests.support.workers import Worker


@pytest.fixture(scope="module")
def bucket(s3: Stack) -> Iterator[Bucket]:
    bucket = Bucket(s3)
    yield bucket
    bucket.close()


@pytest.fixture(scope="module")
def on_s3(services: Stack, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A namespace whose uploads are in the bucket."""
    return {**namespace(services, tmp_path_factory.mktemp("on_s3")), **bucket.environment}


@pytest.fixture(scope="module")
def worker(on_s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(on_s3, tmp_path_factory.mktemp("worker"))
    try:
        yield worker.start()
    finally:
        worker.kill()
        worker.client.close()


def test_file_in_parts_is_accounted_for(worker: Worker, on_s3: dict[str, str], bucket: Bucket, tmp_path: Path) -> None:
    """Every row of a file that comes in parts is accounted for, and verify agrees."""
    file = tmp_path / "contacts.csv"
    sample = Sample(40_000, seed=8, name_suffix=" of the long name" * 12)
    expected = sample.write(file)
    assert file.stat().st_size > PART_SIZE
    action = worker.submit(file)
    worker.wait_ended(action)
    assert_exact(worker, action, sample, expected, on_s3["MONGO_DB_URI"])
    assert_verified(on_s3, action)
    assert {f"{action}/upload.csv", f"{action}/spans"} <= bucket.contents()
    assert bucket.parts_of(f"{action}/upload.csv") == 2


def test_late_delimiter_rereads_file(worker: Worker, on_s3: dict[str, str]) -> None:
    """A stored file is read again when the delimiter comes after it."""
    parts = [
        ("entityType", (None, "Contact")),
        ("actionType", (None, "BULK_UPDATE")),
        ("file", ("u.csv", MISLEADING, "text/csv")),
        ("delimiter", (None, ",")),
    ]
    answer = worker.client.post("/bulk-actions", files=parts)
    assert answer.status_code == 201, answer.text
    action = answer.json()["actionId"]
    ended = worker.wait_ended(action)
    assert (ended["totalCount"], ended["successCount"]) == (11, 1)
    assert_verified(on_s3, action)


def test_gzip_bomb_leaves_nothing(worker: Worker, bucket: Bucket) -> None:
    """A file that unpacks beyond reason leaves nothing in the bucket."""
    before = bucket.contents()
    answer = worker.upload(gzip.compress(b"id,name,email,status\n" + b"1,A,a@example.com,active\n" * 1_500_000))
    assert (answer.status_code, answer.json()["code"]) == (413, "GZIP_TOO_DENSE")
    assert bucket.contents() == before


@pytest.mark.parametrize(
    ("columns", "end", "code"),
    [
        pytest.param("id,name", b"", "INVALID_HEADER", id="when it is stored"),
        pytest.param("id,name,email,status", b'"' + b"x" * 200_000, "INVALID_CSV", id="after its first part"),
    ],
)
def test_refused_file_leaves_nothing(worker: Worker, bucket: Bucket, columns: str, end: bytes, code: str) -> None:
    """A refused file leaves nothing in the bucket."""
    before = bucket.contents()
    rows = b"1,A,a@example.com,active\n" * 400_000
    assert len(rows) > PART_SIZE
    answer = worker.upload(f"{columns}\n".encode() + rows + end)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert bucket.contents() == before


def test_readiness_checks_the_bucket(worker: Worker, s3: Stack) -> None:
    """Readiness tells whether the bucket answers. It may be a second old."""

    def storage_is(state: str) -> None:
        wait_for(lambda: worker.readiness()["checks"]["storage"] == state, f"the storage is {state}")

    storage_is("UP")
    s3["s3"].stop()
    try:
        storage_is("DOWN")
    finally:
        s3["s3"].start()
    storage_is("UP")
