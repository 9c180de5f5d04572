"""A filter of ids: a few bytes that say of nearly every id that is not among them that it is not.

An id that is among them always passes; another one does with a probability of 2**-10. A filter takes 12 bits for each
id. It is the ascending list of the hashes of its ids, scaled to as many times 2**10 values as there are ids, in the
form of Elias and Fano: the lower ten bits of each one beside the other, and the higher ones as gaps in unary, at most
two bits for each. A Bloom filter of the same size lets through three times as many.

Sources: Carter et al., "Exact and approximate membership testers" (STOC 1978), for a list of hashes as a filter; Vigna,
"Quasi-succinct indices" (WSDM 2013), section 3, for the form; BIP 158, which scales the hashes as is done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, Self

import numpy as np
from xxhash import xxh3_64_intdigest

#: Lower bits of a hash: of so many other ids, as a power of two, one passes.
_LOWER: Final = 10
#: How many bits the lower part has, so that a later version can have more of them, and how many ids there are.
_HEAD: Final = Struct("<BI")


@dataclass(frozen=True, slots=True)
class IdFilter:
    """A filter, as the octets that are stored of it."""

    octets: bytes

    @classmethod
    def of(cls, ids: Sequence[bytes]) -> Self:
        """Make a filter of ids, in any order; UTF-8. No more than four million of them."""
        count = len(ids)
        hashes = np.fromiter(map(xxh3_64_intdigest, ids), np.uint64, count)
        scaled = np.sort(_scaled(hashes, count, _LOWER))
        lower = (scaled & np.uint64((1 << _LOWER) - 1)).astype(">u2").view(np.uint8).reshape(-1, 2)
        higher = np.zeros(2 * count, np.uint8)
        higher[(scaled >> np.uint64(_LOWER)).astype(np.int64) + np.arange(count)] = 1
        bits = np.unpackbits(lower, axis=1)[:, 16 - _LOWER :]
        return cls(_HEAD.pack(_LOWER, count) + np.packbits(higher).tobytes() + np.packbits(bits).tobytes())

    def may_have(self, wanted: bytes) -> bool:
        """Tell whether an id may be among those of the filter; False: it is not."""
        width, count = _HEAD.unpack_from(self.octets)
        if not count:
            return False
        [value] = _scaled(np.array([xxh3_64_intdigest(wanted)], np.uint64), count, width).tolist()
        higher = np.frombuffer(self.octets, np.uint8, (2 * count + 7) // 8, _HEAD.size)
        # The ones stand for the hashes; the zeros before a one say how great its higher part is.
        parts = np.flatnonzero(np.unpackbits(higher)) - np.arange(count)
        first, last = np.searchsorted(parts, [value >> width, (value >> width) + 1]).tolist()
        begin = 8 * (_HEAD.size + len(higher))
        lower = value & ((1 << width) - 1)
        return any(self._bits(begin + width * place, width) == lower for place in range(first, last))

    def _bits(self, start: int, width: int) -> int:
        end = start + width
        octets = int.from_bytes(self.octets[start // 8 : (end + 7) // 8])
        return octets >> -end % 8 & ((1 << width) - 1)


def _scaled(hashes: Any, count: int, width: int) -> Any:
    """Return 64-bit hashes as numbers below ``count << width``, in the same order."""
    half = np.uint64(32)
    return (hashes >> half) * np.uint64(count << width) >> half
