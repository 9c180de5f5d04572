"""The catalogue of errors: every problem is declared once, described where it can be answered, and has an example."""

from __future__ import annotations

import ast
import string
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.openapi import answers
from tests.support.paths import ROOT
from web.errors.catalogue import CATALOGUE, INTERNAL, INVALID_HTTP
from web.errors.problem import Problem
from web.openapi.operations import AUTHENTICATED_ERRORS
from web.routes import ROUTES

PROBLEMS = [pytest.param(problem, id=name) for name, problem in CATALOGUE.items()]

#: Answered outside of all operations: what is not HTTP, and a fault of ours, which nobody is promised.
UNDECLARED = {INVALID_HTTP.code, INTERNAL.code}

#: A text of so many characters says something: it stands in one place.
SENTENCE = 24


def trees() -> Iterator[ast.Module]:
    for package in ("app", "web"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def texts() -> Counter[str]:
    """The texts in the source, those within f-strings included, without docstrings."""
    found: Counter[str] = Counter()
    for tree in trees():
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found.update(
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
        )
    return found


TEXTS = texts()


def parameters(*templates: str) -> set[str]:
    return {name for template in templates for _, name, _, _ in string.Formatter().parse(template) if name}


def declared() -> set[str]:
    """The codes that operations declare."""
    problems = {problem.code for route in ROUTES for made in route.operations.values() for problem in made.problems}
    return problems | {problem.code for problem in AUTHENTICATED_ERRORS}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_example_renders(problem: Problem) -> None:
    """With exactly the parameters that its templates and its body have."""
    assert set(problem.example) == parameters(problem.message, *problem.headers.values()) | set(problem.extra.values())
    body = problem.example_error().to_body("x")
    problem.body.model_validate(body)
    assert body["code"] == problem.code


@pytest.mark.parametrize("problem", PROBLEMS)
def test_declared_at_an_operation(problem: Problem) -> None:
    """Some operation says that it can answer with it; its other wordings have the same code."""
    assert (problem.code in declared()) != (problem.code in UNDECLARED)


def test_described_where_declared() -> None:
    described = {
        code
        for *_, answer in answers()
        for content in answer.get("content", {}).values()
        for code in content.get("examples", {})
    }
    assert described == declared() == {problem.code for problem in CATALOGUE.values()} - UNDECLARED


@pytest.mark.parametrize("code", sorted({problem.code for problem in CATALOGUE.values()}))
def test_code_stands_once(code: str) -> None:
    names = Counter(
        target.id
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == "Obstacle"
        for assigned in node.body
        if isinstance(assigned, ast.Assign)
        for target in assigned.targets
        if isinstance(target, ast.Name)
    )
    assert TEXTS[code] + names[code] == 1


def test_message_stands_once() -> None:
    """In the catalogue or in the domain: no sentence, and no part of one, stands twice."""
    pieces = {
        piece.strip()
        for problem in CATALOGUE.values()
        for piece, *_ in string.Formatter().parse(problem.message)
        if len(piece.strip()) >= SENTENCE
    }
    assert len(pieces) > 30
    found = {piece: sum(count for text, count in TEXTS.items() if piece in text) for piece in pieces}
    # A message that begins with the name of a header is made of two texts.
    assert {piece: count for piece, count in found.items() if count > 1} == {}


def test_sentence_stands_once() -> None:
    twice = {text for text, count in TEXTS.items() if count > 1 and len(text) >= SENTENCE and text.endswith(".")}
    assert twice == set()


def calls() -> Iterator[tuple[str, set[str]]]:
    """Where problems are raised: the name of each, with the names of what it is given."""
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and not any(keyword.arg is None for keyword in node.keywords):
                name = ast.unparse(node.func).rpartition(".")[2]
                if name in CATALOGUE and not node.args:
                    yield name, {str(keyword.arg) for keyword in node.keywords}


def test_raised_with_its_parameters() -> None:
    raised = list(calls())
    assert len(raised) > 40
    assert [(name, given) for name, given in raised if given != set(CATALOGUE[name].example)] == []


def test_unknown_parameter_is_internal() -> None:
    """An unknown parameter is an internal error."""
    with pytest.raises(KeyError):
        Problem(400, "X", "{a}")(b=1)
