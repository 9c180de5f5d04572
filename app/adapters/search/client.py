"""The client of Elasticsearch: how it connects, and what its errors mean."""

from __future__ import annotations

import logging
from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from app.adapters.translation import Translation
from app.domain.faults import Dependency, PassingFault, PermanentFault
from app.settings import Settings

#: Seconds to wait for an answer. Whoever searches falls back to the ledger then, whoever indexes tries again later.
TIMEOUT = 10.0
#: Statuses that say that what was asked for is wrong itself.
_MISTAKES = (400, 404, 405, 406, 410, 413)

# One line for every request is for those who mend the client.
logging.getLogger("elastic_transport.transport").setLevel(logging.WARNING)


def connect(settings: Settings) -> AsyncElasticsearch:
    """Make a client, which does not connect yet. It tries nothing again: those who use it know when to.

    Raises:
        ValueError: the cloud id cannot be read.
    """
    options: dict[str, Any] = {"request_timeout": TIMEOUT, "max_retries": 0, "retry_on_timeout": False}
    if settings.elasticsearch_cloud_id:
        options["cloud_id"] = settings.elasticsearch_cloud_id
    elif settings.elasticsearch_uri is not None:
        options["hosts"] = [_with_port(url) for url in settings.elasticsearch_uri.get_secret_value().split(",")]
    if settings.elasticsearch_api_key is not None:
        options["api_key"] = settings.elasticsearch_api_key.get_secret_value()
    if settings.elasticsearch_ca_file is not None:
        options["ca_certs"] = str(settings.elasticsearch_ca_file)
    return AsyncElasticsearch(**options)


def _with_port(url: str) -> str:
    """Return an address as the client takes it: it wants the port to be said."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2]
    if ":" not in host.rpartition("]")[2]:
        authority = f"{authority}:{443 if scheme == 'https' else 9200}"
    return f"{scheme}://{authority}{slash}{path}"


def fault_of(error: ApiError | TransportError) -> PassingFault | PermanentFault:
    """Return what an error of the client means. Where it refuses the login, or writes, somebody may mend that."""
    if isinstance(error, ApiError) and error.status_code in _MISTAKES:
        return PermanentFault(said_by(error), Dependency.INDEX)
    return PassingFault(said_by(error), Dependency.INDEX, away=True)


def said_by(error: ApiError | TransportError) -> str:
    """Return an error as one line for the log: its status and kind, or what became of the connection."""
    if isinstance(error, ApiError):
        return f"status {error.status_code}: {error.message}"
    return f"{type(error).__name__}: {error.message}"[:300]


ELASTICSEARCH = Translation(ApiError, TransportError, fault_of=fault_of)
