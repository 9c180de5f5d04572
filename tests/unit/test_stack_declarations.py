"""The declarations, and what a stack tells about itself before it runs."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest
import yaml

from stack import GATEWAY, KAFKA, MONGO, PROMETHEUS, REDIS, S3, Instance, Options, Stack, StackError
from stack.addresses import parse
from stack.doctor import examine
from stack.errors import Cancellation, NotReady
from stack.gateway import RULES
from stack.model import Place, Program, Service
from stack.prometheus import RULES as ALERTS
from stack.services import GO, SERVICES, select
from stack.tools import Tool


def place(directory: Path, **options: object) -> Place:
    chosen = dataclasses.replace(Options(), **options)  # type: ignore[arg-type]
    return Place(
        directory, directory / "lib", 20_000, {"controller": 20_001, "transport": 20_002}, chosen, Cancellation()
    )


PROGRAMS = [(service, program) for service in SERVICES.values() for program in service.programs]


@pytest.mark.parametrize(("service", "program"), PROGRAMS)
def test_command_lines_name_directory(service: Service, program: Program, tmp_path: Path) -> None:
    """Every command line names its directory by which a leftover is known."""
    assert str(tmp_path / service.name) in shlex.join(program.command(place(tmp_path / service.name)))


@pytest.mark.parametrize(("service", "program"), PROGRAMS)
def test_services_are_bound_locally(service: Service, program: Program, tmp_path: Path) -> None:
    """Every service is bound to this machine only."""
    (tmp_path / "formatted").touch()
    here = place(tmp_path)
    program.prepare(here)
    said = shlex.join(program.command(here)) + "".join(
        file.read_text() for file in tmp_path.rglob("*") if file.suffix in {".properties", ".conf", ".yml"}
    )
    assert "127.0.0.1" in said
    assert "0.0.0.0" not in said


def test_kafka_is_one_node(tmp_path: Path) -> None:
    """Kafka is configured for one node at its own ports."""
    (tmp_path / "formatted").touch()
    KAFKA.program().prepare(place(tmp_path))
    lines = (tmp_path / "server.properties").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:20000"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:20001"
    assert settings["offsets.topic.replication.factor"] == "1"
    assert settings["transaction.state.log.min.isr"] == "1"
    assert settings["group.initial.rebalance.delay.ms"] == "0"
    assert settings["auto.create.topics.enable"] == "true"


def test_gateway_configuration(tmp_path: Path) -> None:
    """The gateway has the rules of deploy and the workers of this place."""
    GATEWAY.program().prepare(
        Place(tmp_path, None, 20_000, {"tls": 20_002}, Options(workers=(3001, 3002)), Cancellation())
    )
    for name in ("nginx.conf", "answer.conf", "limits.conf"):
        assert (tmp_path / name).read_text() == (RULES / name).read_text()
    servers = (tmp_path / "workers.conf").read_text().splitlines()
    assert [line.split()[1] for line in servers] == ["127.0.0.1:3001", "127.0.0.1:3002"]
    listens = (tmp_path / "listen.conf").read_text().splitlines()
    assert [line for line in listens if "listen" in line.split()] == ["listen 127.0.0.1:20000;"]


def test_prometheus_configuration(tmp_path: Path) -> None:
    """Prometheus has the rules of deploy and the workers of this place, and asks as often as it is told."""
    PROMETHEUS.program().prepare(place(tmp_path, workers=(3001, 3002), scrape_seconds=1))
    assert (tmp_path / "alerts.yml").read_text() == (ALERTS / "alerts.yml").read_text()
    assert yaml.safe_load((tmp_path / "workers.yml").read_text()) == [{"targets": ["127.0.0.1:3001", "127.0.0.1:3002"]}]
    configuration = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert configuration["global"] == {"scrape_interval": "1s", "evaluation_interval": "1s"}
    assert configuration["scrape_configs"][0]["file_sd_configs"] == [{"files": ["workers.yml"]}]


def test_gateway_key_is_private(tmp_path: Path) -> None:
    """The gateway keeps a key from others."""
    for name in ("certificate.pem", "key.pem"):
        (tmp_path / name).write_text(name)
    options = Options(gateway_tls=tmp_path)
    (tmp_path / "gateway").mkdir()
    GATEWAY.program().prepare(Place(tmp_path / "gateway", None, 20_000, {"tls": 20_002}, options, Cancellation()))
    key = tmp_path / "gateway" / "tls" / "key.pem"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("key.pem", 0o600)
    assert "listen 127.0.0.1:20002 ssl;" in (tmp_path / "gateway" / "listen.conf").read_text()


def test_mongo_server_gets_options(tmp_path: Path) -> None:
    """The options reach the MongoDB server."""
    program = MONGO.programs[-1]
    assert str(tmp_path / "data.mv") in program.command(place(tmp_path))
    assert "-XX:TieredStopAtLevel=1" not in program.command(place(tmp_path))
    changed = program.command(place(tmp_path, mongo_in_memory=True, mongo_heap="3g", mongo_for_minutes=True))
    assert changed[-1] == "memory"
    assert {"-Xmx3g", "-XX:TieredStopAtLevel=1"} < set(changed)


def test_first_program_here_is_used() -> None:
    """The first program that is here is preferred, and the last can always be had."""
    here, missing = Tool("sh", "dash", "dash"), Tool("no-such-program", "nothing", "nothing")
    first, last = (Program(tools=(tool,), command=lambda _: []) for tool in (here, missing))
    assert dataclasses.replace(REDIS, programs=(first, last)).program() is first
    assert dataclasses.replace(REDIS, programs=(last, first)).program() is first
    assert dataclasses.replace(REDIS, programs=(last, last)).program() is last


def test_services_are_selected_once() -> None:
    """Services are selected by name or declaration, each once."""
    assert select(["redis", KAFKA, " redis"]) == (REDIS, KAFKA)
    with pytest.raises(StackError, match="no service 'reddis'; there are: kafka, mongo, redis, s3"):
        select(["reddis"])


def test_environment_has_addresses(tmp_path: Path) -> None:
    """The environment says where the services are."""
    given = {"REDIS_URI": "localhost:7000", "MONGO_DB_URI": "mongodb://db.example/crm"}
    assert Stack(tmp_path, environment=given).environment() == {
        "KAFKA_BROKER": "kafka://127.0.0.1:9092",
        "MONGO_DB_URI": "mongodb://db.example/crm",
        "REDIS_URI": "redis://localhost:7000",
    }


def test_optional_service_on_request(tmp_path: Path) -> None:
    """What is not needed is there when it is asked for."""
    assert [instance.service.name for instance in Stack(tmp_path)] == ["kafka", "mongo", "redis"]
    assert [instance.service for instance in Stack(tmp_path, ["redis", "s3"])] == [REDIS, S3]


def test_environment_has_s3_keys(tmp_path: Path) -> None:
    """The environment has the keys of our own S3 server."""
    environment = Stack(tmp_path, ["s3"], environment={"AWS_ACCESS_KEY_ID": "somebody's"}).environment()
    [program] = S3.programs
    assert environment == {"AWS_ENDPOINT_URL": "http://127.0.0.1:7070", **S3.access}
    assert environment["AWS_ACCESS_KEY_ID"] == program.environment["ROOT_ACCESS_KEY"]
    assert environment["AWS_SECRET_ACCESS_KEY"] == program.environment["ROOT_SECRET_KEY"]


def test_foreign_s3_uses_given_keys(tmp_path: Path) -> None:
    """The server of somebody else is used with the keys that are set."""
    answers = dataclasses.replace(S3, probe=lambda *_: None)
    theirs = {"AWS_ENDPOINT_URL": "http://s3.example:9000", "AWS_ACCESS_KEY_ID": "theirs", "STORAGE_URI": ""}
    instance = Instance(
        answers,
        tmp_path,
        address=parse(theirs[S3.variable], default=S3.default, variable=S3.variable),
        library=tmp_path,
        options=Options(),
        cancellation=Cancellation(),
        report=lambda *_: None,
    )
    instance.start()
    assert instance.environment(theirs) == {**S3.access, **theirs, "STORAGE_URI": S3.access["STORAGE_URI"]}


@pytest.mark.parametrize(
    ("said", "well"), [("go version go1.26.8 linux/amd64", True), ("go version go1.19.8 linux/amd64", False)]
)
def test_a_go_that_is_too_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, well: bool) -> None:
    (tmp_path / "go").write_text(f"#!/bin/sh\n[ $1 = version ] && echo {said}\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert GO.problem() == (None if well else "version 21 or later is needed, found 19")


def test_port_base_overrides_environment(tmp_path: Path) -> None:
    """A port base gives consecutive ports whatever the environment says."""
    stack = Stack(tmp_path, ["kafka", "redis"], ports=21_000, environment={"REDIS_URI": "localhost:7000"})
    assert [instance.port for instance in stack] == [21_000, 21_001]
    assert stack.environment()["REDIS_URI"] == "redis://127.0.0.1:21001/0"


def test_unstarted_stack_stops_cleanly(tmp_path: Path) -> None:
    """A stack that never started has no address, and stops without harm."""
    stack = Stack(tmp_path, ["redis"], ports="free")
    stack.stop()
    with pytest.raises(StackError, match="redis has not been started"):
        stack.environment()
    with pytest.raises(StackError, match="redis is not running"):
        stack["redis"].kill()


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    """The doctor says in one line what is missing, and how to get it."""

    def absent(*_: object) -> None:
        raise NotReady("it does not listen")

    missing = Program(tools=(Tool("no-such-program", "a-package", "a-formula"),), command=lambda _: [])
    service = dataclasses.replace(REDIS, probe=absent, programs=(missing,))
    findings = {finding.subject: finding for finding in examine([service], {}, tmp_path)}
    assert findings["redis"].well
    assert not findings["no-such-program"].well
    assert findings["no-such-program"].text.startswith("missing; install it with: ")
    assert "\n" not in findings["no-such-program"].text


def test_doctor_skips_running_services(tmp_path: Path) -> None:
    """The doctor asks for no tools where the service answers."""
    service = dataclasses.replace(REDIS, probe=lambda *_: None)
    assert [finding.text for finding in examine([service], {}, tmp_path)] == ["answers at 127.0.0.1:6379"]


def test_missing_tool_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that cannot be installed here is one line before anything starts."""
    monkeypatch.setenv("PATH", str(tmp_path))
    stack = Stack(tmp_path / "data", ["redis"], ports="free", library=tmp_path / "lib")
    with pytest.raises(StackError, match=r"^redis-server: missing; install it with: [^\n]+$"):
        stack.start()
