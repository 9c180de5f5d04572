"""What is handed to people beside the code agrees with the code: containers, example settings, make targets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft201909Validator
from pydantic import SecretStr

from app.settings import Settings
from tests.support.paths import ROOT
from web.middleware.response_headers import PROTECTIVE

COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PATCH = re.compile(r"v?\d+\.\d+\.\d+(-|$)")
SETTINGS = {name.upper(): field for name, field in Settings.model_fields.items()}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    # Without what a make around the tests would tell a make in them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


# .env.example


def example() -> list[tuple[str, str, str]]:
    """Return the comment, name and value of every setting in the example."""
    return re.findall(r"^# (.+)\n#([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)


def written(value: Any) -> str:
    """Return a default as the environment would give it; an empty value is none."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_example_has_every_setting():
    """The example names every setting in order."""
    assert [name for _, name, _ in example()] == list(SETTINGS)


def test_example_has_only_settings():
    """Nothing else in the example looks like a setting."""
    text = (ROOT / ".env.example").read_text()
    assert len(re.findall(r"^\W*[A-Za-z0-9_]+=", text, re.MULTILINE)) == len(example())


@pytest.mark.parametrize(("comment", "name", "value"), example(), ids=lambda text: text if text.isupper() else "")
def test_example_describes_settings(comment: str, name: str, value: str):
    """The example has the default and the description."""
    field = SETTINGS[name]
    assert comment == field.description
    assert value == ("" if field.default_factory else written(field.default))


def test_the_example_means_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}={value}\n" for _, name, value in example()))
    assert Settings(_env_file=file) == Settings(_env_file=None)


# docker-compose.yml


def test_compose_file_is_valid():
    """Compose file follows the specification."""
    schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
    problems = [error.message for error in Draft201909Validator(schema).iter_errors(COMPOSE)]
    assert problems == []


def test_docker_accepts_compose_file():
    """Compose file is accepted by Docker."""
    if shutil.which("docker") is None or run("docker", "compose", "version").returncode:
        pytest.skip("docker compose is not installed")
    profiles = [f"--profile={profile}" for service in SERVICES.values() for profile in service.get("profiles", [])]
    done = run("docker", "compose", f"--file={COMPOSE_FILE}", *profiles, "config", "--quiet")
    assert done.returncode == 0, done.stderr


def test_compose_has_every_setting():
    """Compose gives the worker every setting."""
    assert sorted(SERVICES["worker"]["environment"]) == sorted(SETTINGS)


def interpolated(value: str) -> str:
    """Return what docker makes of a value where nothing is set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)


def test_compose_values_are_valid(monkeypatch: pytest.MonkeyPatch):
    """Compose gives the worker valid values."""
    for name, value in SERVICES["worker"]["environment"].items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, interpolated(value))
    settings = Settings(_env_file=None)
    shared = [volume.partition(":")[2] for volume in SERVICES["worker"]["volumes"] if ":" in volume]
    assert str(settings.data_dir) in SERVICES["worker"]["volumes"]
    assert settings.storage_uri.removeprefix("file://") in shared
    assert not any(settings.data_dir.is_relative_to(directory) for directory in shared)


def test_compose_waits_for_a_stop():
    """Compose gives a worker the time that it takes to stop."""
    grace = SERVICES["worker"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > SETTINGS["SHUTDOWN_TIMEOUT"].default


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned_to_a_patch(service: str):
    _, _, tag = SERVICES[service]["image"].rpartition("/")[2].partition(":")
    assert tag == "local" or PATCH.match(tag)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_health_check(service: str):
    assert SERVICES[service]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("service", SERVICES)
def test_services_wait_for_needs(service: str):
    """Every service waits until what it needs is healthy."""
    for needed, how in SERVICES[service].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "profiles" not in SERVICES[needed]


@pytest.mark.parametrize("service", SERVICES)
def test_data_is_in_declared_volumes(service: str):
    for volume in SERVICES[service].get("volumes", []):
        source, named, _ = volume.partition(":")
        assert not named or source in COMPOSE["volumes"] or (ROOT / source).exists()


def test_only_gateway_is_published():
    """Only the gateway is published on this machine."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert {name: [interpolated(port) for port in ports] for name, ports in published.items()} == {
        "gateway": ["127.0.0.1:8080:80"]
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_may_do_little(service: str):
    """No privileges beyond those it starts with, few of these, a limit of memory, an image that it cannot write."""
    declared = SERVICES[service]
    assert declared["cap_drop"] == ["ALL"]
    assert declared["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+[mg]", declared["mem_limit"])
    assert declared["read_only"] is (service != "elasticsearch")
    assert set(declared.get("cap_add", [])) <= {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"}


def test_lone_container_is_not_open():
    """A container alone does not start in the open.

    The image listens for others and leaves AUTH_MODE to who starts it; compose says it by hand.
    """
    assert "HOST=0.0.0.0" in (ROOT / "Dockerfile").read_text()
    assert not re.search(r"^\s+AUTH_MODE=", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert SERVICES["worker"]["environment"]["AUTH_MODE"] == "${AUTH_MODE:-none}"


def test_gateway_allows_largest_upload():
    """The gateway lets the largest upload through."""
    limit = re.search(r"^client_max_body_size (\d+)m;", (ROOT / "deploy/nginx/limits.conf").read_text(), re.MULTILINE)
    assert limit
    assert int(limit[1]) * 1024**2 > SETTINGS["MAX_UPLOAD_BYTES"].default


def test_documented_gateway_limits():
    """The documented limits of the gateway are those of its configuration."""
    limits = (ROOT / "deploy/nginx/limits.conf").read_text()
    page = (ROOT / "docs/operations.md").read_text()
    for said, written in (
        (r"\| body \| (\d+) MiB", r"client_max_body_size (\d+)m;"),
        (r"\| (\d+) per second", r"rate=(\d+)r/s;"),
        (r"per second, (\d+) at once", r"burst=(\d+) "),
        (r"connections of one address[^|]*\| (\d+) ", r"limit_conn connections (\d+);"),
        (r"\| (\d+) KiB for the first line", r"large_client_header_buffers 4 (\d+)k;"),
        (r"\| (\d+) s; ", r"client_header_timeout (\d+)s;"),
        (r"\| \d+ s; (\d+) s", r"client_body_timeout (\d+)s;"),
    ):
        assert re.findall(said, page) == re.findall(written, limits) != [], said


def test_gateway_includes_are_mounted():
    """What the gateway includes is mounted with it."""
    rules = ROOT / "deploy/nginx"
    assert f"./{rules.relative_to(ROOT)}:/etc/nginx:ro" in SERVICES["gateway"]["volumes"]
    included = {
        name
        for file in rules.glob("*.conf")
        for name in re.findall(r"^\s*include (\S+);", file.read_text(), re.MULTILINE)
    }
    assert included
    assert all((rules / name).is_file() for name in included)


def test_gateway_headers_match_workers():
    """The gateway's own answers have the headers of the workers' answers."""
    said = re.findall(
        r'^add_header (\S+) "?([^$]*?)"? always;', (ROOT / "deploy/nginx/answer.conf").read_text(), re.MULTILINE
    )
    assert dict(said) == PROTECTIVE


# The image


def test_base_images_are_pinned():
    """Every base image is pinned to a patch."""
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert bases
    assert all(PATCH.match(base.rpartition(":")[2]) for base in bases)


def test_every_package_is_installed():
    """Setuptools finds the packages itself: each folder with modules is one, and each top one reaches the builder."""
    tops = {"app", "agents", "bulk_client", "tables", "web"}
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert set(found) == {f"{top}*" for top in tops}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "nothing but what is named"
    described = {"LICENSE", "README.md", "constraints.txt", "pyproject.toml"}
    assert {line[1:] for line in lines if line.startswith("!")} == described | tops
    folders = {file.parent for top in tops for file in (ROOT / top).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


# The Makefile


def targets() -> list[str]:
    return re.findall(r"^([A-Za-z][\w-]*)\s*:(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", targets())
def test_make_targets_are_described(target: str):
    """Every make target says what it does."""
    assert re.search(rf"^{target}\s*:[^=\n]* ## \S", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", [("make", "-s"), ("make", "-s", "help")], ids=" ".join)
def test_make_lists_the_targets(command: tuple[str, ...]):
    done = run(*command)
    assert done.returncode == 0, done.stderr
    helped = dict(re.findall(r"^  make (\S+)\s+(\S.*)$", done.stdout, re.MULTILINE))
    assert list(helped) == targets()
