"""What can go wrong in the launcher, each with the exit code it ends with."""

from __future__ import annotations

from dataclasses import dataclass


class StackError(Exception):
    """The stack cannot do what was asked; the message says why and is meant for people."""

    exit_code = 1


class AddressTaken(StackError):
    """Something that is not the wanted service listens at its address."""

    exit_code = 2


class Refused(StackError):
    """A service answers, and does not let us in: who we say we are is wrong, or not said."""


class NotReady(StackError):
    """A service does not answer its protocol (yet)."""


class Cancelled(StackError):
    """The start was given up because a signal asked for it."""

    exit_code = 130


@dataclass
class Cancellation:
    """A flag that long waits look at. A plain attribute, so that a signal handler may set it safely."""

    requested: bool = False

    def check(self) -> None:
        """Raise Cancelled once somebody has asked to give up."""
        if self.requested:
            raise Cancelled("interrupted")
