"""The manifests of `deploy/kubernetes`, as tests read and check them.

``python -m tests.support.kubernetes`` writes the alerts for Prometheus' operator anew, from `deploy/prometheus`.
"""

from __future__ import annotations

import functools
import json
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.support.paths import ROOT

MANIFESTS = ROOT / "deploy/kubernetes"
RULES = MANIFESTS / "monitoring/rules.yaml"
#: The oldest and the newest release of Kubernetes whose schemas are here.
RELEASES = ("1.34", "1.37")

_SCHEMAS = ROOT / "tests/data/kubernetes"
_ALERTS = ROOT / "deploy/prometheus/alerts.yml"
_HEAD = """\
# The alerts of deploy/prometheus/alerts.yml, word for word; `python -m tests.support.kubernetes` writes them anew.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: bulk-operations
spec:
"""

Manifest = dict[str, Any]


def rules() -> str:
    """Return the text of the alerts for Prometheus' operator."""
    return _HEAD + textwrap.indent(_ALERTS.read_text(), "  ")


def manifests() -> Iterator[tuple[str, Manifest]]:
    """Every object of every file, with a name for it."""
    for file in sorted(MANIFESTS.rglob("*.yaml")):
        if file.name != "kustomization.yaml":
            for manifest in yaml.safe_load_all(file.read_text()):
                yield f"{file.parent.name}-{manifest['kind']}-{manifest['metadata']['name']}", manifest


def problems(manifest: Manifest, release: str) -> list[str]:
    """What a server of that release would not accept: wrong types, unknown and missing fields."""
    return [
        f"{error.json_path}: {error.message}" for error in _validator(_kind(manifest), release).iter_errors(manifest)
    ]


def _kind(manifest: Manifest) -> str:
    return f"{manifest['apiVersion']}/{manifest['kind']}"


@functools.cache
def _validator(kind: str, release: str) -> Draft202012Validator:
    custom = json.loads((_SCHEMAS / "custom.json").read_text())
    if kind in custom:
        return Draft202012Validator(custom[kind])
    schema = json.loads((_SCHEMAS / f"{release}.json").read_text())
    [name] = [
        name
        for name, definition in schema["$defs"].items()
        for it in definition.get("x-kubernetes-group-version-kind", ())
        if "/".join(filter(None, (it["group"], it["version"], it["kind"]))) == kind
    ]
    return Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"})


if __name__ == "__main__":
    RULES.write_text(rules())
