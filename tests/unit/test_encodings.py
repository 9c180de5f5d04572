"""The encoding of a file: found out or named, and the same text as UTF-8 in whatever pieces it comes."""

from __future__ import annotations

import codecs
import re
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.csv.encodings import (
    ENCODING_NAMES,
    Encoding,
    EncodingError,
    EncodingSource,
    Transcoder,
    UnknownEncoding,
    find_encoding,
    restoring,
)

GIVEN, MARK, DETECTED = EncodingSource.GIVEN, EncodingSource.MARK, EncodingSource.DETECTED
CODECS = {"utf-8": "utf-8", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "windows-1252": "cp1252"}
CODECS["iso-8859-15"] = "iso8859-15"
ROWS = "id,name,email,status\r\n" + "".join(f"{i},Jürgen Groß,j{i}@example.com,active\r\n" for i in range(300))
CUTS = st.lists(st.integers(0, 400), max_size=6)
#: More than the first block of a file may lack.
FIRST = 64 * 1024


def transcode(data: bytes, *cuts: int, given: str | None = None, first: int = 0) -> tuple[bytes, Encoding]:
    """What becomes of a file that comes in pieces, of which the first has so many bytes."""
    transcoder = Transcoder(given)
    places = [0, *sorted(min(first + cut, len(data)) for cut in cuts), len(data)]
    text = b"".join(transcoder.feed(data[start:end]) for start, end in pairwise(places))
    return text + transcoder.finish(), transcoder.encoding


# Named


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *((name, name) for name in ENCODING_NAMES),
        ("UTF8", "utf-8"),
        ("utf_16_LE", "utf-16le"),
        ("Unicode", "utf-16"),
        ("CP1252", "windows-1252"),
        ("Windows 1252", "windows-1252"),
        ("latin1", "windows-1252"),
        ("ISO_8859-1", "windows-1252"),
        (" ISO8859-15 ", "iso-8859-15"),
        ("latin-9", "iso-8859-15"),
        ("klingon", None),
        ("", None),
        ("utf-32", None),
        ("../utf-8", None),
    ],
)
def test_usual_names_are_known(name: str, encoding: str | None) -> None:
    """An encoding is known by its usual names, in any case; others are not taken."""
    assert find_encoding(name) == encoding


@given(st.text(max_size=120), st.sampled_from(list(CODECS)), CUTS)
def test_named_encoding_is_exact(text: str, encoding: str, cuts: list[int]) -> None:
    """What is named is taken so, character by character, wherever the pieces end, and can be turned back."""
    try:
        data = text.encode(CODECS[encoding])
    except UnicodeEncodeError:
        assume(False)
    assume(not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)))
    made, found = transcode(data, *cuts, given=encoding)
    assert made.decode() == text
    assert found in ((encoding, GIVEN, 1.0), Encoding())
    restore = restoring(encoding)
    places = [0, *sorted(min(cut, len(made)) for cut in cuts), len(made)]
    assert b"".join(restore(made[a:b]) for a, b in pairwise(places)) == data


@pytest.mark.parametrize(
    ("data", "given", "message"),
    [
        (b"id\n1\n\x81\n", "windows-1252", "is not windows-1252, as encoding says: line 3 has 0x81, which"),
        ("id\nä\ud800\n".encode("utf-16-le", "surrogatepass"), "utf-16le", "line 2 has 0x00 0xD8"),
        ("id\n1".encode("utf-16-be")[:-1], "utf-16", "utf-16be, as encoding says: the file ends within a character"),
        (codecs.BOM_UTF16_LE + b"i", None, "not utf-16le, as its byte-order mark says: the file ends within"),
    ],
)
def test_wrong_byte_is_named(data: bytes, given: str | None, message: str) -> None:
    """What an encoding does not have is told with its place, and the file is refused."""
    for cut in range(2, len(data)):
        with pytest.raises(EncodingError, match=re.escape(message)):
            transcode(data, cut, given=given)


def test_broken_utf8_passes() -> None:
    """Broken characters of UTF-8 are for the rows that have them, also where it is named."""
    data = b"id,name\n1,Br\xffken\n"
    assert transcode(data, given="utf-8") == (data, ("utf-8", GIVEN, 1.0))


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["id,name\n1,Ada\n", "1,漢字,Ada\n"])
def test_byte_order_is_found(codec: str, text: str) -> None:
    """Where UTF-16 is named, its byte order is told by the zeros of Latin letters."""
    made, encoding = transcode(text.encode(codec), given="utf-16")
    assert (made.decode(), encoding) == (text, (codec.replace("16-", "16"), GIVEN, 1.0))


# Marked


@pytest.mark.parametrize("given", [None, *ENCODING_NAMES])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16le", "utf-16be"])
def test_mark_has_the_last_word(encoding: str, given: str | None) -> None:
    """A byte-order mark decides, whatever was named; only that of UTF-8 is kept."""
    data = ("\ufeff" + ROWS).encode(CODECS[encoding])
    made, found = transcode(data, 3, given=given, first=FIRST)
    assert made.decode() == ("\ufeff" if encoding == "utf-8" else "") + ROWS
    assert found == (encoding, MARK, 1.0)


# Found out


@pytest.mark.parametrize(
    ("text", "codec", "expected"),
    [
        (ROWS, "utf-8", "utf-8"),
        (ROWS, "cp1252", "windows-1252"),
        (ROWS, "utf-16-le", "utf-16le"),
        (ROWS, "utf-16-be", "utf-16be"),
        ("id,name\n1,Ada\n", "ascii", "utf-8"),
        ("id,name\n1,François Lefèvre\n2,Zoë\n", "cp1252", "windows-1252"),
        ("id,name\n1,José Núñez\n", "cp1252", "windows-1252"),
        ("id,name\n1,João Gonçalves\n2,Ação nº 5\n", "cp1252", "windows-1252"),
        ("id,name\n1,„Søren“ – 5 €\n", "cp1252", "windows-1252"),
        ("id,name\n" + "1,O´Neil & d´Or\n" * 9, "cp1252", "windows-1252"),
        ("id,name\n1,5½ kg\n", "cp1252", "windows-1252"),
        ("id\n1é", "cp1252", "windows-1252"),
        ("id,name\n1,5 €\n", "iso8859-15", "iso-8859-15"),
        ("id,name\n1,Cœur\n2,Šimek\n", "iso8859-15", "iso-8859-15"),
    ],
)
def test_encoding_is_detected(text: str, codec: str, expected: str) -> None:
    """Text of the West is told apart from UTF-8, and what only ISO-8859-15 has from what only windows-1252 has."""
    made, encoding = transcode(text.encode(codec))
    assert (made.decode(), encoding.name, encoding.source) == (text, expected, DETECTED)
    assert 0 < encoding.confidence <= 1


def test_confidence_tells_of_neighbours() -> None:
    """German reads the same in the encodings of the neighbours, French does not."""
    assert transcode("1,Müller\n".encode("cp1252"))[1].confidence == 1
    assert transcode("1,Lefèvre\n".encode("cp1252"))[1].confidence <= 0.5


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("1,Сергей Смирнов\n", "cp1251"),
        ("1,Сергей Смирнов\n", "koi8-r"),
        ("1,Γιώργος Παπαδόπουλος\n", "cp1253"),
        ("1,王小明\n2,北京\n", "gb18030"),
        ("1,山田太郎\n2,東京都です\n", "shift_jis"),
        ("1,דוד כהן\n", "cp1255"),
        ("1,Jürgen Müller é è\n", "mac-roman"),
    ],
)
def test_other_scripts_are_refused(text: str, codec: str) -> None:
    """What is in none of the encodings that are taken is refused, and not read as something else."""
    with pytest.raises(UnknownEncoding, match="please save the file as UTF-8, or say in front of the file what it is"):
        transcode(("id,name\n" + text * 20).encode(codec))


def test_utf32_is_refused() -> None:
    with pytest.raises(UnknownEncoding, match="UTF-32"):
        transcode(ROWS.encode("utf-32"))


@pytest.mark.parametrize("codec", ["utf-8", "cp1252"])
@pytest.mark.parametrize("cut", range(8))
def test_first_letters_decide(codec: str, cut: int) -> None:
    """Nothing is decided before the first block with something else than ASCII, and none is cut in two by its end."""
    text = "id,name\n" + "1,Ada\n" * 20_000 + "2,Jürgen\n" + "3,Bo\n" * 20_000
    place = text.index("ü") - FIRST
    made, encoding = transcode(text.encode(codec), place - 4 + cut, first=FIRST)
    assert made.decode() == text
    assert encoding.name == {"utf-8": "utf-8", "cp1252": "windows-1252"}[codec]


def test_mostly_utf8_is_utf8() -> None:
    """UTF-8 with a few broken characters stays UTF-8, and says that it is not quite."""
    data = b"id,name\n" + "1,Jürgen\n".encode() * 9 + b"2,J\xfcrgen\n"
    assert transcode(data) == (data, ("utf-8", DETECTED, 0.9))


def test_change_of_encoding_is_refused() -> None:
    """A file that begins in one encoding and goes on in another would be read wrongly without a word."""
    data = b"id,name\n1,Ren\xe9\n" + b"2,Bo\n" * 20_000
    more = "3,Jürgen\n".encode() * 20
    with pytest.raises(EncodingError, match=r"begins as windows-1252 and has UTF-8 behind line 20,00\d: please save"):
        transcode(data + more, len(data) - FIRST, first=FIRST)
    assert transcode(data + more, given="windows-1252")[0].decode().endswith("JÃ¼rgen\n")


def test_late_wrong_byte_is_named() -> None:
    """What was found out and turns out wrong is told with what to do."""
    with pytest.raises(EncodingError, match=r"looks like windows-1252, but line 20,003 has 0x81.*in front of the file"):
        transcode(b"id,name\n1,Ren\xe9\n" + b"2,Bo\n" * 20_000 + b"\x81", 0, first=FIRST)


@pytest.mark.parametrize(
    ("data", "given", "agrees"),
    [
        (b"id\n1\n", "windows-1252", True),
        (b"id\n1\n", "utf-8", True),
        (b"id\n1\n", "utf-16", False),
        ("id\né\n".encode("cp1252"), "windows-1252", True),
        ("id\né\n".encode("cp1252"), "iso-8859-15", False),
        ("id\né\n".encode("cp1252"), "utf-8", False),
        ("id\né\n".encode(), "windows-1252", False),
        ("id\né\n".encode("utf-16"), "utf-16", True),
        ("id\né\n".encode("utf-16"), "windows-1252", True),
        ("id\nA\n".encode("utf-16-be"), "utf-16", True),
        ("id\nA\n".encode("utf-16-be"), "utf-16le", False),
    ],
)
def test_late_name_agrees(data: bytes, given: str, agrees: bool) -> None:
    """Whether a name that comes after the file would have changed anything."""
    transcoder = Transcoder()
    transcoder.feed(data)
    assert transcoder.agrees_with(given) is agrees


@given(st.binary(max_size=400), CUTS, st.sampled_from([None, *ENCODING_NAMES]))
def test_any_bytes_are_taken_or_refused(data: bytes, cuts: list[int], given: str | None) -> None:
    """Whatever comes is taken or refused with a message, and the same whole or in pieces."""
    try:
        made, _ = transcode(data, given=given)
    except EncodingError as error:
        assert 20 < len(str(error)) < 400
    else:
        assert transcode(data, *cuts, given=given, first=len(data))[0] == made
