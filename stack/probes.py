"""Does it really answer? One question per protocol.

Every probe takes an address and a timeout in seconds and raises NotReady, with the reason, unless the service answers;
Refused when it answers and does not let us in.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import os
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import pymongo
import pymongo.errors
import redis
from aiokafka.errors import KafkaError
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.kafka.broker_access import BrokerRefuses, check_access
from app.kafka.security import client_options
from app.settings import Settings
from stack.addresses import Address, is_listening
from stack.errors import NotReady, Refused, StackError

#: A login over TLS takes a few exchanges, and after a failure the broker is asked why, seconds.
_LOGIN_TIMEOUT = 20.0
_METADATA, _VERSION, _CORRELATION = 3, 1, 0x5AFE
_LONGEST_ANSWER = 1 << 20
#: Unauthorized (no login), AuthenticationFailed (a wrong one).
_MONGO_REFUSALS = {13, 18}


def kafka(address: Address, timeout: float) -> None:
    """Ask for the metadata of no topic: a broker that is ready lists at least itself."""
    security = _kafka_security()
    if security is not None:
        _secure_kafka(address, timeout, security)
        return
    # Without a client library: its reconnecting, logging and event loop are of no use for one question.
    client = b"stack"
    request = struct.pack(f">hhih{len(client)}si", _METADATA, _VERSION, _CORRELATION, len(client), client, 0)
    reason = "it does not listen"
    for host, port in address.hosts:
        try:
            with socket.create_connection((host, port), timeout) as connection:
                connection.settimeout(timeout)
                connection.sendall(struct.pack(">i", len(request)) + request)
                (size,) = struct.unpack(">i", _exactly(connection, 4))
                if not 12 <= size <= _LONGEST_ANSWER:
                    raise NotReady("its answer is not Kafka's")
                correlation, brokers = struct.unpack(">ii", _exactly(connection, size)[:8])
        except OSError as error:
            reason = str(error)
            continue
        if correlation != _CORRELATION:
            raise NotReady("its answer is not Kafka's")
        if brokers > 0:
            return
        reason = "no broker has registered"
    raise NotReady(reason)


def _kafka_security() -> dict[str, Any] | None:
    """Return the settings about security that the platform would use, None where there are none."""
    if os.environ.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT") in ("", "PLAINTEXT"):
        return None
    try:
        return client_options(Settings(_env_file=None))
    except ValueError as error:
        raise StackError(f"the settings of Kafka do not fit together: {_first_line(error)}") from error


def _secure_kafka(address: Address, timeout: float, security: dict[str, Any]) -> None:
    async def ask() -> None:
        async with asyncio.timeout(max(timeout, _LOGIN_TIMEOUT)):
            await check_access([f"{host}:{port}" for host, port in address.hosts], security)

    try:
        asyncio.run(ask())
    except BrokerRefuses as error:
        raise Refused(f"it answers and does not let us in: {error}") from error
    except (KafkaError, OSError) as error:
        raise NotReady(_first_line(error)) from error


def mongo(address: Address, timeout: float) -> None:
    """Send `ping`, through the driver, with all that the URI says. Raises StackError for an URI it rejects."""
    # A refused connection is known at once; the driver would retry until its timeout.
    if address.startable and not is_listening(address.host, address.port, timeout):
        raise NotReady("it does not listen")
    milliseconds = max(1, int(timeout * 1000))
    try:
        with pymongo.MongoClient[dict[str, object]](
            address.uri,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
        ) as client:
            client.admin.command("ping")
            # Everybody may ping; this needs a login where there is one, and no right beyond it.
            client.get_default_database("bulk").command("listCollections", nameOnly=True, authorizedCollections=True)
    except pymongo.errors.OperationFailure as error:
        if error.code in _MONGO_REFUSALS:
            raise Refused(f"it answers and does not let us in, MONGO_DB_URI: {_said_by_mongo(error)}") from error
        raise NotReady(_first_line(error)) from error
    except (pymongo.errors.InvalidURI, pymongo.errors.ConfigurationError) as error:
        raise StackError(f"MONGO_DB_URI: {error}") from error
    except pymongo.errors.PyMongoError as error:
        raise NotReady(_first_line(error)) from error


def redis_(address: Address, timeout: float) -> None:
    """Send PING, through the driver, with all that the URI says. Raises StackError for an URI it rejects."""
    try:
        client = redis.Redis.from_url(
            address.uri,
            socket_connect_timeout=timeout,
            socket_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise StackError(f"REDIS_URI: {error}") from error
    try:
        client.ping()
    except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        # Without a password, what the server says is about its protocol.
        said = _first_line(error) if urlsplit(address.uri).password else "it asks for a password"
        raise Refused(f"it answers and does not let us in, REDIS_URI: {said}") from error
    except (redis.RedisError, OSError) as error:
        raise NotReady(_first_line(error)) from error
    finally:
        client.close()


def s3(address: Address, timeout: float) -> None:
    """List the buckets without saying who asks: the refusal has a form that only S3 has."""
    _, answer = _get(address, "/", timeout)
    if b"<Error>" not in answer and b"<ListAllMyBucketsResult" not in answer:
        raise NotReady("its answer is not that of S3")


def gateway(address: Address, timeout: float) -> None:
    """Ask for its own health, which no worker is needed for."""
    status, answer = _get(address, "/health", timeout)
    if status != 200 or b'"UP"' not in answer:
        raise NotReady("its answer is not that of the gateway")


def prometheus(address: Address, timeout: float) -> None:
    """Ask whether it is ready, which it says in words of its own."""
    status, answer = _get(address, "/-/ready", timeout)
    if status != 200 or not answer.startswith(b"Prometheus"):
        raise NotReady("its answer is not that of Prometheus")


def traces(address: Address, timeout: float) -> None:
    """Send a trace without spans, which every receiver takes."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout)
    try:
        connection.request("POST", "/v1/traces", b"", {"Content-Type": "application/x-protobuf"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(_first_line(error)) from error
    finally:
        connection.close()
    if status != 200:
        raise NotReady(f"it answers traces with status {status}")


def elasticsearch(address: Address, timeout: float) -> None:
    """Ask for the health of the cluster, which it tells as soon as it has a master, with the login of the settings."""
    parts, headers = urlsplit(address.uri), {}
    if key := os.environ.get("ELASTICSEARCH_API_KEY"):
        headers["Authorization"] = f"ApiKey {key}"
    elif parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    authorities = os.environ.get("ELASTICSEARCH_CA_FILE") or None
    status, answer = _get(address, "/_cluster/health", timeout, headers, authorities)
    if status in (401, 403):
        raise Refused(
            f"it answers and does not let us in, ELASTICSEARCH_URI or ELASTICSEARCH_API_KEY (status {status})"
        )
    if status != 200 or b'"cluster_name"' not in answer:
        raise NotReady("its answer is not that of Elasticsearch")


def _get(
    address: Address,
    path: str,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    authorities: str | None = None,
) -> tuple[int, bytes]:
    """Send a GET; return the status and the beginning of the body."""
    where = (address.host, address.port)
    try:
        connection: http.client.HTTPConnection
        if urlsplit(address.uri).scheme == "https":
            context = ssl.create_default_context(cafile=authorities)
            connection = http.client.HTTPSConnection(*where, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(*where, timeout=timeout)
    except OSError as error:
        raise NotReady(_first_line(error)) from error
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read(_LONGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(_first_line(error)) from error
    finally:
        connection.close()


def _said_by_mongo(error: pymongo.errors.OperationFailure) -> str:
    said = error.details.get("errmsg") if error.details else None
    return str(said or _first_line(error)).splitlines()[0][:200]


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("it closed the connection")
        data += part
    return bytes(data)


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0].partition(" (configured timeouts")[0][:200]
