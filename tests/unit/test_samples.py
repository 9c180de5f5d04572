"""Sample files: determined by their arguments, and their expected outcome is what is in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.csv.spans import SpanScanner
from app.domain.entities import ENTITIES
from app.domain.rows import CheckedChunk, check_chunk
from stack.samples import HEADER, Expected, Sample
from tests.support.headers import check_header

SAMPLES = [
    Sample(0),
    Sample(1, seed=2),
    Sample(5_000, seed=3),
    Sample(5_000, seed=4, invalid=0.3, duplicates=0.4, multiline=0.3, prefix="x", name_suffix=" II"),
    Sample(2_000, seed=5, invalid=0, duplicates=0, multiline=0),
    Sample(2_000, seed=6, invalid=1),
]
KINDS = {None, "DUPLICATE", "INVALID_EMAIL", "INVALID_STATUS", "REQUIRED", "WRONG_FIELD_COUNT"}


@pytest.fixture(params=SAMPLES, ids=lambda sample: f"seed{sample.seed}")
def sample(request: pytest.FixtureRequest) -> Sample:
    made: Sample = request.param
    return made


def written(sample: Sample, path: Path) -> tuple[Expected, bytes]:
    return sample.write(path), path.read_bytes()


def checked(data: bytes) -> CheckedChunk:
    contact = ENTITIES["Contact"]
    columns = check_header(contact, HEADER.strip().encode(), ",")
    return check_chunk(contact, columns, data.removeprefix(HEADER.encode()), ",", 1)


def test_file_is_determined_by_arguments(sample: Sample, tmp_path: Path) -> None:
    """A file is determined by its arguments."""
    first, again = (written(replace(sample), tmp_path / name) for name in ("first.csv", "again.csv"))
    assert first == again
    assert sample.codes() == replace(sample).codes()


def test_another_seed_is_another_file(tmp_path: Path) -> None:
    _, first = written(Sample(100, seed=1), tmp_path / "first.csv")
    _, second = written(Sample(100, seed=2), tmp_path / "second.csv")
    assert first != second


def test_expected_counts_match_codes(sample: Sample, tmp_path: Path) -> None:
    """Expected counts are those of the codes."""
    expected, _ = written(sample, tmp_path / "sample.csv")
    found = Counter(sample.codes())
    assert set(found) <= KINDS
    assert expected.total == sample.rows == sum(found.values())
    assert expected.success == found.pop(None, 0)
    assert expected.duplicates == found.pop("DUPLICATE", 0)
    assert expected.failures == dict(found)


def test_expected_counters_add_up(sample: Sample, tmp_path: Path) -> None:
    counts = written(sample, tmp_path / "sample.csv")[0].counts()
    assert counts["successCount"] + counts["failureCount"] + counts["skippedCount"] == counts["totalCount"]
    assert counts["processedCount"] == counts["totalCount"] == sample.rows


def test_scanner_finds_sample_rows(sample: Sample, tmp_path: Path) -> None:
    """The scanner finds the rows that the sample says."""
    _, data = written(sample, tmp_path / "sample.csv")
    scanner = SpanScanner(
        delimiter=",", chunk_rows=1000, chunk_bytes=2**20, max_field_bytes=2**20, max_record_bytes=2**20
    )
    scanner.feed(data)
    assert scanner.finish().row_count == sample.rows


def test_rows_fail_as_codes_say(sample: Sample, tmp_path: Path) -> None:
    """Rows fail as the codes say, and no others do."""
    _, data = written(sample, tmp_path / "sample.csv")
    codes = dict(enumerate(sample.codes(), 1))
    failed = {failure.row: failure.code for failure in checked(data).failures}
    assert failed == {row: code for row, code in codes.items() if code not in (None, "DUPLICATE")}


def test_records_are_the_good_rows(sample: Sample, tmp_path: Path) -> None:
    """Records are the good rows, and duplicates repeat one of them."""
    _, data = written(sample, tmp_path / "sample.csv")
    codes = dict(enumerate(sample.codes(), 1))
    owned: dict[str, tuple[str, str, str]] = {}
    emails: dict[str, int] = {}
    found = checked(data)
    for row, record in zip(found.rows, found.records, strict=True):
        values = (record["name"], record["email"], record["status"])
        if codes[row] is None:
            assert record["id"] not in owned
            assert record["email"] not in emails
            owned[record["id"]] = values
            emails[record["email"]] = row
        elif record["id"] in owned:
            assert owned[record["id"]] == values, "a repeated id repeats the whole row"
        else:
            assert emails[record["email"]] == row - 1, "a repeated email stands behind its owner"
            assert row % 2 == 0, "in the same chunk when chunks have an even number of rows"
    assert sample.records() == owned


def test_every_kind_of_row_occurs() -> None:
    """Every kind of row occurs in a file of some size."""
    sample = Sample(5_000)
    assert set(sample.codes()) == KINDS
    assert any("\n" in name for name, _, _ in sample.records().values())


def test_prefix_and_suffix_differ() -> None:
    """Prefix and suffix tell files apart."""
    records = Sample(200, prefix="mine", name_suffix=" II").records()
    assert all(identity.startswith("mine") for identity in records)
    assert all("II" in name for name, _, _ in records.values())
