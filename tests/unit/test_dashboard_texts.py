"""The texts of the dashboard: each language has the same, and the pages use all of them and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.paths import ROOT

STATIC = ROOT / "web" / "dashboard" / "static"
LANGUAGES = sorted(path.stem for path in (STATIC / "texts").glob("*.js"))

#: Of a module of texts: a text, a key, a comment.
_TOKEN = re.compile(r"""("(?:[^"\\]|\\.)*")|([A-Za-z_$][\w$]*)(?=:)|/\*.*?\*/|//[^\n]*""", re.DOTALL)
#: Forms of a text that depend on a number (Unicode plural rules).
_FORMS = {"zero", "one", "two", "few", "many", "other"}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
#: A key in the code: the whole of a string or template, with a dot in it.
_LITERAL = re.compile(r"""["`]([a-zA-Z_]+\.(?:[\w.]|\$\{(?:[^{}]|\{[^}]*\})*\})+)["`]""")


def texts(language: str) -> dict[str, Any]:
    """The texts of a language, read as JSON: the module is an object of texts and of such objects."""
    module = (STATIC / "texts" / f"{language}.js").read_text(encoding="utf-8")
    literal = module[module.index("export default") + len("export default") : module.rindex(";")]
    text = _TOKEN.sub(lambda found: found[1] or (f'"{found[2]}"' if found[2] else ""), literal)
    return dict(json.loads(re.sub(r",(\s*\})", r"\1", text)))


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Each key with its forms."""
    for name, value in tree.items():
        if isinstance(value, str):
            yield f"{prefix}{name}", [value]
        elif set(value) <= _FORMS:
            yield f"{prefix}{name}", list(value.values())
        else:
            yield from flat(value, f"{prefix}{name}.")


def placeholders(forms: list[str]) -> set[str]:
    return {name for form in forms for name in _PLACEHOLDER.findall(form)}


def used() -> tuple[set[str], list[re.Pattern[str]]]:
    """The keys that stand in the code as they are, and patterns of those that are put together."""
    keys, patterns = set(), []
    for path in STATIC.rglob("*.js"):
        if path.relative_to(STATIC).parts[0] in ("vendor", "texts"):
            continue
        for literal in _LITERAL.findall(path.read_text(encoding="utf-8")):
            if "${" in literal:
                parts = re.split(r"\$\{(?:[^{}]|\{[^}]*\})*\}", literal)
                patterns.append(re.compile(r"[\w.]+".join(map(re.escape, parts))))
            else:
                keys.add(literal)
    return keys, patterns


KEYS = {language: dict(flat(texts(language))) for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_have_the_same_texts(language: str) -> None:
    """Each language has the keys of the others, in the same order, with the same placeholders, and no empty text."""
    english = KEYS["en"]
    assert list(KEYS[language]) == list(english)
    for key, forms in KEYS[language].items():
        assert all(form.strip() for form in forms), key
        assert placeholders(forms) - {"count"} == placeholders(english[key]) - {"count"}, key


def test_every_text_is_used() -> None:
    keys, patterns = used()
    unused = [key for key in KEYS["en"] if key not in keys and not any(each.fullmatch(key) for each in patterns)]
    assert unused == ["language"], "the name of the language is the only one that is looked up otherwise"


def test_every_key_has_a_text() -> None:
    """A key that the code names is there; of one that is put together, at least one is."""
    keys, patterns = used()
    sections = {key.partition(".")[0] for key in KEYS["en"] if "." in key}
    assert {key for key in keys if key.partition(".")[0] in sections} - set(KEYS["en"]) == set()
    named = [each for each in patterns if each.pattern.partition("\\.")[0] in sections]
    assert len(named) > 5
    assert [each.pattern for each in named if not any(each.fullmatch(key) for key in KEYS["en"])] == []
