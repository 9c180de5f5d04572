"""Speed of the two parts that touch every byte and every row of a file: the span scanner and check_chunk.

Run: ``python benchmarks/parts_csv.py [MB per file]``. Each figure is the median of several repetitions; the copy is
what merely summing over the same blocks' copies takes, as the roof.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.domain.csv_spans import SpanScanner
from app.domain.entities import ENTITIES, Columns
from app.domain.rows import check_chunk

HEADER = b"id,name,email,status\n"
BLOCK = 256 * 1024
REPETITIONS = 7
CHUNK_ROWS = 1000
PLAIN = b"%07d,Ada Lovelace,ada.%d@Example.com,active\n"
FILES: dict[str, Callable[[int], bytes]] = {
    "LF": lambda i: PLAIN % (i, i),
    "CR LF": lambda i: (PLAIN % (i, i)).replace(b"\n", b"\r\n"),
    "all quoted": lambda i: b'"%07d","Ada Lovelace","ada.%d@Example.com","active"\n' % (i, i),
    "all quoted, CR LF": lambda i: b'"%07d","Ada Lovelace","ada.%d@Example.com","active"\r\n' % (i, i),
    "one quoted": lambda i: b'%07d,"Lovelace, Ada",ada.%d@Example.com,active\n' % (i, i),
    "quoted newlines": lambda i: b'%07d,"Lovelace\nAda ""L""",ada.%d@Example.com,active\n' % (i, i),
    "a stray quote in 1 % of rows": lambda i: (
        b'%07d,Ada%s Lovelace,"ada.%d@Example.com",active\n' % (i, b"" if i % 100 else b'"', i)
    ),
    "a stray quote in each row": lambda i: b'%07d,Ada" Lovelace,ada.%d@Example.com,active\n' % (i, i),
}
CHUNKS: dict[str, Callable[[int], bytes]] = {
    "clean": lambda i: PLAIN % (i, i),
    "clean, names quoted": lambda i: b'%07d,"Ada Lovelace",ada.%d@Example.com,active\n' % (i, i),
    "5 % invalid email": lambda i: (PLAIN % (i, i)).replace(b"@", b"@" if i % 20 else b" "),
    "5 % too few fields": lambda i: PLAIN % (i, i) if i % 20 else b"%d,Ada\n" % i,
    "all invalid": lambda i: (PLAIN % (i, i)).replace(b"@", b" "),
}


def median_seconds(work: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """Return the median time of a call, after one call that is not counted."""
    work()
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def blocks_of(data: bytes) -> Iterator[bytes]:
    return (data[i : i + BLOCK] for i in range(0, len(data), BLOCK))


def scan(data: bytes) -> int:
    scanner = SpanScanner(chunk_rows=CHUNK_ROWS)
    for block in blocks_of(data):
        scanner.feed(block)
    return scanner.finish().row_count


def copy(data: bytes) -> int:
    return sum(len(bytearray(block)) for block in blocks_of(data))


def main() -> None:
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else "32") * 1e6)
    print(f"scanner, blocks of {BLOCK // 1024} KiB, files of {size / 1e6:.0f} MB")
    for name, row in FILES.items():
        data = HEADER + b"".join(map(row, range(size // len(row(1)))))
        speed, roof = (len(data) / median_seconds(partial(work, data)) / 1e6 for work in (scan, copy))
        print(f"  {name:30} {speed:8,.0f} MB/s   copy {roof:8,.0f} MB/s")
    print(f"check_chunk, {CHUNK_ROWS:,} rows per chunk")
    columns = Columns(("id", "name", "email", "status"))
    for name, row in CHUNKS.items():
        data = b"".join(map(row, range(CHUNK_ROWS)))
        check = partial(check_chunk, ENTITIES["Contact"], columns, data, ",", 1)
        seconds = median_seconds(check, 300)
        print(f"  {name:30} {CHUNK_ROWS / seconds:12,.0f} rows/s")


if __name__ == "__main__":
    main()
