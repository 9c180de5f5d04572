"""The command that says what is wrong with an installation: ``python -m app doctor``."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated

import typer

from app.adapters.mongo import Store
from app.adapters.redis.store import RedisStore
from app.adapters.storage import open_storage
from app.domain.diagnosis.findings import Finding, Grade, ok, problem
from app.kafka.topics import topic_names
from app.observability.logs import redact_logs
from app.services.doctor import Reported, all_checks, examine
from app.settings import Settings, read_settings
from app.settings.advice import contradictions, weak_settings

commands = typer.Typer()

#: Seconds for finding a server of the database: a check has a few more.
_CONNECT = 5.0


@commands.command("doctor")
def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="a list of objects, for programs")] = False,
) -> None:
    """Say of everything that is needed how it is, and what to do, in one line each; exit 1 if there is a problem."""
    # Clients complain by themselves of what is told here.
    logging.disable(logging.CRITICAL)
    report = asyncio.run(diagnose())
    typer.echo(_as_json(report) if as_json else _as_lines(report))
    raise typer.Exit(any(finding.grade is Grade.PROBLEM for _, finding in report))


async def diagnose() -> list[Reported]:
    """Look at the settings, and at everything that they name."""
    settings, wrong, mistyped = read_settings()
    advice = "correct it in the environment or in .env; docs/reference/settings.md has all names"
    report = [Reported("settings", problem(line, advice)) for line in wrong]
    report += [Reported("settings", Finding(Grade.WARNING, line, "correct the name")) for line in mistyped]
    if settings is None or wrong:
        return report
    redact_logs(settings)
    unwise = [*weak_settings(settings), *contradictions(settings)]
    report += [Reported("settings", finding) for finding in unwise]
    return [*(report or [Reported("settings", ok("can be read, and fit together"))]), *await look_at_services(settings)]


async def look_at_services(settings: Settings) -> list[Reported]:
    """Look at everything that the settings name."""
    store = Store(settings.mongo_db_uri.get_secret_value(), timeout=_CONNECT)
    redis = RedisStore(
        settings.redis_uri.get_secret_value(), namespace=settings.kafka_topic, claims_ttl=settings.dedupe_ttl
    )
    storage = open_storage(settings.storage_uri, settings.s3_client, store.storage_register)
    topics = topic_names(settings.kafka_topic, len(settings.retry_delays))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(storage.close)
        stack.push_async_callback(redis.close)
        stack.push_async_callback(store.close)
        index = None
        if settings.has_index:
            # Only here: its client takes a second to import.
            from app.adapters.search import IndexInspection, connect

            client = connect(settings)
            stack.push_async_callback(client.close)
            index = IndexInspection(client, settings.elasticsearch_prefix)
        return await examine(all_checks(settings, store, redis, storage, topics, index))


def _as_lines(report: Sequence[Reported]) -> str:
    grades, names = max(map(len, Grade)), max(len(name) for name, _ in report)
    return "\n".join(
        f"{finding.grade:<{grades}}  {name:<{names}}  {'; '.join(filter(None, (finding.text, finding.advice)))}"
        for name, finding in report
    )


def _as_json(report: Sequence[Reported]) -> str:
    return json.dumps(
        [
            {"check": name, "grade": finding.grade, "text": finding.text, "advice": finding.advice or None}
            for name, finding in report
        ],
        indent=2,
        ensure_ascii=False,
    )
