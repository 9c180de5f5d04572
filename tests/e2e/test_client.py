"""The client library, and watching, against workers that are killed, stream events, and refuse what is packed well."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bulk_client import ApiError, AsyncClient, Client, Upload
from tests.support.command_line import environment
from tests.support.files import contacts_csv
from tests.support.paths import ROOT
from tests.support.waiting import wait_for
from tests.support.workers import Worker

LATER = "2026-12-20T06:00:00Z"
ROWS = contacts_csv("lib1,Ada,lib1@example.com,active", "lib2,Bo,nobody,active")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_bytes(ROWS)
    return path


def test_client_imports_and_watches(worker: Worker, file: Path) -> None:
    """What a program does with the client: import, wait, look at what failed, retry, delete."""
    with Client(f"http://127.0.0.1:{worker.port}/") as client:
        taken = client.import_file(file, again=True)
        action = client.wait(taken.action_id)
        assert (action.status, action.success_count, action.failure_count) == ("COMPLETED", 1, 1)
        assert action.history[-1].status == "COMPLETED"
        assert [(group.code, group.rows) for group in client.failures(taken.action_id).groups] == [
            ("INVALID_EMAIL", [2])
        ]
        assert [row.status for row in client.rows(taken.action_id)] == ["SUCCESS", "FAILED"]
        with client.results(taken.action_id, statuses="FAILED") as pieces:
            assert b"INVALID_EMAIL" in b"".join(pieces)
        assert taken.action_id in [action.action_id for action in client.actions(limit=5)]
        retried = client.wait(client.retry(taken.action_id).action_id)
        assert (retried.retry_of, retried.failure_count) == (taken.action_id, 1)
        assert client.record("Contact", "lib1").record["name"] == "Ada"  # type: ignore[index]
        assert [change.code for change in client.record_history("Contact", "lib1")][-1] == "CREATED"
        assert "Contact" in [entity.entity_type for entity in client.entities()]
        assert client.template("Contact").startswith("id,name,email,status")
        assert client.schema("Contact")["type"] == "object"
        client.delete(taken.action_id)
        with pytest.raises(ApiError) as error:
            client.action(taken.action_id)
        assert (error.value.status, error.value.code) == (404, "ACTION_NOT_FOUND")


async def test_async_client_does_the_same(worker: Worker, file: Path) -> None:
    async with AsyncClient(f"http://127.0.0.1:{worker.port}") as client:
        taken = await client.import_file(file, Upload(action_type="BULK_UPDATE"), again=True)
        seen = [told.status async for told in client.watch(taken.action_id)]
        assert seen[-1] == "COMPLETED"
        assert [row.status async for row in client.rows(taken.action_id, status="FAILED")] == ["FAILED"]
        async with client.results(taken.action_id, ndjson=True) as pieces:
            assert len(b"".join([piece async for piece in pieces]).splitlines()) == 2
        assert taken.action_id in [action.action_id async for action in client.actions(limit=5)]
        later = await client.import_file(file, Upload(scheduled_at=LATER), again=True)
        moved = await client.reschedule(later.action_id, "2026-12-21T06:00:00Z")
        assert (moved.status, moved.scheduled_at is not None and moved.scheduled_at.day) == ("SCHEDULED", 21)
        assert (await client.cancel(later.action_id, "no more")).status == "CANCELLED"
        with pytest.raises(ApiError) as error:
            await client.pause(later.action_id)
        assert error.value.body["status"] == "CANCELLED"


@pytest.mark.slow
def test_watching_survives_a_worker(start_worker: Callable[..., Worker], file: Path, tmp_path: Path) -> None:
    """A worker that is killed and started again: whoever watches is told of the end all the same.

    The same worker refuses what packs well, which is then sent as it is.
    """
    worker = start_worker(MAX_GZIP_RATIO="2")
    action_id = worker.submit(file, scheduledAt=LATER)
    log = tmp_path / "log"
    with log.open("wb") as output:
        watching = subprocess.Popen(
            ["bulk", "watch", action_id], env=environment(worker), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: "SCHEDULED" in log.read_text(), "it watches")
        worker.kill()
        worker.start()
        assert watching.poll() is None, log.read_text()
        with Client(f"http://127.0.0.1:{worker.port}") as client:
            client.cancel(action_id, "nobody needs it")
            assert watching.wait(30) == 3
            dense = tmp_path / "dense.csv"
            dense.write_bytes(contacts_csv(*[f"dense,{'A' * 1000},dense@example.com,active"] * 17_000))
            assert client.import_file(dense, Upload(scheduled_at=LATER)).total_count == 17_000
    finally:
        watching.kill()
    told = log.read_text()
    assert "Traceback" not in told
    assert re.search(r"CANCELLED: 0 of 2 rows: .* 2 never ran\nReason: nobody needs it", told)


def test_documented_programs_run(worker: Worker, tmp_path: Path) -> None:
    """The programs in the reference of the library do what they say."""
    (tmp_path / "contacts.csv").write_bytes(ROWS)
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reference/client.md").read_text(), re.DOTALL)
    told = [
        subprocess.run(
            [sys.executable, "-c", program.replace("http://localhost:3000", f"http://127.0.0.1:{worker.port}")],
            cwd=tmp_path,
            env=environment(worker),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for program in programs
    ]
    assert "COMPLETED 1 1\n1 INVALID_EMAIL email [2]\n409 TRANSITION_NOT_ALLOWED\n" in told[0]
    assert told[1].startswith('2 INVALID_EMAIL email is not an email address: "nobody"\nid,name,email,status,_row')
