"""Files of contacts whose outcome is known beforehand: for the demonstration, the tests and the benchmarks.

A file is determined by its arguments. Its duplicates are chosen so that the counts do not depend on the order
in which chunks run: a repeated id repeats the whole row, and a repeated email stands in the row behind its
owner, in the same chunk as long as chunks have an even number of rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HEADER = "id,name,email,status\n"

_STATUSES = ("active", "inactive", "pending", "archived")
_GIVEN = ("Ada", "Björn", "Chloé", "Dmitri", "Émile", "Fatma", "Günther", "Hana", "Ingrid", "Jürgen")
_FAMILY = ("Müller", "Okafor", "O'Neil", "Sørensen", "van Dijk", "Yılmaz", "Tanaka", "García", "Novák", "Lee")

#: What can be wrong with a row: its code, and how the fields of a good row become bad.
_DAMAGE: tuple[tuple[str, Callable[[list[str]], list[str]]], ...] = (
    ("INVALID_EMAIL", lambda f: [f[0], f[1], f[2].replace("@", " at "), f[3]]),
    ("INVALID_STATUS", lambda f: [f[0], f[1], f[2], "maybe"]),
    ("REQUIRED", lambda f: [f[0], "", f[2], f[3]]),
    ("WRONG_FIELD_COUNT", lambda f: f[:3]),
    ("WRONG_FIELD_COUNT", lambda f: [*f, "surplus"]),
)


@dataclass
class Expected:
    """What must become of a file, whatever happens on the way."""

    total: int = 0
    success: int = 0
    duplicates: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Rows that must fail."""
        return sum(self.failures.values())

    def counts(self) -> dict[str, int]:
        """Return the counters that the API must show at the end."""
        return {
            "totalCount": self.total,
            "processedCount": self.total,
            "successCount": self.success,
            "failureCount": self.failed,
            "skippedCount": self.duplicates,
            "duplicateCount": self.duplicates,
        }


@dataclass(frozen=True)
class Sample:
    """A file of ``rows`` contacts, of which about the given shares are damaged, repeated, or span two lines.

    ``name_suffix`` ends the name in every ``suffix_every``-th row: two samples that differ in these alone are the same
    file before and after a change. ``note`` adds a column of so many characters, which no contact has.
    """

    rows: int
    seed: int = 1
    invalid: float = 0.05
    duplicates: float = 0.05
    multiline: float = 0.02
    prefix: str = "c"
    name_suffix: str = ""
    suffix_every: int = 1
    note: int = 0

    def write(self, path: Path) -> Expected:
        """Write the file; return what must become of it."""
        expected = Expected()
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(HEADER.replace("\n", ",note\n") if self.note else HEADER)
            for line, code in self._lines():
                file.write(line)
                expected.total += 1
                if code is None:
                    expected.success += 1
                elif code == "DUPLICATE":
                    expected.duplicates += 1
                else:
                    expected.failures[code] = expected.failures.get(code, 0) + 1
        return expected

    def codes(self) -> list[str | None]:
        """Return for each row, in order, None where it is good, else the code of what is wrong with it.

        Of rows that repeat an earlier row as a whole, any one may come to be the owner.
        """
        return [code for _, code in self._lines()]

    def records(self) -> dict[str, tuple[str, str, str]]:
        """Return what must stand in the database: id → (name, email, status)."""
        found: dict[str, tuple[str, str, str]] = {}
        for fields, code in self._rows():
            if code is None:
                found[fields[0]] = (fields[1], fields[2], fields[3])
        return found

    def _lines(self) -> Iterator[tuple[str, str | None]]:
        for fields, code in self._rows():
            if any('"' in value or "\n" in value or "," in value for value in fields):
                fields = [f'"{value.replace(chr(34), chr(34) * 2)}"' for value in fields]
            if self.note:
                fields = [*fields, "n" * self.note]
            yield ",".join(fields) + "\n", code

    def _rows(self) -> Iterator[tuple[list[str], str | None]]:
        chance = random.Random(self.seed)  # noqa: S311  made-up names, not secrets
        draw, choice = chance.random, chance.choice
        good: list[str] | None = None
        kept: list[list[str]] = []
        for number in range(1, self.rows + 1):
            fate = draw()
            if fate < self.invalid:
                code, damage = choice(_DAMAGE)
                yield damage(self._good(number, draw, choice)), code
                good = None
                continue
            fate -= self.invalid
            if fate < self.duplicates / 2 and kept:
                yield choice(kept), "DUPLICATE"
                good = None
                continue
            fate -= self.duplicates / 2
            if fate < self.duplicates / 2 and good is not None and number % 2 == 0:
                fields = self._good(number, draw, choice)
                yield [fields[0], fields[1], good[2].upper(), fields[3]], "DUPLICATE"
                good = None
                continue
            good = self._good(number, draw, choice)
            if number % 97 == 1 and len(kept) < 1000:
                kept.append(good)
            yield good, None

    def _good(self, number: int, draw: Callable[[], float], choice: Callable[[Sequence[str]], str]) -> list[str]:
        name = f"{choice(_GIVEN)} {choice(_FAMILY)}"
        if number % self.suffix_every == 0:
            name += self.name_suffix
        if draw() < self.multiline:
            name = f'{name}\n"{number}"'
        identity = f"{self.prefix}{number}"
        return [identity, name, f"{identity}@example.com", _STATUSES[number % 4]]
