"""Forms, byte by byte: clients that build them well cannot send what is tested here."""

from __future__ import annotations

from tests.support.files import CONTACTS

BOUNDARY = "parts-end-here"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
END = f"--{BOUNDARY}--\r\n".encode()
#: The head of the part that is the file.
FILE_HEAD = b'Content-Disposition: form-data; name="file"; filename="upload.csv"'

#: The fields that every upload has.
REQUIRED = {"actionType": "BULK_UPDATE", "entityType": "Contact"}


def part(name: str, value: bytes | str, filename: str | None = None) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"


def file_part(content: bytes) -> bytes:
    return part("file", content, "upload.csv")


def fields(**values: str | None) -> bytes:
    """The two required fields, changed (None: without it), and further ones."""
    form = {**REQUIRED, **values}
    return b"".join(part(name, value) for name, value in form.items() if value is not None)


def form(content: bytes, **values: str | None) -> bytes:
    return fields(**values) + file_part(content) + END


def section(head: bytes, value: bytes = CONTACTS) -> bytes:
    """A part with a head of any bytes."""
    return f"--{BOUNDARY}\r\n".encode() + head + b"\r\n\r\n" + value + b"\r\n"
