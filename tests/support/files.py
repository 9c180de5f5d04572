"""Files of contacts as they are uploaded."""

from __future__ import annotations

from collections.abc import Sequence

COLUMNS = ("id", "name", "email", "status")
HEADER = ",".join(COLUMNS).encode() + b"\n"
ROW = b"refused1,Nobody,refused1@example.com,active\n"
#: A whole file, of one row.
CONTACTS = HEADER + ROW


def contacts_csv(*rows: str, columns: Sequence[str] = COLUMNS) -> bytes:
    """A file of these rows."""
    return "".join(f"{row}\n" for row in (",".join(columns), *rows)).encode()


#: A file that looks divided by semicolons as long as nobody knows which columns it is to have.
MISLEADING = (
    b"id,name,email,status,a;b\nmis1,A,mis1@example.com,active,x;y\nmis2,B,mis2@example.com;z\n" + b"mis3;\n" * 9
)
