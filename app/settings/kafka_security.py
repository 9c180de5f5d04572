"""Which settings about the security of Kafka's clients fit together; ``app/kafka/security.py`` says what follows."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationInfo

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

OAUTH = "OAUTHBEARER"


def ssl_context(ca: Path | None, certificate: Path | None, key: Path | None, password: str | None) -> ssl.SSLContext:
    """Return the context of a client that checks the broker's certificate and name.

    Without ``ca`` the authorities of the system are trusted.

    Raises:
        OSError: a file cannot be read, or is no PEM of what it should be (ssl.SSLError), or the key does not fit.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    if certificate is not None:
        # A function, because without one OpenSSL would ask for the password of an encrypted key at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: password or "")
    return context


def plain(secret: SecretStr | None) -> str | None:
    """Return what a secret hides."""
    return None if secret is None else secret.get_secret_value()


def has_tls(protocol: str) -> bool:
    """Tell whether a security protocol is one over TLS."""
    return protocol.endswith("SSL")


# What fits together. Each of these is called with the values before it, those that are wrong left out.


def check_mechanism(value: str | None, info: ValidationInfo) -> str | None:
    """A mechanism is there exactly when the protocol needs one."""
    protocol = info.data.get("kafka_security_protocol", "")
    if protocol.startswith("SASL") and value is None:
        raise ValueError(f"is needed with KAFKA_SECURITY_PROTOCOL={protocol}")
    if value is not None and protocol in {"PLAINTEXT", "SSL"}:
        raise ValueError(f"has no effect with KAFKA_SECURITY_PROTOCOL={protocol}: that would be SASL_{protocol}")
    return value


def check_login(value: Any, info: ValidationInfo) -> Any:
    """A user and a password are there exactly when the mechanism needs them."""
    if "kafka_sasl_mechanism" not in info.data:
        return value
    mechanism = info.data["kafka_sasl_mechanism"]
    if mechanism in {None, OAUTH} and value is not None:
        raise ValueError("has no effect without KAFKA_SASL_MECHANISM=PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    if mechanism not in {None, OAUTH} and value is None:
        raise ValueError(f"is needed with KAFKA_SASL_MECHANISM={mechanism}")
    return value


def check_tls_file(value: Path | None, info: ValidationInfo) -> Path | None:
    """A file of TLS exists, and has an effect."""
    if value is None:
        return None
    _needs_tls(info.data)
    try:
        value.open("rb").close()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    return value


def check_authorities(value: Path | None, info: ValidationInfo) -> Path | None:
    """The certificates of authorities can be loaded."""
    if check_tls_file(value, info) is not None:
        _load(value, None, None, None)
    return value


def check_key(value: Path | None, info: ValidationInfo) -> Path | None:
    """A key belongs to a certificate."""
    if value is not None and "kafka_ssl_cert_file" in info.data and info.data["kafka_ssl_cert_file"] is None:
        raise ValueError("has no effect without KAFKA_SSL_CERT_FILE")
    return check_tls_file(value, info)


def check_key_password(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """The certificate, its key and the password can be loaded together."""
    data = info.data
    if "kafka_ssl_cert_file" not in data or "kafka_ssl_key_file" not in data:
        return value
    certificate, key = data["kafka_ssl_cert_file"], data["kafka_ssl_key_file"]
    if certificate is None and value is not None:
        raise ValueError("has no effect without KAFKA_SSL_CERT_FILE")
    if certificate is not None:
        reason = "the certificate, its key and this password do not fit together"
        _load(None, certificate, key, plain(value), reason)
    return value


def check_oauth(value: Any, info: ValidationInfo) -> Any:
    """A setting of tokens has an effect."""
    if value and "kafka_sasl_mechanism" in info.data and info.data["kafka_sasl_mechanism"] != OAUTH:
        raise ValueError(f"has no effect without KAFKA_SASL_MECHANISM={OAUTH}")
    return value


def check_token_url(value: str | None, info: ValidationInfo) -> str | None:
    """A token is fetched by HTTPS."""
    if check_oauth(value, info) is None:
        return None
    url = urlsplit(str(value))
    local = url.scheme == "http" and url.hostname in {"localhost", "127.0.0.1", "::1"}
    if not url.hostname or url.username is not None or not (url.scheme == "https" or local):
        raise ValueError("must be https://, or http:// on this machine, without a password in it")
    return value


def check_token_login(value: Any, info: ValidationInfo) -> Any:
    """Who asks the token endpoint says who it is."""
    check_oauth(value, info)
    url = info.data.get("kafka_oauth_token_url")
    if url is not None and value is None:
        raise ValueError("is needed with KAFKA_OAUTH_TOKEN_URL")
    if url is None and value is not None and "kafka_oauth_token_url" in info.data:
        raise ValueError("has no effect without KAFKA_OAUTH_TOKEN_URL")
    return value


def check_token_file(value: Path | None, info: ValidationInfo) -> Path | None:
    """Tokens come from one place, an endpoint or a file."""
    check_oauth(value, info)
    if info.data.get("kafka_sasl_mechanism") != OAUTH or "kafka_oauth_token_url" not in info.data:
        return value
    if (value is None) == (info.data["kafka_oauth_token_url"] is None):
        raise ValueError(f"KAFKA_SASL_MECHANISM={OAUTH} needs either this or KAFKA_OAUTH_TOKEN_URL")
    if value is not None and not value.is_file():
        raise ValueError("is no file")
    return value


def parse_extensions(value: object) -> object:
    """Accept ``name=value,name=value``."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip().isalpha() and separator and text.strip() for name, separator, text in pairs):
        raise ValueError("must be name=value, several separated by commas; names have letters only")
    return {name.strip(): text.strip() for name, _, text in pairs}


def _needs_tls(data: Mapping[str, Any]) -> None:
    protocol = data.get("kafka_security_protocol", "SSL")
    if not has_tls(protocol):
        raise ValueError("has no effect without KAFKA_SECURITY_PROTOCOL=SSL or SASL_SSL")


def _load(
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    password: str | None,
    reason: str = "no certificate can be read from it",
) -> None:
    try:
        ssl_context(ca, certificate, key, password)
    except ssl.SSLError as error:
        raise ValueError(f"{reason} ({error.reason or 'not PEM'})") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{reason} ({error})") from None
