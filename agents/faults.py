"""Which faults pass and which do not."""

from __future__ import annotations

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from app.adapters.mongo import errors as store_faults
from app.adapters.redis import client as redis_client
from app.domain.public_faults import Refusal


class PermanentFault(Refusal):
    """Trying again cannot help: the message itself is wrong."""


#: Faults of something we depend on, which is expected to come back.
TRANSIENT: tuple[type[Exception], ...] = (TimeoutError, OSError, PyMongoError, KafkaError, ProducerSendError)


def is_transient(error: BaseException) -> bool:
    """Tell whether what failed may work when it is tried again."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(inner) for inner in error.exceptions)
    if isinstance(error, RedisError):
        return redis_client.passes(error)
    return isinstance(error, TRANSIENT)


def means_away(error: BaseException) -> bool:
    """Tell whether an error itself says that what we depend on cannot do its work now, whatever a probe finds."""
    if isinstance(error, BaseExceptionGroup):
        return any(means_away(inner) for inner in error.exceptions)
    return (
        isinstance(error, KafkaError | ProducerSendError)
        or redis_client.means_away(error)
        or store_faults.means_away(error)
    )
