"""Unpacking gzip while it streams (RFC 1952), in pieces of a bounded size, whatever is packed in it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

MAGIC = b"\x1f\x8b"

#: What is unpacked before the ratio is judged, bytes: a short file of few different rows packs extremely well.
RATIO_ALLOWANCE = 16 * 1024**2
#: What is given to the decompressor at once, bytes.
_WINDOW = 16 * 1024
#: Most members of a file. Block-wise packers make one per 64 KiB; empty ones would only cost time.
_MAX_MEMBERS = 1_000_000
#: ``zlib``: the header of a member is gzip's, the window has any size.
_GZIP_WINDOW = 31


class GzipError(ValueError):
    """The content is no gzip that is taken; the message is for the person who uploads the file."""


class GzipTooDense(GzipError):
    """It unpacks to far more than tables do: made to fill a disk."""

    def __init__(self, max_ratio: float) -> None:
        super().__init__(
            f"The gzip file unpacks to more than {max_ratio:g} times its size: please upload it without compression."
        )


class Gunzip:
    """Unpacks a file of one or more members (RFC 1952, 2.2), with zeros behind the last as tapes have them.

    Args:
        max_ratio: Refuse a file that becomes more than this many times as large, once it has unpacked to more than
            ``RATIO_ALLOWANCE``. (Deflate reaches 1,032.)
        piece: Most bytes that are unpacked at once.
    """

    def __init__(self, *, max_ratio: float, piece: int = 256 * 1024) -> None:
        self._max_ratio = max_ratio
        self._piece = piece
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._members = 1
        self._inside = False
        self._packed = self._unpacked = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` unpacks to. Each step takes a bounded time; exhaust them before feeding more.

        Raises:
            GzipError: damaged, followed by something else, or (``GzipTooDense``) packed beyond reason.
        """
        # What is behind the end of a member is copied, so many small members must not come in one large block.
        for start in range(0, len(data), _WINDOW):
            yield from self._feed(data[start : start + _WINDOW])

    def _feed(self, data: bytes) -> Iterator[bytes]:
        self._packed += len(data)
        while data or self._inside:
            if not self._inside and not (data := self._next_member(data)):
                return
            try:
                piece = self._member.decompress(data, self._piece)
            except zlib.error as error:
                raise GzipError(f"The gzip file is damaged ({_reason(error)}).") from None
            self._unpacked += len(piece)
            if self._unpacked > max(RATIO_ALLOWANCE, self._max_ratio * self._packed):
                raise GzipTooDense(self._max_ratio)
            if piece:
                yield piece
            if self._member.eof:
                self._inside, data = False, self._member.unused_data
            else:
                data = self._member.unconsumed_tail
                # Less than was asked for: the decompressor keeps nothing back and needs more.
                if not data and len(piece) < self._piece:
                    return

    def finish(self) -> None:
        """Say that nothing more comes.

        Raises:
            GzipError: the file ends within a member.
        """
        if self._inside or not self._packed:
            raise GzipError("The gzip file ends early: it is not complete.")

    def _next_member(self, data: bytes) -> bytes:
        """Return ``data`` from the start of a member on, which is made ready for; empty: there is none yet."""
        if self._member.eof:
            data = data.lstrip(b"\0")
            if not data:
                return b""
            if data[0] != MAGIC[0]:
                raise GzipError("The gzip file is followed by something that is not gzip.")
            self._members += 1
            if self._members > _MAX_MEMBERS:
                raise GzipError(f"The gzip file has more than {_MAX_MEMBERS:,} members.")
            self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._inside = True
        return data


def _reason(error: zlib.error) -> str:
    """What zlib says, without its numbers: ``Error -3 while decompressing data: incorrect data check``."""
    return str(error).rpartition(": ")[2]
