"""What the application is made of, exactly: Faust itself would only warn about a part that is missing."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

from agents.dead_letters import keep_poison, store_dead_letter
from agents.retrier import redeliver
from app import main
from app.kafka.topics import Channel
from app.main import BulkApp, create_app
from app.settings import Settings
from tests.support.paths import ROOT

BASE = "wiring"

#: Agent → topic, concurrency.
AGENTS = {
    "feed": (f"{BASE}.feed", 1),
    "process": (BASE, 3),
    "count": (f"{BASE}.results", 1),
}
#: Topic whose messages may wait, read apart from the agents → what becomes of its messages.
WAITING = {
    f"{BASE}.retry.1": redeliver,
    f"{BASE}.retry.2": redeliver,
    f"{BASE}.retry.3": redeliver,
    f"{BASE}.DLQ": store_dead_letter,
    f"{BASE}.POISON": keep_poison,
}
TABLES = {"progress": f"{BASE}-progress-changelog"}
#: Timer → interval in seconds, on the leader only.
TIMERS = {"dispatch": (0.7, True), "clean_up": (0.7, True), "sweep_orphans": (3600, True)}
ROUTES = {
    ("POST", "/bulk-actions"),
    ("GET", "/bulk-actions"),
    ("GET", "/bulk-actions/{action_id}"),
    ("PATCH", "/bulk-actions/{action_id}"),
    ("DELETE", "/bulk-actions/{action_id}"),
    ("GET", "/bulk-actions/{action_id}/stats"),
    ("GET", "/bulk-actions/{action_id}/records"),
    ("GET", "/bulk-actions/{action_id}/results"),
    ("GET", "/bulk-actions/{action_id}/failures"),
    ("POST", "/bulk-actions/{action_id}/close"),
    ("POST", "/bulk-actions/{action_id}/cancel"),
    ("POST", "/bulk-actions/{action_id}/pause"),
    ("POST", "/bulk-actions/{action_id}/resume"),
    ("POST", "/bulk-actions/{action_id}/retry"),
    ("GET", "/bulk-actions/{action_id}/events"),
    ("GET", "/bulk-actions/{action_id}/logs"),
    ("GET", "/events"),
    ("GET", "/search"),
    ("GET", "/entities"),
    ("GET", "/entities/{entity_type}"),
    ("GET", "/entities/{entity_type}/template.csv"),
    ("GET", "/records/{entity_type}/{record_id}"),
    ("GET", "/dead-letters"),
    ("GET", "/dead-letters/{letter_id}"),
    ("POST", "/dead-letters/{letter_id}/replay"),
    ("GET", "/whoami"),
    ("GET", "/api-keys"),
    ("POST", "/api-keys"),
    ("DELETE", "/api-keys/{key_id}"),
    ("GET", "/workers"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/"),
    ("GET", "/assets/{version}/{path}"),
}


@pytest.fixture(scope="module")
def app() -> BulkApp:
    app = create_app(
        Settings(
            _env_file=None,
            kafka_topic=BASE,
            kafka_broker="127.0.0.1:1",
            mongo_db_uri="mongodb://127.0.0.1:1/none",
            redis_uri="127.0.0.1:1",
            topic_partitions=3,
            processor_concurrency=3,
            dispatch_interval_ms=700,
            snapshot_interval=0.2,
        )
    )
    app.finalize()
    app.web.init_server()
    return app


def test_the_agents_are_exactly_these(app: BulkApp) -> None:
    found = {agent.name: (agent.channel.get_topic_name(), agent.concurrency) for agent in app.agents.values()}
    assert found == AGENTS


def test_every_agent_is_guarded(app: BulkApp) -> None:
    assert {agent.fun.__module__ for agent in app.agents.values()} == {"agents.guard"}


def test_waiting_topics(app: BulkApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiting topics are exactly these."""
    read: list[dict[str, object]] = []

    def record(_: BulkApp, handlers: Mapping[Channel, object]) -> None:
        read.append({channel.name: handle for channel, handle in handlers.items()})

    monkeypatch.setattr(main, "add_waiting_topics", record)
    create_app(app.settings)
    assert read == [WAITING]


def test_the_tables_are_exactly_these(app: BulkApp) -> None:
    assert {name: table.changelog_topic.get_topic_name() for name, table in app.tables.items()} == TABLES


def test_topics_have_their_partitions(app: BulkApp) -> None:
    """Every topic and changelog has the partitions of the settings."""
    assert {agent.channel.partitions for agent in app.agents.values()} == {3}
    assert {table.partitions for table in app.tables.values()} == {3}


def test_topics_are_created_before_start(app: BulkApp) -> None:
    """Every topic that is read is created before the worker starts."""
    assert {topic for topic, _ in AGENTS.values()} | set(WAITING) == {channel.name for channel in app.channels.all}


def test_the_timers_are_exactly_these(app: BulkApp, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, tuple[float, bool]] = {}
    timer = BulkApp.timer

    def record(self: BulkApp, interval: float, *args: object, on_leader: bool = False, **options: object) -> object:
        decorate = timer(self, interval, *args, on_leader=on_leader, **options)

        def named(body: object) -> object:
            made[body.__name__] = (interval, on_leader)  # type: ignore[attr-defined]
            return decorate(body)

        return named

    monkeypatch.setattr(BulkApp, "timer", record)
    again = create_app(app.settings)
    assert made == TIMERS
    others = (
        *("the reporter", "the event log", "the waiting topics", "what is looked at for the metrics"),
        *("the event loop", "its guard", "the watch"),
    )
    assert len(again._app_tasks) == len(TIMERS) + len(others)


def test_routes(app: BulkApp) -> None:
    """The routes are exactly these, each with HEAD beside GET."""
    found = {(route.method, route.resource.canonical) for route in app.web.web_app.router.routes()}
    assert found == ROUTES | {("HEAD", path) for _, path in ROUTES}


@pytest.mark.parametrize("path", ["/table", "/table/", "/router", "/router/", "/graph", "/stats", "/performance"])
def test_faust_views_are_not_served(app: BulkApp, path: str) -> None:
    """What Faust would show of tables and partitions is not served."""
    assert not [
        resource
        for resource in app.web.web_app.router.resources()
        if resource.canonical.rstrip("/") == path.rstrip("/") or resource.canonical.startswith(f"{path.rstrip('/')}/")
    ]


def test_debug_mode_serves_no_more(app: BulkApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The debug mode of Faust serves nothing more."""
    monkeypatch.setenv("APP_DEBUG", "1")
    debugged = create_app(app.settings)
    assert debugged.conf.debug
    debugged.finalize()
    debugged.web.init_server()
    found = {(route.method, route.resource.canonical) for route in debugged.web.web_app.router.routes()}
    assert {path for _, path in found} == {path for _, path in ROUTES}


def test_import_creates_no_client(app: BulkApp) -> None:
    """Putting the app together creates no client."""
    assert not hasattr(app, "platform")


def uses(name: str) -> Iterator[str]:
    """Where ``app.<name>`` stands in the code of the application, be it called or used as a decorator."""
    for package in ("app", "agents", "tables", "web"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(f"app.{name}"):
                    yield str(path.relative_to(ROOT))


def names(name: str) -> Iterator[str]:
    """Where the code of the application speaks of a class."""
    for package in ("app", "agents", "tables", "web"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree)):
                yield str(path.relative_to(ROOT))


@pytest.mark.parametrize("maker", ["agent", "timer", "task"])
def test_guard_makes_all_tasks(maker: str) -> None:
    """Agents, timers and loops are made in the guard alone."""
    assert set(uses(maker)) == {"agents/guard.py"}


@pytest.mark.parametrize(("maker", "where"), [("AIOKafkaConsumer", "app/kafka/topic_reader.py")])
def test_client_is_read_in_one_place(maker: str, where: str) -> None:
    """The client itself reads in one place, and the one reader made of it is the guard's; another asks for offsets."""
    assert set(names(maker)) == {where, "app/kafka/backlog.py"}
    assert set(names("TopicReader")) == {where, "agents/guard.py"}


@pytest.mark.parametrize("maker", ["crontab", "page", "service", "table_route"])
def test_guard_is_not_bypassed(maker: str) -> None:
    """No other way of Faust past the guard is used."""
    assert list(uses(maker)) == []
