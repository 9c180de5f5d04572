"""A repair of Faust's consumer, without which records are lost when partitions change hands.

What goes wrong in faust-streaming 0.15 (``faust/transport/consumer.py``):

* After a rebalance ``perform_seek`` moves the client back to the committed offsets and then sets
  ``_read_offset``. Meanwhile the drain loop goes on with a batch fetched before the seek: a record of the old
  batch sets ``_read_offset`` high, and the records that are read again are dropped as already read; or a late
  old record makes ``_add_gap`` mark everything in between as acknowledged. Whole blocks of records vanish.
* That seek leaves a partition of which nothing has been committed where it is, behind records that were fetched
  and dropped: those are never read again.
* ``getmany`` drops what a fetch has brought when the flow has stopped, the generation has changed or a partition has
  been paused in the meantime, while the client's position stays behind it. If it was a changelog, the recovery of
  the tables waits for ever.
* ``_new_offset`` tolerates one missing offset at the head, so that with concurrent agents the record that is
  still in hand at the head is committed, and lost when the process dies.
* ``_add_gap`` counts the record behind a gap as a part of it.
* The livelock detector, which only logs, ends the worker when it meets a partition that has no position yet.
* A commit that fails while the broker is away ends the worker.

The rules of the repair:

1. A seek is an epoch. Forget what has been read before it, and raise the epoch before and after. It goes to the
   committed offset, or to the beginning where there is none.
2. A batch belongs to the epoch it was fetched in. When the epoch has changed at a record of it, or at its end
   after records were delivered, the rest is dropped and the client seeks once more (not while tables recover:
   recovery positions the changelogs itself, and ends with a seek).
3. What was fetched and not delivered is read again: the next fetch begins by going back to it, unless somebody has
   moved the client elsewhere since.
4. An offset is committed only when everything below it, from the committed offset or from the first record
   delivered since the seek, has been acknowledged.

Records may come twice, never not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import faust
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver

from app.kafka import positions
from app.observability.metrics import CONSUMER_LAG
from app.observability.read_gauge import Reading

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where the consumer is in a partition.

    Attributes:
        done: up to where everything has been acknowledged and is committed; None: nothing is.
        first: the first record given to its stream since the last seek; None: none has been.
        last: the last one.
        unread: the next record that will be read; None: the client does not know yet.
    """

    done: int | None
    first: int | None
    last: int | None
    unread: int | None

    def waiting(self, end: int) -> int:
        """Return how many records are not done, of a partition that ends there.

        Offsets behind the last record that no record has, those of transactions, do not count.
        """
        begun = max(self.done or 0, self.first or 0)
        in_hand = 0 if self.last is None else max(0, self.last + 1 - begun)
        unread = (self.done or 0) if self.unread is None else self.unread
        return in_hand + max(0, end - unread)


#: How long the broker waits for a record before it answers that there is none, seconds. For so long nothing is asked of
#: a partition that was assigned, moved or resumed in the meantime. Faust has 1.5, and no setting for it.
_FETCH_WAIT = 0.25


class _ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread of the Kafka client.

    It reads again what was fetched and not delivered, and leaves a failed commit to the next one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: Of each partition of the last fetch: its first record not delivered, and the position behind it all.
        self._undelivered: dict[Any, tuple[int, int]] = {}
        super().__init__(*args, **kwargs)

    def note_delivered(self, tp: Any, offset: int) -> None:
        """Remember that a record of the last fetch has been given to its stream."""
        _, behind = self._undelivered.get(tp, (0, 0))
        self._undelivered[tp] = offset + 1, behind

    def unread(self, tp: Any) -> int | None:
        """Return the next record that will be read, None when that is not known."""
        position = _position(self._ensure_consumer(), tp)
        first, behind = self._undelivered.get(tp, (0, 0))
        return first if first < behind and position == behind else position

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = round(_FETCH_WAIT * 1000)
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        if not self.consumer.flow_active:
            return {}
        self._rewind(consumer)
        records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        self._undelivered = {
            tp: (batch[0].offset, _position(consumer, tp) or batch[-1].offset + 1)
            for tp, batch in records.items()
            if batch
        }
        return records

    def _rewind(self, consumer: Any) -> None:
        """Go back to what the last fetch brought and nobody got, where nobody has moved the client since."""
        for tp, (first, behind) in self._undelivered.items():
            if first < behind and _position(consumer, tp) == behind:
                consumer.seek(driver.ensure_aiokafka_TP(tp), first)
        self._undelivered = {}

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        assignment = self.assignment()
        wanted = {
            driver.ensure_aiokafka_TP(tp): driver.OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
            if tp in assignment
        }
        try:
            await self._ensure_consumer().commit(wanted)
        except (CommitFailedError, IllegalStateError, KafkaError) as error:
            log.warning("offsets not committed, the next commit will: %r", error)
            return False
        return True

    def partitions(self) -> set[Any]:
        """Return the partitions of the client, none before there is one."""
        return set() if self._consumer is None else self.assignment()

    def lag(self, tp: Any, done: int | None) -> int | None:
        """Return how many messages of a partition are not done, as far as the client knows."""
        return positions.lag(self._consumer, driver.ensure_aiokafka_TP(tp), done)


#: The end of the name of the topic whose only partition makes a worker the leader.
_LEADER = "-__assignor-__leader"


def _position(consumer: Any, tp: Any) -> int | None:
    return positions.position(consumer, driver.ensure_aiokafka_TP(tp))


class RepairedConsumer(driver.Consumer):  # type: ignore[misc]
    """The aiokafka driver's consumer under the rules above."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._epoch = 0
        self._must_seek = False
        self._first_delivered: dict[Any, int] = {}
        self._last_delivered: dict[Any, int] = {}
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_start(self) -> None:
        """Show from now on how far behind it is."""
        await super().on_start()
        self.add_context(CONSUMER_LAG.read_from(self.lag))

    def lag(self) -> list[Reading]:
        """Return of each partition how many messages are not committed, where that is known; asks nobody."""
        found: list[Reading] = []
        for tp in self._thread.partitions():
            # Of these nobody reads messages as they come.
            if self._is_changelog_tp(tp) or tp.topic.endswith(_LEADER):
                continue
            done = self._committed_offset.get(tp) or self._first_delivered.get(tp)
            if (behind := self._thread.lag(tp, done)) is not None:
                found.append(((tp.topic, str(tp.partition)), behind))
        return found

    async def perform_seek(self) -> None:
        """Go back to the committed offsets, in a new epoch."""
        self._epoch += 1
        self._read_offset.clear()
        self._first_delivered.clear()
        self._last_delivered.clear()
        self._committed_offset.clear()
        await super().perform_seek()
        # The client's own seek leaves a partition where it is when nothing of it has been committed yet.
        fresh = [tp for tp in self.assignment() if not self._committed_offset[tp] and not self._is_changelog_tp(tp)]
        if fresh:
            await self._thread.seek_to_beginning(*map(driver.ensure_aiokafka_TP, fresh))
        self._epoch += 1

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the records of one fetch, as long as no seek makes them stale."""
        if self._must_seek and not self.app.in_recovery and not await self._seek_again():
            return
        epoch, delivered = self._epoch, False
        batch = super().getmany(timeout)
        try:
            async for tp, message in batch:
                delivered = True
                if self._epoch != epoch:
                    break
                self._thread.note_delivered(tp, message.offset)
                self._first_delivered.setdefault(tp, message.offset)
                self._last_delivered[tp] = message.offset
                yield tp, message
        finally:
            await batch.aclose()
        if delivered and self._epoch != epoch:
            self._must_seek = True

    def place(self, tp: Any) -> Place:
        """Return where it is in a partition that it has."""
        return Place(
            self._committed_offset[tp],
            self._first_delivered.get(tp),
            self._last_delivered.get(tp),
            self._thread.unread(tp),
        )

    async def _seek_again(self) -> bool:
        try:
            await self.perform_seek()
        except (KafkaError, IllegalStateError, RuntimeError) as error:
            log.warning("seek after a rebalance failed, trying again: %r", error)
            await asyncio.sleep(0.2)
            return False
        self._must_seek = False
        return True

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Log what looks like a livelock; a partition that cannot be looked at yet is looked at next time."""
        with contextlib.suppress(AssertionError):
            super().verify_event_path(now, tp)

    def _new_offset(self, tp: Any) -> int | None:
        acked = self._acked[tp]
        if not acked:
            return None
        lowest = min(acked)
        gap = self._gap[tp]
        if gap:
            lowest = min(lowest, gap.begin())
        # What lies between the committed offset and the first record delivered after a seek does not exist.
        floor = max(self._committed_offset[tp] or 0, self._first_delivered.get(tp, 0))
        if lowest > floor:
            return None
        offset: int | None = super()._new_offset(tp)
        return offset

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        committed = self._committed_offset[tp]
        start = offset_from if committed is None else max(offset_from, committed)
        if start < offset_to:
            self._gap[tp].addi(start, offset_to)
            await asyncio.sleep(0)
            self._gap[tp].merge_overlaps()


class RepairedTransport(driver.Transport):  # type: ignore[misc]
    """The aiokafka transport with the repaired consumer."""

    Consumer = RepairedConsumer


class RepairedApp(faust.App):  # type: ignore[misc]
    """A Faust app that consumes through the repaired transport."""

    def _new_transport(self) -> RepairedTransport:
        return RepairedTransport(self.conf.broker_consumer, self)
