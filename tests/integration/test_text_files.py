"""Text files of any kind become the same rows, whatever they are written in, and however they are sent."""

from __future__ import annotations

import gzip
import hashlib
from typing import Any

import pytest

from app.domain.actions import Action
from app.domain.csv.delimiters import DELIMITER_NAMES
from app.domain.csv.spans import SpanIndex
from app.services.stored_rows import StoredRows
from tests.support.bench import Bench
from tests.support.files import COLUMNS, CONTACTS
from tests.support.forms import REQUIRED
from tests.support.uploads_only import UploadsOnly

CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "iso8859-15")
#: Good rows and bad ones; of the characters, each is in all of the encodings, though not as the same byte.
ROWS = (
    ("1", "Jürgen Groß", "juergen@example.com", "active"),
    ("2", '"Lovelace,; Ada\t|"', "ada@example.com", "Pending"),
    ("3", '"Two\nlines, ""quoted"" €"', "two@example.com", "active"),
    ("4", "Zoë", "nobody", "active"),
    ("5", "Cœur", "coeur@example.com", "active", "surplus"),
    ("", "", "", ""),
    ("6", "Šimek", "simek@example.com", "sleeping"),
    *((str(number), "François", f"f{number}@example.com", "inactive") for number in range(7, 40)),
)


def file_of(delimiter: str = ",", end: str = "\n", codec: str = "utf-8") -> bytes:
    return "".join(delimiter.join(row) + end for row in (COLUMNS, *ROWS)).encode(codec)


async def rows_of(bench: Bench, action: Action) -> list[Any]:
    """What the chunks of a stored file are read as."""
    index = SpanIndex.from_bytes(await bench.storage.read(action.file.spans_key))
    rows = StoredRows(bench.store, bench.storage, action)
    return [await rows.read(span) for span in index.spans(0, len(index))]


@pytest.fixture
async def expected(bench: Bench, client: UploadsOnly) -> list[Any]:
    bench.context = bench.platform_with(settings=bench.settings.model_copy(update={"batch_size": 10}))
    rows = await rows_of(bench, await client.take(REQUIRED, file_of()))
    assert [len(chunk.rows) for chunk in rows] == [7, 10, 10, 9]
    return rows


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("codec", CODECS)
async def test_same_rows_in_each_form(
    bench: Bench, client: UploadsOnly, expected: list[Any], codec: str, end: str, packed: bool
) -> None:
    """The same content is the same rows in each encoding, with each delimiter and line end, packed or not."""
    for delimiter in DELIMITER_NAMES:
        content = file_of(delimiter, end, codec)
        action = await client.take(REQUIRED, gzip.compress(content) if packed else content)
        assert await rows_of(bench, action) == expected
        assert (action.file.delimiter, action.file.delimiter_source) == (delimiter, "detected")
        assert action.file.encoding is not None
        assert action.file.encoding.source == ("mark" if codec in ("utf-8-sig", "utf-16") else "detected")
        stored = await bench.storage.read(action.file.storage_key)
        assert stored.decode("utf-8-sig") == file_of(delimiter, end).decode()
        assert (action.file.size, action.file.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("utf-8", "UTF-8"),
        ("utf-16", "utf-16"),
        ("utf-16-be", "utf-16be"),
        ("cp1252", "cp1252"),
        ("iso8859-15", "ISO-8859-15"),
    ],
)
async def test_encoding_may_be_named_anywhere(
    bench: Bench, client: UploadsOnly, expected: list[Any], codec: str, name: str, place: str
) -> None:
    """A file is taken as its encoding says, wherever the field stands in the form."""
    named = {"encoding": name}
    before, behind = ({**REQUIRED, **named}, {}) if place == "before" else (REQUIRED, named)
    action = await client.take(before, file_of(codec=codec), behind)
    assert await rows_of(bench, action) == expected
    assert action.file.encoding is not None
    assert action.file.encoding[1:] == ("mark" if codec == "utf-16" else "given", 1.0)


async def test_late_encoding_corrects_the_guess(bench: Bench, client: UploadsOnly) -> None:
    """What was taken for another encoding is taken in again from the bytes that were sent, and replaced."""
    text = "id;name;email;status\n1;5 ¤ für Lefèvre;a@example.com;active\n" * 3
    content = text.encode("cp1252")
    assert (await client.take(REQUIRED, content)).file.encoding[0] == "iso-8859-15"  # type: ignore[index]
    for name in ("windows-1252", "iso-8859-15", "utf-8"):
        status, answer = await client.post(REQUIRED, gzip.compress(content), {"encoding": name})
        if name == "utf-8":
            assert (status, answer["code"]) == (400, "NOT_CSV")
            break
        action = await bench.store.actions.get(answer["id"])
        assert action is not None
        stored = await bench.storage.read(action.file.storage_key)
        assert stored.decode() == content.decode(name)
        assert action.file.sha256 == hashlib.sha256(stored).hexdigest()
        assert action.file.delimiter == ";"
    assert len(await bench.storage.objects()) == 2 * 3


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize(
    ("content", "encoding", "code", "words"),
    [
        (CONTACTS + b"2,\x81,x@example.com,active\n", "windows-1252", "ENCODING_MISMATCH", "line 3 has 0x81"),
        (CONTACTS, "utf-16", "ENCODING_MISMATCH", "the file ends within a character"),
        (CONTACTS, "klingon", "INVALID_ENCODING", "must be auto or one of utf-8, utf-16"),
    ],
)
async def test_wrong_encoding_is_refused(
    bench: Bench, client: UploadsOnly, content: bytes, encoding: str, code: str, words: str, place: str
) -> None:
    """An encoding that is not the file's, or is none, is refused, and nothing is left behind."""
    named = {"encoding": encoding}
    before, behind = ({**REQUIRED, **named}, {}) if place == "before" else (REQUIRED, named)
    status, answer = await client.post(before, content, behind)
    assert (status, answer["code"]) == (400, code)
    assert words in answer["error"]
    assert await bench.storage.objects() == []


async def test_limit_is_of_what_is_stored(bench: Bench, client: UploadsOnly) -> None:
    """The limit on the size of a file holds for what is stored, which may be more than what was sent."""
    content = b"id,name,email,status\n" + "1,€€€€€€€€ ü,a@example.com,active\n".encode("cp1252") * 50
    for limit, expected in ((len(content), (413, "FILE_TOO_LARGE")), (3 * len(content), (201, None))):
        bench.context = bench.platform_with(settings=bench.settings.model_copy(update={"max_upload_bytes": limit}))
        status, answer = await client.post({**REQUIRED, "encoding": "windows-1252"}, content)
        assert (status, answer.get("code")) == expected
