"""The OpenAPI document as a page: one file without scripts that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

Json = dict[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: light-dark(#0550ae, #79c0ff) }
* { box-sizing: border-box }
html { background: Canvas; color: CanvasText }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 3rem }
a { color: var(--link) }
code, pre { font: 14px/1.45 ui-monospace, monospace }
pre { background: var(--soft); padding: .75rem; border-radius: 6px; margin: .5rem 0 }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-top: 1px solid var(--line) }
section { border: 1px solid var(--line); border-radius: 8px; padding: 0 1rem 1rem; margin: 1rem 0; overflow-x: auto }
section h3 { font-family: ui-monospace, monospace }
.method { display: inline-block; min-width: 4rem; font-weight: 700 }
.soft { opacity: .7 }
summary { cursor: pointer }
nav ul { list-style: none; padding: 0 }
"""


def content_security_policy() -> str:
    """Return the policy of the page: its own style sheet, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def render(document: Json) -> str:
    """Return the page of an OpenAPI document as :func:`web.openapi.document.describe` makes it."""
    title = escape(document["info"]["title"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{title} <small class=soft>{escape(document['info']['version'])}</small></h1>"
        f"{_prose(document['info']['description'])}"
        '<p>The same for programs: <a href="/openapi.json">/openapi.json</a>, OpenAPI 3.1.</p>'
        f"<nav><h2>Routes</h2><ul>{''.join(_contents(document))}</ul></nav>"
        f"<h2>Credentials</h2>{_credentials(document)}"
        f"{''.join(_operation(document, *each) for each in _operations(document))}"
        f"<h2>Schemas</h2>{''.join(_schemas(document))}"
        "</main></body></html>\n"
    )


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _contents(document: Json) -> Iterator[str]:
    for path, method, operation in _operations(document):
        yield (
            f'<li><span class=method>{method}</span> <a href="#{operation["operationId"]}">'
            f"<code>{escape(path)}</code></a> <span class=soft>{_line(operation['summary'])}</span></li>"
        )


def _credentials(document: Json) -> str:
    return _table(
        ("name", "sent as", "meaning"),
        (
            (f"<code>{name}</code>", f"<code>{_sent_as(scheme)}</code>", _line(scheme["description"]))
            for name, scheme in document["components"]["securitySchemes"].items()
        ),
    )


def _sent_as(scheme: Json) -> str:
    return "Authorization: Bearer …" if scheme["type"] == "http" else f"{escape(scheme['name'])}: …"


def _operation(document: Json, path: str, method: str, operation: Json) -> str:
    return (
        f'<section id="{operation["operationId"]}">'
        f"<h3><span class=method>{method}</span> {escape(path)}</h3>"
        f"<p><strong>{_line(operation['summary'])}.</strong></p>{_prose(operation['description'])}"
        f"{_example_request(path, method, operation)}"
        f"{_parameters(document, operation)}{_form(operation)}"
        f"{''.join(_answer(document, *each) for each in operation['responses'].items())}"
        "</section>"
    )


def _example_request(path: str, method: str, operation: Json) -> str:
    for parameter in operation["parameters"]:
        if parameter.get("in") == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
    how = "" if method == "GET" else f" -X {method}"
    if "requestBody" in operation:
        how = " -F actionType=BULK_UPDATE -F entityType=Contact -F file=@contacts.csv"
    return f"<pre>{escape(f'curl{how} localhost:3000{path}')}</pre>"


def _parameters(document: Json, operation: Json) -> str:
    parameters = [_resolved(document, parameter) for parameter in operation["parameters"]]
    return "<h4>Parameters</h4>" + _table(
        ("name", "in", "type", "meaning"),
        (
            (
                f"<code>{escape(parameter['name'])}</code>{_required(parameter.get('required', False))}",
                parameter["in"],
                _type(parameter["schema"]),
                _line(parameter.get("description", "")),
            )
            for parameter in parameters
        ),
    )


def _form(operation: Json) -> str:
    if "requestBody" not in operation:
        return ""
    return "".join(
        f"<h4>Body: <code>{escape(media_type)}</code></h4>{_fields(content['schema'])}"
        for media_type, content in operation["requestBody"]["content"].items()
    )


def _fields(schema: Json) -> str:
    required = schema.get("required", ())
    return _table(
        ("name", "type", "meaning"),
        (
            (
                f"<code>{escape(name)}</code>{_required(name in required)}",
                _type(field),
                _line(field.get("description", "")),
            )
            for name, field in schema.get("properties", {}).items()
        ),
    )


def _answer(document: Json, status: str, answer: Json) -> str:
    shown = [f"<details><summary><strong>{status}</strong> {_line(answer['description'])}</summary>"]
    headers = {name: _resolved(document, header) for name, header in answer.get("headers", {}).items()}
    shown.append(
        _table(
            ("header", "meaning"),
            ((f"<code>{escape(name)}</code>", _line(header["description"])) for name, header in headers.items()),
        )
    )
    for media_type, content in answer.get("content", {}).items():
        shown.append(f"<p><code>{escape(media_type)}</code>: {_type(content['schema'])}</p>")
        if "example" in content:
            shown.append(f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>")
        if "examples" in content:
            shown.append(
                _table(
                    ("code", "error"),
                    (
                        (f"<code>{escape(code)}</code>", escape(example["value"]["error"]))
                        for code, example in content["examples"].items()
                    ),
                )
            )
    return "".join((*shown, "</details>"))


def _schemas(document: Json) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        yield f'<section id="schema-{name}"><h3>{name}</h3>{_prose(schema.get("description", ""))}'
        yield _fields(schema) if "properties" in schema else f"<p>{_type(schema)}</p>"
        yield "</section>"


def _type(schema: Json) -> str:
    """Say in a few words what a value is."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " ".join(
            f"<code>{escape(str(value)) or 'empty'}</code>" for value in schema.get("enum", [schema.get("const")])
        )
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    said = [str(schema.get("type", "anything"))]
    said += [schema["format"]] if "format" in schema else []
    said += [f"{schema['minimum']} to {schema['maximum']}"] if {"minimum", "maximum"} <= set(schema) else []
    said += [f"default {schema['default']}"] if "default" in schema else []
    return escape(", ".join(said))


def _resolved(document: Json, part: Json) -> Json:
    if "$ref" not in part:
        return part
    found: Any = document
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def _required(required: bool) -> str:
    return " <span class=soft>required</span>" if required else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>" if body else ""


def _prose(text: str) -> str:
    """Paragraphs."""
    return "".join(f"<p>{_line(part)}</p>" for part in text.strip().split("\n\n") if part)


def _line(text: str) -> str:
    """Text in which what stands between backticks is code, all that is used of Markdown."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
