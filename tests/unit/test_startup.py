"""Before a worker starts: whether its port is free is told in time, not by Faust in the middle of the start."""

from __future__ import annotations

import socket

import pytest

from app.startup import port_is_free


def bound(host: str, *, listen: bool) -> socket.socket:
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    # As every server on this system does.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, 0))
    if listen:
        server.listen()
    return server


@pytest.mark.parametrize("asked", ["127.0.0.1", "0.0.0.0", "localhost"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_on_which_somebody_listens_is_not_free_and_is_free_again_afterwards(host: str, asked: str) -> None:
    with bound(host, listen=True) as server:
        port = server.getsockname()[1]
        assert not port_is_free(asked, port)
    assert port_is_free(asked, port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_looking_at_a_port_does_not_take_it(host: str) -> None:
    with bound(host, listen=False) as server:
        port = server.getsockname()[1]
    assert port_is_free(host, port)
    assert port_is_free(host, port)


def test_a_port_that_was_just_in_use_is_free_for_a_worker_that_is_started_again() -> None:
    with bound("127.0.0.1", listen=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            # The side that closes first keeps the address for a while.
            accepted.close()
            assert client.recv(1) == b""
    assert port_is_free("127.0.0.1", port)


def test_a_port_of_the_sixth_version_is_looked_at_in_its_own_family() -> None:
    try:
        server = bound("::1", listen=True)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        port = server.getsockname()[1]
        assert not port_is_free("::1", port)
    assert port_is_free("::1", port)


def test_an_address_of_another_machine_is_not_free() -> None:
    assert not port_is_free("192.0.2.1", 3000)
