"""The manifests for Kubernetes: a server would take them, and they agree with the code and with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from app.kafka.topics import group_names, topic_names
from app.settings import Settings
from tests.support.kubernetes import MANIFESTS, RELEASES, RULES, Manifest, manifests, problems, rules
from tests.support.paths import ROOT

FOUND = dict(manifests())
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SETTINGS = {name.upper(): field for name, field in Settings.model_fields.items()}
GIVEN: dict[str, str] = FOUND["base-ConfigMap-bulk-settings"]["data"]
WORKER = FOUND["base-Deployment-bulk-worker"]
GATEWAY = FOUND["base-Deployment-bulk-gateway"]
NAMESPACE = FOUND["base-Namespace-bulk-operations"]["metadata"]["name"]

each_deployment = pytest.mark.parametrize("deployment", [WORKER, GATEWAY], ids=["worker", "gateway"])


def pod(deployment: Manifest) -> dict[str, Any]:
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def container(deployment: Manifest) -> dict[str, Any]:
    [only] = pod(deployment)["containers"]
    return dict(only)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", FOUND)
def test_servers_accept_manifests(name: str, release: str) -> None:
    """Each object has the form that this release of Kubernetes asks for, and no field that it does not know."""
    assert problems(FOUND[name], release) == []


def test_wrong_manifests_are_found() -> None:
    """A misspelt field and a wrong type show; else the test above would show nothing."""
    wrong = {**WORKER, "spec": {**WORKER["spec"], "replica": 3, "minReadySeconds": "10"}}
    assert len(problems(wrong, RELEASES[0])) == 2
    scaled = FOUND["keda-ScaledObject-bulk-worker"]
    assert problems({**scaled, "spec": {**scaled["spec"], "maxReplicas": 8}}, RELEASES[0])


@pytest.mark.parametrize("folder", ["base", "example"])
def test_kustomize_builds(folder: str) -> None:
    """The folders fit together, and what comes of them is accepted, with what an installation changes."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ("kubectl", "kustomize", str(MANIFESTS / folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert {manifest["kind"] for manifest in built} >= {"Deployment", "NetworkPolicy", "ConfigMap"}
    assert [problem for manifest in built for problem in problems(manifest, RELEASES[-1])] == []
    named = [manifest for manifest in built if manifest["kind"] != "Namespace"]
    assert {manifest["metadata"]["namespace"] for manifest in named} == {NAMESPACE}


def test_rules_are_those_of_prometheus() -> None:
    """The operator gets the same alerts as a Prometheus by itself."""
    assert RULES.read_text() == rules(), "python -m tests.support.kubernetes writes them anew"


@each_deployment
def test_pods_may_do_little(deployment: Manifest) -> None:
    """No root, no privileges, no token of the cluster, an image that cannot be written."""
    assert pod(deployment)["securityContext"]["runAsNonRoot"] is True
    assert pod(deployment)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(deployment)["automountServiceAccountToken"] is False
    assert container(deployment)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container(deployment)["resources"]["limits"]["memory"]


@each_deployment
def test_pods_say_how_they_are(deployment: Manifest) -> None:
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container(deployment))


@each_deployment
def test_selectors_find_pods(deployment: Manifest) -> None:
    """Services, budgets and monitors mean the pods that there are."""
    name = deployment["metadata"]["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = {
        key: manifest["spec"]["selector"].get("matchLabels", manifest["spec"]["selector"])
        for key, manifest in FOUND.items()
        if key.endswith(f"-{name}") and "selector" in manifest.get("spec", {})
    }
    assert len(selectors) >= 3
    assert {key: selector for key, selector in selectors.items() if not selector.items() <= labels.items()} == {}


def test_worker_has_time_to_stop() -> None:
    """A pod that is told to stop has the time for it, after the time in which it is still asked."""
    stop = container(WORKER)["lifecycle"]["preStop"]["sleep"]["seconds"] + float(GIVEN["SHUTDOWN_TIMEOUT"])
    assert pod(WORKER)["terminationGracePeriodSeconds"] > stop


def test_worker_is_that_of_the_image() -> None:
    """User and directories are those of the image, and the version is that of the project."""
    image = (ROOT / "Dockerfile").read_text()
    user = pod(WORKER)["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}" in image
    directory = {entry["name"]: entry.get("value") for entry in container(WORKER)["env"]}["DATA_DIR"]
    assert f"DATA_DIR={directory}" in image
    assert directory in {mount["mountPath"] for mount in container(WORKER)["volumeMounts"]}
    assert container(WORKER)["image"] == f"bulk-operations:{VERSION}"
    [chosen] = yaml.safe_load((MANIFESTS / "example/kustomization.yaml").read_text())["images"]
    assert chosen["newTag"] == VERSION


def test_gateway_image_is_that_of_compose() -> None:
    assert container(GATEWAY)["image"] == SERVICES["gateway"]["image"]


def test_settings_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the manifests start a worker, with secrets from files alone."""
    environment = GIVEN | {it["name"]: it["value"] for it in container(WORKER)["env"] if it["name"] in SETTINGS}
    secrets = {"MONGO_DB_URI": "mongodb://mongo/bulk", "REDIS_URI": "redis://cache"}
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        if (secret := name.removesuffix("_FILE")) != name:
            assert value == f"/run/secrets/bulk/{secret}"
            value = str(tmp_path / secret)
            Path(value).write_text(secrets[secret])
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert settings.mongo_db_uri.get_secret_value() == secrets["MONGO_DB_URI"]
    assert str(settings.data_dir) == "/var/lib/bulk/worker"


def test_config_map_has_no_secret() -> None:
    """What is a secret is no value of a ConfigMap, which many may read."""
    secret = {name for name, field in SETTINGS.items() if SecretStr.__name__ in str(field.annotation)}
    assert "MONGO_DB_URI" in secret
    assert set(GIVEN) & secret == set()
    assert {name.removesuffix("_FILE") for name in GIVEN} <= set(SETTINGS)


def test_scaling_asks_for_our_topics() -> None:
    """KEDA looks at the group and at topics that there are, and starts no more workers than there are partitions."""
    scaled = FOUND["keda-ScaledObject-bulk-worker"]["spec"]
    asked = [trigger["metadata"] for trigger in scaled["triggers"]]
    assert {trigger["consumerGroup"] for trigger in asked} == {group_names(GIVEN["KAFKA_TOPIC"])[0]}
    assert {trigger["topic"] for trigger in asked} <= set(topic_names(GIVEN["KAFKA_TOPIC"], 3))
    assert {trigger["bootstrapServers"] for trigger in asked} == {GIVEN["KAFKA_BROKER"]}
    assert scaled["scaleTargetRef"]["name"] == WORKER["metadata"]["name"]
    assert scaled["maxReplicaCount"] == int(GIVEN["TOPIC_PARTITIONS"])


def test_monitor_names_the_job_of_alerts() -> None:
    """The operator calls the workers what the alerts call them."""
    monitor = FOUND["monitoring-PodMonitor-bulk-worker"]["spec"]
    job = WORKER["spec"]["template"]["metadata"]["labels"][monitor["jobLabel"]]
    assert f'up{{job="{job}"}}' in RULES.read_text()
    assert monitor["podMetricsEndpoints"][0]["port"] in {port["name"] for port in container(WORKER)["ports"]}


def test_gateway_finds_the_workers() -> None:
    """The name that the gateway asks for is that of the headless Service, in its namespace, at its port."""
    service = FOUND["base-Service-bulk-worker"]
    assert service["spec"]["clusterIP"] == "None"
    host = f"{service['metadata']['name']}.{NAMESPACE}.svc.cluster.local:{service['spec']['ports'][0]['port']}"
    assert f"server {host} resolve" in (MANIFESTS / "base/gateway/workers.conf").read_text()
    built = yaml.safe_load((MANIFESTS / "base/kustomization.yaml").read_text())
    assert built["namespace"] == NAMESPACE


def test_gateway_includes_are_there() -> None:
    """A pod of the gateway has each file that its rules include; the end of TLS is in front of it."""
    files = [
        file.name
        for folder, kustomization in ((ROOT / "deploy/nginx", ""), (MANIFESTS / "base", "gateway/"))
        for entry in yaml.safe_load((folder / "kustomization.yaml").read_text())["configMapGenerator"]
        for file in (folder / path for path in entry["files"])
        if file.is_file()
    ]
    included = re.findall(r"^\s*include (\S+);", (ROOT / "deploy/nginx/nginx.conf").read_text(), re.MULTILINE)
    assert set(included) | {"nginx.conf"} == set(files)


def test_nginx_accepts_the_rules(tmp_path: Path) -> None:
    """The rules and what a pod adds to them are a configuration, but for `resolve`, which older ones do not know."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    for file in (*(ROOT / "deploy/nginx").glob("*.conf"), *(MANIFESTS / "base/gateway").glob("*.conf")):
        (tmp_path / file.name).write_text(file.read_text().replace("_path /tmp/", f"_path {tmp_path}/"))
    (tmp_path / "workers.conf").write_text("server 127.0.0.1:3000 max_fails=1 fail_timeout=5s;\n")
    command = ("nginx", "-t", "-p", f"{tmp_path}/", "-c", f"{tmp_path}/nginx.conf", "-e", "stderr")
    done = subprocess.run((*command, "-g", f"pid {tmp_path}/pid;"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
