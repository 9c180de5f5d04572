"""The terminal session that the README shows, and the picture that is made of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from xml.etree import ElementTree

import pyte
import pytest
from typer.main import get_command

from bulk_client.cli.app import app
from tests.support.animated_svg import animated_svg
from tests.support.casts import Cast
from tests.support.record_session import CAST, PICTURE

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def cast() -> Cast:
    return Cast.read(CAST)


def elements(picture: str, tag: str | None = None) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(picture).iter(tag))  # noqa: S314  our own picture


def texts(picture: str, *, visible: Callable[[set[str]], bool] = lambda _: True) -> set[str]:
    """The pieces of text whose classes are visible."""
    found = elements(picture, f"{SVG}text")
    return {element.text or "" for element in found if visible(set(element.attrib["class"].split()))}


def without_motion(picture: str) -> set[str]:
    """The pieces of text that are seen where nothing moves."""
    hidden = set(re.findall(r"^\.(\w+)\{visibility:hidden;", picture, re.MULTILINE))
    return texts(picture, visible=lambda classes: not classes & hidden)


def test_picture_is_of_the_recording(cast: Cast) -> None:
    """``python -m tests.support.record_session --draw`` makes it anew."""
    assert PICTURE.read_text(encoding="utf-8") == animated_svg(cast)
    assert Cast.read(CAST).to_text() == CAST.read_text(encoding="utf-8")


def test_picture_is_small_and_alone() -> None:
    """Text and CSS only: no script, nothing that is run or fetched, and little enough for a page."""
    picture = PICTURE.read_text(encoding="utf-8")
    assert len(picture.encode()) < 150_000
    names = set()
    for element in elements(picture):
        names.add(element.tag.removeprefix(SVG))
        assert not [name for name in element.attrib if name.startswith("on") or "href" in name or name == "style"]
    assert names <= {"svg", "title", "desc", "style", "rect", "circle", "g", "text"}
    assert not re.search(r"url\(|@import|<[!?]|https?://(?!www\.w3\.org/2000/svg\")", picture)


def test_session_is_short(cast: Cast) -> None:
    """As long as somebody watches, on a screen that fits into a page."""
    assert 15 < cast.output[-1][0] < 28
    assert (cast.width, cast.height) <= (100, 24)


def test_session_names_nobody(cast: Cast) -> None:
    """No path, host or user of where it was recorded."""
    told = "\n".join([*cast.lines(), cast.to_text()])
    assert not re.search(r"/(home|root|tmp|usr|work|opt|var)\b|localhost|127\.0\.0\.1|@(?!example\.com|/)\w", told)


def test_commands_of_session_exist(cast: Cast) -> None:
    """Each has the options with which it is shown."""
    shown = [shlex.split(command) for _, command in cast.commands]
    assert [words[1] for words in shown if words[0] == "bulk"] == ["import", "failures", "results", "import"]
    for program, *words in shown:
        if program == "bulk":
            command = get_command(app)
            while hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            command.make_context("bulk", words)


def test_last_frame_needs_no_motion(cast: Cast) -> None:
    """Who asks for less motion sees how it ends, and nothing else."""
    screen = pyte.Screen(cast.width, cast.height)
    stream = pyte.Stream(screen)
    for _, data in cast.output:
        stream.feed(data)
    picture = animated_svg(cast)
    assert "@media (prefers-reduced-motion:reduce){*{animation:none!important}}" in picture
    seen, shown = without_motion(picture), "\n".join(screen.display)
    assert all(text in shown for text in seen)
    assert any(text.startswith("COMPLETED: 4 of 4 rows") for text in seen)
    assert "bulk import contacts.csv --watch" in texts(picture) - seen


def test_text_is_seen_while_it_stands() -> None:
    """Drawn once, with the time for which it was there; colours and signs of XML are kept."""
    cast = Cast(20, 2, "a & b", [(0.1, "\x1b[1;31m<one>\x1b[0m"), (1.0, "\r\x1b[2Ktwo"), (2.0, "\r\nthree")])
    picture = animated_svg(cast)
    assert texts(picture) == {"<one>", "two", "three"}
    assert without_motion(picture) == {"two", "three"}
    ends = 2.0 + 4.0
    [rule] = re.findall(r"@keyframes t\d+\{0%\{visibility:visible\}([\d.]+)%\{visibility:hidden\}\}", picture)
    assert float(rule) == pytest.approx(100 * 1.0 / ends, abs=0.01)
