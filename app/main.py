"""The Faust app, put together: topics, table, agents, timers and web views, each imported by name.

Nothing is found by autodiscovery, because Faust only warns when a module it discovers fails to import.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
from typing import Any, NoReturn

import faust
import faust.auth

from agents.announcer import Announcer
from agents.cleanup import clean_up
from agents.dead_letters import keep_poison, store_dead_letter
from agents.dispatcher import dispatch
from agents.feeder import feed
from agents.guard import add_agent, add_loop, add_timer, add_waiting_topics, log_retries
from agents.processor import process
from agents.progress import count
from agents.retrier import redeliver
from agents.watch import Watch
from app.adapters.event_log import INTERVAL as EVENT_LOG_INTERVAL
from app.context import AppContext
from app.kafka.consumer import RepairedApp
from app.kafka.inline_rows import ChunkMessage
from app.kafka.membership import Membership
from app.kafka.messages import ChunkResult, Feed
from app.kafka.security import client_options
from app.kafka.sensor import KafkaSensor
from app.kafka.table_manager import PromptTableManager
from app.kafka.topics import Topics
from app.kafka.worker import LoggingWorker, QuietWorker
from app.observability.audit import send_audit_log
from app.observability.event_loop import EventLoopGuard, measure_event_loop
from app.observability.process import quieten_garbage_collector
from app.observability.tracing import start_tracing, stop_tracing
from app.runtime import REFUSALS, is_loopback, port_is_free, prepare
from app.services.indexing import CARE_INTERVAL as INDEX_CARE_INTERVAL
from app.services.indexing import INTERVAL as INDEX_INTERVAL
from app.services.indexing import Indexer, look_after_index
from app.services.observation import INTERVAL, observe
from app.services.stored_events import INTERVAL as STORED_EVENTS_INTERVAL
from app.services.stored_events import index_stored_events
from app.services.sweeping import OrphanSweeper, sweep_interval
from app.services.workers import Workers
from app.settings import Settings
from tables.progress import ProgressTable
from web import routes
from web.middleware.chain import middlewares
from web.server import ServesApi

log = logging.getLogger(__name__)


class BulkApp(ServesApi, RepairedApp):
    """The Faust app with its context, which is open from before the first service starts to after the last."""

    context: AppContext
    channels: Topics
    progress_table: ProgressTable
    settings: Settings
    watch: Watch
    workers: Workers
    announcer: Announcer | None = None

    async def on_first_start(self) -> None:
        """Make sure of the port and the directory, which Faust would only fail on with a traceback."""
        if not port_is_free(self.conf.web_bind, self.conf.web_port):
            _refuse(f"port {self.conf.web_port} is in use: give this worker another one with PORT or --web-port")
        if self.settings.auth_mode == "none" and not is_loopback(self.conf.web_bind):
            if "auth_mode" not in self.settings.model_fields_set:
                _refuse(
                    f"whoever reaches {self.conf.web_bind} could do everything: set AUTH_MODE=required, or "
                    "AUTH_MODE=none if that is meant, or HOST=127.0.0.1"
                )
            log.warning("whoever reaches %s may do everything: AUTH_MODE is none", self.conf.web_bind)
        try:
            self.conf.datadir.mkdir(parents=True, exist_ok=True)
            # Faust and its tables would fail on it later, with a traceback.
            tempfile.TemporaryFile(dir=self.conf.datadir).close()
        except OSError as error:
            _refuse(f"DATA_DIR cannot be used: {error.strerror}: {self.conf.datadir}")
        if self.settings.audit_log is not None:
            try:
                send_audit_log(self.settings.audit_log)
            except OSError as error:
                _refuse(f"AUDIT_LOG cannot be used: {error.strerror}: {self.settings.audit_log}")
        try:
            start_tracing(self.settings)
        except ImportError as error:
            _refuse(f"OTEL_TRACES_EXPORTER=otlp needs pip install 'bulk-operations[tracing]': {error}")
        await super().on_first_start()

    async def on_start(self) -> None:
        """Open the stores before any service starts, and wait until they are there."""
        await super().on_start()
        self.context = AppContext.open(
            self.settings, self.channels, self.progress_table, should_yield=lambda: self.rebalancing or self.should_stop
        )
        try:
            await prepare(self.context)
        except REFUSALS as error:
            _refuse(str(error))
        self.workers = Workers(
            self.context,
            Membership(self, [channel.name for channel in self.channels.of_agents]),
            stuck=lambda: self.watch.stuck,
            port=self.conf.web_port,
        )
        self.announcer = Announcer(self.workers)
        quieten_garbage_collector()

    async def on_stop(self) -> None:
        """Begin to stop: what is in hand is finished, but not for longer than the shutdown timeout."""
        self._deadline = threading.Timer(self.settings.shutdown_timeout, _end_hard)
        self._deadline.daemon = True
        self._deadline.start()
        # To stop may take longer than the loop may be held up. There are no turns any more: Faust is stopping already.
        EventLoopGuard.end()
        if self.announcer is not None:
            self.announcer.announce()
        # The web server waits for requests that are under way, and these end by themselves only now.
        await self.context.live.close()
        self.watch.close()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Close the stores after every service has stopped."""
        await super().on_shutdown()
        if self.announcer is not None:
            await self.announcer.end(orderly=not self.crashed)
        await self.context.close()
        await asyncio.to_thread(stop_tracing)
        self._deadline.cancel()


def _refuse(reason: str) -> NoReturn:
    """End before anything was started, with one line instead of a traceback."""
    log.critical("this worker cannot start: %s", reason)
    logging.shutdown()
    os._exit(2)


def _end_hard() -> None:
    log.error("not stopped within the shutdown timeout: ending at once; nothing is lost, others take over")
    os._exit(1)


def _credentials(options: dict[str, Any]) -> faust.types.auth.CredentialsT | None:
    """Return the security of Kafka's clients as Faust takes it, for its consumer and its producer."""
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return faust.auth.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in options:
        return faust.auth.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.auth.SSLCredentials(context) if context is not None else None


def create_app(settings: Settings) -> BulkApp:
    """Put the application together. Creates no client and touches no service."""
    app = BulkApp(
        settings.kafka_topic,
        broker=settings.kafka_broker,
        broker_credentials=_credentials(client_options(settings)),
        datadir=str(settings.data_dir / settings.kafka_topic),
        store="rocksdb://",
        autodiscover=False,
        origin="app",
        broker_session_timeout=settings.broker_session_timeout,
        broker_heartbeat_interval=settings.broker_session_timeout / 4,
        broker_request_timeout=max(30.0, settings.broker_session_timeout * 2),
        broker_commit_interval=1.0,
        broker_commit_every=1000,
        producer_request_timeout=10.0,
        stream_buffer_maxsize=64,
        stream_wait_empty=True,
        # The database is the source of truth: a table that is gone is rebuilt from the ledger.
        table_standby_replicas=0,
        recovery_consistency_check=False,
        topic_partitions=settings.topic_partitions,
        topic_replication_factor=settings.topic_replication,
        web_host=settings.host,
        web_bind=settings.host,
        web_port=settings.port,
        web_tables_enabled=False,
        web_router_enabled=False,
        # Faust would serve these, and tracebacks, when its debug mode is on.
        web_graph_enabled=False,
        web_stats_enabled=False,
        web_metrics_enabled=False,
        web_application_options={
            "middlewares": middlewares(lambda: app.context),
            "client_max_size": 1024**2,
            "handler_args": {
                # aiohttp closes a connection that has been waiting so long for a request to be complete up to its
                # body, be it the first or a further one.
                "keepalive_timeout": settings.request_head_timeout,
                # What a body unpacks to is limited by those who read it.
                "auto_decompress": False,
            },
        },
        worker_redirect_stdouts=False,
        TableManager=PromptTableManager,
        Worker=LoggingWorker if settings.log_faust == "verbose" else QuietWorker,
    )
    log_retries()
    topics = Topics(app, settings)
    app.settings, app.channels, app.progress_table = settings, topics, ProgressTable(app, settings)
    add_agent(app, topics.feed, Feed, feed)
    add_agent(app, topics.chunks, ChunkMessage, process, concurrency=settings.processor_concurrency)
    add_agent(app, topics.results, ChunkResult, count)
    add_waiting_topics(
        app, {**dict.fromkeys(topics.retries, redeliver), topics.dead: store_dead_letter, topics.poison: keep_poison}
    )
    add_timer(app, settings.dispatch_interval_ms / 1000, dispatch, on_leader=True)
    add_timer(app, settings.dispatch_interval_ms / 1000, clean_up, on_leader=True)
    if settings.orphan_age:
        add_timer(app, sweep_interval(settings.orphan_age), OrphanSweeper().sweep_orphans, on_leader=True)
    add_loop(app, settings.snapshot_interval, _report)
    add_loop(app, EVENT_LOG_INTERVAL, _write_events)
    add_loop(app, INTERVAL, observe)
    if settings.has_index:
        add_loop(app, INDEX_INTERVAL, Indexer().index)
        add_timer(app, INDEX_CARE_INTERVAL, look_after_index, on_leader=True)
        add_timer(app, STORED_EVENTS_INTERVAL, index_stored_events, on_leader=True)
    add_loop(app, 0, measure_event_loop)
    if settings.event_loop_timeout:
        guard = EventLoopGuard(settings.event_loop_timeout)
        add_loop(app, guard.interval, guard.turn)
    app.sensors.add(KafkaSensor(channel.name for channel in topics.of_agents))
    app.watch = Watch(app, topics.of_agents, settings.stuck_after)
    if settings.stuck_after:
        add_loop(app, app.watch.interval, app.watch.look)
    routes.add_to(app)
    # aiohttp waits this long for requests that are under way.
    app.web.handler_shutdown_timeout = settings.shutdown_timeout / 2
    return app


async def _write_events(context: AppContext) -> None:
    """Write out the events that no other document has."""
    await context.event_log.flush()


async def _report(context: AppContext) -> None:
    """Write out the live counters."""
    await context.reporter.flush()
