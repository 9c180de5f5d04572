"""Which faults pass and which do not."""

from __future__ import annotations

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from pymongo.errors import AutoReconnect, PyMongoError, WaitQueueTimeoutError
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.domain.public_faults import Refusal


class PermanentFault(Refusal):
    """Trying again cannot help: the message itself is wrong."""


#: Faults of something we depend on, which is expected to come back.
TRANSIENT: tuple[type[Exception], ...] = (
    TimeoutError,
    OSError,
    AutoReconnect,
    WaitQueueTimeoutError,
    PyMongoError,
    BusyLoadingError,
    RedisConnectionError,
    RedisTimeoutError,
    KafkaError,
    ProducerSendError,
)


def is_transient(error: BaseException) -> bool:
    """Tell whether what failed may work when it is tried again."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(inner) for inner in error.exceptions)
    return isinstance(error, TRANSIENT)
