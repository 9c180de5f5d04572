"""Does it really answer? One question per protocol.

Every probe takes an address and a timeout in seconds and raises NotReady, with the reason, unless the service answers.
"""

from __future__ import annotations

import http.client
import socket
import struct
from urllib.parse import urlsplit

import pymongo
import pymongo.errors
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stack.addresses import Address, is_listening
from stack.errors import NotReady, StackError

_METADATA, _VERSION, _CORRELATION = 3, 1, 0x5AFE
_LONGEST_ANSWER = 1 << 20


def kafka(address: Address, timeout: float) -> None:
    """Ask for the metadata of no topic: a broker that is ready lists at least itself."""
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


def _get(address: Address, path: str, timeout: float) -> tuple[int, bytes]:
    """Send a GET; return the status and the beginning of the body."""
    secure = urlsplit(address.uri).scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(
        address.host, address.port, timeout=timeout
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(_LONGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(_first_line(error)) from error
    finally:
        connection.close()


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
