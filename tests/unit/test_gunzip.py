"""Unpacking gzip while it streams: the same as gzip itself, in bounded pieces, or a word on what is wrong."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.gunzip import RATIO_ALLOWANCE, Gunzip, GzipError, GzipTooDense

PIECE = 64 * 1024
TEXT = b"id,name,email,status\n" + b"".join(b"%d,Ada,a%d@example.com,active\n" % (n, n) for n in range(2000))


def unpack(*blocks: bytes, max_ratio: float = 200) -> bytes:
    gunzip = Gunzip(max_ratio=max_ratio, piece=PIECE)
    pieces = [piece for block in blocks for piece in gunzip.feed(block)]
    gunzip.finish()
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 50), st.integers(0, 30))
def test_members_round_trip(parts: list[bytes], block: int, padding: int) -> None:
    """Members in any blocks unpack to what was packed."""
    packed = b"".join(map(gzip.compress, parts)) + b"\0" * padding
    assert unpack(*(packed[start : start + block] for start in range(0, len(packed), block))) == b"".join(parts)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_large_file_comes_in_pieces(level: int) -> None:
    """A large file comes in pieces of a bounded size."""
    data = os.urandom(100_000) + b"x" * 5_000_000 + TEXT
    assert unpack(gzip.compress(data, level)) == data


def test_optional_header_fields() -> None:
    """A member with a name, a comment and extra fields is like any other."""
    body = gzip.compress(TEXT)[10:]
    head = b"\x1f\x8b\x08\x1e" + b"\0" * 6 + b"\x04\0abcd" + b"../../name\0" + b"comment\0"
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    assert unpack(head + body) == TEXT


PACKED = gzip.compress(TEXT)


@pytest.mark.parametrize("length", [1, 5, 10, 11, 100, len(PACKED) - 9, len(PACKED) - 8, len(PACKED) - 1])
def test_cut_off_file_is_incomplete(length: int) -> None:
    """A file that ends early is not complete."""
    with pytest.raises(GzipError, match="ends early"):
        unpack(PACKED[:length])


def test_nothing_at_all_is_not_complete() -> None:
    with pytest.raises(GzipError, match="ends early"):
        unpack()


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "damaged .*data check"),
        (PACKED[:-4] + b"\0\0\0\0", "damaged .*length check"),
        (PACKED[:20] + b"\xff" * 40 + PACKED[60:], "damaged"),
        (b"\x1f\x8b\x07" + PACKED[3:], "damaged .*unknown compression method"),
        (b"\x1f\x8b\x08\xff" + PACKED[4:], "damaged .*header flags"),
        (PACKED + b"garbage", "followed by something"),
        (PACKED + b"\0\0garbage", "followed by something"),
        (PACKED + b"\x1fgarbage", "damaged .*header"),
        (PACKED + PACKED[:30], "ends early"),
    ],
)
def test_faults_of_a_file_are_named(packed: bytes, words: str) -> None:
    """The message says what is wrong with a file."""
    with pytest.raises(GzipError, match=words):
        unpack(packed)
    with pytest.raises(GzipError):
        unpack(*(packed[start : start + 7] for start in range(0, len(packed), 7)))


def test_dense_file_up_to_allowance() -> None:
    """A file may be dense up to the allowance, and not beyond it."""
    few = gzip.compress(b"x" * RATIO_ALLOWANCE)
    assert len(unpack(few)) == RATIO_ALLOWANCE
    with pytest.raises(GzipTooDense, match="more than 200 times"):
        unpack(gzip.compress(b"x" * (RATIO_ALLOWANCE + PIECE)))


def test_dense_file_is_refused_early() -> None:
    """A dense file is refused long before it is unpacked."""
    bomb = gzip.compress(b"\0" * 200 * 1024**2)
    gunzip = Gunzip(max_ratio=200, piece=PIECE)
    unpacked = 0
    with pytest.raises(GzipTooDense):
        for piece in gunzip.feed(bomb):
            unpacked += len(piece)
    assert unpacked <= 200 * 16 * 1024 * 2 + RATIO_ALLOWANCE


def test_endless_members_are_refused() -> None:
    """Endless empty members are refused."""
    empty = gzip.compress(b"")
    with pytest.raises(GzipError, match="members"):
        unpack(*[empty * 10_000] * 101)


@given(st.binary(max_size=500))
def test_any_bytes_unpack_or_are_refused(data: bytes) -> None:
    """Bytes of any kind are unpacked or refused."""
    try:
        unpack(b"\x1f\x8b\x08\0" + data)
    except GzipError as refused:
        assert str(refused).endswith(".")
