"""Clients that send what well-built ones cannot: forms byte by byte, headers of any bytes, bare connections."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.adapters.storage.identity import MARKER
from tests.support.assertions import error_of
from tests.support.forms import MULTIPART
from tests.support.namespaces import storage_of
from tests.support.workers import Worker


class NotUtf8(str):
    """The name of a header as no client of Python writes it, and others may."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


@dataclass
class UploadClient:
    """Posts forms of any bytes to a worker, and looks at what an upload leaves behind."""

    worker: Worker
    storage: Path

    @classmethod
    def of(cls, worker: Worker, environment: dict[str, str]) -> UploadClient:
        """The client of a worker that keeps its uploads in a directory."""
        return cls(worker, storage_of(environment))

    def post(self, body: bytes, content_type: str = MULTIPART, **headers: str) -> httpx.Response:
        return self.worker.client.post("/bulk-actions", content=body, headers={"Content-Type": content_type, **headers})

    def refuse(self, body: bytes, content_type: str = MULTIPART) -> tuple[int, str, str]:
        """Post what must be refused; status, code and message."""
        return error_of(self.post(body, content_type))

    def files(self) -> set[str]:
        return {str(path.relative_to(self.storage)) for path in self.storage.rglob("*") if path.is_file()} - {MARKER}

    def actions(self) -> list[str]:
        answer = self.worker.client.get("/bulk-actions", params={"limit": 500})
        return [action["actionId"] for action in answer.json()]


def connect(worker: Worker, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", worker.port), timeout=30)
    connection.sendall(request)
    return connection
