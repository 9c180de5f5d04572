"""A file with known faults on a worker with an Elasticsearch: each of them is found, and nothing of another account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stack import Stack
from tests.support.files import contacts_csv
from tests.support.indexing import index_settings
from tests.support.waiting import wait_for
from tests.support.workers import Worker

ROWS = (
    "S-1,Ada,ada.search@example.com,active",
    "S-2,No Mail,nobody,active",
    "S-3,,three.search@example.com,active",
    "S-4,Strange,four.search@example.com,strange",
    "S-1,Ada again,five.search@example.com,active",
)
#: What is asked for, and the row that is found.
KNOWN: tuple[tuple[dict[str, str], int], ...] = (
    ({"row": "2"}, 2),
    ({"code": "INVALID_EMAIL"}, 2),
    ({"code": "REQUIRED"}, 3),
    ({"email": "FOUR.search@example.com"}, 4),
    ({"recordId": "S-4"}, 4),
    ({"status": "SKIPPED"}, 5),
    ({"q": "status strange"}, 4),
    ({"q": "three.search@example.com"}, 3),
)


def test_known_faults_are_found(elasticsearch: Stack, start_worker: Callable[..., Worker]) -> None:
    """By row, code, address, record and words, in the action and in the whole account."""
    worker = start_worker(**index_settings(elasticsearch))
    action = worker.submit(contacts_csv(*ROWS))
    worker.wait_ended(action)

    def ask(path: str, account: str = "default", **query: str) -> dict[str, Any]:
        answer = worker.client.get(path, params=query, headers={"accountid": account})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    logs = f"/bulk-actions/{action}/logs"

    def indexed() -> bool:
        found = ask(logs)
        # Four of the action, one of its chunk, and one of each row that is told.
        return found["engine"] == "elasticsearch" and len(found["events"]) == 9

    wait_for(indexed, "the action is indexed")
    for query, row in KNOWN:
        for path in (logs, "/search"):
            found = ask(path, **query)
            assert found["engine"] == "elasticsearch"
            assert (query, [event.get("row") for event in found["events"]]) == (query, [row])
        assert ask("/search", account="somebody-else", **query)["events"] == []
    told = next(state for state in worker.readiness()["dependencies"] if state["name"] == "elasticsearch")
    assert (told["ok"], told["required"]) == (True, False)
    assert worker.client.delete(f"/bulk-actions/{action}").status_code in (202, 204)
    assert ask("/search", code="INVALID_EMAIL")["events"] == []
