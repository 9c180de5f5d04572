"""Every route with every role, by key and by token: let through, 403 or 401 exactly as the route table says."""

from __future__ import annotations

import re
import socket

import httpx
import pytest

from app.domain.access import Role
from tests.support.assertions import error_of
from tests.support.issuer import token
from tests.support.secured import Guarded
from web.routes import ROUTES

#: Every method of every route, and the role that it needs.
WAYS = [
    (method, re.sub(r"\{\w+\}", "0" * 24, route.path), operation.role)
    for route in ROUTES
    for declared, operation in route.operations.items()
    for method in ((declared, "HEAD") if declared == "GET" else (declared,))
]


@pytest.fixture(scope="module")
def keys(guarded: Guarded) -> dict[Role, str]:
    return {role: guarded.key("acme", role) for role in Role}


def request(guarded: Guarded, method: str, path: str, **headers: str) -> httpx.Response:
    return guarded.worker.client.request(method, path, headers=headers)


def error(answer: httpx.Response) -> tuple[int, str | None]:
    """Status and code; an answer to HEAD has no body."""
    return (answer.status_code, None) if answer.request.method == "HEAD" else error_of(answer)[:2]


@pytest.mark.parametrize(("method", "path", "need"), WAYS)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("credential", ["key", "token"])
def test_roles_open_what_the_table_says(
    guarded: Guarded, keys: dict[Role, str], method: str, path: str, need: Role | None, role: Role, credential: str
) -> None:
    """A role opens what the table says, and nothing else."""
    sent = {"X-API-Key": keys[role]} if credential == "key" else {"Authorization": f"Bearer {token(role=role)}"}
    answer = request(guarded, method, path, **sent)
    if path == "/workers" and role is Role.ADMIN:
        # Of an account that is not the platform's.
        assert error(answer) in ((403, "PLATFORM_ONLY"), (403, None))
    elif need is None or role.covers(need):
        # An id that is unknown, a form without a file and a key without a role are found only behind the door.
        assert answer.status_code in (200, 404, 400), answer.text
        if answer.status_code == 400:
            assert error_of(answer)[1] in ("FILE_REQUIRED", "INVALID_ROLE")
    else:
        status, code = error(answer)
        assert (status, code or "FORBIDDEN") == (403, "FORBIDDEN")
        assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize(("method", "path", "need"), WAYS)
def test_no_credential_opens_open_routes(guarded: Guarded, method: str, path: str, need: Role | None) -> None:
    """Without a credential only what is open is open."""
    answer = request(guarded, method, path)
    if need is None:
        assert answer.status_code == 200
    else:
        status, code = error(answer)
        assert (status, code or "CREDENTIAL_REQUIRED") == (401, "CREDENTIAL_REQUIRED")
        assert "Bearer" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_refusal_names_both_roles(guarded: Guarded, keys: dict[Role, str], role: Role) -> None:
    """A refusal names the role that is needed, and the one that is there."""
    answer = request(guarded, "POST", "/dead-letters/x/replay", **{"X-API-Key": keys[role]})
    expected = f"This needs the role admin, and the credential has the role {role}."
    assert error_of(answer) == (403, "FORBIDDEN", expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Role", "admin"), ("role", "admin"), ("X-HTTP-Method-Override", "GET"), ("accountid", "root")],
)
def test_no_header_raises_a_role(guarded: Guarded, keys: dict[Role, str], name: str, value: str) -> None:
    answer = request(guarded, "POST", "/bulk-actions?role=admin", **{"X-API-Key": keys[Role.VIEWER], name: value})
    assert error_of(answer)[:2] == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("role", "code"), [(Role.VIEWER, "FORBIDDEN"), (Role.OPERATOR, "FORBIDDEN"), (Role.ADMIN, None)]
)
def test_workers_are_for_the_platform(guarded: Guarded, role: Role, code: str | None) -> None:
    """The list of workers is shown to admins of the account that what belongs to nobody is shown to."""
    answer = request(guarded, "GET", "/workers", **{"X-API-Key": guarded.key("default", role)})
    if code is not None:
        assert error_of(answer)[:2] == (403, code)
        return
    assert [worker["self"] for worker in answer.json()["workers"]] == [True]


@pytest.mark.parametrize("role", [None, *Role])
def test_page_is_open_to_be_read(guarded: Guarded, keys: dict[Role, str], role: Role | None) -> None:
    """The dashboard has nothing of anybody's, and takes nothing."""
    sent = {} if role is None else {"X-API-Key": keys[role]}
    page = request(guarded, "GET", "/", **sent)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert request(guarded, "POST", "/", **sent).status_code == 405


@pytest.mark.parametrize(("role", "status"), [(None, 401), (Role.VIEWER, 403)])
def test_refused_upload_is_not_read(guarded: Guarded, keys: dict[Role, str], role: Role | None, status: int) -> None:
    """An upload is refused before anything of it is read."""
    lines = ["POST /bulk-actions HTTP/1.1", "Host: localhost", "Content-Type: multipart/form-data; boundary=x"]
    lines += ["Content-Length: 1000000000", *([f"X-API-Key: {keys[role]}"] if role else []), "", ""]
    with socket.create_connection(("127.0.0.1", guarded.worker.port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert f" {status} ".encode() in connection.recv(65536).split(b"\r\n")[0]
