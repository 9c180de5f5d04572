"""Names of files: whatever is sent, what is shown is a name and no path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.file_names import clean_file_name

#: What is sent → what is shown.
NAMES = {
    "contacts.csv": "contacts.csv",
    "Kunden März 2026.csv": "Kunden März 2026.csv",
    "Ma\u0308rz.csv": "März.csv",
    "../../etc/passwd": "passwd",
    "/etc/passwd": "passwd",
    "..\\..\\windows\\win.ini": "win.ini",
    "C:\\Users\\ada\\contacts.csv": "contacts.csv",
    "a/b\\c.csv": "c.csv",
    "..%2f..%2fetc%2fpasswd": "..%2f..%2fetc%2fpasswd",
    "..": "unnamed",
    ".": "unnamed",
    "../": "unnamed",
    "": "unnamed",
    " \t ": "unnamed",
    "a\0b.csv": "ab.csv",
    "a\r\nSet-Cookie: x.csv": "aSet-Cookie: x.csv",
    "\u202evsc.exe": "vsc.exe",
    "a\u200bb\ufeff.csv": "ab.csv",
    "a\ud800.csv": "a?.csv",
    "CON": "CON",
    "NUL.csv": "NUL.csv",
    "<script>alert(1)</script>": "script>",
    "=cmd|' /C calc'!A0.csv": "C calc'!A0.csv",
    "x" * 10_000: "x" * 255,
    "two   blanks\u3000and\u2028more": "two blanks and more",
}


@pytest.mark.parametrize(("sent", "shown"), NAMES.items(), ids=[ascii(name)[:30] for name in NAMES])
def test_file_name_is_cleaned(sent: str, shown: str) -> None:
    """A name is shown without what does not belong to a name."""
    assert clean_file_name(sent) == shown


@given(st.text(st.characters(), max_size=400))
def test_file_name_is_safe(sent: str) -> None:
    """What is shown is short, visible text without a path, and stays so."""
    shown = clean_file_name(sent)
    assert 0 < len(shown) <= 255
    assert not set("/\\\0\r\n") & set(shown)
    assert shown.strip(". ")
    shown.encode()
    assert clean_file_name(shown) == shown
