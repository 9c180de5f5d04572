"""The page at /docs shows the whole document, and needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from tests.support.openapi import DOCUMENT, operations
from web.openapi.page import content_security_policy, render

PAGE = render(DOCUMENT)

#: Elements that have no end.
VOID = {"meta"}
#: Elements that load, run or send something.
ACTIVE = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "video", "audio", "source", "svg"}


class Reader(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def test_every_element_is_closed() -> None:
    assert read(PAGE).open == []


def test_page_is_static() -> None:
    """Nothing in the page is loaded, run or sent."""
    reader = read(PAGE)
    assert not ACTIVE & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in {"src", "style", "action"}]
    assert not re.search(r"url\(|@import|javascript:", PAGE)


def test_it_names_no_other_host() -> None:
    assert not re.search(r"(https?:)?//[a-z0-9]", PAGE, re.IGNORECASE)


def test_page_links_lead_somewhere() -> None:
    """Every link leads somewhere in the page or to the document."""
    attributes = read(PAGE).attributes
    ids = [value for name, value in attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    assert {value for name, value in attributes if name == "href"} <= {f"#{name}" for name in ids} | {"/openapi.json"}


def test_page_policy_is_minimal() -> None:
    """Its policy allows its own style and nothing else."""
    [style] = re.findall(r"<style>(.*?)</style>", PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = content_security_policy()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy


def test_page_shows_operations() -> None:
    """It shows every operation with all its answers."""
    for path, method, operation in operations():
        section = PAGE.partition(f'<section id="{operation["operationId"]}">')[2].partition("</section>")[0]
        assert f"{method.upper()}</span> {path}" in section
        for status in operation["responses"]:
            assert f"<strong>{status}</strong>" in section


def test_page_shows_schemas() -> None:
    """It shows every schema and credential."""
    for name in DOCUMENT["components"]["schemas"]:
        assert f'id="schema-{name}"' in PAGE
    for name in DOCUMENT["components"]["securitySchemes"]:
        assert f"<code>{name}</code>" in PAGE


def test_page_escapes_text() -> None:
    """What stands in the document is shown as text and never as markup."""
    document = {**DOCUMENT, "info": {**DOCUMENT["info"], "title": "<script>&", "description": "`<b>`"}}
    page = render(document)
    assert "<script>" not in page
    assert "<code>&lt;b&gt;</code>" in page
