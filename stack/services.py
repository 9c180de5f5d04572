"""The services, one declaration each."""

from __future__ import annotations

import base64
import shutil
import uuid
from collections.abc import Iterable

from stack import elasticsearch, gateway, log4j, probes, prometheus, traces
from stack.downloads import HERE, POM, Download, go, maven, maven_and_compile
from stack.errors import StackError
from stack.model import Place, Program, Service
from stack.process import run
from stack.tools import Tool

JAVA = Tool("java", package="default-jre-headless", brew="openjdk", version=17)
MAVEN = Tool("mvn", package="maven", brew="maven")
# From this version on, Go fetches the later one that a module asks for by itself.
GO = Tool("go", package="golang-go", brew="go", version=21, ask="version")


# Kafka: one node, KRaft

_KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=data
auto.create.topics.enable=true
group.initial.rebalance.delay.ms=0
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# After a crash the controller refuses the new broker until the session of the old one has run out (default: 9000).
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Fewer files to create and to recover than with the defaults of 50, which are meant for clusters.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
"""


def _java(place: Place, heap: str, *arguments: str) -> list[str]:
    return ["java", f"-Xmx{heap}", "-cp", f"{place.library}:{place.library}/*", *arguments]


#: The quick compiler of a JVM alone.
_QUICK = "-XX:TieredStopAtLevel=1"


def _kafka_java(place: Place, *arguments: str) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={place.directory / 'log4j2.properties'}"
    # A broker that lives for minutes starts in half the time with it, and spends half the processor time on a few
    # 100,000 messages.
    return _java(place, place.options.kafka_heap, _QUICK, logging, *arguments)


def _prepare_kafka(place: Place) -> None:
    properties = _KAFKA_PROPERTIES.format(host=place.host, port=place.port, controller=place.extra_ports["controller"])
    (place.directory / "server.properties").write_text(properties)
    (place.directory / "log4j2.properties").write_text(log4j.WARNINGS)
    formatted = place.directory / "formatted"
    if formatted.exists():
        return
    # Never finished, so never used: what an interrupted attempt left is worth nothing.
    shutil.rmtree(place.directory / "data", ignore_errors=True)
    # The letter in front: an identifier that begins with a dash would be taken for an option.
    cluster = "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    arguments = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties")
    run(_kafka_java(place, *arguments), place.log, place.cancellation, place.directory)
    formatted.touch()


KAFKA = Service(
    name="kafka",
    variable="KAFKA_BROKER",
    default="kafka://127.0.0.1:9092",
    probe=probes.kafka,
    programs=(
        Program(
            tools=(JAVA,),
            download=Download("kafka", (POM,), (JAVA, MAVEN), maven("kafka")),
            prepare=_prepare_kafka,
            command=lambda place: _kafka_java(place, "kafka.Kafka", str(place.directory / "server.properties")),
            extra_ports=("controller",),
        ),
    ),
)


# MongoDB: a mongod if there is one, else a server that speaks its protocol


def _prepare_mongod(place: Place) -> None:
    (place.directory / "mongod").mkdir(exist_ok=True)


def _mongod(place: Place) -> list[str]:
    data = str(place.directory / "mongod")
    return ["mongod", "--dbpath", data, "--bind_ip", place.host, "--port", str(place.port), "--nounixsocket"]


def _mongo_java_server(place: Place) -> list[str]:
    data = "memory" if place.options.mongo_in_memory else str(place.directory / "data.mv")
    properties = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", f"-Dstack.directory={place.directory}")
    compiler = (_QUICK,) if place.options.mongo_for_minutes else ()
    return _java(place, place.options.mongo_heap, *compiler, *properties, "Server", place.host, str(place.port), data)


_SERVER = tuple(sorted((HERE / "mongo").glob("*.java")))

MONGO = Service(
    name="mongo",
    variable="MONGO_DB_URI",
    default="mongodb://127.0.0.1:27017/bulk",
    probe=probes.mongo,
    programs=(
        Program(
            tools=(Tool("mongod", package="mongodb-org-server", brew="mongodb-community"),),
            prepare=_prepare_mongod,
            command=_mongod,
        ),
        Program(
            tools=(JAVA,),
            download=Download("mongo", (POM, *_SERVER), (JAVA, MAVEN), maven_and_compile("mongo", _SERVER)),
            command=_mongo_java_server,
        ),
    ),
)


# Redis


def _redis_server(place: Place) -> list[str]:
    settings = {
        "bind": place.host,
        "port": place.port,
        "dir": place.directory,
        "appendonly": "yes",
        # Every write is with the kernel before it is acknowledged, and so outlives a kill. With "everysec" a write
        # may wait in the process for up to two seconds while the disk is busy.
        "appendfsync": "no",
        "save": "",
        # Keeps the command line as it is, by which a leftover is recognised.
        "set-proc-title": "no",
    }
    return ["redis-server", *(part for name, value in settings.items() for part in (f"--{name}", str(value)))]


REDIS = Service(
    name="redis",
    variable="REDIS_URI",
    default="redis://127.0.0.1:6379/0",
    probe=probes.redis_,
    programs=(Program(tools=(Tool("redis-server", package="redis-server", brew="redis"),), command=_redis_server),),
)


# S3, as a directory of buckets

_VERSITYGW = "1.8.0"
_BUCKET = "bulk"


def _prepare_s3(place: Place) -> None:
    (place.directory / "buckets" / _BUCKET).mkdir(parents=True, exist_ok=True)
    (place.directory / "metadata").mkdir(exist_ok=True)


def _versitygw(place: Place) -> list[str]:
    program = str(place.library / "versitygw") if place.library else "versitygw"
    # Metadata in files of its own, because not every file system has extended attributes.
    files = ("posix", "--sidecar", str(place.directory / "metadata"), str(place.directory / "buckets"))
    return [program, "--port", f"{place.host}:{place.port}", "--keep-alive", "--quiet", *files]


S3 = Service(
    name="s3",
    variable="AWS_ENDPOINT_URL",
    default="http://127.0.0.1:7070",
    probe=probes.s3,
    programs=(
        Program(
            tools=(),
            download=Download(
                f"versitygw-{_VERSITYGW}", (), (GO,), go(f"github.com/versity/versitygw/cmd/versitygw@v{_VERSITYGW}")
            ),
            prepare=_prepare_s3,
            command=_versitygw,
            environment={"ROOT_ACCESS_KEY": "bulk", "ROOT_SECRET_KEY": "for-this-machine-only"},
        ),
    ),
    access={
        "AWS_ACCESS_KEY_ID": "bulk",
        "AWS_SECRET_ACCESS_KEY": "for-this-machine-only",
        "AWS_REGION": "us-east-1",
        "STORAGE_URI": f"s3://{_BUCKET}/uploads",
    },
)


# The gateway in front of the workers

GATEWAY = Service(
    name="gateway",
    variable="GATEWAY_URI",
    default="http://127.0.0.1:8080",
    probe=probes.gateway,
    programs=(Program(tools=(gateway.NGINX,), prepare=gateway.prepare, command=gateway.command, extra_ports=("tls",)),),
)


# What collects the figures of the workers

PROMETHEUS = Service(
    name="prometheus",
    variable="PROMETHEUS_URI",
    default="http://127.0.0.1:9090",
    probe=probes.prometheus,
    programs=(Program(tools=(prometheus.PROGRAM,), prepare=prometheus.prepare, command=prometheus.command),),
)


# What receives their traces

TRACES = Service(
    name="traces",
    variable="OTEL_EXPORTER_OTLP_ENDPOINT",
    default="http://127.0.0.1:4318",
    probe=probes.traces,
    programs=(Program(tools=(), command=traces.command),),
    access={"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
)


# What searches the events

ELASTICSEARCH = Service(
    name="elasticsearch",
    variable="ELASTICSEARCH_URI",
    default="http://127.0.0.1:9200",
    probe=probes.elasticsearch,
    programs=(
        Program(
            tools=(JAVA,),
            download=Download("elasticsearch", elasticsearch.SOURCES, (JAVA, MAVEN), elasticsearch.download()),
            prepare=elasticsearch.prepare,
            command=elasticsearch.command,
            extra_ports=("transport",),
        ),
    ),
)


SERVICES: dict[str, Service] = {
    service.name: service for service in (KAFKA, MONGO, REDIS, S3, GATEWAY, PROMETHEUS, TRACES, ELASTICSEARCH)
}
#: Those that the platform cannot do without.
NEEDED = ("kafka", "mongo", "redis")


def select(names: Iterable[str | Service]) -> tuple[Service, ...]:
    """Return services by name, each once. Raises StackError for a name that is none."""
    chosen: dict[str, Service] = {}
    for item in names:
        name = item.name if isinstance(item, Service) else item.strip()
        if name not in SERVICES:
            raise StackError(f"there is no service {name!r}; there are: {', '.join(SERVICES)}")
        chosen[name] = SERVICES[name]
    return tuple(chosen.values())
