"""Which errors of Redis pass: those that tell of its state, not those that tell of a wrong command."""

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError, DataError, TimeoutError

from agents.faults import is_transient, means_away
from app.adapters.redis.client import REDIS

STATES = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "OOM command not allowed when used memory > 'maxmemory'. script: 4ca, on @user_script:9.",
    "READONLY You can't write against a read only replica.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "NOREPLICAS Not enough good replicas to write.",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "ERR Error running script (call to f_4ca): @user_script:9: @user_script: 9: -OOM command not allowed when ...",
]
#: What is not the server's state, and yet not the command's mistake either: somebody mends it elsewhere.
OTHERS = ["NOAUTH Authentication required.", "WRONGPASS invalid username-password pair", "NOPERM no permissions"]
OTHERS += ["ERR max number of clients reached", "ERR unknown command 'UNLINK'", "ERR something new"]
MISTAKES = [
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "NOSCRIPT No matching script. Please use EVAL.",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR syntax error",
    "ERR wrong number of arguments for 'set' command",
    "ERR value is not an integer or out of range",
    "ERR Error compiling script (new function): user_script:1: unexpected symbol",
    "ERR user_script:22: Script attempted to access nonexistent global variable 'x' script: 4ca, on @user_script:22.",
]


def told(line: str) -> Exception:
    """What becomes of an error of the server."""
    return REDIS.fault_of(BaseParser.parse_error(line))


@pytest.mark.parametrize("line", STATES)
def test_a_state_of_the_server_passes(line: str) -> None:
    assert is_transient(told(line))
    assert means_away(told(line))


@pytest.mark.parametrize("line", OTHERS)
def test_what_somebody_may_mend_passes(line: str) -> None:
    assert is_transient(told(line))
    assert not means_away(told(line))


@pytest.mark.parametrize("line", MISTAKES)
def test_our_own_mistake_does_not_pass(line: str) -> None:
    assert not is_transient(told(line))


def test_a_broken_connection_passes() -> None:
    assert is_transient(REDIS.fault_of(ConnectionError("gone")))
    assert is_transient(REDIS.fault_of(TimeoutError("slow")))
    assert not is_transient(REDIS.fault_of(DataError("not a value")))
