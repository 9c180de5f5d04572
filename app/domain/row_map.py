"""Which rows of another file the rows of a file are: 8 bytes for each, so that any of them is a ranged read away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

_NUMBER = np.dtype("<u8")
#: Rows of which the originals are read together although some between them are not wanted.
_GAP = 4096


def pack(originals: Sequence[int]) -> bytes:
    """Return the part of the map for further rows, given the numbers of their originals."""
    return np.array(originals, _NUMBER).tobytes()


def unpack(data: bytes) -> list[int]:
    """Return the numbers of the originals in a part of the map."""
    found: list[int] = np.frombuffer(data, _NUMBER).tolist()
    return found


def byte_range(first: int, last: int) -> tuple[int, int]:
    """Return which bytes of the map are those of rows ``first`` to ``last``, numbered from 1."""
    return (first - 1) * _NUMBER.itemsize, last * _NUMBER.itemsize


def runs(rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Return the first and last row of each stretch that is worth reading at once; ``rows`` ascend."""
    first = last = None
    for row in rows:
        if first is None or last is None:
            first = row
        elif row - last > _GAP:
            yield first, last
            first = row
        last = row
    if first is not None and last is not None:
        yield first, last
