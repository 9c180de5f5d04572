"""How clients of Kafka prove who they are and whom they talk to.

:func:`client_options` is what every client of aiokafka is made with, whichever it is: the admin client, a consumer or a
producer. Faust's own clients are made with the same (``app/main.py``).
"""

from __future__ import annotations

from typing import Any

from app.kafka.oauth import TokenEndpoint, TokenFile
from app.settings import Settings
from app.settings.kafka_security import OAUTH, has_tls, plain, ssl_context


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments about security for a client of aiokafka."""
    options: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if has_tls(settings.kafka_security_protocol):
        options["ssl_context"] = ssl_context(
            settings.kafka_ssl_ca_file,
            settings.kafka_ssl_cert_file,
            settings.kafka_ssl_key_file,
            plain(settings.kafka_ssl_key_password),
        )
    if settings.kafka_sasl_mechanism is not None:
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        if settings.kafka_sasl_mechanism == OAUTH:
            options["sasl_oauth_token_provider"] = _token_provider(settings)
        else:
            options["sasl_plain_username"] = settings.kafka_sasl_username
            options["sasl_plain_password"] = plain(settings.kafka_sasl_password)
    return options


def _token_provider(settings: Settings) -> TokenEndpoint | TokenFile:
    if settings.kafka_oauth_token_file is not None:
        return TokenFile(settings.kafka_oauth_token_file, settings.kafka_oauth_extensions)
    return TokenEndpoint(
        settings.kafka_oauth_token_url or "",
        settings.kafka_oauth_client_id or "",
        plain(settings.kafka_oauth_client_secret) or "",
        scope=settings.kafka_oauth_scope,
        extensions=settings.kafka_oauth_extensions,
    )
