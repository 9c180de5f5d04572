"""Where the records of a CSV file begin and end, found in one pass while its blocks arrive.

The boundaries are exactly those of ``csv.reader`` (excel dialect, ``strict=False``) on a file opened with
``newline=""``: records end at LF, CR LF or a lone CR outside quotes; a quote opens a quoted field only at the
start of a field; ``""`` inside is an escape; what follows the closing quote up to the delimiter is literal; a
quote that is never closed takes the rest of the file into its record. Sources: RFC 4180;
``parse_process_char`` in CPython's ``Modules/_csv.c``.

All of these bytes are ASCII, and no byte of a longer UTF-8 sequence is, so bytes can be looked at without
decoding.

A record whose fields are all empty, such as the ``,,,,`` that spreadsheets leave behind the last row, is a blank
line and no row; ``read_records`` sees it so as well. A first line ``sep=;`` is no record either, and decides the
delimiter.
"""

from __future__ import annotations

import codecs
import re
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from app.domain.csv.delimiters import LONGEST_DECLARATION, check_delimiter, declared_delimiter

_Offsets = npt.NDArray[np.int64]

_LF: Final = 10
_CR: Final = 13
_QUOTE: Final = 34

# Where in the state machine of _csv.c a block ended.
_AT_RECORD: Final = 0  # START_RECORD: no record is open
_AT_FIELD: Final = 1  # START_FIELD: behind a delimiter, or at the first byte of a record
_IN_TEXT: Final = 2  # IN_FIELD: quotes are literal from here to the next delimiter or line end
_IN_QUOTES: Final = 3  # IN_QUOTED_FIELD
_AT_QUOTE: Final = 4  # QUOTE_IN_QUOTED_FIELD: that quote closes the field, or is the first half of ""

# The arrays of a window of this size stay in the second-level cache; it also bounds the memory used beside
# the block.
_WINDOW: Final = 256 * 1024
# Below this the fixed cost of a dozen numpy calls is above that of matching record by record.
_SMALL: Final = 1024
# How far the careful way goes behind a stray quote, at first; it doubles with each further one in the same
# window.
_CAREFUL: Final = 8 * 1024


class CsvError(ValueError):
    """The file cannot be taken as CSV; the message is for the person who uploads it."""


class FieldTooLargeError(CsvError):
    """A field is larger than the limit."""


class RecordTooLargeError(CsvError):
    """A record is larger than the limit, most often because a quote is not closed."""


class TooManyRowsError(CsvError):
    """There are more rows than an upload may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file has more than {limit:,} rows. Please upload it in parts.")


class BlankLinesError(CsvError):
    """Nothing but line ends for longer than a record may be: a span could not stay bounded."""


class Span(NamedTuple):
    """The bytes ``start`` to ``end`` (exclusive) of the file: ``rows`` rows, the first of number ``first_row``.

    Rows count from 1; neither the header nor a blank line is a row.
    """

    start: int
    end: int
    first_row: int
    rows: int


class SpanIndex:
    """Where each chunk starts: one fixed entry per chunk and a closing one, so a window of it is a ranged
    read.

    An entry is 16 bytes: file offset and number of the first row, both unsigned 64-bit little endian. Chunk
    ``i`` lies between entry ``i`` and entry ``i + 1``; the closing entry has the size of the file and the row
    count + 1.
    """

    ENTRY: Final = struct.Struct("<QQ")

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        if not data or len(data) % self.ENTRY.size:
            raise ValueError(f"Not a span index: {len(data)} bytes")
        self._data = data

    @classmethod
    def from_bytes(cls, data: bytes) -> SpanIndex:
        """Read what ``to_bytes`` returned. Raises ``ValueError`` when the length cannot be right."""
        return cls(data)

    def to_bytes(self) -> bytes:
        """Return the index as it is stored: ``16 * (chunks + 1)`` bytes."""
        return self._data

    def __len__(self) -> int:
        return len(self._data) // self.ENTRY.size - 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpanIndex) and self._data == other._data

    def __hash__(self) -> int:
        return hash(self._data)

    @property
    def row_count(self) -> int:
        """The number of data rows in the file."""
        return int(self.ENTRY.unpack_from(self._data, len(self._data) - self.ENTRY.size)[1]) - 1

    @property
    def last_row(self) -> int:
        """The number of the last row."""
        return self.row_count

    def span(self, i: int) -> Span:
        """Return chunk ``i``. Raises ``IndexError`` when there is no such chunk."""
        if not 0 <= i < len(self):
            raise IndexError(f"Chunk {i} of {len(self)}")
        return self.spans(i, 1)[0]

    def spans(self, first: int, count: int) -> list[Span]:
        """Return up to ``count`` chunks from ``first`` on; fewer where the file ends."""
        begin, end = self.window_range(first, count)
        return self.spans_from_window(self._data[begin:end])

    @staticmethod
    def window_range(first: int, count: int) -> tuple[int, int]:
        """Return the byte range of the stored index that has the entries of ``count`` chunks from ``first``
        on.

        The end may lie behind the index; a ranged read then just gives less.
        """
        return first * SpanIndex.ENTRY.size, (first + count + 1) * SpanIndex.ENTRY.size

    @staticmethod
    def spans_from_window(data: bytes) -> list[Span]:
        """Return the chunks between the entries of a window: n + 1 entries are n chunks."""
        entries = list(SpanIndex.ENTRY.iter_unpack(data))
        return [Span(start, end, row, after - row) for (start, row), (end, after) in pairwise(entries)]


@dataclass(frozen=True, slots=True)
class Scan:
    """What the scanner knows when the file is complete.

    ``size`` is in bytes; ``header`` is the raw header record without byte-order mark and line end, or None
    when the file has no record at all. ``delimiter`` is the one that was used; ``declared`` says that the file itself
    has named it.
    """

    size: int
    header: bytes | None
    index: SpanIndex
    row_count: int
    delimiter: str = ","
    declared: bool = False


class _Grammar:
    """The records of one delimiter as regular expressions.

    Every repetition is possessive: a match never goes back, so it is linear and needs no memory of its own.

    Args:
        delimiter: One ASCII character.
        quoted: Whether the limits allow a field ``""``.
    """

    def __init__(self, delimiter: bytes, *, quoted: bool) -> None:
        d = re.escape(delimiter)
        inside = rb'(?:[^"]++|"")*+'
        text = rb"[^" + d + rb"\r\n]*+"
        # A field with an open quote must not match as literal text: (?!") keeps it out.
        field = rb'(?:"' + inside + rb'"|(?!"))' + text
        fields = rb"(?:" + field + d + rb")*+"
        self.inside = re.compile(inside)
        self.text = re.compile(text)
        self.delimited_field = re.compile(field + d)
        self.delimited_fields = re.compile(fields)
        self.record = re.compile(fields + field + rb"(?:\r\n|\r|\n)")
        empty = rb'(?:"")?+' if quoted else b""
        self.blank = re.compile(empty + rb"(?:" + d + empty + rb")*+(?:\r\n|\r|\n)?+")
        #: What a blank record may consist of.
        self.blank_bytes = delimiter + b'"\r\n'
        self.line_ends = re.compile(rb"[\r\n]*+")


class SpanScanner:
    """Finds the header, the rows and the chunks of a CSV file fed in blocks of any size.

    A chunk closes after ``chunk_rows`` records, or earlier with the record that brings it to ``chunk_bytes``;
    always between two records. Blank lines belong to the chunk that follows, those at the end to the last
    chunk: the spans tile the file from the end of the header to its end.

    Per window of a block, records are found for all bytes at once by numpy. Without quotes each line end is
    one. With quotes those are that have an even number of quotes before them, which is exact up to the first
    stray quote: one that opens without a delimiter or line end before it, or closes without one after it.
    From the record of a stray quote on, a stretch is matched record by record. The record that is open at the
    end of a block is remembered as a state of the state machine and two offsets, so nothing of the file is
    kept but the header until it is complete.

    Args:
        delimiter: One ASCII character.
        chunk_rows: Rows per chunk.
        chunk_bytes: Size from which on a chunk takes no further row.
        max_field_bytes: The largest field, quotes included.
        max_record_bytes: The largest record, line end excluded; also the longest run of blank lines.
        max_rows: The most rows.

    Raises:
        ValueError: an argument is not possible.
    """

    def __init__(
        self,
        *,
        delimiter: str = ",",
        chunk_rows: int = 1000,
        chunk_bytes: int = 4 * 1024 * 1024,
        max_field_bytes: int = 131_072,
        max_record_bytes: int = 1024 * 1024,
        max_rows: int = 2**32 - 1,
    ) -> None:
        if min(chunk_rows, chunk_bytes, max_field_bytes, max_record_bytes, max_rows) < 1:
            raise ValueError("Rows and bytes per chunk and the limits must be at least 1")
        self._chunk_rows = chunk_rows
        self._chunk_bytes = chunk_bytes
        self._max_field = max_field_bytes
        self._max_record = max_record_bytes
        self._max_rows = max_rows
        self._worth_checking = min(max_field_bytes, max_record_bytes)
        self._use(delimiter)
        self._declared = False

        self.header: bytes | None = None
        self.row_count = 0
        self._entries = bytearray()
        self._chunk_start = 0
        self._rows_in_chunk = 0
        self._last_end = 0  # end of the last complete record that is not a blank line
        self._header_parts = bytearray()

        self._base = 0  # offset in the file of the first byte of the window
        self._carry = b""  # a last CR whose LF may follow, or the beginning of a byte-order mark
        self._at_start = True
        self._state = _AT_RECORD
        self._record_start = 0
        self._field_start = 0
        self._field_quoted = False
        self._row = 0  # number of the open record, 0 for the header
        # The open record as long as it may turn out to be blank, else None.
        self._maybe_blank: bytearray | None = None

    def _use(self, delimiter: str) -> None:
        raw = check_delimiter(delimiter)
        self._delimiter = raw[0]
        self._grammar = _Grammar(raw, quoted=self._max_field >= 2)

    def feed(self, block: bytes) -> None:
        """Take the next block of the file, of any size.

        Raises:
            CsvError: a limit is exceeded; the scanner cannot be used any further.
        """
        for begin in range(0, len(block), _WINDOW):
            self._take(block[begin : begin + _WINDOW])

    def finish(self) -> Scan:
        """Say that the file is complete. Raises ``CsvError`` as ``feed`` does."""
        self._take(b"", last=True)
        if self._state != _AT_RECORD:
            # A missing last newline, or a quote that is not closed: the file's end ends the record.
            self._state = _AT_RECORD
            if not self._is_blank():
                if self.header is None:
                    self._end_header(self._base)
                else:
                    self._add_rows(np.array([self._base]))
        entries = bytes(self._entries) + SpanIndex.ENTRY.pack(self._base, self.row_count + 1)
        index = SpanIndex(entries)
        return Scan(self._base, self.header, index, self.row_count, chr(self._delimiter), self._declared)

    def _take(self, block: bytes, last: bool = False) -> None:
        """Scan one window; afterwards ``_base`` is the offset of what comes next."""
        window = self._carry + block
        self._carry = b""
        if self._at_start and not last and len(window) < len(codecs.BOM_UTF8) + LONGEST_DECLARATION:
            self._carry = window
            return
        if self._at_start and window:
            self._at_start = False
            window = self._behind_start(window)
        if not last and window.endswith(b"\r"):
            # With the LF that may follow it is one line end, which must not be cut in two.
            window, self._carry = window[:-1], b"\r"
        if window:
            self._scan(window)
            self._base += len(window)

    def _behind_start(self, window: bytes) -> bytes:
        """Return the window without what is no record: a byte-order mark, and a line that names the delimiter."""
        start = len(codecs.BOM_UTF8) if window.startswith(codecs.BOM_UTF8) else 0
        if (declared := declared_delimiter(window[start : start + LONGEST_DECLARATION])) is not None:
            delimiter, length = declared
            self._use(delimiter)
            self._declared = True
            start += length
        self._base = self._last_end = start
        return window[start:]

    def _scan(self, window: bytes) -> None:
        size = len(window)
        if self.header is None:
            pos = self._scan_header(window)
        elif self._state != _AT_RECORD:
            pos = self._read_open(window, 0)
            if self._state == _AT_RECORD and not self._is_blank():
                self._add_rows(np.array([self._base + pos]))
        else:
            pos = 0
        stretch = _CAREFUL
        while pos < size:
            if size - pos < _SMALL:
                pos, _ = self._match_records(window, pos, size)
                break
            pos, stray_quote = self._find_records(window, pos)
            if not stray_quote:
                break
            pos, go_on = self._match_records(window, pos, pos + stretch)
            if not go_on:
                break
            stretch *= 2
        if pos < size:
            self._open_record(pos)
            self._read_open(window, pos)
        elif self._state == _AT_RECORD:
            self._check_blank_lines(self._base + size)

    def _scan_header(self, window: bytes) -> int:
        """Read to the end of the header; return the position behind it, or the size of the window."""
        pos = 0
        while True:
            if self._state == _AT_RECORD:
                pos = _match_end(self._grammar.line_ends, window, pos)
                if pos == len(window):
                    return pos
                self._open_record(pos)
            end = self._read_open(window, pos)
            self._header_parts += window[pos:end]
            if self._state != _AT_RECORD:
                return end
            if not self._is_blank():
                self._end_header(self._base + end)
                return end
            self._header_parts.clear()
            pos = end

    def _end_header(self, end: int) -> None:
        # A line end inside the header is quoted and so never the last byte of it, unless the quote is not
        # closed: then the file ended, and the last line end makes no difference.
        self.header = bytes(self._header_parts).removesuffix(b"\n").removesuffix(b"\r")
        self._header_parts.clear()
        self._last_end = end

    # --- Records that lie whole in the window ------------------------------------------------------------

    def _find_records(self, window: bytes, begin: int) -> tuple[int, bool]:
        """Add the complete records from ``begin``, where one starts, up to the first stray quote if there is
        one.

        Returns:
            The position behind the last of them, and whether a stray quote is the reason to stop there.
        """
        view = np.frombuffer(window, np.uint8, offset=begin)
        ends_line = view == _LF
        if window.find(b"\r", begin) >= 0:
            returns = np.flatnonzero(view == _CR)
            lone = returns[view[np.minimum(returns + 1, len(view) - 1)] != _LF]
            ends_line[lone] = True
        stray: int | None = None
        if window.find(b'"', begin) < 0:
            ends = np.flatnonzero(ends_line)
        else:
            ends, stray = self._even_line_ends(view, ends_line)
        ends += begin + 1
        if not len(ends):
            return begin, stray is not None
        self._add_records(window, begin, ends)
        return int(ends[-1]), stray is not None

    def _even_line_ends(
        self, view: npt.NDArray[np.uint8], ends_line: npt.NDArray[np.bool_]
    ) -> tuple[_Offsets, int | None]:
        """Return the line ends outside quotes before the first stray quote, and the position of that one.

        Exact by induction over the quotes: as long as none is stray, an even number of quotes before a byte
        is the same as the state machine being outside quotes there. A quote with an even number before it
        opens a field when a delimiter or a line end is before it, or it is the second half of "" (the first
        half is then before it). One with an odd number before it closes the field when a delimiter or a line
        end follows, or it is the first half of "". Any other is stray.
        """
        marks = np.flatnonzero(ends_line | (view == _QUOTE))
        is_quote = view[marks] == _QUOTE
        inside = np.bitwise_xor.accumulate(is_quote.view(np.uint8)).view(np.bool_)
        ends = marks[~(is_quote | inside)]
        quotes = marks[is_quote]
        opening, closing = quotes[0::2], quotes[1::2]
        if opening[0] == 0:
            opening = opening[1:]  # the first byte of a record
        if len(closing) and closing[-1] == len(view) - 1:
            closing = closing[:-1]  # what follows is not known yet
        none = len(view)
        stray = min(
            self._first_stray(opening, view[opening - 1], none),
            self._first_stray(closing, view[closing + 1], none),
        )
        if stray == none:
            return ends, None
        return ends[: np.searchsorted(ends, stray)], stray

    def _first_stray(self, quotes: _Offsets, neighbours: npt.NDArray[np.uint8], none: int) -> int:
        good = neighbours == self._delimiter
        for byte in (_LF, _CR, _QUOTE):
            good |= neighbours == byte
        return none if good.all() else int(quotes[np.argmin(good)])

    def _match_records(self, window: bytes, begin: int, stop: int) -> tuple[int, bool]:
        """Add complete records one by one from ``begin`` on, until one ends at ``stop`` or behind it.

        Returns:
            The position behind the last of them, and whether there may be more.
        """
        match = self._grammar.record.match
        ends: list[int] = []
        pos = begin
        while pos < stop and (record := match(window, pos)):
            pos = record.end()
            ends.append(pos)
        if ends:
            self._add_records(window, begin, np.array(ends))
        return pos, pos >= stop

    def _add_records(self, window: bytes, begin: int, ends: _Offsets) -> None:
        """Count the records that end at ``ends`` (positions in the window), check limits, cut chunks."""
        starts = np.empty_like(ends)
        starts[0] = begin
        starts[1:] = ends[:-1]
        view = np.frombuffer(window, np.uint8)
        first_bytes = view[starts]
        rows = (first_bytes != _LF) & (first_bytes != _CR)
        self._drop_blank(window, view, starts, ends, first_bytes, rows)
        all_rows = bool(rows.all())
        if not all_rows:
            starts, ends = starts[rows], ends[rows]
            if not len(ends):
                return
        # Row index in the window of the first run of blank lines that is too long; no row has the index
        # len(ends).
        too_blank = len(ends)
        if not all_rows or self._base + begin != self._last_end:
            gaps = starts - np.concatenate(([self._last_end - self._base], ends[:-1]))
            if gaps.max() > self._max_record:
                too_blank = int(np.argmax(gaps > self._max_record))
        for i in np.flatnonzero(ends - starts > self._worth_checking):
            if i >= too_blank:
                break
            self._begin_record(int(starts[i]), self.row_count + int(i) + 1)
            self._read_on(window, int(starts[i]))
        if too_blank < len(ends):
            raise self._blank_lines_error(self.row_count + too_blank)
        self._add_rows(ends + self._base)

    def _drop_blank(
        self,
        window: bytes,
        view: npt.NDArray[np.uint8],
        starts: _Offsets,
        ends: _Offsets,
        first_bytes: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.bool_],
    ) -> None:
        """Take records of empty fields out of ``rows``; looked at one by one are only those that begin and end so."""
        begins = (first_bytes == self._delimiter) | (first_bytes == _QUOTE)
        if not begins.any():
            return
        candidates = np.flatnonzero(begins & rows)
        # A complete record has a first byte and a line end at least: there is a second byte, and one before the end.
        allowed = np.zeros(256, np.bool_)
        allowed[list(self._grammar.blank_bytes)] = True
        candidates = candidates[allowed[view[starts[candidates] + 1]] & allowed[view[ends[candidates] - 2]]]
        for i in candidates:
            record = window[int(starts[i]) : int(ends[i])]
            # What is larger than a record may be stays a row, and is refused as one.
            if self._grammar.blank.fullmatch(record) and len(record.rstrip(b"\r\n")) <= self._max_record:
                rows[i] = False

    def _add_rows(self, ends: _Offsets) -> None:
        """Count the rows that end at these offsets of the file, and note where chunks start."""
        if self.row_count + len(ends) > self._max_rows:
            raise TooManyRowsError(self._max_rows)
        done = 0
        while done < len(ends):
            if self._rows_in_chunk == 0:
                # Only now, with its first row: blank lines at the end of the file must not make a chunk.
                self._chunk_start = self._last_end
                self._entries += SpanIndex.ENTRY.pack(self._chunk_start, self.row_count + 1)
            stop = min(done + self._chunk_rows - self._rows_in_chunk, len(ends))
            full = self._chunk_start + self._chunk_bytes
            if ends[stop - 1] >= full:
                stop = done + int(np.searchsorted(ends[done:stop], full)) + 1
            self.row_count += stop - done
            self._rows_in_chunk += stop - done
            self._last_end = int(ends[stop - 1])
            if self._rows_in_chunk == self._chunk_rows or self._last_end >= full:
                self._rows_in_chunk = 0
            done = stop

    # --- The record that a window ends in ----------------------------------------------------------------

    def _open_record(self, pos: int) -> None:
        """Note that a record starts at ``pos`` of the window and may not end in it."""
        self._check_blank_lines(self._base + pos)
        self._maybe_blank = bytearray()
        self._begin_record(pos, self.row_count + 1 if self.header is not None else 0)

    def _read_open(self, window: bytes, pos: int) -> int:
        """Read the open record on as :meth:`_read_on` does, and remember it while it may be blank."""
        end = self._read_on(window, pos)
        if self._maybe_blank is not None:
            piece = window[pos:end]
            if piece.strip(self._grammar.blank_bytes):
                self._maybe_blank = None
            else:
                self._maybe_blank += piece
        return end

    def _is_blank(self) -> bool:
        """Tell whether the record that was open has nothing but empty fields."""
        return self._maybe_blank is not None and self._grammar.blank.fullmatch(self._maybe_blank) is not None

    def _begin_record(self, pos: int, row: int) -> None:
        self._state = _AT_FIELD
        self._record_start = self._field_start = self._base + pos
        self._row = row

    def _read_on(self, window: bytes, pos: int) -> int:
        """Read the open record from ``pos``; return the position behind its line end, or the size of the
        window.

        ``_state`` is ``_AT_RECORD`` afterwards if the record is complete. Fields and record are checked
        against the limits in the order of the file, so the error does not depend on how the file is cut into
        blocks.
        """
        size = len(window)
        if self._state != _AT_FIELD:
            pos = self._read_field(window, pos)
            if pos < size and window[pos] == self._delimiter:
                pos += 1
                self._state, self._field_start = _AT_FIELD, self._base + pos
        if self._state == _AT_FIELD and pos < size:
            pos = self._skip_fields(window, pos)
        if self._state == _AT_FIELD and pos < size:
            # The last field of the record or of the window: no delimiter follows.
            self._field_quoted = window[pos] == _QUOTE
            self._state = _IN_QUOTES if self._field_quoted else _IN_TEXT
            pos = self._read_field(window, pos + self._field_quoted)
        if pos == size:
            if self._state == _AT_FIELD:
                self._check_limits(self._field_start, self._field_start, False)
            return pos
        self._state = _AT_RECORD
        return pos + (2 if window.startswith(b"\r\n", pos) else 1)

    def _read_field(self, window: bytes, pos: int) -> int:
        """Read the open field; return the position of the delimiter or line end behind it, or the window's
        size."""
        size = len(window)
        if self._state == _AT_QUOTE and pos < size:
            escape = window[pos] == _QUOTE
            pos += escape
            self._state = _IN_QUOTES if escape else _IN_TEXT
        if self._state == _IN_QUOTES:
            pos = _match_end(self._grammar.inside, window, pos)
            if pos < size:
                pos += 1
                self._state = _IN_TEXT if pos < size else _AT_QUOTE
        if self._state == _IN_TEXT:
            pos = _match_end(self._grammar.text, window, pos)
        self._check_limits(self._field_start, self._base + pos, self._field_quoted)
        return pos

    def _skip_fields(self, window: bytes, pos: int) -> int:
        """Read all fields that end with a delimiter in the window; return the position behind the last of
        them."""
        end = _match_end(self._grammar.delimited_fields, window, pos)
        if end - pos > self._worth_checking:
            for field in self._grammar.delimited_field.finditer(window, pos, end):
                start = field.start()
                self._check_limits(self._base + start, self._base + field.end() - 1, window[start] == _QUOTE)
        self._field_start = self._base + end
        return end

    # --- Limits ------------------------------------------------------------------------------------------

    def _check_limits(self, field_start: int, end: int, quoted: bool) -> None:
        """Check the field that goes from ``field_start`` to ``end`` or beyond, and the record up to there."""
        record_full = self._record_start + self._max_record
        field_full = field_start + self._max_field
        if end <= min(record_full, field_full):
            return
        where = f"Row {self._row:,}" if self._row else "The header"
        if record_full <= field_full:
            raise RecordTooLargeError(
                f"{where} is larger than {_size_text(self._max_record)}; perhaps a quote is not closed in it."
            )
        hint = "; perhaps a quote is not closed in it" if quoted else ""
        raise FieldTooLargeError(f"{where} has a field larger than {_size_text(self._max_field)}{hint}.")

    def _check_blank_lines(self, end: int) -> None:
        if end - self._last_end > self._max_record:
            raise self._blank_lines_error(self.row_count)

    def _blank_lines_error(self, row_before: int) -> BlankLinesError:
        where = f"after row {row_before:,}" if row_before else "before the first row"
        return BlankLinesError(f"There are more than {_size_text(self._max_record)} of blank lines {where}.")


def _match_end(pattern: re.Pattern[bytes], window: bytes, pos: int) -> int:
    """Where the match of a pattern that always matches (if only nothing) ends."""
    match = pattern.match(window, pos)
    return match.end() if match else pos


def _size_text(size: int) -> str:
    """A size in bytes as people write it: 131072 is "128 KiB"."""
    for factor, unit in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"
