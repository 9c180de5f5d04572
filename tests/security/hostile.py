"""Hostile uploads: what is sent, byte by byte, and the answer that is documented for it."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat

from tests.support.files import CONTACTS, HEADER, ROW
from tests.support.forms import BOUNDARY, END, FILE_HEAD, MULTIPART, fields, file_part, form, part, section

MIB = 1024**2
#: Of the worker that they are sent to.
LIMITS = {
    "MAX_UPLOAD_BYTES": str(40 * MIB),
    "MAX_GZIP_RATIO": "50",
    "REQUEST_HEAD_TIMEOUT": "3",
    "UPLOAD_IDLE_TIMEOUT": "5",
    "UPLOAD_MIN_RATE": "2000",
    "UPLOAD_TIMEOUT": "15",
    "ORPHAN_AGE": "30",
}

Sent = bytes | Iterable[bytes]
#: Made when it is needed: some of it is large.
Making = Callable[[], bytes]


@dataclass(frozen=True)
class Attack:
    """A request and its answer: no code where it is taken, that of what is no HTTP where none is named."""

    request: Sent | Callable[[], Sent]
    status: int
    refusal: str = "BAD_REQUEST"

    @property
    def code(self) -> str:
        """The code of the answer; empty where there is none."""
        return "" if self.status == 201 else self.refusal


def post(body: Sent, *headers: str, content_type: str = MULTIPART, length: int | None = None) -> Iterator[bytes]:
    """A POST of this body. ``length``: what it claims, where that differs; -1 for nothing at all."""
    if isinstance(body, bytes) and length is None:
        length = len(body)
    lines = ["POST /bulk-actions HTTP/1.1", "Host: localhost", f"Content-Type: {content_type}", *headers]
    if length is not None and length >= 0:
        lines.append(f"Content-Length: {length}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    # A small request comes in one piece, so that what is wrong with it is seen before it is begun to be handled.
    yield from [head + body] if isinstance(body, bytes) else chain([head], body)


def upload(content: Making, **values: str | None) -> Callable[[], Sent]:
    """A form with a file that is made when it is sent."""
    return lambda: post(form(content(), **values))


def endless(start: bytes, block: bytes, times: int) -> Iterator[bytes]:
    """A POST that begins like this and goes on like that."""
    yield from post(iter([start, *[block] * times]), length=len(start) + len(block) * times)


def chunked(*pieces: bytes) -> Iterator[bytes]:
    yield from post(b"".join(pieces), "Transfer-Encoding: chunked", length=-1)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# Content

BINARY = {
    "zip": b"PK\x03\x04" + bytes(60),
    "workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff\xe0JFIF",
    "gif": b"GIF89a,b,c",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bzip2": b"BZh91AY&SY",
    "rar": b"Rar!\x1a\x07\x01\x00",
    "sqlite": b"SQLite format 3\x00",
    "parquet": b"PAR1\x15\x04",
    "avro": b"Obj\x01\x04",
    "program": b"\x7fELF\x02\x01",
    "zlib": zlib.compress(CONTACTS * 50),
    "nul": HEADER + b"a\0b,\n",
}
OTHER_TEXT = {
    "html": b"<!DOCTYPE html>\n<table><tr><td>id,name,email,status</table>\n",
    "xml": b'<?xml version="1.0"?>\n<contacts/>\n',
    "xml entities": b'<!DOCTYPE lolz [<!ENTITY lol "lol">]>\n&lol;\n'.replace(b"<!D", b"<?xml ?><!D"),
    "json": b'[{"id": "1", "name": "A", "email": "a@b.co", "status": "active"}]\n',
    "json lines": b'{"id": "1"}\n{"id": "2"}\n',
    "rtf": b"{\\rtf1\\ansi id,name,email,status}\n",
    "mail": b"From: a@b.co\nTo: b@b.co\n",
}
CSV_BOMBS: dict[str, tuple[Making, str]] = {
    "giant field": (lambda: HEADER + b"1," + b"x" * 5 * MIB, "INVALID_CSV"),
    "giant quoted field": (lambda: HEADER + b'1,"' + b"x\n" * 3 * MIB + b'"', "INVALID_CSV"),
    "endless line": (lambda: HEADER + b"a," * 3 * MIB, "INVALID_CSV"),
    "quote never closed": (lambda: HEADER + b'1,"' + ROW * 200_000, "INVALID_CSV"),
    "nothing but quotes": (lambda: HEADER + b'"' * 5 * MIB, "INVALID_CSV"),
    "nothing but lone quotes": (lambda: HEADER + b'a"' * 3 * MIB, "INVALID_CSV"),
    "endless header": (lambda: b"a," * 3 * MIB, "INVALID_CSV"),
    "header of many columns": (lambda: b"a," * 100_000 + b"\n" + ROW, "INVALID_HEADER"),
    "header of many known columns": (lambda: b"id,name,email,status," * 5000 + b"\n" + ROW, "INVALID_HEADER"),
    "nothing but commas": (lambda: b",\n" * 3 * MIB, "INVALID_CSV"),
    "nothing but blank lines": (lambda: b"\n" * 900_000, "EMPTY_FILE"),
}
#: They do no harm: what is in them is data, and rows that are wrong fail alone.
HARMLESS = {
    "formula": HEADER + b"=1+1,\"=cmd|' /C calc'!A0\",@SUM(A1:A9)@example.com,active\n",
    "hyperlink": HEADER + b'1,"=HYPERLINK(""http://evil.example"")",a@b.co,active\n',
    "script": HEADER + b"<script>alert(1)</script>,${jndi:ldap://x},a@b.co,active\n",
    "operators": HEADER + b'{"$ne": 1},$where,a@b.co,active\n',
    "row of many columns": HEADER + b"a," * 300_000 + b"\n",
    "many rows of one quote": HEADER + b'"\n' * 2,
    "controls": HEADER + bytes(range(1, 9)) + b",\x7f,\x1b[2J@b.co,active\n",
    "crs": HEADER + b"1,A,a@b.co,active\r" * 1000,
}

# Packed files

TEXT = HEADER + b"".join(b"%d,Ada,a%d@example.com,active\n" % (n, n) for n in range(3000))
PACKED = gzip.compress(TEXT)


def large() -> bytes:
    text = os.urandom(21 * MIB).hex().encode()
    return gzip.compress(HEADER + b"\n".join(text[start : start + 500] for start in range(0, len(text), 500)), 1)


GZIP: dict[str, tuple[Making, int, str]] = {
    "bomb of zeros": (lambda: gzip.compress(b"\0" * 100 * MIB), 400, "NOT_CSV"),
    "bomb of rows": (lambda: gzip.compress(HEADER + ROW * 1_000_000), 413, "GZIP_TOO_DENSE"),
    "bomb of members": (lambda: gzip.compress(HEADER) + gzip.compress(ROW * 50_000) * 20, 413, "GZIP_TOO_DENSE"),
    "large when unpacked": (large, 413, "FILE_TOO_LARGE"),
    "large and empty": (lambda: gzip.compress(HEADER) + gzip.compress(b"") * 2_200_000, 400, "BROKEN_GZIP"),
    "nested": (lambda: gzip.compress(PACKED), 400, "NOT_CSV"),
    "nested thrice": (lambda: gzip.compress(gzip.compress(PACKED)), 400, "NOT_CSV"),
    "an image": (lambda: gzip.compress(BINARY["png"]), 400, "NOT_CSV"),
    "an archive": (lambda: gzip.compress(b"contacts.csv" + bytes(500)), 400, "NOT_CSV"),
    "a page": (lambda: gzip.compress(OTHER_TEXT["html"]), 400, "NOT_CSV"),
    "nothing": (lambda: gzip.compress(b""), 400, "EMPTY_FILE"),
    "header only": (lambda: gzip.compress(HEADER), 400, "NO_ROWS"),
    "a csv bomb": (lambda: gzip.compress(HEADER + b"x" * 5 * MIB), 400, "INVALID_CSV"),
    "cut": (lambda: PACKED[: len(PACKED) // 2], 400, "BROKEN_GZIP"),
    "cut in its head": (lambda: PACKED[:5], 400, "BROKEN_GZIP"),
    "cut in its tail": (lambda: PACKED[:-1], 400, "BROKEN_GZIP"),
    "wrong checksum": (lambda: PACKED[:-8] + bytes(4) + PACKED[-4:], 400, "BROKEN_GZIP"),
    "wrong length": (lambda: PACKED[:-4] + bytes(4), 400, "BROKEN_GZIP"),
    "garbage inside": (lambda: PACKED[:2000] + b"\xff" * 50 + PACKED[2050:], 400, "BROKEN_GZIP"),
    "garbage behind": (lambda: PACKED + b"garbage", 400, "BROKEN_GZIP"),
    "unknown method": (lambda: b"\x1f\x8b\x07" + PACKED[3:], 400, "BROKEN_GZIP"),
    "endless name": (lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 5 * MIB, 400, "BROKEN_GZIP"),
}

# Parts

EVIL_HEADS: dict[str, tuple[bytes, int, str]] = {
    "injected header": (FILE_HEAD + b"\r\nX-Account: other\r\naccountid: other", 201, ""),
    "bare line feed": (FILE_HEAD + b"\nX-Evil: 1", 201, ""),
    "lone carriage return": (FILE_HEAD + b"; x=\rX-Evil: 1", 400, "BROKEN_MULTIPART"),
    "folded": (FILE_HEAD + b";\r\n filename=other.csv", 400, "BROKEN_MULTIPART"),
    "controls": (FILE_HEAD + b"; x=\x01\x1b", 400, "BROKEN_MULTIPART"),
    "33 headers": (FILE_HEAD + b"".join(b"\r\nX-%d: y" % n for n in range(33)), 400, "BROKEN_MULTIPART"),
    "a long parameter": (FILE_HEAD + b"; x=" + b"y" * 9000, 400, "BROKEN_MULTIPART"),
    "many parameters": (FILE_HEAD + b";a=b" * 1500, 400, "FILE_REQUIRED"),
    "lines in an extended name": (
        FILE_HEAD.replace(b'="upload.csv"', b"*=UTF-8''a%0D%0AX-Evil:%201.csv"),
        400,
        "FILE_REQUIRED",
    ),
    "two types": (FILE_HEAD + b"\r\nContent-Type: text/csv\r\nContent-Type: image/png", 400, "BROKEN_MULTIPART"),
    "a message": (FILE_HEAD + b"\r\nContent-Type: message/rfc822", 201, ""),
    "encoding br": (FILE_HEAD + b"\r\nContent-Encoding: br", 415, "UNSUPPORTED_ENCODING"),
    "encoding deflate": (FILE_HEAD + b"\r\nContent-Encoding: deflate", 415, "UNSUPPORTED_ENCODING"),
    "encoding twice": (FILE_HEAD + b"\r\nContent-Encoding: gzip, gzip", 415, "UNSUPPORTED_ENCODING"),
    "encoding gzip, but plain": (FILE_HEAD + b"\r\nContent-Encoding: gzip", 400, "BROKEN_GZIP"),
    "base64": (FILE_HEAD + b"\r\nContent-Transfer-Encoding: base64", 415, "UNSUPPORTED_ENCODING"),
    "quoted-printable": (
        FILE_HEAD + b"\r\nContent-Transfer-Encoding: quoted-printable",
        415,
        "UNSUPPORTED_ENCODING",
    ),
}


def nested(depth: int) -> bytes:
    """Parts in parts."""
    body = CONTACTS
    for level in range(depth):
        body = b'--in%d\r\nContent-Disposition: form-data; name="file"; filename="u.csv"\r\n\r\n%s\r\n--in%d--' % (
            level,
            body,
            level,
        )
        body = b"Content-Type: multipart/mixed; boundary=in%d\r\n\r\n%s" % (level, body)
    return f"--{BOUNDARY}\r\n".encode() + FILE_HEAD + b"\r\n" + body + b"\r\n"


# Mappings

MAPPINGS = {
    "no json": "id=Nr",
    "cut json": '{"id": "id"',
    "a list": '["id"]',
    "a text": '"id"',
    "null": "null",
    "deep": "[" * 10_000,
    "deep objects": '{"a":' * 3000,
    "a number": '{"id": 1}',
    "an object inside": '{"id": {"$ne": 1}}',
    "twice": '{"id": "id", "id": "name"}',
    "twice in other letters": '{"id": "id", "ID": "name"}',
    "unknown column": '{"nope": "id"}',
    "unknown field": '{"id": "_id"}',
    "field of the platform": '{"id": "accountId"}',
    "prototype": '{"__proto__": "id"}',
    "two to one": '{"name": "id"}',
    "lone surrogate": '{"\\ud800": "id"}',
}


def attacks() -> Iterator[tuple[str, Attack]]:
    """All of them, by name."""
    wait = "2100-01-01T00:00:00Z"
    ok = fields(scheduledAt=wait)

    for name, content in {**BINARY, **OTHER_TEXT}.items():
        yield f"content: {name}", Attack(post(form(content)), 400, "NOT_CSV")
    for name, (content, code) in CSV_BOMBS.items():
        yield f"csv: {name}", Attack(upload(content), 400, code)
    for name, content in HARMLESS.items():
        yield f"csv: {name}", Attack(post(form(content, scheduledAt=wait)), 201)
    for name, (content, status, code) in GZIP.items():
        yield f"gzip: {name}", Attack(upload(content), status, code)
    for name, content in {"members": PACKED + gzip.compress(ROW), "zeros behind": PACKED + bytes(1000)}.items():
        yield f"gzip: {name}", Attack(post(form(content, scheduledAt=wait)), 201)
    said = FILE_HEAD + b"\r\nContent-Encoding: gzip"
    yield "gzip: said and done", Attack(post(ok + section(said, PACKED) + END), 201)
    twice = section(said, gzip.compress(PACKED))
    yield "gzip: said, and packed twice", Attack(post(ok + twice + END), 400, "NOT_CSV")
    for encoding in ("gzip", "deflate", "br", "gzip, gzip", "x-nope"):
        packed = gzip.compress(form(CONTACTS)) if encoding == "gzip" else form(CONTACTS)
        yield f"body: {encoding}", Attack(post(packed, f"Content-Encoding: {encoding}"), 415, "UNSUPPORTED_ENCODING")
    bomb = gzip.compress(b"\0" * 8 * MIB)
    yield "body: a bomb", Attack(post(bomb, "Content-Encoding: gzip"), 415, "UNSUPPORTED_ENCODING")

    broken = "BROKEN_MULTIPART"
    for name, (head, status, code) in EVIL_HEADS.items():
        yield f"part: {name}", Attack(post(ok + section(head) + END), status, code)
    line, header = f"--{BOUNDARY}\r\n".encode(), b"X: y\r\n" * 20_000
    yield "part: a million headers", Attack(endless(line, header, 50), 400, broken)
    yield "part: a header of 100 MB", Attack(endless(line + b"X: ", b"y" * MIB, 100), 400, broken)
    yield "part: a name of 100 MB", Attack(endless(line + FILE_HEAD[:-3], b"y" * MIB, 100), 400, broken)
    yield "part: headers without an end", Attack(post(line + FILE_HEAD), 400, broken)
    for depth in (1, 2, 50):
        yield f"nested: {depth}", Attack(post(ok + nested(depth) + END), 400, broken)
    yield "nested: cut", Attack(post((ok + nested(3))[:-60]), 400, broken)
    no_boundary = section(FILE_HEAD + b"\r\nContent-Type: multipart/mixed")
    yield "nested: without a boundary", Attack(post(ok + no_boundary + END), 400, broken)
    digest = section(FILE_HEAD + b"\r\nContent-Type: multipart/digest; boundary=" + BOUNDARY.encode())
    yield "nested: with our own boundary", Attack(post(ok + digest + END), 400, broken)

    yield "form: a preamble of 100 MB", Attack(endless(b"", b"x" * 998 + b"\r\n", 100_000), 413, "FORM_TOO_LARGE")
    yield "form: a first line of 100 MB", Attack(endless(b"", b"x" * MIB, 100), 400, broken)
    yield "form: an epilogue of 20 MB", Attack(endless(ok + file_part(CONTACTS) + END, b"x\r\n" * 1000, 7000), 201)
    yield "form: many parts", Attack(post(part("more", "x") * 100_000), 400, "TOO_MANY_PARTS")
    yield "form: many files", Attack(post(fields() + file_part(CONTACTS) * 1000 + END), 400, "TOO_MANY_FILES")
    endless_field = fields() + part("note", "")[:-2]
    yield "form: a field of 100 MB", Attack(endless(endless_field, b"x" * MIB, 100), 400, "FIELD_TOO_LONG")
    yield (
        "form: a file without an end",
        Attack(endless(fields() + file_part(HEADER)[:-2], ROW * 1000, 500), 400, broken),
    )
    yield (
        "form: a file of 100 MB",
        Attack(endless(fields() + file_part(HEADER)[:-2], ROW * 1000, 2400), 413, "FILE_TOO_LARGE"),
    )
    yield (
        "boundary: inside a line",
        Attack(post(form(HEADER + f"1,--{BOUNDARY},a@b.co,active\n".encode(), scheduledAt=wait)), 201),
    )
    yield "boundary: begun in the file", Attack(post(form(CONTACTS + f"\r\n--{BOUNDARY}x\r\n".encode())), 400, broken)
    yield (
        "boundary: ended in the file",
        Attack(post(form(HEADER + f"\r\n--{BOUNDARY}--\r\n".encode() + ROW)), 400, "NO_ROWS"),
    )
    yield (
        "boundary: not ascii",
        Attack(post(form(CONTACTS), content_type="multipart/form-data; boundary=\u00fc"), 400, broken),
    )
    yield "boundary: quotes", Attack(post(form(CONTACTS), content_type='multipart/form-data; boundary="'), 400, broken)
    yield (
        "boundary: two",
        Attack(post(form(CONTACTS), content_type=f"multipart/form-data; boundary=a; boundary={BOUNDARY}"), 400, broken),
    )

    for name, mapping in MAPPINGS.items():
        yield f"mapping: {name}", Attack(post(form(CONTACTS, mapping=mapping)), 400, "INVALID_MAPPING")
    yield "mapping: huge", Attack(post(form(CONTACTS, mapping=json.dumps({"x" * 20_000: "id"}))), 400, "FIELD_TOO_LONG")
    yield "mapping: nothing left", Attack(post(form(CONTACTS, mapping='{"id": null}')), 400, "INVALID_HEADER")
    for name in ("scheduled_at", "upload", "file2", "\u00fc" * 2000, "$where"):
        yield f"field: {name[:20]!r}", Attack(post(form(CONTACTS, **{name: "x"})), 400, "UNKNOWN_FIELD")
    for delimiter in ("", "\0", '"', "ab", ",;", "\u00fc", "'", " , ;"):
        yield f"delimiter: {delimiter!r}", Attack(post(form(CONTACTS, delimiter=delimiter)), 400, "INVALID_DELIMITER")

    for encoding in ("klingon", "utf-7", "idna", "../utf-8", "rot13", "", "\u00fc" * 200):
        yield f"encoding: {encoding[:20]!r}", Attack(post(form(CONTACTS, encoding=encoding)), 400, "INVALID_ENCODING")
    mixed = HEADER + "1,Ren\u00e9,r@example.com,active\n".encode("cp1252") + ROW * 20_000
    for name, content, encoding in (
        ("wrong byte", CONTACTS + b"2,\x81,x@example.com,active\n", "windows-1252"),
        ("wrong byte at the end", HEADER + ROW * 40_000 + b"\x90", "cp1252"),
        ("half a character", CONTACTS, "utf-16le"),
        ("lone surrogates", "\ufeff".encode("utf-16-le") + b"\x00\xd8" * MIB, None),
        ("UTF-8 behind something else", mixed + "3,J\u00fcrgen,j@example.com,active\n".encode() * 20, None),
    ):
        yield f"encoding: {name}", Attack(post(form(content, encoding=encoding)), 400, "ENCODING_MISMATCH")
    yield "encoding: UTF-7", Attack(post(form(HEADER + b"1,+AOk-,a@b.co,active\n", scheduledAt=wait)), 201)

    yield "length: less than the body", Attack(post(form(CONTACTS), length=len(form(CONTACTS)) - 10), 400)
    yield "length: negative", Attack(post(form(CONTACTS), "Content-Length: -1", length=-1), 400)
    yield "length: a word", Attack(post(form(CONTACTS), "Content-Length: many", length=-1), 400)
    yield "length: beyond all numbers", Attack(post(form(CONTACTS), f"Content-Length: {'9' * 30}", length=-1), 400)
    yield "length: two", Attack(post(form(CONTACTS), "Content-Length: 5"), 400)
    yield "length: beside chunks", Attack(post(form(CONTACTS), "Transfer-Encoding: chunked"), 400)
    yield "transfer: unknown", Attack(post(form(CONTACTS), "Transfer-Encoding: zip", length=-1), 400)
    yield "transfer: chunked twice", Attack(post(form(CONTACTS), "Transfer-Encoding: chunked, chunked", length=-1), 400)
    whole = form(CONTACTS, scheduledAt=wait)
    bytewise = b"".join(chunk(whole[n : n + 1]) for n in range(len(whole)))
    yield "chunks: one byte each", Attack(chunked(bytewise, b"0\r\n\r\n"), 201)
    for name, piece in {
        "no size": b"zz\r\n",
        "a negative size": b"-5\r\nabc\r\n",
        "a size beyond all numbers": b"F" * 40 + b"\r\nabc",
        "a size with blanks": b" 5 \r\nhello\r\n",
        "more than said": b"3\r\nhello\r\n",
        "endless size": b"1" * 50_000,
    }.items():
        yield f"chunks: {name}", Attack(chunked(chunk(whole[:50]), piece), 400)
    extended = chunk(whole[:50]) + b"3;" + b"x" * 50_000 + b"\r\nabc\r\n"
    yield "chunks: a long extension", Attack(chunked(extended, b"0\r\n\r\n"), 400, broken)
    endless_extension = chain([chunk(whole[:50]) + b"3;"], repeat(b"x" * MIB, 100))
    yield (
        "chunks: an extension of 100 MB",
        Attack(post(endless_extension, "Transfer-Encoding: chunked"), 408, "UPLOAD_TOO_SLOW"),
    )

    yield "head: no http", Attack(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400)
    yield "head: an endless line", Attack(iter([b"POST /", *[b"x" * 64_000] * 20]), 400)
    yield "head: an endless header", Attack(iter([b"POST / HTTP/1.1\r\nX: ", *[b"x" * 64_000] * 20]), 400)
    yield "head: a million headers", Attack(iter([b"POST / HTTP/1.1\r\n", *[b"X: y\r\n" * 20_000] * 50]), 400)
    yield "head: nul", Attack(b"POST /bulk-actions HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400)
    yield "head: folded", Attack(b"POST /bulk-actions HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", 400)
