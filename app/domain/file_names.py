"""Names of uploaded files: shown back to people, and never used as a path."""

from __future__ import annotations

import unicodedata

#: Longest name that is kept, characters.
_LONGEST = 255
UNNAMED = "unnamed"


def clean_file_name(sent: str) -> str:
    """Return the name of a file as it can be shown: the last part of a path, of visible characters only.

    What has no look of its own is left out: control characters, those that turn the direction of writing (which make
    ``exe.csv`` of ``vsc.exe``), and bytes that were no text. Different ways to write the same letter become one.
    """
    name = sent.replace("\\", "/").rpartition("/")[2]
    name = unicodedata.normalize("NFC", name.encode(errors="replace").decode())
    # Cc, Cf, Co, Cs, Cn; Zl and Zp; blanks of all kinds become one.
    name = "".join(" " if char.isspace() else char for char in name if unicodedata.category(char)[0] != "C")
    name = " ".join(name.split())[:_LONGEST].strip()
    return UNNAMED if name.strip(". ") == "" else name
