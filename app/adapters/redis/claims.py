"""De-duplication claims in Redis: inside an action one row owns a record.

A claim is an entry of 16 bytes: a digest of a key value (12 bytes of XXH3-128) and the number of the row that owns it
(32 bits). The claims of an action are the fields of one hash, ``dedupe:{actionId}:claims:{generation}``. A field is a
bucket, chosen by other bytes of the digest, with three entries end to end on average, which takes about 38 bytes per
value. Larger buckets would take less, but a claim writes its whole bucket anew, to the append-only file as well.

``dedupe:{actionId}`` holds the state of the claims, the number of buckets, which the first claim fixes, and the
generation. ``dedupe:expiry`` says when the claims of each action are to be forgotten if it never ends.

Claims are *open* while their action runs, *closed* from its end on (complete, but no row may claim), and *released*
when they are forgotten. Where released claims turn out to be needed they are rebuilt, as a new generation: of several
that rebuild them at once, only the last may say that they are complete. While that goes on, only the rebuilding may
claim.

A whole chunk claims in one round trip, atomically; a chunk that claims again finds its own rows as the owners and so
changes nothing. Two of 10 million different values have the same digest with a probability of 10^-15: then one row
would be taken for a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis
from xxhash import xxh3_128_digest

from app.adapters.redis import claim_scripts
from app.adapters.redis.client import REDIS
from app.adapters.redis.old_claims import unlink_old_claims

_VALUES_PER_BUCKET = 3
#: So many at least, so that an action of which too few rows were expected does not hold Redis up.
_FEWEST_BUCKETS = 1024
#: The script reads and writes the buckets of so many values together.
_VALUES_AT_ONCE = 100
_SWEPT_AT_ONCE = 10
_EXPIRY = "dedupe:expiry"

#: In which state claims may be for a claim: by a chunk of an action under way, for a chunk of an action that has ended
#: (or is under way), and by whoever rebuilds them.
ClaimState = Literal["open", "closed", "rebuilding"]


class ClaimsReleased(Exception):
    """The claims of the action are not to be had: it has ended, or they are being rebuilt."""


@REDIS.at_border
class Claims:
    """Claims of rows on the records they are to write.

    Args:
        redis: where they are.
        ttl: seconds after the last claim of an action after which ``sweep`` forgets them all.
    """

    def __init__(self, redis: Redis, *, ttl: int) -> None:
        self._redis = redis
        self._ttl = ttl
        self._claim = redis.register_script(claim_scripts.CLAIM)
        self._release = redis.register_script(claim_scripts.RELEASE)
        self._move = redis.register_script(claim_scripts.MOVE)
        self._close = redis.register_script(claim_scripts.CLOSE)
        self._begin_rebuild = redis.register_script(claim_scripts.BEGIN_REBUILD)

    async def claim(
        self,
        action_id: str,
        row_count: int,
        rows: Sequence[int],
        columns: Sequence[Sequence[str]],
        *,
        state: ClaimState = "open",
    ) -> dict[int, int]:
        """Claim key values for rows.

        Args:
            action_id: the action within which values are unique, column by column.
            row_count: how many rows the whole action has, about. The first claim fixes the number of buckets by it. Too
                many of them cost up to 100 bytes per value, too few cost time: with ten times as many rows as expected
                a claim takes twice as long. So where nobody knows, expect many.
            rows: the numbers of the rows, below 2^32.
            columns: for each kind of key the values of these rows.
            state: in which state the claims may be; only open ones are made when there are none yet.

        Returns:
            For the rows that own nothing: position in ``rows`` → number of the row that owns the value.

        Raises:
            ClaimsReleased: they are in another state.
            OverflowError: the number of a row is 2^32 or larger.
            app.domain.faults.DependencyFault: Redis cannot be reached; asking again is safe.
        """
        if not rows:
            return {}
        kinds = len(columns)
        owners = np.repeat(np.array(rows, "<u4"), kinds).tobytes()
        digests = np.frombuffer(_digests(columns), "<u4").reshape(-1, 4)
        at_once = max(1, _VALUES_AT_ONCE // kinds) * kinds
        reply: Any = max(_FEWEST_BUCKETS, row_count * kinds // _VALUES_PER_BUCKET)
        # A number as the answer says how many buckets there are, if not so many.
        while isinstance(reply, int):
            buckets = digests[:, 3] % reply
            values = buckets.tobytes(), digests[:, :3].tobytes(), owners
            reply = await self._claim(
                keys=[_key(action_id), _EXPIRY],
                args=[self._ttl, state.upper(), reply, kinds, at_once, _shared(buckets, at_once), *values],
            )
        if reply is None:
            raise ClaimsReleased(action_id)
        return dict(np.frombuffer(reply, "<u4").reshape(-1, 2).tolist())

    async def close(self, action_id: str) -> None:
        """Take no more claims of an action that has ended; those that were made stay."""
        await self._close(keys=[_key(action_id)], args=[self._ttl])

    async def reopen(self, action_id: str) -> bool:
        """Take claims again; False when they are gone and must be rebuilt."""
        return bool(await self._move(keys=[_key(action_id)], args=["CLOSED", "OPEN"]))

    async def release(self, action_id: str) -> None:
        """Forget the claims of an action that has ended, and take no more of it."""
        await self._forget(_key(action_id))

    async def are_gone(self, action_id: str) -> bool:
        """Tell whether claims were made and forgotten, or a rebuilding of them was never finished."""
        state: bytes | None = await self._redis.get(_key(action_id))  # type: ignore[assignment]
        return state is not None and not state.startswith((b"OPEN", b"CLOSED"))

    async def begin_rebuild(self, action_id: str) -> int:
        """Begin claims anew, which only the caller may make at first; return their generation."""
        await unlink_old_claims(self._redis, _key(action_id))
        generation: int = await self._begin_rebuild(keys=[_key(action_id), _EXPIRY], args=[self._ttl])
        return generation

    async def finish_rebuild(self, action_id: str, generation: int) -> bool:
        """Open the rebuilt claims; False when somebody else has begun to rebuild them since."""
        return bool(await self._move(keys=[_key(action_id)], args=["REBUILDING", "OPEN", generation]))

    async def sweep(self) -> None:
        """Forget the claims of actions that have not claimed for so long that they will not end any more."""
        now = int((await self._redis.time())[0])
        old: Any = await self._redis.zrange(_EXPIRY, "-inf", now, byscore=True, offset=0, num=_SWEPT_AT_ONCE)
        for key in old:
            await self._forget(key.decode(), "OLD")

    async def _forget(self, key: str, *which: Literal["OLD"]) -> None:
        await unlink_old_claims(self._redis, key)
        await self._release(keys=[key, _EXPIRY], args=[self._ttl, *which])


def _shared(buckets: npt.NDArray[np.uint32], at_once: int) -> bytes:
    """For each group of so many values a byte: 1 if two of them have the same bucket, else 0."""
    groups = np.arange(len(buckets), dtype=np.uint64) // np.uint64(at_once)
    places = np.sort(groups << np.uint64(32) | buckets)
    shared = np.zeros(int(groups[-1]) + 1, np.uint8)
    shared[places[1:][places[1:] == places[:-1]] >> np.uint64(32)] = 1
    return shared.tobytes()


def _digests(columns: Sequence[Sequence[str]]) -> bytes:
    """The digests of all values, row by row: 12 bytes that name the value, 4 that choose its bucket."""
    # The seed keeps an id and an e-mail address that look alike apart.
    digests: list[Iterator[bytes]] = [
        map(xxh3_128_digest, map(str.encode, values), repeat(seed)) for seed, values in enumerate(columns)
    ]
    return b"".join(chain.from_iterable(zip(*digests, strict=True)))


def _key(action_id: str) -> str:
    return f"dedupe:{action_id}"
