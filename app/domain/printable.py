"""Texts of others as messages quote them."""

from __future__ import annotations


def shortened(text: str, most: int) -> str:
    """Return the text with at most so many characters, the last of which then says that there were more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def as_utf8(text: str) -> str:
    """Return text without what cannot be written as UTF-8: bytes of a client that were no text."""
    return text.encode(errors="replace").decode()


def printable(text: str, most: int) -> str:
    """Return the text shortened, and fit for any terminal and any store: what cannot be printed is replaced."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shortened(text, most))
