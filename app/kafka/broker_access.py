"""Does a broker let us in? When it does not, why: a client library only says that it could not connect.

A broker closes the connection of a client that speaks otherwise than it expects (TLS or not, with or without a login),
just as one that is about to stop does. So after a failure it is asked in the other way, and only what it then says
counts as a refusal; everything else passes, perhaps.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

#: Longest wait for one answer, seconds.
_TIMEOUT = 5.0
#: Wait for a complaint that follows a handshake by itself, seconds.
_ALERT_TIMEOUT = 1.0
_PLAINTEXT = {"security_protocol": "PLAINTEXT"}


class BrokerRefuses(RuntimeError):
    """A broker answers and does not let us in: a setting is wrong; the message names it."""


async def check_access(brokers: Sequence[str], security: Mapping[str, Any]) -> None:
    """Return when one of the brokers (``host:port``) lets us in.

    Raises:
        BrokerRefuses: one answers and refuses, and none lets us in.
        aiokafka.errors.KafkaError, OSError: none answers.
    """
    failure: Exception = KafkaConnectionError("there is no broker")
    for broker in brokers:
        host, _, port = broker.rpartition(":") if ":" in broker else (broker, "", "9092")
        host = host.strip("[]")
        try:
            await _enter(host, int(port), security)
        except (KafkaError, OSError) as error:
            reason = await _refusal(host, int(port), security, error)
            if reason is not None:
                failure = BrokerRefuses(f"{broker}: {reason}")
            elif not isinstance(failure, BrokerRefuses):
                failure = KafkaConnectionError(f"{broker} does not answer: {_said(error)}")
        else:
            return
    raise failure


async def _connect(host: str, port: int, security: Mapping[str, Any]) -> AIOKafkaConnection:
    return await create_conn(host, port, request_timeout_ms=int(_TIMEOUT * 1000), **security)


async def _enter(host: str, port: int, security: Mapping[str, Any]) -> None:
    connection = await _connect(host, port, security)
    try:
        # The first question that needs a login.
        answer = await connection.send(MetadataRequest([]))
    finally:
        connection.close()
    # A broker that is ready lists at least itself. One that does not take a token says so in its answer to it, which
    # the client library does not read, and answers this in the form of an answer.
    if not answer.brokers:
        if security.get("sasl_mechanism") == "OAUTHBEARER":
            raise SaslAuthenticationFailed("it is not valid there")
        raise KafkaConnectionError("no broker has registered")


async def _refusal(host: str, port: int, security: Mapping[str, Any], error: Exception) -> str | None:
    """Return why the broker refuses us, None when it cannot be told that it does."""
    protocol = security["security_protocol"]
    tls, login = protocol.endswith("SSL"), protocol.startswith("SASL")
    if isinstance(error, SaslAuthenticationFailed):
        if security["sasl_mechanism"] == "OAUTHBEARER":
            return f"it does not take the token (KAFKA_OAUTH_…): {_said(error)}"
        return "KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is wrong"
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"it does not offer KAFKA_SASL_MECHANISM={security['sasl_mechanism']}"
    if isinstance(error, IllegalSaslStateError):
        return f"it asks for no login: KAFKA_SECURITY_PROTOCOL must be {'SSL' if tls else 'PLAINTEXT'}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted (KAFKA_SSL_CA_FILE): {error.verify_message}"
    if tls and not isinstance(error, ConnectionRefusedError) and await _speaks_plaintext(host, port):
        return f"it does not speak TLS: KAFKA_SECURITY_PROTOCOL must be {'SASL_PLAINTEXT' if login else 'PLAINTEXT'}"
    if tls and (alert := await _alert(host, port, security["ssl_context"])):
        return f"it refuses our certificate (KAFKA_SSL_CERT_FILE): {alert}"
    if not tls and not isinstance(error, ConnectionRefusedError) and await _speaks_tls(host, port):
        return f"it speaks TLS: KAFKA_SECURITY_PROTOCOL must be {'SASL_SSL' if login else 'SSL or SASL_SSL'}"
    if not login and await _asks_for_login(host, port, security):
        return f"it asks for a login: KAFKA_SECURITY_PROTOCOL must be {'SASL_SSL' if tls else 'SASL_PLAINTEXT'}"
    return None


async def _speaks_plaintext(host: str, port: int) -> bool:
    try:
        (await _connect(host, port, _PLAINTEXT)).close()
    except (KafkaError, OSError):
        return False
    return True


async def _speaks_tls(host: str, port: int) -> bool:
    # Whose certificate it is does not matter: nothing is sent.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError) as error:
        # One that wants a certificate of ours, or another version of TLS, says so in TLS.
        return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
    writer.close()
    return True


async def _alert(host: str, port: int, context: ssl.SSLContext) -> str | None:
    """Return what the broker complains about in TLS: with version 1.3 it does so behind the handshake."""
    try:
        async with asyncio.timeout(_ALERT_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                await reader.read(1)
            finally:
                writer.close()
    except ssl.SSLError as error:
        return error.reason if "ALERT" in (error.reason or "") else None
    except (OSError, TimeoutError):
        pass
    return None


async def _asks_for_login(host: str, port: int, security: Mapping[str, Any]) -> bool:
    """Tell whether the broker offers a login to somebody whose question it does not answer without one."""
    try:
        connection = await _connect(host, port, security)
    except (KafkaError, OSError):
        return False
    try:
        answer = await connection.send(SaslHandShakeRequest("PLAIN"))
    except (KafkaError, OSError):
        return False
    finally:
        connection.close()
    return bool(answer.enabled_mechanisms)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
