"""Where a credential is asked for, the description holds as well: tried by schemathesis and by newman with a key."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from app.domain.access import Role
from tests.support.newman import assert_all_went_well, run
from tests.support.secured import Guarded
from web.openapi.document import describe
from web.routes import ROUTES

DOCUMENT = describe(ROUTES, credential_required=True)

schema = schemathesis.openapi.from_dict(deepcopy(DOCUMENT))
# See tests/e2e/test_openapi.py.
schema.config.checks.update(excluded_check_names=["positive_data_acceptance"])


@pytest.fixture(scope="module")
def key(guarded: Guarded) -> str:
    return guarded.key("described", Role.ADMIN)


@schema.parametrize()
@settings(max_examples=20, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_operations_need_a_key(case: Case, guarded: Guarded, key: str) -> None:
    """Every operation answers as described with a key, and refuses without."""
    case.call_and_validate(base_url=str(guarded.worker.client.base_url), headers={"X-API-Key": key})


def test_document_is_public(guarded: Guarded) -> None:
    """A worker gives the document to everybody."""
    assert guarded.worker.client.get("/openapi.json").json() == DOCUMENT


def test_the_collection_runs_with_a_key(newman: Path, guarded: Guarded, tmp_path: Path) -> None:
    key = guarded.key("postman", Role.ADMIN)
    address = str(guarded.worker.client.base_url).rstrip("/")
    assert_all_went_well(run(newman, tmp_path / "report.json", baseUrl=address, apiKey=key))
