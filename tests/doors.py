"""The way into a worker, for what well-built clients cannot send: forms byte by byte, and connections."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from app.adapters.storage.identity import MARKER
from tests.support import Worker, told

HEADER = b"id,name,email,status\n"
ROW = b"refused1,Nobody,refused1@example.com,active\n"
GOOD = HEADER + ROW
BOUNDARY = "parts-end-here"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


# Forms, byte by byte: clients that build them well cannot send what is tested here.


def part(name: str, value: bytes | str, filename: str | None = None) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def file_part(content: bytes) -> bytes:
    return part("file", content, "upload.csv")


def fields(**values: str | None) -> bytes:
    """The two required fields, changed (None: without it), and further ones."""
    form = {"actionType": "BULK_UPDATE", "entityType": "Contact", **values}
    return b"".join(part(name, value) for name, value in form.items() if value is not None)


def form(content: bytes, **values: str | None) -> bytes:
    return fields(**values) + file_part(content) + END


@dataclass
class Door:
    """The way into the worker, with a look at what an upload leaves behind."""

    worker: Worker
    storage: Path

    @classmethod
    def of(cls, worker: Worker, environment: dict[str, str]) -> Door:
        """The door of a worker that keeps its uploads in a directory."""
        return cls(worker, Path(unquote(urlsplit(environment["STORAGE_URI"]).path)))

    def post(self, body: bytes, content_type: str = MULTIPART, **headers: str) -> httpx.Response:
        return self.worker.client.post("/bulk-actions", content=body, headers={"Content-Type": content_type, **headers})

    def refuse(self, body: bytes, content_type: str = MULTIPART) -> tuple[int, str, str]:
        """Post what must be refused; status, code and message."""
        return told(self.post(body, content_type))

    def files(self) -> set[str]:
        return {str(path.relative_to(self.storage)) for path in self.storage.rglob("*") if path.is_file()} - {MARKER}

    def actions(self) -> list[str]:
        answer = self.worker.client.get("/bulk-actions", params={"limit": 500})
        return [action["actionId"] for action in answer.json()]


def section(head: bytes, value: bytes = GOOD) -> bytes:
    """A part with a head of any bytes."""
    return f"--{BOUNDARY}\r\n".encode() + head + b"\r\n\r\n" + value + b"\r\n"


FILE_HEAD = b'Content-Disposition: form-data; name="file"; filename="upload.csv"'


def connect(worker: Worker, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", worker.port), timeout=30)
    connection.sendall(request)
    return connection
