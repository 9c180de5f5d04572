"""A file on its way into the storage: judged, turned into UTF-8, hashed, and its records found, in one pass."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable

from app.domain.csv.delimiters import SAMPLE_BYTES, guess_delimiter
from app.domain.csv.encodings import NAME_IT, UTF_8, Encoding, Transcoder
from app.domain.csv.other_kinds import binary_kind
from app.domain.csv.spans import Scan, SpanScanner
from app.domain.csv.text import read_records


class NotText(ValueError):
    """The file is no text, or is not UTF-8 where it should be; the message is for the person who uploads it."""


class Intake:
    """Takes a file in blocks, and returns what is to be stored of it.

    Args:
        scanner: Makes what finds the records of a file with a delimiter.
        delimiter: What separates its fields; None: what its first rows show.
        encoding: What it is written in; None: what its bytes show.
    """

    def __init__(self, scanner: Callable[[str], SpanScanner], *, delimiter: str | None, encoding: str | None) -> None:
        #: The beginning of what is stored.
        self.start = b""
        #: The digest of what is stored.
        self.digest = hashlib.sha256()
        self._new_scanner = scanner
        self._scanner: SpanScanner | None = None
        self._delimiter = delimiter
        self._transcoder = Transcoder(encoding)

    @property
    def encoding(self) -> Encoding:
        """What the file is taken for."""
        return self._transcoder.encoding

    def agrees_with(self, encoding: str) -> bool:
        """Tell whether the file would have been taken as it was, had this encoding been named before."""
        return self._transcoder.agrees_with(encoding)

    def feed(self, block: bytes) -> bytes:
        """Take the next bytes of the file, of which the first are ``SAMPLE_BYTES`` at least or all; return UTF-8.

        Raises:
            NotText: it is binary, or its header or half of its first rows are not UTF-8.
            EncodingError: it is not in the encoding that it is taken for, or in none that is taken.
            CsvError: a limit is exceeded.
        """
        if self._scanner is None and (kind := binary_kind(block)):
            raise NotText(f"The file is binary (looks like {kind}), not CSV.")
        return self._taken(self._transcoder.feed(block))

    def finish(self) -> tuple[bytes, Scan]:
        """Say that the file is complete; return the rest of it, and its records. Raises as :meth:`feed`."""
        rest = self._taken(self._transcoder.finish())
        return rest, self._scanner_from(rest).finish()

    def _taken(self, text: bytes) -> bytes:
        if text:
            self._scanner_from(text).feed(text)
            self.digest.update(text)
        return text

    def _scanner_from(self, start: bytes) -> SpanScanner:
        """Return the scanner, made when the file begins."""
        if self._scanner is None:
            self.start = start[:SAMPLE_BYTES]
            delimiter = self._delimiter or guess_delimiter(self.start).delimiter
            self._check_start(delimiter)
            self._scanner = self._new_scanner(delimiter)
        return self._scanner

    def _check_start(self, delimiter: str) -> None:
        """Refuse what has NUL bytes, and UTF-8 of which the header, or half of the rows and more, are not."""
        sample = self.start
        if 0 in sample:
            raise NotText("The file is binary (it contains NUL bytes), not CSV.")
        if self.encoding.name != UTF_8 or sample.isascii():
            return
        # Invalid bytes become lone surrogates, one for each, so that they stay in the record that has them. A
        # sequence cut off by the end of the sample is left out.
        whole_file = len(sample) < SAMPLE_BYTES
        decoder = codecs.getincrementaldecoder(UTF_8)("surrogateescape")
        records, _ = read_records(decoder.decode(sample.removeprefix(codecs.BOM_UTF8), whole_file), delimiter)
        bad = [not all(map(_is_unicode, record)) for record in records]
        if bad[:1] == [True]:
            raise NotText(f"The file is not UTF-8: its header is not; {NAME_IT}.")
        rows = bad[1:] if whole_file else bad[1:-1]
        if rows and sum(rows) * 2 >= len(rows):
            raise NotText(
                f"The file is not UTF-8: {sum(rows):,} of its first {len(rows):,} rows are not, beginning with row "
                f"{rows.index(True) + 1:,}; {NAME_IT}."
            )


def _is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogate, as an undecodable byte becomes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
