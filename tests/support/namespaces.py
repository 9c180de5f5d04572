"""Settings of workers that share the services with others: a database, topics and a storage of their own."""

from __future__ import annotations

import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stack import Stack


def namespace(services: Stack, directory: Path) -> dict[str, str]:
    """Settings of a fresh namespace in the services."""
    name = f"t{uuid.uuid4().hex[:10]}"
    where = services.environment()
    return {
        **where,
        "MONGO_DB_URI": f"{where['MONGO_DB_URI'].rpartition('/')[0]}/{name}",
        "KAFKA_TOPIC": name,
        "STORAGE_URI": (directory / "storage").as_uri(),
        "DATA_DIR": str(directory / "data"),
        "TOPIC_PARTITIONS": "4",
        # Tests schedule what is never to run.
        "SCHEDULE_MAX_DAYS": "36500",
        # Tests that name an account send more than an account may; those of the limits set their own.
        "RATE_LIMIT_MAX": "100000",
        "RATE_LIMIT_READS_MAX": "100000",
    }


def storage_of(environment: dict[str, str]) -> Path:
    """The directory in which workers with these settings keep the uploads."""
    return Path(unquote(urlsplit(environment["STORAGE_URI"]).path))
