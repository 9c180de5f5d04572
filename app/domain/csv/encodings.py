"""The encoding of a text file: named, marked or found out; and the file as UTF-8, while it streams.

What is ASCII is the same in all encodings but UTF-16, so nothing is decided before the first block that has something
else. Text that is UTF-8 by its bytes is nothing else by chance; what is not is judged by a detector
(charset-normalizer), which tells Western text from text of other scripts well, and from that of its neighbours
(windows-1250, -1254, -1257) hardly at all: the confidence says so.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

UTF_8: Final = "utf-8"
UTF_16: Final = "utf-16"
UTF_16_LE: Final = "utf-16le"
UTF_16_BE: Final = "utf-16be"
WINDOWS_1252: Final = "windows-1252"
ISO_8859_15: Final = "iso-8859-15"

#: What an upload may name, with other names for it. As in browsers, ISO-8859-1 is windows-1252: the characters that
#: only the latter has stand where the former has control characters, which no table has.
ENCODING_NAMES: Mapping[str, str] = MappingProxyType(
    {
        UTF_8: "utf8 utf-8-sig utf-8-bom ascii us-ascii",
        UTF_16: "utf16 unicode",
        UTF_16_LE: "utf-16-le utf16le utf16-le",
        UTF_16_BE: "utf-16-be utf16be utf16-be",
        WINDOWS_1252: "cp1252 cp-1252 windows1252 win1252 1252 ansi iso-8859-1 iso8859-1 latin-1 latin1 l1",
        ISO_8859_15: "iso8859-15 latin-9 latin9 l9",
    }
)
_BY_NAME = {name: encoding for encoding, others in ENCODING_NAMES.items() for name in (encoding, *others.split())}

_CODECS: Mapping[str, str] = {
    UTF_16_LE: "utf-16-le",
    UTF_16_BE: "utf-16-be",
    WINDOWS_1252: "cp1252",
    ISO_8859_15: "iso8859-15",
}

_MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, UTF_16_LE),
    (codecs.BOM_UTF16_BE, UTF_16_BE),
)
_UTF_32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)

#: How much of the start tells UTF-16 without a mark, bytes; and how much of the lines that are not ASCII the detector
#: sees.
_START, _SAMPLE, _CONTEXT = 64 * 1024, 8 * 1024, 128

_ASCII = bytes(range(128))
#: Every character of UTF-8 that is not ASCII (RFC 3629, section 4).
_CHARACTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
#: The beginning of one that the end of a block has cut, and the most bytes that it has.
_LONGEST = 3
_CUT = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")

#: The detector's names of the encodings that are taken, and of neighbours that read the same bytes as other letters.
_WESTERN, _LATIN_9 = "cp1252", "iso8859_15"
_NEIGHBOURS = ("cp1250", "cp1254", "cp1257")
#: From this share of odd characters on the detector takes a text for no text, in its own measure.
_MOST_CHAOS = 0.2
#: So few letters beyond ASCII show nothing to it: what can be read is taken.
_FEW, _MOST_CHAOS_OF_FEW = 6, 100.0
#: Letters beyond ASCII stand alone in Western words, and side by side in those of other scripts.
_RUN = re.compile(rb"[\x80-\xff]{3,}")
#: What ISO-8859-15 makes of the bytes that are something else in windows-1252.
_DIFFERENT = re.compile("[€ŠšŽžŒœŸ]")
#: Those of them that stand as letters and the euro sign do, and not as an accent, a fraction or a bar does.
_LIKE_LETTERS = re.compile("€|[a-zß-ÿ][šžœ]|[šžœ][a-zß-ÿ]|(?<![^\\W\\d_])[ŠŽŒŸ][a-zß-ÿ]")


class EncodingSource(StrEnum):
    """Where the encoding of a file is known from, the surest first."""

    MARK = "mark"  # the file's byte-order mark
    GIVEN = "given"  # the upload says it
    DETECTED = "detected"  # its bytes show it


class Encoding(NamedTuple):
    """What a file was taken for.

    ``confidence`` is 1 where nothing else is possible or allowed; less than that, the share of what speaks for it.
    """

    name: str = UTF_8
    source: EncodingSource = EncodingSource.DETECTED
    confidence: float = 1.0

    def to_document(self) -> dict[str, Any]:
        """Return it as an action keeps it."""
        return self._asdict()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read it back."""
        return cls(document["name"], EncodingSource(document["source"]), document["confidence"])


class EncodingError(ValueError):
    """The file is not in the encoding that it was taken for; the message is for the person who uploads it."""


class UnknownEncoding(EncodingError):
    """The file is in no encoding that is taken."""


#: What helps where an encoding is not found.
NAME_IT: Final = "please save the file as UTF-8, or say in front of the file what it is, by encoding"


def find_encoding(name: str) -> str | None:
    """Return the encoding of that name, in any case; None: there is none, or it is not taken."""
    return _BY_NAME.get(name.strip().lower().replace("_", "-").replace(" ", "-"))


class Transcoder:
    """Turns a file of any of these encodings into UTF-8 while it streams.

    A byte-order mark has the last word. UTF-8 passes as it is, broken characters included; in every other encoding a
    byte that it does not have ends the file with an error.
    """

    def __init__(self, given: str | None = None) -> None:
        """Begin a file; ``given`` is one of ``ENCODING_NAMES``, None where the upload leaves it to us."""
        self._given = given
        #: What the file is taken for, as far as it has come.
        self.encoding = Encoding()
        self._begun = False
        self._undecided = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self._held = b""
        self._lines = 0

    def feed(self, block: bytes) -> bytes:
        """Take the next bytes of the file, of which the first have 64 KiB at least or are all; return UTF-8.

        Raises:
            EncodingError: it is not in the encoding that was named, or that it seemed to be in at first.
            UnknownEncoding: it is in none that is taken.
        """
        if not self._begun and block:
            self._begun = True
            block = self._begin(block)
        return self._transcoded(block, last=False)

    def finish(self) -> bytes:
        """Say that nothing more comes; return the rest. Raises as :meth:`feed`."""
        return self._transcoded(b"", last=True)

    def agrees_with(self, given: str) -> bool:
        """Tell whether the file would have been taken as it was, had this encoding been named before."""
        name, source, _ = self.encoding
        if source is EncodingSource.MARK or given == name or (given == UTF_16 and name in (UTF_16_LE, UTF_16_BE)):
            return True
        # Nothing but ASCII has come.
        return self._undecided and given in (WINDOWS_1252, ISO_8859_15)

    def _begin(self, start: bytes) -> bytes:
        """Decide what can be decided by the first block; return it without a mark that UTF-8 does not have."""
        if start.startswith(_UTF_32_MARKS):
            raise UnknownEncoding("The file is UTF-32, please save it as UTF-8.")
        for mark, name in _MARKS:
            if start.startswith(mark):
                self._decide(Encoding(name, EncodingSource.MARK))
                return start if name == UTF_8 else start[len(mark) :]
        if self._given is not None:
            name = _byte_order(start) if self._given == UTF_16 else self._given
            self._decide(Encoding(name, EncodingSource.GIVEN))
        elif (confidence := _looks_like_utf_16(start)) is not None:
            self._decide(Encoding(_byte_order(start), EncodingSource.DETECTED, confidence))
        else:
            self._undecided = True
        return start

    def _decide(self, encoding: Encoding) -> None:
        self._undecided, self.encoding = False, encoding
        if encoding.name != UTF_8:
            self._decoder = codecs.getincrementaldecoder(_CODECS[encoding.name])()

    def _transcoded(self, block: bytes, *, last: bool) -> bytes:
        if self._undecided:
            block, self._held = self._held + block, b""
            judged = block
            if not last and (cut := _CUT.search(block, max(0, len(block) - _LONGEST))):
                # Whether this is UTF-8 is told by what follows.
                judged = block[: cut.start()]
            if judged.isascii():
                self._held = block[len(judged) :]
                return judged
            self._decide(_detected(judged))
        elif self._decoder is not None and self.encoding.source is EncodingSource.DETECTED:
            self._check_constancy(block)
        return block if self._decoder is None else self._decoded(self._decoder, block, last)

    def _decoded(self, decoder: codecs.IncrementalDecoder, block: bytes, last: bool) -> bytes:
        try:
            text = decoder.decode(block, last)
        except UnicodeDecodeError as error:
            raise EncodingError(self._told(error)) from None
        self._lines += text.count("\n")
        return text.encode()

    def _check_constancy(self, block: bytes) -> None:
        """Refuse a file that goes on in UTF-8 where it began as something else: it would be read wrongly, unnoticed."""
        if self.encoding.name in (UTF_16_LE, UTF_16_BE):
            return
        # Without the ASCII between them, few bytes of such a file make a character of UTF-8, and that is seen quickly.
        others = block.translate(None, _ASCII)
        if not others.decode(UTF_8, "ignore"):
            return
        characters, broken = _count(block)
        if characters > broken:
            raise EncodingError(
                f"The file begins as {self.encoding.name} and has UTF-8 behind line {self._lines:,}: {NAME_IT}."
            )

    def _told(self, error: UnicodeDecodeError) -> str:
        name, source, _ = self.encoding
        before = error.object[: error.start].decode(_CODECS[name], "replace")
        line = self._lines + before.count("\n") + 1
        found = " ".join(f"0x{byte:02X}" for byte in error.object[error.start : error.end])
        if error.end >= len(error.object) and name in (UTF_16_LE, UTF_16_BE):
            found = f"the file ends within a character ({found})"
        else:
            found = f"line {line:,} has {found}, which is no character of it"
        if source is EncodingSource.DETECTED:
            return f"The file looks like {name}, but {found}: {NAME_IT}."
        says = "its byte-order mark" if source is EncodingSource.MARK else "encoding"
        return f"The file is not {name}, as {says} says: {found}."


def restoring(encoding: str) -> Callable[[bytes], bytes]:
    """Return what turns the blocks that :class:`Transcoder` made back into those of the file, but for its mark."""
    if encoding == UTF_8:
        return lambda block: block
    decoder, codec = codecs.getincrementaldecoder(UTF_8)(), _CODECS[encoding]
    return lambda block: decoder.decode(block).encode(codec)


def _looks_like_utf_16(start: bytes) -> float | None:
    """Return how sure it is that a file without a mark is UTF-16; None: it is not.

    Text in Latin letters then has a zero in nearly every second byte and in none of the others.
    """
    fewer, more = sorted(_zeros(start))
    return None if fewer or more * 4 <= min(len(start), _START) else round(more * 2 / min(len(start), _START), 2)


def _byte_order(start: bytes) -> str:
    even, odd = _zeros(start)
    # Where nothing shows it: the order of Windows.
    return UTF_16_BE if even > odd else UTF_16_LE


def _zeros(start: bytes) -> tuple[int, int]:
    return start[:_START:2].count(0), start[1:_START:2].count(0)


def _detected(block: bytes) -> Encoding:
    """Return the encoding of a block that is not ASCII."""
    characters, broken = _count(block)
    if characters > broken:
        return Encoding(UTF_8, confidence=round(characters / (characters + broken), 2))
    lines = b"\n".join(line for line in block.split(b"\n") if not line.isascii())[:_SAMPLE]
    if len(lines) < _CONTEXT:
        # In a few words each sign weighs too much.
        lines += b"\n" + block[:_CONTEXT]
    beyond_ascii = len(lines.translate(None, _ASCII))
    most = _MOST_CHAOS if beyond_ascii > _FEW else _MOST_CHAOS_OF_FEW
    if 2 * sum(map(len, _RUN.findall(lines))) > beyond_ascii:
        raise _unknown()
    found = {codec: match for codec in (_WESTERN, _LATIN_9, *_NEIGHBOURS) if (match := _match(lines, codec, most))}
    texts = len({str(match) for match in found.values()})
    if _LATIN_9 in found and _is_latin_9(lines):
        name, match = ISO_8859_15, found[_LATIN_9]
    elif (western := found.get(_WESTERN) or found.get(_LATIN_9)) is not None:
        # Where the detector dislikes what they read differently, such as the accent in O´Neil, it counts against it.
        name, match, texts = WINDOWS_1252, western, texts + (_WESTERN not in found)
    else:
        raise _unknown()
    # To the detector each reading is as good as the others.
    return Encoding(name, confidence=round(max(1 - match.chaos, 0.1) / texts, 2))


def _match(sample: bytes, codec: str, most_chaos: float) -> CharsetMatch | None:
    """Return what the detector says of a sample in this encoding; None: that it cannot be."""
    # Only here: it takes long to import, and most files are UTF-8.
    from charset_normalizer import from_bytes

    # One by one: it passes over what is similar to an encoding that cannot be.
    return from_bytes(
        sample, cp_isolation=[codec], threshold=most_chaos, preemptive_behaviour=False, enable_fallback=False
    ).best()


def _unknown() -> UnknownEncoding:
    return UnknownEncoding(f"The file is not UTF-8, and does not show what else it is: {NAME_IT}.")


def _count(block: bytes) -> tuple[int, int]:
    """Return how many characters of UTF-8 beyond ASCII a block has, and how many bytes that are part of none."""
    characters = _CHARACTER.findall(block)
    return len(characters), len(block.translate(None, _ASCII)) - sum(map(len, characters))


def _is_latin_9(sample: bytes) -> bool:
    """Tell whether what ISO-8859-15 and windows-1252 read differently is rather what the former makes of it."""
    text = sample.decode("iso8859-15")
    different = len(_DIFFERENT.findall(text))
    return 0 < different <= 2 * len(_LIKE_LETTERS.findall(text)) and not any("\x80" <= char <= "\x9f" for char in text)
