"""Hostile keys and tokens at the door of a running worker: 401 in the documented form, and nothing is let in."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain.access import Role
from app.domain.api_keys import fingerprint, new_key
from tests.support.assertions import error_of
from tests.support.files import CONTACTS
from tests.support.forms import REQUIRED
from tests.support.issuer import AUDIENCE, ISSUER, SECRET, claims, encoded, forged, rsa_signer, token
from tests.support.secured import KEY_CACHE, Guarded
from tests.support.waiting import wait_for

HS256 = {"alg": "HS256", "typ": "JWT"}
FORM = {**REQUIRED, "scheduledAt": "2100-01-01T00:00:00Z"}
CHALLENGE = r'Bearer realm="bulk-operations"(, error="invalid_token")?, ApiKey realm="bulk-operations"'

Headers = list[tuple[str, str | bytes]]


def ask(guarded: Guarded, headers: Headers, method: str = "GET", path: str = "/bulk-actions") -> httpx.Response:
    raw = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in headers]
    return guarded.worker.client.request(method, path, headers=raw)


def upload(guarded: Guarded, headers: Headers) -> httpx.Response:
    raw = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in headers]
    return guarded.worker.client.post(
        "/bulk-actions", data=FORM, files={"file": ("upload.csv", CONTACTS, "text/csv")}, headers=raw
    )


@pytest.fixture(scope="module")
def admin(guarded: Guarded) -> Headers:
    return [("X-API-Key", guarded.key("acme", Role.ADMIN))]


@pytest.fixture(autouse=True)
def nothing_gets_in(guarded: Guarded, admin: Headers) -> Iterator[None]:
    """What the account has is the same before and after, and the worker lives."""
    before = ask(guarded, admin).json()
    yield
    assert ask(guarded, admin).json() == before
    assert guarded.worker.client.get("/health").json() == {"status": "UP"}


def assert_refused(guarded: Guarded, headers: Headers, code: str = "INVALID_CREDENTIAL") -> httpx.Response:
    for answer in (ask(guarded, headers), upload(guarded, headers)):
        assert error_of(answer)[:2] == (401, code)
        assert re.fullmatch(CHALLENGE, answer.headers["WWW-Authenticate"])
    return answer


# Tokens


def altered(whole: str, segment: int, change: Callable[[Any], Any]) -> str:
    """A token of which one segment was changed after it was signed."""
    parts = whole.split(".")
    raw = parts[segment] + "=" * (-len(parts[segment]) % 4)
    parts[segment] = encoded(change(json.loads(base64.urlsafe_b64decode(raw))))
    return ".".join(parts)


ATTACKER = rsa_signer("attacker")
NOW = int(time.time())
DEEP = "[" * 2500 + "]" * 2500

TOKENS: dict[str, str | bytes] = {
    # No signature at all
    "alg none": f"{encoded({'alg': 'none'})}.{encoded(claims(role='admin'))}.",
    "alg None": f"{encoded({'alg': 'None'})}.{encoded(claims(role='admin'))}.",
    "alg NONE": f"{encoded({'alg': 'NONE'})}.{encoded(claims(role='admin'))}.",
    "alg nOnE": f"{encoded({'alg': 'nOnE'})}.{encoded(claims(role='admin'))}.",
    "alg none, signed": forged({"alg": "none"}, claims(role="admin")),
    "alg empty": forged({"alg": ""}, claims()),
    "alg missing": forged({"typ": "JWT"}, claims()),
    "alg null": forged({"alg": None}, claims()),
    "alg a list": forged({"alg": ["HS256"]}, claims()),
    "alg an object": forged({"alg": {"name": "HS256"}}, claims()),
    "alg in small letters": forged({"alg": "hs256"}, claims()),
    "no signature": token().rpartition(".")[0] + ".",
    "two segments": token().rpartition(".")[0],
    # Other algorithms
    "HS384 with the right secret": forged({"alg": "HS384"}, claims(), digest="sha384"),
    "HS512 with the right secret": forged({"alg": "HS512"}, claims(), digest="sha512"),
    "RS256 of an attacker": ATTACKER.sign(role="admin"),
    "ES256 signed as HS256": forged({"alg": "ES256"}, claims()),
    # Other secrets
    "another secret": token("x" * 44),
    "an empty secret": forged(HS256, claims(), b""),
    "a nul secret": forged(HS256, claims(), b"\0"),
    "a common secret": forged(HS256, claims(), "secret"),
    "the beginning of the secret": forged(HS256, claims(), SECRET[:-1]),
    "the secret in base64": forged(HS256, claims(), encoded(SECRET)),
    # Changed after it was signed
    "the role raised": altered(token(), 1, lambda body: {**body, "role": "admin"}),
    "the account changed": altered(token(), 1, lambda body: {**body, "account": "other"}),
    "the expiry moved": altered(token(exp=NOW - 600), 1, lambda body: {**body, "exp": NOW + 86_400}),
    "the header changed": altered(token(), 0, lambda head: {**head, "kid": "other"}),
    "a signature of another token": token().rpartition(".")[0] + "." + token(sub="other").rpartition(".")[2],
    "the signature cut": token()[:-4],
    "the signature doubled": token() + token().rpartition(".")[2],
    # Time
    "expired": token(exp=NOW - 600),
    "expired long ago": token(exp=1),
    "expired before time began": token(exp=-1),
    "expires at zero": token(exp=0),
    "no expiry": token(exp=None),
    "an expiry that is a word": token(exp="never"),
    "an endless expiry": token(exp=float("inf")),
    "an expiry that is no number": token(exp=float("nan")),
    "an expiry that is a list": token(exp=[NOW + 86_400]),
    "an expiry that is true": token(exp=True),
    "an expiry of too many digits": forged(HS256, json.dumps(claims()).replace(str(claims()["exp"]), "9" * 5000)),
    "not valid yet": token(nbf=NOW + 100_000),
    "a beginning that is a word": token(nbf="soon"),
    "made in the future": token(iat=NOW + 100_000),
    # For somebody else, from somebody else
    "another audience": token(aud="another"),
    "another audience in a list": token(aud=["another", "third"]),
    "no audience": token(aud=None),
    "an empty audience": token(aud=""),
    "a list without audience": token(aud=[]),
    "an audience that is a number": token(aud=1),
    "an audience that begins like ours": token(aud=f"{AUDIENCE}-admin"),
    "an audience in an object": token(aud={AUDIENCE: True}),
    "another issuer": token(iss="https://attacker.example"),
    "no issuer": token(iss=None),
    "an issuer that begins like ours": token(iss=f"{ISSUER}.attacker.example"),
    "an issuer with a slash more": token(iss=f"{ISSUER}/"),
    "an issuer in a list": token(iss=[ISSUER]),
    # Accounts and roles that cannot be
    "no account": token(account=None),
    "an empty account": token(account=""),
    "an account with a colon": token(account="acme:1"),
    "an account that is a list": token(account=["acme"]),
    "an account that is an operator of a query": token(account={"$ne": "x"}),
    "an account that is too long": token(account="x" * 65),
    "no role": token(role=None),
    "an unknown role": token(role="root"),
    "a role in capitals": token(role="ADMIN"),
    "a role that is a number": token(role=2),
    "a role in an object": token(role={"admin": True}),
    "a subject that is a number": token(sub=7),
    # Headers that point elsewhere
    "with a key of its own": ATTACKER.sign(role="admin", header={"jwk": ATTACKER.jwk}),
    "with the address of a key": ATTACKER.sign(role="admin", header={"jku": "https://attacker.example/keys"}),
    "with a certificate's address": ATTACKER.sign(role="admin", header={"x5u": "https://attacker.example/cert"}),
    "with a file for a key": forged({**HS256, "kid": "../../../../dev/null"}, claims(), b""),
    "with a query for a key": forged({**HS256, "kid": "x' UNION SELECT 'secret"}, claims(), "secret"),
    "with a number for a key": token(header={"kid": 7}),
    "with unknown critical headers": token(header={"crit": ["exp"], "exp": NOW}),
    "with crit that is no list": token(header={"crit": "b64"}),
    "with a payload beside it": token(header={"b64": False, "crit": ["b64"]}),
    # Things that are no token
    "an empty one": "",
    "a word": "token",
    "dots": "..",
    "many dots": "." * 4000,
    "five segments": f"{token()}.x.y",
    "an encrypted one": f"{encoded({'alg': 'dir', 'enc': 'A256GCM'})}..x.y.z",
    "not base64": "!.!.!",
    "a header that is no JSON": f"{encoded(b'{')}.{encoded(claims())}.x",
    "a header that is a list": forged([], claims()),
    "a header that is deep": f"{encoded(DEEP)}.x.x",
    "a header that is not UTF-8": f"{encoded(bytes([255]) * 9)}.x.x",
    "claims that are a list": forged(HS256, [claims()]),
    "claims that are no JSON": forged(HS256, "role=admin"),
    "claims that are deep": forged(HS256, DEEP),
    "claims that are null": forged(HS256, None),
    "not ASCII": "tökén".encode(),
    "not UTF-8": b"\xff\xfe.\xff.\xff",
    "a very long one": "x" * 7000,
    "two in one": f"{token()}, {token()}",
    "with a blank inside": token().replace(".", " .", 1),
    "an API key": new_key(),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_bad_token_is_refused(guarded: Guarded, kind: str) -> None:
    """A token that is not valid is refused."""
    sent = TOKENS[kind]
    value = b"Bearer " + (sent.encode() if isinstance(sent, str) else sent)
    answer = assert_refused(guarded, [("Authorization", value.rstrip(b" "))])
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_good_token_is_let_in(guarded: Guarded) -> None:
    assert ask(guarded, [("Authorization", f"Bearer {token()}")]).status_code == 200


# Keys

KEYS: dict[str, str | bytes] = {
    "an empty one": "",
    "a word": "key",
    "one that was never made": new_key(),
    "a key of zeros": "bulk_" + "A" * 43,
    "the prefix": "bulk_",
    "an operator of a query": '{"$ne": null}',
    "an operator in the form of a key": "bulk_" + '{"$gt":""}'.ljust(43, "x"),
    "a pattern": "bulk_" + ".*".ljust(43, "."),
    "a token": token(role="admin"),
    "a very long one": "bulk_" + "x" * 7000,
    "not ASCII": "schlüssel".encode(),
    "not UTF-8": b"bulk_" + b"\xff" * 43,
    "a word that is true": "true",
    "nothing": "null",
    "two unknown ones": f"{new_key()},{new_key()}",
}


@pytest.mark.parametrize("kind", KEYS)
def test_bad_key_is_refused(guarded: Guarded, kind: str) -> None:
    """A key that is not valid is refused."""
    assert_refused(guarded, [("X-API-Key", KEYS[kind])])


#: What can be made of a good key without knowing it, or by mistake.
VARIANTS: dict[str, Callable[[str], str]] = {
    "its last character is missing": lambda key: key[:-1],
    "it has one character more": lambda key: key + "A",
    "its first characters are other ones": lambda key: "bulk_AAAA" + key[9:],
    "it is in small letters": lambda key: key.lower() if key != key.lower() else key.upper(),
    "its prefix is missing": lambda key: key.removeprefix("bulk_"),
    "its prefix is in capitals": lambda key: "BULK_" + key[5:],
    "it is its hash, as it is stored": fingerprint,
    "it is its hash in the form of a key": lambda key: "bulk_" + fingerprint(key)[:43],
    "it is its id, as it is listed": lambda key: fingerprint(key)[:16],
    "it is quoted": lambda key: f'"{key}"',
    "it is there twice in one header": lambda key: f"{key}, {key}",
    "it has a scheme": lambda key: f"ApiKey {key}",
}


@pytest.fixture(scope="module")
def viewer_key(guarded: Guarded) -> str:
    return guarded.key("acme", Role.VIEWER)


@pytest.mark.parametrize("kind", VARIANTS)
def test_resembling_key_is_refused(guarded: Guarded, viewer_key: str, kind: str) -> None:
    """What only resembles a key is refused."""
    assert_refused(guarded, [("X-API-Key", VARIANTS[kind](viewer_key))])


def test_expired_key_is_refused(guarded: Guarded) -> None:
    """A key that has expired is refused."""
    expired = guarded.key("acme", Role.ADMIN, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert_refused(guarded, [("X-API-Key", expired)])


def test_cached_key_expires(guarded: Guarded) -> None:
    """A key expires while it is in use and remembered."""
    until = datetime.now(UTC) + timedelta(seconds=2)
    key: Headers = [("X-API-Key", guarded.key("acme", Role.VIEWER, expires_at=until))]
    assert ask(guarded, key).status_code == 200
    wait_for(lambda: ask(guarded, key).status_code == 401, "the key has expired")
    assert datetime.now(UTC) >= until


def test_revoked_key_is_refused(guarded: Guarded) -> None:
    """A key that was revoked is refused."""
    revoked = guarded.key("acme", Role.ADMIN, revoked_at=datetime.now(UTC))
    assert_refused(guarded, [("X-API-Key", revoked)])


def test_revoked_key_stops_in_time(guarded: Guarded) -> None:
    """A key that is revoked while in use stops within the documented time."""
    made = keys_command(guarded, "create", "--account", "acme", "--role", "viewer")
    key: Headers = [("X-API-Key", made)]
    assert ask(guarded, key).status_code == 200
    keys_command(guarded, "revoke", fingerprint(made)[:16])
    revoked = time.monotonic()
    late = False
    while not late:
        late = time.monotonic() - revoked > KEY_CACHE
        taken = ask(guarded, key).status_code == 200
    assert not taken
    assert_refused(guarded, key)


def keys_command(guarded: Guarded, *arguments: str) -> str:
    command = [sys.executable, "-m", "app", "keys", *arguments]
    environment = {**os.environ, **guarded.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


# Credentials in other places


def in_other_places(key: str) -> dict[str, tuple[Headers, str]]:
    """Headers and query of a request that has good credentials where none are looked for."""
    return {
        "nothing": ([], ""),
        "an account only": ([("accountid", "acme")], ""),
        "a key in the query": ([], f"?api_key={key}&X-API-Key={key}&apikey={key}"),
        "a token in the query": ([], f"?access_token={token()}&token={token()}"),
        "a key in a cookie": ([("Cookie", f"X-API-Key={key}; api_key={key}")], ""),
        "a token in a cookie": ([("Cookie", f"Authorization=Bearer {token()}; token={token()}")], ""),
        "a key as a password": ([("Authorization", f"Basic {encoded(f'key:{key}')}")], ""),
        "a key with a scheme of its own": ([("Authorization", f"ApiKey {key}")], ""),
        "a key without a scheme": ([("Authorization", key)], ""),
        "a token without a scheme": ([("Authorization", token())], ""),
        "a token of another scheme": ([("Authorization", f"JWT {token()}")], ""),
        "a token behind a tab": ([("Authorization", f"Bearer\t{token()}")], ""),
        "a key in another header": ([("API-Key", key), ("X-Api-Token", key), ("X_API_Key", key)], ""),
        "a token for the proxy": ([("Proxy-Authorization", f"Bearer {token()}")], ""),
        "the word of a proxy": ([("X-Forwarded-User", "admin"), ("X-Role", "admin"), ("Remote-User", "admin")], ""),
        "the address of this machine": ([("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")], ""),
    }


@pytest.mark.parametrize("kind", in_other_places(""))
def test_misplaced_credential_is_ignored(guarded: Guarded, viewer_key: str, kind: str) -> None:
    """A credential counts only where it belongs."""
    headers, query = in_other_places(viewer_key)[kind]
    answer = ask(guarded, headers, path=f"/bulk-actions{query}")
    assert error_of(answer)[:2] == (401, "CREDENTIAL_REQUIRED")
    assert re.fullmatch(CHALLENGE, answer.headers["WWW-Authenticate"])


def several(key: str) -> dict[str, Headers]:
    return {
        "key and token": [("X-API-Key", key), ("Authorization", f"Bearer {token()}")],
        "a good and a bad key": [("X-API-Key", key), ("X-API-Key", "bad")],
        "a bad and a good key": [("X-API-Key", "bad"), ("x-api-key", key)],
        "the same key twice": [("X-API-Key", key), ("X-API-Key", key)],
        "a good and a bad token": [("Authorization", f"Bearer {token()}"), ("Authorization", "Bearer bad")],
        "a good key and an empty token": [("X-API-Key", key), ("Authorization", "Bearer")],
    }


@pytest.mark.parametrize("kind", several(""))
def test_several_credentials_are_refused(guarded: Guarded, viewer_key: str, kind: str) -> None:
    """Of several credentials none counts."""
    assert "one credential only" in assert_refused(guarded, several(viewer_key)[kind]).json()["error"]


# Ways around the door

PATHS = [
    "/bulk-actions",
    "/bulk-actions?x=/health",
    "/%62ulk-actions",
    "/bulk%2Dactions",
    "//bulk-actions",
    "/bulk-actions/",
    "/BULK-ACTIONS",
    "/health/../bulk-actions",
    "/health/%2e%2e/bulk-actions",
    "/health%2F..%2Fbulk-actions",
    "/health;/bulk-actions",
    "/./bulk-actions",
    "/health/bulk-actions",
    "/bulk-actions#/health",
    "/bulk-actions%00/health",
    "/dead-letters",
    "/api-keys",
    "//",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("override", ["", "X-Original-URL: /health", "X-HTTP-Method-Override: OPTIONS"])
def test_path_spelling_bypasses_nothing(guarded: Guarded, method: str, path: str, override: str) -> None:
    """No spelling of a path gets around the authentication.

    They are sent byte by byte: clients tidy such paths up before they send them.
    """
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *filter(None, [override]), "", ""]
    with socket.create_connection(("127.0.0.1", guarded.worker.port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while block := connection.recv(65536):
            answer += block
    assert re.match(rb"HTTP/1\.1 (400|401|404|405) ", answer), answer[:200]
    assert b"actionId" not in answer


@pytest.mark.parametrize("path", ["/health", "/ready"])
@pytest.mark.parametrize(
    "headers", [[], [("X-API-Key", "bad")], [("Authorization", "Bearer bad")], [("accountid", ":")]]
)
def test_health_is_open(guarded: Guarded, path: str, headers: Headers) -> None:
    """Health and readiness are open, whatever is sent along."""
    assert ask(guarded, headers, path=path).status_code == 200


# Secrets


def test_no_secret_gets_into_the_log(guarded: Guarded, viewer_key: str) -> None:
    sent = token()
    ask(guarded, [("X-API-Key", viewer_key)])
    ask(guarded, [("X-API-Key", viewer_key[:-1])])
    ask(guarded, [("Authorization", f"Bearer {sent}")])
    ask(guarded, [("Authorization", f"Bearer {sent}x")])
    log = guarded.worker.log.read_text(errors="replace")
    assert log
    for secret in (SECRET, viewer_key[5:-1], sent.rpartition(".")[2]):
        assert secret not in log
