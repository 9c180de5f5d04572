"""Records that anybody can produce are read, whatever the names of their headers are."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from app.kafka.lenient_records import LenientRecords
from tests.support.clients import NotUtf8


def batch(compression: int, *names: str) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )
    for number, name in enumerate(names):
        builder.append(number, 0, b"key", b"%d" % number, [(name, b"1")])
    return bytes(builder.build())


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4], ids=["plain", "gzip", "snappy", "lz4", "zstd"])
def test_every_record_is_read(compression: int) -> None:
    records = LenientRecords(batch(compression, "a", NotUtf8(), "b", NotUtf8()) + batch(compression, "c"))
    found = []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        assert not one.is_control_batch
        found += [(record.value, record.headers) for record in one]
    odd = ("\N{REPLACEMENT CHARACTER}" * 2, b"1")
    assert found == [
        (b"0", [("a", b"1")]),
        (b"1", [odd]),
        (b"2", [("b", b"1")]),
        (b"3", [odd]),
        (b"0", [("c", b"1")]),
    ]
