"""Where a client of Kafka gets its OAuth tokens: from a token endpoint, or from a file that somebody keeps fresh.

Faust's consumer has a thread and an event loop of its own, so a provider belongs to no event loop.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote_plus

from aiohttp import ClientError, ClientSession, ClientTimeout
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

#: Longest wait for the token endpoint, seconds.
_TIMEOUT = 10.0
#: A token is not used in the last part of its life, in which it may end on its way, seconds.
_MARGIN = 30.0
#: Life of a token of which the endpoint does not say how long it is valid, seconds.
_DEFAULT_LIFE = 300.0


class _Provider(AbstractTokenProvider):  # type: ignore[misc]
    def __init__(self, extensions: Mapping[str, str]) -> None:
        self._extensions = dict(extensions)

    def extensions(self) -> dict[str, str]:
        """Return what is sent beside the token (RFC 7628)."""
        return self._extensions


class TokenFile(_Provider):
    """The token in a file, such as Kubernetes mounts and renews; it is read for every connection."""

    def __init__(self, path: Path, extensions: Mapping[str, str]) -> None:
        super().__init__(extensions)
        self._path = path

    async def token(self) -> str:
        """Return the token.

        Raises:
            KafkaConnectionError: there is none now.
        """
        try:
            token = (await asyncio.to_thread(self._path.read_text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KafkaConnectionError(f"KAFKA_OAUTH_TOKEN_FILE cannot be read: {error}") from error
        if not token:
            raise KafkaConnectionError("KAFKA_OAUTH_TOKEN_FILE is empty")
        return token


class TokenEndpoint(_Provider):
    """Tokens of an authorization server, by the client credentials grant (RFC 6749, 4.4); kept until they end."""

    def __init__(
        self, url: str, client_id: str, client_secret: str, *, scope: str, extensions: Mapping[str, str]
    ) -> None:
        super().__init__(extensions)
        self._url = url
        # RFC 6749, 2.3.1: encoded as in a form, so that a colon in the name divides nothing.
        login = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self._headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        #: The newest token, and until when it is used (of the monotonic clock).
        self._kept: tuple[str, float] | None = None

    async def token(self) -> str:
        """Return a token that is valid for a while yet.

        Raises:
            KafkaConnectionError: the endpoint does not answer, or gives none.
        """
        if self._kept is None or self._kept[1] < time.monotonic():
            self._kept = await self._fetch()
        return self._kept[0]

    async def _fetch(self) -> tuple[str, float]:
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=_TIMEOUT)) as session,
                session.post(self._url, data=self._form, headers=self._headers, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise KafkaConnectionError(f"KAFKA_OAUTH_TOKEN_URL answers {answer.status} {answer.reason}")
                body = await answer.json(content_type=None)
        except (ClientError, OSError, ValueError) as error:
            raise KafkaConnectionError(f"KAFKA_OAUTH_TOKEN_URL gives no token: {error!r}") from error
        token = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token:
            raise KafkaConnectionError("the answer of KAFKA_OAUTH_TOKEN_URL has no access_token")
        life = body.get("expires_in")
        life = float(life) if isinstance(life, int | float) else _DEFAULT_LIFE
        return token, time.monotonic() + max(0.0, life - _MARGIN)
