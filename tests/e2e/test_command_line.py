"""The command ``bulk`` against a running worker: what it imports, says, and ends with."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shlex
import signal
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bulk_client.cli.app import app
from tests.support.command_line import bulk, environment
from tests.support.files import contacts_csv
from tests.support.namespaces import storage_of
from tests.support.producers import open_stream
from tests.support.waiting import wait_for
from tests.support.workers import Worker

LATER = "2026-12-20T06:00:00Z"


@pytest.fixture
def ident() -> str:
    """Begins the ids of records that no other test has."""
    return f"cli{uuid.uuid4().hex[:8]}"


@pytest.fixture
def good(tmp_path: Path, ident: str) -> Path:
    file = tmp_path / f"{ident}.csv"
    file.write_bytes(contacts_csv(f"{ident},Ada,{ident}@example.com,active"))
    return file


@pytest.fixture
def partly(tmp_path: Path, ident: str) -> Path:
    file = tmp_path / f"{ident}.csv"
    file.write_bytes(
        contacts_csv(f"{ident}1,Ada,{ident}@example.com,active", f"{ident}2,Bo\x1b[31m,nobody\x9b1m,active")
    )
    return file


def accepted(output: str) -> dict[str, object]:
    return dict(json.loads(output.splitlines()[0]))


def test_good_import_ends_with_0(worker: Worker, good: Path) -> None:
    done = bulk(worker, "import", good.name, "--watch", cwd=good.parent)
    assert done.returncode == 0, done.stderr
    assert "COMPLETED: 1 of 1 rows: 1 succeeded (1 created), 0 failed" in done.stdout


def test_failed_rows_end_with_3(worker: Worker, partly: Path) -> None:
    """What failed is told, can be seen in groups, and comes back as a file; nothing of it steers a terminal."""
    done = bulk(worker, "import", partly.name, "--watch", cwd=partly.parent)
    assert done.returncode == 3, done.stderr
    assert "1 succeeded (1 created), 1 failed" in done.stdout
    [action_id] = re.findall(r"^Import ([0-9a-f]{24})", done.stdout)
    assert f"bulk results {action_id} --failed -o failed.csv" in done.stderr

    groups = bulk(worker, "failures", action_id, cwd=partly.parent)
    assert groups.returncode == 0
    assert "INVALID_EMAIL" in groups.stdout
    as_json = bulk(worker, "failures", action_id, "--json", cwd=partly.parent)
    assert json.loads(as_json.stdout)["groups"][0]["rows"] == [2]
    assert not re.search("[\x1b\x80-\x9f]", groups.stdout + as_json.stdout)

    saved = bulk(worker, "results", action_id, "--failed", "-o", "failed.csv", cwd=partly.parent)
    assert saved.returncode == 0, saved.stderr
    with (partly.parent / "failed.csv").open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    assert [row[6] for row in rows] == ["INVALID_EMAIL"]
    assert [path.name for path in partly.parent.iterdir() if path.name.startswith(".")] == []


def test_refusal_ends_with_4(worker: Worker, tmp_path: Path) -> None:
    """In the words of the API, with its code."""
    (tmp_path / "short.csv").write_text("id,name\n1,x\n")
    done = bulk(worker, "import", "short.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("bulk: Missing columns: email, status. The file has: id, name.")
    assert "(INVALID_HEADER, request " in done.stderr
    unknown = bulk(worker, "show", "0" * 24, cwd=tmp_path)
    assert (unknown.returncode, unknown.stderr.splitlines()[0]) == (4, "bulk: Bulk action not found")


def test_what_cannot_be_done_ends_with_1(worker: Worker, tmp_path: Path) -> None:
    """In one line: a file that is not there, a server that is not there, a mapping that is none."""
    for arguments, said in (
        (("import", "missing.csv"), "bulk: missing.csv: No such file or directory"),
        (("import", "x.csv", "--map", "Nr"), "bulk: --map must be COLUMN=FIELD, and is: Nr"),
        (("--url", "http://127.0.0.1:1", "list"), "bulk: http://127.0.0.1:1 cannot be reached: "),
        (("--url", f"http://127.0.0.1:{worker.port}/docs", "entities"), "bulk: "),
    ):
        done = bulk(worker, *arguments, cwd=tmp_path, BULK_PATIENCE="0")
        assert done.returncode in (1, 4), arguments
        assert done.stderr.startswith(said)
        assert "Traceback" not in done.stderr
    assert bulk(worker, "imprt", cwd=tmp_path).returncode == 2


def test_repeated_import_is_made_once(worker: Worker, good: Path) -> None:
    """The same bytes with the same options are one import; ``--again`` and other options are another."""
    first = bulk(worker, "import", good.name, "--json", cwd=good.parent)
    repeated = bulk(worker, "import", good.name, "--json", "--no-gzip", cwd=good.parent)
    again = bulk(worker, "import", good.name, "--json", "--again", cwd=good.parent)
    other = bulk(worker, "import", good.name, "--json", "--type", "patch", cwd=good.parent)
    ids = [accepted(done.stdout)["actionId"] for done in (first, repeated, again, other)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert [accepted(done.stdout)["repeated"] for done in (first, repeated, again)] == [False, True, False]


def test_standard_input_is_a_file(worker: Worker, good: Path) -> None:
    """Also when it comes through a pipe, packed or not; the same bytes under the same name are one import."""
    name = ("--name", good.name, "--json", "--watch")
    piped = bulk(worker, "import", "-", *name, cwd=good.parent, stdin=good.read_bytes())
    assert piped.returncode == 0, piped.stderr
    *_, end = map(json.loads, piped.stdout.splitlines())
    assert (end["status"], end["successCount"], end["fileName"]) == ("COMPLETED", 1, good.name)
    file = bulk(worker, "import", good.name, "--json", cwd=good.parent)
    assert accepted(file.stdout)["actionId"] == end["actionId"]
    packed = bulk(worker, "import", "-", *name, cwd=good.parent, stdin=gzip.compress(good.read_bytes()))
    assert json.loads(packed.stdout.splitlines()[-1])["sha256"] == end["sha256"]


def following(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The arguments of the command that a page names for the next one; none on the last page."""
    told = re.search(r"^There is more: bulk (.+)$", done.stderr, re.MULTILINE)
    return shlex.split(told[1]) if told else []


def test_search_goes_on_page_by_page(worker: Worker, tmp_path: Path, ident: str) -> None:
    """Each page names the command of the next one, which finds what comes then; the last one names none."""
    action_id = worker.submit(contacts_csv(*(f"{ident}{n},Ada,nobody,active" for n in range(5))))
    worker.wait_ended(action_id)
    asked = ["search", "email address", "--action", action_id, "--code", "INVALID_EMAIL", "--limit", "2"]
    rows, arguments = [], asked
    while arguments:
        done = bulk(worker, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        rows += re.findall(rf"{action_id} +(\d+) ", done.stdout)
        arguments = following(done)
    assert rows == ["1", "2", "3", "4", "5"]

    numbers, cursor = [], []
    while True:
        page = json.loads(bulk(worker, *asked, "--json", *cursor, cwd=tmp_path).stdout)
        numbers += [event["row"] for event in page["events"]]
        if page["next"] is None:
            break
        cursor = ["--cursor", page["next"]]
    assert numbers == [1, 2, 3, 4, 5]
    assert bulk(worker, *asked, "--cursor", "none", cwd=tmp_path).returncode == 4


def test_history_goes_on_page_by_page(worker: Worker, tmp_path: Path, ident: str) -> None:
    """Also of a record whose id looks like an option."""
    record_id, made = f"-{ident}", []
    for name in ("Ada", "Bo", "Cy"):
        made.insert(0, worker.submit(contacts_csv(f"{record_id},{name},{ident}@example.com,active")))
        worker.wait_ended(made[0])
    shown, arguments = [], ["records", "show", "--limit", "1", "--", "Contact", record_id]
    while arguments:
        done = bulk(worker, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        shown += re.findall(r"(?:CREATED|UPDATED) +([0-9a-f]{24})", done.stdout)
        arguments = following(done)
    assert shown == made

    asked = ["records", "show", "--limit", "2", "--json"]
    first = json.loads(bulk(worker, *asked, "--", "Contact", record_id, cwd=tmp_path).stdout)
    last = json.loads(bulk(worker, *asked, "--cursor", first["next"], "--", "Contact", record_id, cwd=tmp_path).stdout)
    assert [change["actionId"] for page in (first, last) for change in page["history"]] == made
    assert last["next"] is None


def test_list_says_that_there_is_more(worker: Worker, tmp_path: Path, ident: str) -> None:
    """Where a list was cut, and not where it was not."""
    for _ in range(2):
        worker.submit(contacts_csv(f"{ident},Ada,{ident}@example.com,active"), scheduledAt=LATER)
    cut = bulk(worker, "list", "--limit", "1", cwd=tmp_path)
    assert cut.stdout.count("SCHEDULED") == 1
    assert "There are more: --limit shows more." in cut.stderr
    whole = bulk(worker, "list", "--limit", "1000", cwd=tmp_path)
    assert (whole.returncode, whole.stderr) == (0, "")


def test_reader_may_leave(worker: Worker, tmp_path: Path) -> None:
    """A pipe that nobody reads any more ends the command quietly."""
    command = "set -o pipefail; bulk entities --json | true; echo ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(worker), capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


def test_profile_names_the_server(worker: Worker, tmp_path: Path) -> None:
    """A profile whose key others may read is refused, and no message has the key."""
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(f'[here]\nurl = "http://127.0.0.1:{worker.port}"\napi_key = "secret-of-mine"\n')
    profiles.chmod(0o644)
    more = {"BULK_CONFIG": str(profiles), "BULK_URL": ""}
    refused = bulk(worker, "--profile", "here", "entities", cwd=tmp_path, **more)
    assert (refused.returncode, "chmod 600" in refused.stderr) == (1, True)
    assert "secret-of-mine" not in refused.stdout + refused.stderr
    profiles.chmod(0o600)
    assert "Contact" in bulk(worker, "--profile", "here", "entities", cwd=tmp_path, **more).stdout


def test_shells_can_complete(worker: Worker, tmp_path: Path) -> None:
    """A shell that asks is told the commands."""
    asked = {"_BULK_COMPLETE": "complete_bash", "COMP_WORDS": "bulk re", "COMP_CWORD": "1"}
    assert bulk(worker, cwd=tmp_path, **asked).stdout.split() == ["retry", "results", "resume", "reschedule", "records"]


def test_terminal_is_not_steered(worker: Worker, tmp_path: Path, ident: str) -> None:
    """Rows that are written to a terminal have no control characters but those of the table."""
    action_id = worker.submit(contacts_csv(f"{ident},\x1b[2J\x9b2J,{ident}@example.com,active"))
    worker.wait_ended(action_id)
    shown = subprocess.run(
        ["script", "-qec", f"bulk results {action_id}", "/dev/null"],
        cwd=tmp_path,
        env=environment(worker, TERM="xterm", COLUMNS="200"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    ).stdout
    assert b"\\x1b[2J" in shown
    assert b"\x1b[2J" not in shown
    assert "\x9b".encode() not in shown


def test_no_colours_without_a_terminal(worker: Worker, tmp_path: Path) -> None:
    for more in ({}, {"NO_COLOR": "1", "TERM": "xterm-256color"}):
        done = bulk(worker, "entities", cwd=tmp_path, **more)
        assert "\x1b" not in done.stdout + done.stderr


HELPED = (
    *("import", "watch", "retry", "list", "show", "failures", "results", "cancel", "pause", "resume", "reschedule"),
    *("delete", "entities", "template", "search", "records show", "deadletters list", "deadletters replay"),
)
#: How the examples end that do not end with 0: the rows fail again.
ENDS = {"retry": 3}
EXAMPLE_ID = "6b04d285235ca65e4442eb3"


@pytest.fixture(scope="module")
def world(
    worker: Worker, shared_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Callable[[str], str]]:
    """A directory with the files of the examples, and what puts ids of actions in a fitting state into a command."""
    directory = tmp_path_factory.mktemp("examples")
    ident = f"ex{uuid.uuid4().hex[:8]}"
    rows = (f"{ident}1,Ada,{ident}@example.com,active", f"{ident}2,Bo,nobody,active")
    (directory / "contacts.csv").write_bytes(contacts_csv("1,Ada Lovelace,ada@example.com,active"))
    (directory / "patch.csv").write_text(f"id,status\n{ident}1,inactive\n")
    (directory / "kunden.csv").write_text(f"Nr;Kunde;Mail;Zustand\n{ident}3;Cy;{ident}3@example.com;active\n")
    made: dict[str, str] = {}

    def scheduled() -> str:
        return worker.submit(contacts_csv(*rows), scheduledAt=LATER)

    def ended(*of: str) -> str:
        action_id = worker.submit(contacts_csv(*of))
        worker.wait_ended(action_id)
        return action_id

    def given_up() -> str:
        """An action whose only chunk is a dead letter, because its file was away; now the file is back."""
        action_id = worker.submit(contacts_csv(f"{ident}9,Ida,{ident}9@example.com,active"), scheduledAt=LATER)
        [file] = (storage_of(shared_environment) / action_id).glob("upload*")
        away = file.rename(directory / file.name)
        assert worker.client.patch(f"/bulk-actions/{action_id}", json={"scheduledAt": None}).status_code == 200
        worker.wait_ended(action_id)
        wait_for(lambda: worker.dead_letters(actionId=action_id), "the letter is there")
        away.rename(file)
        return action_id

    makers: dict[str, Callable[[], str]] = {
        "3": lambda: ended("1,Ada Lovelace,ada@example.com,active"),
        "4": lambda: ended(*rows),
        "5": scheduled,
        "7": scheduled,
        "8": given_up,
    }

    def opened(command: str) -> str:
        """An action that waits for rows over Kafka, for as long as nobody closes it; paused, if it is to be resumed."""
        action_id = str(open_stream(worker)["actionId"])
        if "resume" in command:
            assert worker.client.post(f"/bulk-actions/{action_id}/pause").status_code == 200
        return action_id

    def filled(command: str) -> str:
        if EXAMPLE_ID + "6" in command:
            return command.replace(EXAMPLE_ID + "6", opened(command))
        for last, make in makers.items():
            if EXAMPLE_ID + last in command:
                action_id = made.get(last) or make()
                # What is rescheduled or deleted is made anew for the next example.
                if last == "4":
                    made[last] = action_id
                command = command.replace(EXAMPLE_ID + last, action_id)
        return command

    return directory, filled


@pytest.mark.parametrize("command", HELPED, ids=lambda name: name.replace(" ", "-"))
def test_examples_of_help_work(worker: Worker, world: tuple[Path, Callable[[str], str]], command: str) -> None:
    """Each command shows examples, which do what they say."""
    directory, filled = world
    helped = CliRunner().invoke(app, [*command.split(), "--help"])
    shown = re.findall(r"^ *\$ (.+)$", helped.output, re.MULTILINE)
    assert shown
    for example in shown:
        ran = filled(example)
        done = subprocess.run(
            ["bash", "-c", ran],
            cwd=directory,
            env=environment(worker),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == ENDS.get(command, 0), (ran, done.stdout, done.stderr)


def test_every_command_has_examples() -> None:
    """What is listed is what is tested."""
    listed = CliRunner().invoke(app, ["--help"]).output.partition("Commands:")[2]
    assert set(re.findall(r"^  ([a-z]+)  ", listed, re.MULTILINE)) == {name.split()[0] for name in HELPED}


def test_life_of_a_scheduled_import(worker: Worker, good: Path) -> None:
    """Scheduled, moved, paused and resumed, cancelled, deleted."""
    here = good.parent
    taken = bulk(worker, "import", good.name, "--schedule", LATER, "--json", cwd=here)
    action_id = str(accepted(taken.stdout)["actionId"])
    moved = bulk(worker, "reschedule", action_id, "2026-12-21T06:00:00Z", cwd=here)
    assert "It is done at 2026-12-21 06:00:00Z" in moved.stdout
    refused = bulk(worker, "delete", action_id, "--yes", cwd=here)
    assert (refused.returncode, "TRANSITION_NOT_ALLOWED" in refused.stderr) == (4, True)
    cancelled = bulk(worker, "cancel", action_id, "--reason", "the wrong file", cwd=here)
    assert f"Import {action_id} is CANCELLED." in cancelled.stdout
    assert "the wrong file" in bulk(worker, "show", action_id, cwd=here).stdout
    assert bulk(worker, "watch", action_id, cwd=here).returncode == 3
    assert bulk(worker, "delete", action_id, cwd=here).returncode == 1
    assert bulk(worker, "delete", action_id, "--yes", cwd=here).returncode == 0
    assert bulk(worker, "show", action_id, cwd=here).returncode == 4


@pytest.fixture
def scheduled(worker: Worker, ident: str) -> str:
    return worker.submit(contacts_csv(f"{ident},Ada,{ident}@example.com,active"), scheduledAt=LATER)


def test_interrupted_watching_is_harmless(worker: Worker, scheduled: str, tmp_path: Path) -> None:
    """Ctrl-C leaves the import as it is, and says how to come back."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        watching = subprocess.Popen(
            ["bulk", "watch", scheduled], env=environment(worker), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for(lambda: "SCHEDULED" in log.read_text(), "it watches")
            watching.send_signal(signal.SIGINT)
            assert watching.wait(30) == 130
        finally:
            watching.kill()
    assert f"the import goes on. Come back with: bulk watch {scheduled}" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert worker.action(scheduled)["status"] == "SCHEDULED"
