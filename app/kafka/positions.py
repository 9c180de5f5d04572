"""What a client of Kafka knows of its partitions by itself, without asking the broker."""

from __future__ import annotations

from typing import Any


def position(client: Any, partition: Any) -> int | None:
    """Return where a client reads next in a partition, None when that is not known."""
    state = _state(client, partition)
    return int(state.position) if state is not None and state.has_valid_position else None


def lag(client: Any, partition: Any, done: int | None) -> int | None:
    """Return how many messages of a partition are not done, None when that is not known.

    Args:
        client: The consumer of the client library.
        partition: One of its partitions.
        done: The first offset that is not done; None: nothing has been read yet.
    """
    first = position(client, partition) if done is None else done
    state = _state(client, partition)
    # Every answer to a fetch has the end of the partition, an empty one too.
    if first is None or state is None or state.highwater is None:
        return None
    return max(0, int(state.highwater) - first)


def _state(client: Any, partition: Any) -> Any:
    subscription = None if client is None else client._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None or partition not in assignment.tps:
        return None
    return assignment.state_value(partition)
