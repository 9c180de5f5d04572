"""An issuer of tokens, honest or not: it signs whatever it is given, and publishes keys over HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET = "a secret of the tests, long enough for HS256"
ISSUER = "https://issuer.example"
AUDIENCE = "bulk-operations"


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token, changed; what is changed to None is left out."""
    now = int(time.time())
    whole = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "somebody",
        "iat": now,
        # Tokens are made when tests are collected: they must not be refused for their age when their turn comes.
        "exp": now + 86_400,
        "account": "acme",
        "role": "viewer",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def encoded(value: Any) -> str:
    """A segment of a token: bytes and text as they are, everything else as JSON."""
    raw = value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: Any, payload: Any, secret: str | bytes = SECRET, digest: str = "sha256") -> str:
    """A token built by hand, signed with HMAC: libraries refuse to build what is tested here."""
    key = secret if isinstance(secret, bytes) else secret.encode()
    signed = f"{encoded(header)}.{encoded(payload)}"
    return f"{signed}.{encoded(hmac.new(key, signed.encode(), getattr(hashlib, digest)).digest())}"


def token(secret: str = SECRET, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """An HS256 token with changed claims and additional headers."""
    return forged({"alg": "HS256", "typ": "JWT", **(header or {})}, claims(**changes), secret)


class Signer:
    """A private key, and how its public half is published."""

    def __init__(self, kid: str, key: Any, algorithm: str, **published: Any) -> None:
        self.kid = kid
        self.key = key
        self.algorithm = algorithm
        kind = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
        maker: Any = next((made for type_, made in kind.items() if isinstance(key, type_)), OKPAlgorithm)
        public = json.loads(maker.to_jwk(key.public_key()))
        public.pop("key_ops", None)
        self.jwk = {**public, "kid": kid, "use": "sig", "alg": algorithm, **published}

    @property
    def pem(self) -> bytes:
        """The public key as text: what an attacker of algorithm confusion signs with."""
        public: bytes = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return public

    def sign(self, *, algorithm: str | None = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        headers = {"kid": self.kid, **(header or {})}
        with warnings.catch_warnings():
            # An attacker is not warned off by a weak key.
            warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
            return jwt.encode(claims(**changes), self.key, algorithm or self.algorithm, headers=headers)


def rsa_signer(kid: str, algorithm: str = "RS256", size: int = 2048, **published: Any) -> Signer:
    return Signer(kid, rsa.generate_private_key(65537, size), algorithm, **published)


def ec_signer(kid: str) -> Signer:
    return Signer(kid, ec.generate_private_key(ec.SECP256R1()), "ES256")


def ed_signer(kid: str) -> Signer:
    return Signer(kid, ed25519.Ed25519PrivateKey.generate(), "EdDSA")


class KeyProvider:
    """An HTTP server that publishes keys, can be broken in several ways, and counts who asks."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        #: Answered instead of the keys: status and body.
        self.instead: tuple[int, bytes] | None = None
        self.requests = 0
        self._go_on = threading.Event()
        self._go_on.set()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests += 1
                provider._go_on.wait(30)
                status, body = provider.instead or (200, json.dumps({"keys": provider.keys}).encode())
                try:
                    self.send_response(status)
                    if status in (301, 302):
                        self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # who asked has not waited

            def log_message(self, *_: Any) -> None:
                """Be silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/keys"

    def publish(self, *signers: Signer) -> None:
        self.keys = [signer.jwk for signer in signers]

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let requests wait as long as this lasts."""
        self._go_on.clear()
        try:
            yield
        finally:
            self._go_on.set()

    def close(self) -> None:
        self._go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
