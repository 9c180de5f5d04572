"""The command ``bulk`` with a key: it is sent, and is nowhere to be read."""

from __future__ import annotations

from pathlib import Path

from app.domain.access import Role
from tests.support.command_line import bulk
from tests.support.files import contacts_csv
from tests.support.secured import Guarded


def test_key_is_sent_and_never_shown(guarded: Guarded, tmp_path: Path) -> None:
    """From the environment, a file or a profile; without one the server refuses, and a wrong one is not repeated."""
    key = guarded.key("acme", Role.OPERATOR)
    file, profiles = tmp_path / "key", tmp_path / "profiles.toml"
    file.write_text(f"{key}\n")
    profiles.touch(0o600)
    profiles.write_text(f'[default]\nurl = "http://127.0.0.1:{guarded.worker.port}"\napi_key = "{key}"\n')
    (tmp_path / "one.csv").write_bytes(contacts_csv("cliKey,Ada,clikey@example.com,active"))

    refused = bulk(guarded.worker, "list", cwd=tmp_path)
    assert (refused.returncode, "CREDENTIAL_REQUIRED" in refused.stderr) == (4, True)
    wrong = bulk(guarded.worker, "list", cwd=tmp_path, BULK_API_KEY=f"{key}x")
    assert (wrong.returncode, key in wrong.stdout + wrong.stderr) == (4, False)
    for arguments, more in (
        (("import", "one.csv", "--watch"), {"BULK_API_KEY": key}),
        (("--api-key-file", str(file), "list"), {}),
        (("list",), {"BULK_CONFIG": str(profiles), "BULK_URL": ""}),
    ):
        done = bulk(guarded.worker, *arguments, cwd=tmp_path, **more)
        assert done.returncode == 0, done.stderr
        assert key not in done.stdout + done.stderr
        assert "one.csv" in done.stdout
