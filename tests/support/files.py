"""Files of contacts as they are uploaded."""

from __future__ import annotations

COLUMNS = ("id", "name", "email", "status")
HEADER = ",".join(COLUMNS).encode() + b"\n"
ROW = b"refused1,Nobody,refused1@example.com,active\n"
#: A whole file, of one row.
CONTACTS = HEADER + ROW


def contacts_csv(*rows: str) -> bytes:
    """A file of these rows."""
    return HEADER + "".join(f"{row}\n" for row in rows).encode()
