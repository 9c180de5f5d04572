"""The real services that the platform needs, run natively: Kafka, MongoDB's protocol, Redis; S3, a gateway, Prometheus,
a receiver of traces, Elasticsearch.

On the command line: `python -m stack up -- COMMAND`. In tests and benchmarks: `Stack`.
"""

from stack.errors import AddressTaken, Cancelled, StackError
from stack.instance import Instance
from stack.launcher import Stack, fetch_all
from stack.model import Options
from stack.services import ELASTICSEARCH, GATEWAY, KAFKA, MONGO, PROMETHEUS, REDIS, S3, TRACES

__all__ = [
    "ELASTICSEARCH",
    "GATEWAY",
    "KAFKA",
    "MONGO",
    "PROMETHEUS",
    "REDIS",
    "S3",
    "TRACES",
    "AddressTaken",
    "Cancelled",
    "Instance",
    "Options",
    "Stack",
    "StackError",
    "fetch_all",
]
