"""Bad input to a running worker: refused with a clear word, and nothing of it is left behind."""

from __future__ import annotations

import base64
import io
import re
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator

import pytest

from tests.support.assertions import error_of
from tests.support.clients import UploadClient, connect
from tests.support.files import CONTACTS, HEADER, ROW
from tests.support.forms import BOUNDARY, END, FILE_HEAD, MULTIPART, fields, file_part, form, part, section
from tests.support.waiting import wait_for
from tests.support.workers import Worker
from web.routes import ROUTES
from web.views.base import ApiView

MAX_UPLOAD, MAX_FIELD = 2_000_000, 2_000  # of the shared worker

BROKEN = "The multipart body is broken: it ends early or its parts cannot be told apart."
NOT_FOUND = "Bulk action not found"


@pytest.fixture
def client(worker: Worker, shared_environment: dict[str, str]) -> UploadClient:
    return UploadClient.of(worker, shared_environment)


@pytest.fixture
def uploads(client: UploadClient) -> Iterator[UploadClient]:
    """A client of which nothing may be taken: what is stored before a test and after it is the same."""
    before = client.files(), client.actions()
    yield client
    assert (client.files(), client.actions()) == before
    assert client.worker.client.get("/health").json() == {"status": "UP"}


# Files


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("contacts.csv", content)
    return packed.getvalue()


CYRILLIC = HEADER + "ru1,Сергей Смирнов,ru1@example.com,active\n".encode("cp1251") * 3

FILES: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "EMPTY_FILE", r"^The file is empty\.$"),
    "only blank lines": (b"\n\r\n\n", "EMPTY_FILE", r"^The file is empty\.$"),
    "only a byte-order mark": (b"\xef\xbb\xbf", "EMPTY_FILE", r"^The file is empty\.$"),
    "header only": (HEADER, "NO_ROWS", "has a header but no data rows"),
    "header without line end": (HEADER.strip(), "NO_ROWS", "has a header but no data rows"),
    "header and blank lines": (HEADER + b"\n\n\r\n", "NO_ROWS", "has a header but no data rows"),
    "a column missing": (b"id,name,status\n1,A,active\n", "INVALID_HEADER", r"^Missing columns: email\. "),
    "columns missing": (b"id,phone\n1,2\n", "INVALID_HEADER", r"^Missing columns: name, email, status\. .*id, phone"),
    "no header": (ROW * 2, "INVALID_HEADER", r"^Missing columns: id, name, email, status\. .*refused1@example\.com"),
    "a column twice": (b"id,name,email,status,Email\n1,A,a@b.co,active,b@b.co\n", "INVALID_HEADER", "twice: email"),
    "an open quote in the header": (b'id,"name,email,status\n' + ROW, "INVALID_HEADER", ""),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), "NOT_CSV", "a PNG image"),
    "zip": (zipped(CONTACTS), "NOT_CSV", "zip"),
    "nul bytes": (HEADER + b"a\0b\n", "NOT_CSV", "binary"),
    "random bytes": (bytes(range(254, 0, -1)) * 50, "NOT_CSV", "not UTF-8"),
    "cyrillic": (CYRILLIC, "NOT_CSV", "not UTF-8, and does not show what else it is: please save .* as UTF-8"),
    "utf-32": (CONTACTS.decode().encode("utf-32"), "NOT_CSV", "UTF-32.*UTF-8"),
    "a large field": (HEADER + b"1," + b"x" * (MAX_FIELD + 1) + b",a@b.co,active\n", "INVALID_CSV", "field larger"),
    "a quote never closed": (HEADER + ROW * 9 + b'2,"open' + ROW * 99, "INVALID_CSV", "field larger"),
    "endless blank lines": (CONTACTS + b"\n" * 1_200_000, "INVALID_CSV", ""),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("fields_first", [True, False], ids=["fields first", "file first"])
def test_bad_file_is_refused(uploads: UploadClient, kind: str, fields_first: bool) -> None:
    """A bad file is refused, and the message says what is wrong with it."""
    content, code, words = FILES[kind]
    parts = [fields(), file_part(content)]
    status, told_code, message = uploads.refuse(b"".join(parts if fields_first else parts[::-1]) + END)
    assert (status, told_code) == (400, code)
    assert re.search(words, message), message


@pytest.mark.parametrize("surplus", [1, 500_000])
def test_file_above_limit(uploads: UploadClient, surplus: int) -> None:
    """A file above the limit is too large."""
    content = (CONTACTS + ROW * (MAX_UPLOAD // len(ROW) + 1))[:MAX_UPLOAD] + b"x" * surplus
    status, code, message = uploads.refuse(form(content))
    assert (status, code) == (413, "FILE_TOO_LARGE")
    assert str(MAX_UPLOAD) in message


def test_file_and_field_of_the_limit(client: UploadClient) -> None:
    """A file and a field of exactly the limit are taken."""
    content = HEADER + b"1," + b"x" * MAX_FIELD + b",a@b.co,active\n"
    content += b"y" * 999 + b"\n" * (MAX_UPLOAD - len(content) - 999 - 1_000_000)
    content += (b"z" * 99 + b"\n") * ((MAX_UPLOAD - len(content)) // 100)
    content += b"\n" * (MAX_UPLOAD - len(content))
    assert len(content) == MAX_UPLOAD
    answer = client.post(form(content, scheduledAt="2100-01-01T00:00:00Z"))
    assert answer.status_code == 201, answer.text


# Fields

FIELDS_REQUIRED = "Both entityType and actionType fields are required."
ACTION_UNSUPPORTED = "The specified actionType is not supported."
ENTITY_UNSUPPORTED = "The specified entityType is not supported."

FIELDS: dict[str, tuple[dict[str, str | None], str, str]] = {
    "no actionType": ({"actionType": None}, "FIELDS_REQUIRED", FIELDS_REQUIRED),
    "no entityType": ({"entityType": None}, "FIELDS_REQUIRED", FIELDS_REQUIRED),
    "neither": ({"actionType": None, "entityType": None}, "FIELDS_REQUIRED", FIELDS_REQUIRED),
    "empty actionType": ({"actionType": ""}, "FIELDS_REQUIRED", FIELDS_REQUIRED),
    "blank entityType": ({"entityType": " \t "}, "FIELDS_REQUIRED", FIELDS_REQUIRED),
    "unknown actionType": ({"actionType": "BULK_EXPLODE"}, "ACTION_TYPE_UNSUPPORTED", ACTION_UNSUPPORTED),
    "unknown entityType": ({"entityType": "Spaceship"}, "ENTITY_TYPE_UNSUPPORTED", ENTITY_UNSUPPORTED),
    "entityType with NUL": ({"entityType": "Contact\0"}, "ENTITY_TYPE_UNSUPPORTED", ENTITY_UNSUPPORTED),
    "delimiter of two": ({"delimiter": ",,"}, "INVALID_DELIMITER", "delimiter must be one of , ; | or tab."),
    "delimiter quote": ({"delimiter": '"'}, "INVALID_DELIMITER", "delimiter must be one of , ; | or tab."),
    "delimiter letter": ({"delimiter": "a"}, "INVALID_DELIMITER", "delimiter must be one of , ; | or tab."),
    "delimiter of another file": (
        {"delimiter": ";"},
        "INVALID_HEADER",
        "Missing columns: id, name, email, status. The file has: id,name,email,status. "
        'It seems to use "," between the columns: please send delimiter=comma, or leave delimiter out.',
    ),
    "encoding of nobody": (
        {"encoding": "klingon"},
        "INVALID_ENCODING",
        "encoding must be auto or one of utf-8, utf-16, utf-16le, utf-16be, windows-1252, iso-8859-15.",
    ),
    "encoding of another file": (
        {"encoding": "utf-16"},
        "ENCODING_MISMATCH",
        "The file is not utf-16le, as encoding says: the file ends within a character (0x0A).",
    ),
    "scheduledAt word": (
        {"scheduledAt": "tomorrow"},
        "INVALID_SCHEDULE",
        "scheduledAt must be an ISO 8601 date and time such as 2030-01-31T09:00:00Z, not 'tomorrow'.",
    ),
    "scheduledAt date": (
        {"scheduledAt": "2030-01-31"},
        "INVALID_SCHEDULE",
        "scheduledAt must be an ISO 8601 date and time such as 2030-01-31T09:00:00Z, not '2030-01-31'.",
    ),
    "scheduledAt out of range": (
        {"scheduledAt": "0001-01-01T00:00:00+23:59"},
        "INVALID_SCHEDULE",
        "scheduledAt must be an ISO 8601 date and time such as 2030-01-31T09:00:00Z, not '0001-01-01T00:00:00+23:59'.",
    ),
}


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("fields_first", [True, False], ids=["fields first", "file first"])
def test_bad_field_is_refused(uploads: UploadClient, kind: str, fields_first: bool) -> None:
    """A bad field is refused wherever it stands, in the words that clients know."""
    values, code, message = FIELDS[kind]
    parts = [fields(**values), file_part(CONTACTS)]
    assert uploads.refuse(b"".join(parts if fields_first else parts[::-1]) + END) == (400, code, message)


@pytest.mark.parametrize("fields_first", [True, False], ids=["fields first", "file first"])
def test_overlong_field_is_named(uploads: UploadClient, fields_first: bool) -> None:
    """An overlong field is refused by its name."""
    parts = [fields(note="x" * 20_000), file_part(CONTACTS)]
    status, code, message = uploads.refuse(b"".join(parts if fields_first else parts[::-1]) + END)
    assert (status, code) == (400, "FIELD_TOO_LONG")
    assert "note" in message


def test_non_utf8_field_is_named(uploads: UploadClient) -> None:
    """A field that is not UTF-8 is refused by its name."""
    status, code, message = uploads.refuse(fields() + part("scheduledAt", b"\xff\xfe") + file_part(CONTACTS) + END)
    assert (status, code) == (400, "FIELD_NOT_UTF8")
    assert "scheduledAt" in message


# The form itself

NO_FILE = (400, "FILE_REQUIRED", "Please upload a CSV file to proceed.")
PARTS_BROKEN = (400, "BROKEN_MULTIPART", BROKEN)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (fields() + END, MULTIPART),
        (END, MULTIPART),
        (fields() + part("file", CONTACTS) + END, MULTIPART),
        (fields() + part("upload", CONTACTS, "upload.csv") + END, MULTIPART),
        (CONTACTS, "text/csv"),
        (b'{"actionType": "BULK_UPDATE"}', "application/json"),
        (b"actionType=BULK_UPDATE&entityType=Contact", "application/x-www-form-urlencoded"),
        (form(CONTACTS), MULTIPART.replace("form-data", "mixed")),
        (b"", ""),
        (b"", ";;;"),
    ],
    ids=["fields only", "no part", "no filename", "other name", "csv", "json", "urlencoded", "mixed", "none", "odd"],
)
def test_missing_file_is_asked_for(uploads: UploadClient, body: bytes, content_type: str) -> None:
    """A request without a file is asked for one."""
    assert uploads.refuse(body, content_type) == NO_FILE


WHOLE = form(CONTACTS)
#: Where a form may be cut off so that it cannot be taken for a whole one.
CUTS = {
    "in the file": WHOLE.index(ROW) + 10,
    "behind the file": len(WHOLE) - len(END) - 2,
    "before the end": len(WHOLE) - len(END),
    "in the end": len(WHOLE) - len(END) + 5,
    "without its last dashes": len(WHOLE) - 4,
    "in a field": WHOLE.index(b"Contact") + 3,
    "behind a field": len(fields()),
}


@pytest.mark.parametrize("cut", CUTS)
def test_cut_off_form_is_broken(uploads: UploadClient, cut: str) -> None:
    """A form that ends early is not a shorter file, but broken."""
    assert uploads.refuse(WHOLE[: CUTS[cut]]) == PARTS_BROKEN


def test_cut_off_large_file_is_broken(uploads: UploadClient) -> None:
    """A large file that ends early is broken."""
    assert uploads.refuse(form(CONTACTS + ROW * 30_000)[:1_000_000]) == PARTS_BROKEN


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (WHOLE, "multipart/form-data"),
        (WHOLE, "multipart/form-data; boundary="),
        (WHOLE, f"multipart/form-data; boundary={'b' * 71}"),
        (WHOLE, "multipart/form-data; boundary=another"),
        (b"", MULTIPART),
        (b"garbage" * 1000, MULTIPART),
        (bytes(range(256)) * 100, MULTIPART),
        (WHOLE.replace(b"\r\n", b"\n"), MULTIPART),
    ],
    ids=["no boundary", "empty boundary", "long boundary", "other boundary", "empty", "garbage", "binary", "bare lf"],
)
def test_inseparable_parts_are_broken(uploads: UploadClient, body: bytes, content_type: str) -> None:
    """Parts that cannot be told apart are broken."""
    assert uploads.refuse(body, content_type) == PARTS_BROKEN


#: Parts whose headers cannot be read.
HEADS = {
    "cut in a header name": WHOLE[: len(fields()) + len(BOUNDARY) + 12],
    "no colon": section(b"no colon here") + WHOLE,
    "no name": section(b": form-data") + WHOLE,
    "a long line": section(b"X: " + b"y" * 20_000) + WHOLE,
    "an endless header": section(b"X: " + b"y" * 300_000) + WHOLE,
    "many headers": section(b"\r\n".join(b"X%d: y" % n for n in range(500))) + WHOLE,
    "nul in the file name": fields() + section(FILE_HEAD.replace(b"upload", b"up\0load")) + END,
    "nul in a header": fields() + section(FILE_HEAD + b"\r\nX: a\0b") + END,
    "blank in a header name": fields() + section(FILE_HEAD.replace(b"-D", b" D")) + END,
}


@pytest.mark.parametrize("kind", HEADS)
def test_unreadable_part_headers(uploads: UploadClient, kind: str) -> None:
    """A part whose headers cannot be read is broken."""
    assert uploads.refuse(HEADS[kind]) == PARTS_BROKEN


ODD_HEADS = {
    "unknown length": FILE_HEAD + b"\r\nContent-Length: many",
    "negative length": FILE_HEAD + b"\r\nContent-Length: -1",
    "wrong length": FILE_HEAD + b"\r\nContent-Length: 3",
    "huge length": FILE_HEAD + b"\r\nContent-Length: 99999999999999999999",
    "unknown encoding": FILE_HEAD + b"\r\nContent-Transfer-Encoding: rot13",
    "base64": FILE_HEAD + b"\r\nContent-Transfer-Encoding: base64",
    "unknown compression": FILE_HEAD + b"\r\nContent-Encoding: zip",
    "gzip": FILE_HEAD + b"\r\nContent-Encoding: gzip",
    "no type": FILE_HEAD + b"\r\nContent-Type:",
    "odd type": FILE_HEAD + b"\r\nContent-Type: \xff/\xfe; charset=\xfd",
    "twice": FILE_HEAD + b"\r\n" + FILE_HEAD,
    "continued name": FILE_HEAD.replace(b'filename="upload.csv"', b"filename*=utf-9''%ff%fe"),
    "odd continuation": FILE_HEAD.replace(b'filename="upload.csv"', b'filename*x="a"; filename*1="b"; filename*0="c"'),
}


@pytest.mark.parametrize("kind", ODD_HEADS)
def test_odd_part_headers(client: UploadClient, kind: str) -> None:
    """A file part with odd headers is taken as it is, or refused, and never an internal error."""
    before = client.files()
    answer = client.post(fields(scheduledAt="2100-01-01T00:00:00Z") + section(ODD_HEADS[kind]) + END)
    if answer.status_code != 201:
        assert error_of(answer)[0] in {400, 415}
        assert client.files() == before


@pytest.mark.parametrize("value", ["x" * 64, "nope", "utf-16", "\0", "", "base64"])
@pytest.mark.parametrize("action_type", [None, "BULK_EXPLODE"])
def test_charset_field_is_refused(uploads: UploadClient, value: str, action_type: str | None) -> None:
    """A charset field of any kind is refused as a part of the form."""
    status, code, _ = uploads.refuse(
        part("_charset_", value) + fields(actionType=action_type) + file_part(b"\xff" + CONTACTS) + END
    )
    assert status == 400
    assert code in {"BROKEN_MULTIPART", "FIELD_NOT_UTF8", "FIELDS_REQUIRED", "ACTION_TYPE_UNSUPPORTED"} | {"NOT_CSV"}


@pytest.mark.parametrize("name", [b"M\xfcller.csv", b"\xff\xfe", b"\xed\xa0\x80.csv", b"%FF.csv"])
def test_non_utf8_file_name_is_taken(client: UploadClient, name: bytes) -> None:
    """A file whose name is not UTF-8 is taken like any other."""
    head = FILE_HEAD.replace(b"upload.csv", name)
    answer = client.post(fields(scheduledAt="2100-01-01T00:00:00Z") + section(head) + END)
    assert answer.status_code == 201, answer.text
    shown = client.worker.action(answer.json()["actionId"])["fileName"]
    assert shown
    assert shown.encode().decode() == shown


@pytest.mark.parametrize(("value", "code"), [(b"x" * 20_000, "FIELD_TOO_LONG"), (b"\xff", "FIELD_NOT_UTF8")])
@pytest.mark.parametrize("name", [b"\xff", b"M\xfcller", b"\xed\xa0\x80"])
def test_non_utf8_field_name_is_refused(uploads: UploadClient, name: bytes, value: bytes, code: str) -> None:
    """A bad field whose name is not UTF-8 is refused like any other."""
    head = b'Content-Disposition: form-data; name="' + name + b'"'
    assert uploads.refuse(fields() + section(head, value) + file_part(CONTACTS) + END)[:2] == (400, code)


def test_two_files_are_one_too_many(uploads: UploadClient) -> None:
    status, code, message = uploads.refuse(fields() + file_part(CONTACTS) * 2 + END)
    assert (status, code, message) == (400, "TOO_MANY_FILES", "Please upload one file only.")


def test_endless_parts_are_refused(uploads: UploadClient) -> None:
    """A form of endless parts is refused."""
    status, code, _ = uploads.refuse(fields() + part("more", "x") * 1000 + file_part(CONTACTS) + END)
    assert (status, code) == (400, "TOO_MANY_PARTS")


def test_a_part_that_has_parts_is_refused(uploads: UploadClient) -> None:
    nested = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="u.csv"\r\n'
        "Content-Type: multipart/mixed; boundary=inner\r\n\r\n--inner\r\n\r\nx\r\n--inner--\r\n"
    )
    status, code, _ = uploads.refuse(fields() + nested.encode() + END)
    assert (status, code) == (400, "BROKEN_MULTIPART")


# Paths and methods

UNKNOWN_IDS = ["0" * 24, "x", "0" * 23, "0" * 25, "A" * 24, "%00", "%FF", "..%2F..", "%E6%BC%A2", "0" * 24 + "%0A"]
METHODS = ("get", "post", "put", "patch", "delete")


def routes_with_an_id() -> list[tuple[str, str]]:
    return [
        (method.upper(), path)
        for path, view in ROUTES
        if "{action_id}" in path
        for method in METHODS
        if getattr(view, method) is not getattr(ApiView, method)
    ]


@pytest.mark.parametrize(("method", "path"), routes_with_an_id())
@pytest.mark.parametrize("action_id", UNKNOWN_IDS)
def test_unknown_id_is_not_found(uploads: UploadClient, method: str, path: str, action_id: str) -> None:
    """An id that is unknown, or not an id at all, is not found."""
    answer = uploads.worker.client.request(method, path.replace("{action_id}", action_id))
    assert error_of(answer) == (404, "ACTION_NOT_FOUND", NOT_FOUND)


@pytest.mark.parametrize(
    "path", ["/nope", "/bulk-actions/", "/health/", "/bulk-actions/x/y/z", "/table/", "/router/", "/%00", "/%FF"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(uploads: UploadClient, method: str, path: str) -> None:
    assert error_of(uploads.worker.client.request(method, path))[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/bulk-actions", {"GET", "HEAD", "POST"}),
        ("PUT", "/bulk-actions", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/bulk-actions", {"GET", "HEAD", "POST"}),
        ("POST", f"/bulk-actions/{'0' * 24}/stats", {"GET", "HEAD"}),
        ("DELETE", f"/bulk-actions/{'0' * 24}/records", {"GET", "HEAD"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("TRACE", "/ready", {"GET", "HEAD"}),
    ],
)
def test_wrong_method_names_the_right(uploads: UploadClient, method: str, path: str, allowed: set[str]) -> None:
    """A method that a path does not have is refused with those that it has."""
    answer = uploads.worker.client.request(method, path)
    assert error_of(answer)[:2] == (405, "METHOD_NOT_ALLOWED")
    assert set(answer.headers["Allow"].split(",")) == allowed


# Queries


@pytest.fixture(scope="module")
def waiting_action(worker: Worker) -> str:
    """An action that runs in another century."""
    return worker.submit(CONTACTS, scheduledAt="2100-01-01T00:00:00Z")


LIMITS = ["0", "-1", "501", "1.5", "1e2", "x", "", "٣", "9" * 100, "%FF", "1%00"]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("path", ["/bulk-actions", "/bulk-actions/{}/records"])
def test_limit_out_of_range(waiting_action: str, uploads: UploadClient, path: str, limit: str) -> None:
    """A limit out of range is refused, with the range."""
    answer = uploads.worker.client.get(f"{path.format(waiting_action)}?limit={limit}")
    status, code, message = error_of(answer)
    assert (status, code) == (400, "INVALID_LIMIT")
    assert message.startswith("limit must be a number from 1 to 500")


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor", ["", "x", "%FF", "====", encoded("yesterday/x"), encoded("/x"), base64.b64encode(b"\xff\xfe").decode()]
)
def test_action_cursor_of_no_link(uploads: UploadClient, cursor: str) -> None:
    """A cursor that no link gave is refused by the list."""
    answer = uploads.worker.client.get(f"/bulk-actions?cursor={cursor}")
    assert error_of(answer) == (400, "INVALID_CURSOR", "cursor must be one that a Link header gave.")


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "2030-13-01T00:00:00Z"],
)
@pytest.mark.parametrize("path", ["/bulk-actions", "/dead-letters"])
def test_cursor_of_no_moment(uploads: UploadClient, path: str, moment: str) -> None:
    """A cursor whose moment cannot exist is refused."""
    answer = uploads.worker.client.get(path, params={"cursor": encoded(f"{moment}/x")})
    assert error_of(answer) == (400, "INVALID_CURSOR", "cursor must be one that a Link header gave.")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2030-01-01", "2030-W01-1"])
@pytest.mark.parametrize("rest", ["/x", "", "/", "/\0", "/a/b", f"/{'漢' * 1000}"])
@pytest.mark.parametrize("path", ["/bulk-actions", "/dead-letters"])
def test_invented_cursor(uploads: UploadClient, path: str, moment: str, rest: str) -> None:
    """A cursor that somebody made up is a page, or refused."""
    answer = uploads.worker.client.get(path, params={"cursor": encoded(moment + rest)})
    assert answer.status_code == 200 or error_of(answer)[:2] == (400, "INVALID_CURSOR")


@pytest.mark.parametrize("cursor", ["", "x", "1", "-", "1-", "-1", "1--1", "1-x", "٣-٣", "9" * 50 + "-1", "%FF"])
def test_record_cursor_of_no_link(waiting_action: str, uploads: UploadClient, cursor: str) -> None:
    """A cursor that no link gave is refused by the records."""
    answer = uploads.worker.client.get(f"/bulk-actions/{waiting_action}/records?cursor={cursor}")
    assert error_of(answer) == (400, "INVALID_CURSOR", "cursor must be one that a Link header gave.")


@pytest.mark.parametrize("status", ["DONE", "QUEUED ", "QUEUED,FAILED", "%00", "%FF"])
@pytest.mark.parametrize("path", ["/bulk-actions", "/bulk-actions/{}/records"])
def test_unknown_status_names_the_known(waiting_action: str, uploads: UploadClient, path: str, status: str) -> None:
    """An unknown status is refused, with the known ones."""
    answer = uploads.worker.client.get(f"{path.format(waiting_action)}?status={status}")
    told_status, code, message = error_of(answer)
    assert (told_status, code) == (400, "INVALID_STATUS")
    assert "FAILED" in message


# Request ids


@pytest.mark.parametrize("sent", ["a", "abc-DEF_1.2", "x" * 64])
def test_a_good_request_id_comes_back(uploads: UploadClient, sent: str) -> None:
    for path in ("/health", "/nope"):
        assert uploads.worker.client.get(path, headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent
    assert uploads.worker.client.get("/nope", headers={"X-Request-ID": sent}).json()["requestId"] == sent


@pytest.mark.parametrize("sent", [b"", b"x" * 65, b"two words", b"semi;colon", b"\xc3\xa9", b"<script>"])
def test_a_bad_request_id_is_replaced(uploads: UploadClient, sent: bytes) -> None:
    first, second = (uploads.worker.client.get("/nope", headers={b"X-Request-ID": sent}) for _ in range(2))
    error_of(first)
    assert re.fullmatch(r"[0-9a-f]{32}", first.json()["requestId"])
    assert first.json()["requestId"] != second.json()["requestId"]


# Clients that go away


def leave(connection: socket.socket) -> None:
    connection.close()


def slam(connection: socket.socket) -> None:
    """Close with a reset instead of a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def fall_silent(connection: socket.socket) -> None:
    """Say that nothing more comes, and wait for the answer."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass
    connection.close()


def head_of(body: bytes) -> bytes:
    """What stands before the body of an upload."""
    sent = f"Host: localhost\r\nContent-Type: {MULTIPART}\r\nContent-Length: {len(body)}"
    return f"POST /bulk-actions HTTP/1.1\r\n{sent}\r\n\r\n".encode()


@pytest.mark.parametrize("go", [leave, slam, fall_silent])
def test_aborted_upload_leaves_nothing(uploads: UploadClient, go: Callable[[socket.socket], None]) -> None:
    """A client that goes away in the middle of an upload leaves nothing behind."""
    before = uploads.files()
    body = form(CONTACTS + ROW * 30_000)
    connection = connect(uploads.worker, head_of(body) + body[: len(body) // 2])
    wait_for(lambda: uploads.files() > before, "the upload is under way")
    go(connection)
    wait_for(lambda: uploads.files() == before, "what was stored is gone")


def test_aborted_uploads_leave_nothing(uploads: UploadClient) -> None:
    """Many clients that go away at once leave nothing behind."""
    before = uploads.files()
    body = form(CONTACTS + ROW * 30_000)
    connections = [connect(uploads.worker, head_of(body) + body[: 200_000 + 10_000 * n]) for n in range(20)]
    wait_for(lambda: len(uploads.files() - before) == len(connections), "the uploads are under way")
    for connection in connections:
        slam(connection)
    wait_for(lambda: uploads.files() == before, "what was stored is gone")


@pytest.mark.parametrize("request_", [b"HELLO\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"])
def test_non_http_disturbs_nobody(uploads: UploadClient, request_: bytes) -> None:
    """What is not HTTP is refused, and disturbs nobody."""
    connection = connect(uploads.worker, request_)
    assert b" 400 " in connection.recv(65536).split(b"\r\n")[0]
    connection.close()
