"""The declarations, and what a stack tells about itself before it runs."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest

from stack import GATEWAY, KAFKA, MONGO, REDIS, S3, Instance, Options, Stack, StackError
from stack.addresses import parse
from stack.doctor import examine
from stack.errors import Cancellation, NotReady
from stack.gateway import RULES
from stack.model import Place, Program, Service
from stack.services import GO, SERVICES, select
from stack.tools import Tool


def place(directory: Path, **options: object) -> Place:
    chosen = dataclasses.replace(Options(), **options)  # type: ignore[arg-type]
    return Place(directory, directory / "lib", 20_000, {"controller": 20_001}, chosen, Cancellation())


PROGRAMS = [(service, program) for service in SERVICES.values() for program in service.programs]


@pytest.mark.parametrize(("service", "program"), PROGRAMS)
def test_every_command_line_names_its_directory_by_which_a_leftover_is_known(
    service: Service, program: Program, tmp_path: Path
) -> None:
    assert str(tmp_path / service.name) in shlex.join(program.command(place(tmp_path / service.name)))


@pytest.mark.parametrize(("service", "program"), PROGRAMS)
def test_every_service_is_bound_to_this_machine_only(service: Service, program: Program, tmp_path: Path) -> None:
    (tmp_path / "formatted").touch()
    here = place(tmp_path)
    program.prepare(here)
    said = shlex.join(program.command(here)) + "".join(
        file.read_text() for file in tmp_path.iterdir() if file.suffix in {".properties", ".conf"}
    )
    assert "127.0.0.1" in said
    assert "0.0.0.0" not in said


def test_kafka_is_configured_for_one_node_at_its_own_ports(tmp_path: Path) -> None:
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


def test_the_gateway_has_the_rules_of_deploy_and_the_workers_of_this_place(tmp_path: Path) -> None:
    GATEWAY.program().prepare(
        Place(tmp_path, None, 20_000, {"tls": 20_002}, Options(gateway_workers=(3001, 3002)), Cancellation())
    )
    for name in ("nginx.conf", "answer.conf", "limits.conf"):
        assert (tmp_path / name).read_text() == (RULES / name).read_text()
    servers = (tmp_path / "workers.conf").read_text().splitlines()
    assert [line.split()[1] for line in servers] == ["127.0.0.1:3001", "127.0.0.1:3002"]
    listens = (tmp_path / "listen.conf").read_text().splitlines()
    assert [line for line in listens if "listen" in line.split()] == ["listen 127.0.0.1:20000;"]


def test_the_gateway_keeps_a_key_from_others(tmp_path: Path) -> None:
    for name in ("certificate.pem", "key.pem"):
        (tmp_path / name).write_text(name)
    options = Options(gateway_tls=tmp_path)
    (tmp_path / "gateway").mkdir()
    GATEWAY.program().prepare(Place(tmp_path / "gateway", None, 20_000, {"tls": 20_002}, options, Cancellation()))
    key = tmp_path / "gateway" / "tls" / "key.pem"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("key.pem", 0o600)
    assert "listen 127.0.0.1:20002 ssl;" in (tmp_path / "gateway" / "listen.conf").read_text()


def test_the_options_reach_the_mongo_server(tmp_path: Path) -> None:
    program = MONGO.programs[-1]
    assert str(tmp_path / "data.mv") in program.command(place(tmp_path))
    changed = program.command(place(tmp_path, mongo_in_memory=True, mongo_heap="3g"))
    assert changed[-1] == "memory"
    assert "-Xmx3g" in changed


def test_the_first_program_that_is_here_is_preferred_and_the_last_can_always_be_had() -> None:
    here, missing = Tool("sh", "dash", "dash"), Tool("no-such-program", "nothing", "nothing")
    first, last = (Program(tools=(tool,), command=lambda _: []) for tool in (here, missing))
    assert dataclasses.replace(REDIS, programs=(first, last)).program() is first
    assert dataclasses.replace(REDIS, programs=(last, first)).program() is first
    assert dataclasses.replace(REDIS, programs=(last, last)).program() is last


def test_services_are_selected_by_name_or_declaration_each_once() -> None:
    assert select(["redis", KAFKA, " redis"]) == (REDIS, KAFKA)
    with pytest.raises(StackError, match="no service 'reddis'; there are: kafka, mongo, redis, s3"):
        select(["reddis"])


def test_the_environment_says_where_the_services_are(tmp_path: Path) -> None:
    given = {"REDIS_URI": "localhost:7000", "MONGO_DB_URI": "mongodb://db.example/crm"}
    assert Stack(tmp_path, environment=given).environment() == {
        "KAFKA_BROKER": "kafka://127.0.0.1:9092",
        "MONGO_DB_URI": "mongodb://db.example/crm",
        "REDIS_URI": "redis://localhost:7000",
    }


def test_what_is_not_needed_is_there_when_it_is_asked_for(tmp_path: Path) -> None:
    assert [instance.service.name for instance in Stack(tmp_path)] == ["kafka", "mongo", "redis"]
    assert [instance.service for instance in Stack(tmp_path, ["redis", "s3"])] == [REDIS, S3]


def test_the_environment_has_the_keys_of_our_own_s3_server(tmp_path: Path) -> None:
    environment = Stack(tmp_path, ["s3"], environment={"AWS_ACCESS_KEY_ID": "somebody's"}).environment()
    [program] = S3.programs
    assert environment == {"AWS_ENDPOINT_URL": "http://127.0.0.1:7070", **S3.access}
    assert environment["AWS_ACCESS_KEY_ID"] == program.environment["ROOT_ACCESS_KEY"]
    assert environment["AWS_SECRET_ACCESS_KEY"] == program.environment["ROOT_SECRET_KEY"]


def test_a_server_of_somebody_else_is_used_with_the_keys_that_are_set(tmp_path: Path) -> None:
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


def test_a_port_base_gives_consecutive_ports_whatever_the_environment_says(tmp_path: Path) -> None:
    stack = Stack(tmp_path, ["kafka", "redis"], ports=21_000, environment={"REDIS_URI": "localhost:7000"})
    assert [instance.port for instance in stack] == [21_000, 21_001]
    assert stack.environment()["REDIS_URI"] == "redis://127.0.0.1:21001/0"


def test_a_stack_that_never_started_has_no_address_and_stops_without_harm(tmp_path: Path) -> None:
    stack = Stack(tmp_path, ["redis"], ports="free")
    stack.stop()
    with pytest.raises(StackError, match="redis has not been started"):
        stack.environment()
    with pytest.raises(StackError, match="redis is not running"):
        stack["redis"].kill()


def test_the_doctor_says_in_one_line_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    def absent(*_: object) -> None:
        raise NotReady("it does not listen")

    missing = Program(tools=(Tool("no-such-program", "a-package", "a-formula"),), command=lambda _: [])
    service = dataclasses.replace(REDIS, probe=absent, programs=(missing,))
    findings = {finding.subject: finding for finding in examine([service], {}, tmp_path)}
    assert findings["redis"].well
    assert not findings["no-such-program"].well
    assert findings["no-such-program"].text.startswith("missing; install it with: ")
    assert "\n" not in findings["no-such-program"].text


def test_the_doctor_asks_for_no_tools_where_the_service_answers(tmp_path: Path) -> None:
    service = dataclasses.replace(REDIS, probe=lambda *_: None)
    assert [finding.text for finding in examine([service], {}, tmp_path)] == ["answers at 127.0.0.1:6379"]


def test_a_tool_that_cannot_be_installed_here_is_one_line_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stack = Stack(tmp_path / "data", ["redis"], ports="free", library=tmp_path / "lib")
    with pytest.raises(StackError, match=r"^redis-server: missing; install it with: [^\n]+$"):
        stack.start()
