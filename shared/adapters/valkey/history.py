"""`shared.ports.History` and `shared.ports.ChangingHistory` in Valkey or Redis (7 or newer), shared by all instances.

A micro-batch is one call of a script, so it is atomic. The life of each Pix is kept for as long as its message may
come back (`Keeping.message`) until its rows are stored, then until `Keeping.life` after it was last asked for or
changed, which must be longer than the longest pause between two deliveries of a message: the ack deadline and the
largest back-off, 60 + 600 s on Pub/Sub. A life takes 1.1 kB, so two hours of 100 transactions/s take 800 MB. Records,
and values about verdicts, that nothing touches for `Keeping.record` expire.

Stored rows are told with the next call, and after IDLE_SECONDS without one by a call of their own.

A micro-batch touches many keys. They share one hash tag and so live on one primary, with or without cluster mode. To
spread them over several, shard by account at the client; payer and payee may then be on two shards, and a Pix takes
two calls. The server must not evict (maxmemory-policy noeviction): when it is full it refuses writes, and scoring is
degraded.

The contacts of a payer are the fields of one hash, which expires as a whole. Servers keep up to 512 of them as one
list, and more as a table (hash-max-listpack-entries, at its default), which takes more memory. Of contacts that are
forgotten (`shared.features.layout`) four bytes stay; new contacts of the payer make the script look for them.

Records are rounded as in memory. Reads equal memory's to one unit in the last place of float32. A stored value of a
wrong length counts as missing and is reported; its next change replaces it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from shared.adapters.valkey.script import script
from shared.adapters.valkey.untold_rows import UntoldRows
from shared.adapters.valkey.wire import (
    SEQUENCE_KEY,
    Argument,
    AskedBatch,
    Keeping,
    answer_arguments,
    change_arguments,
    name_of,
    observations,
    observe_arguments,
    row_name,
)
from shared.errors import Misconfigured, Unavailable
from shared.features.columns import Events
from shared.features.history import READ_WIDTH
from shared.features.life import LIFE
from shared.features.places import Place
from shared.ports import Answer, Changes, Claim, Observations
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

SCHEMES = ("redis", "rediss", "valkey", "valkeys")


class ValkeyHistory:
    """History that many processes share; each EndToEndId counts once among them."""

    def __init__(self, client: Redis, keeping: Keeping) -> None:
        self.redis = client
        self._keeping = keeping
        self._rows = UntoldRows(self._tell)
        self._damaged = Incident(log, "history damaged", time.monotonic)

    @classmethod
    def connect(
        cls,
        url: str,
        connect_seconds: float,
        call_seconds: float,
        keeping: Keeping,
    ) -> Self:
        """Return the history at `url` (see `server_url`); it connects at the first call.

        A call that fails is repeated once on a new connection, also if the primary has become a replica.
        Raises Misconfigured.
        """
        client = Redis.from_url(
            server_url(url),
            socket_connect_timeout=connect_seconds,
            socket_timeout=call_seconds,
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[ReadOnlyError],
        )
        return cls(client, keeping)

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count the ask, in order and once for each EndToEndId."""
        if not events:
            none, no_reads = np.empty(0, dtype=np.int64), np.empty((0, READ_WIDTH), dtype=np.float32)
            return Observations(no_reads, none, [], none.astype(bool), np.empty(0, dtype=LIFE), [], [])
        batch = AskedBatch.of(events, claim)
        with self._rows.telling(len(events)) as stored:
            lives = await self._values(observe_arguments(batch, self._keeping, stored))
        return observations(lives, batch)

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note that rows, by EndToEndId and side, are stored; the store is told with the next call."""
        self._rows.add([row_name(id_, side) for id_, side in rows])

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Keep the first decisions of transactions whose rows could not be stored. Raises Unavailable."""
        if answers:
            await self._values(answer_arguments(answers))

    async def settle(self) -> None:
        """Tell the store of all stored rows now. Raises Unavailable."""
        await self._rows.tell()

    async def _tell(self, rows: Sequence[str]) -> None:
        await self._values(["stored", self._keeping.life, *rows])

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored value of each key. Raises Unavailable, also while history is empty."""
        return await self._values(["find", *map(name_of, keys)]) if keys else []

    async def change(self, changes: Changes) -> NDArray[np.int64]:
        """Make each change whose stored value has the expected version, in order; return the place of each."""
        if not changes.keys:
            return np.empty(0, dtype=np.int64)
        epoch, *numbers = await self._values(change_arguments(changes, self._keeping))
        places = np.array(numbers, dtype=np.int64)
        return np.where(places > 0, int(Place(epoch, 0)) | places, places)

    async def close(self) -> None:
        """Tell the store of all stored rows, if it answers, and close the connections."""
        with suppress(Unavailable):
            await self._rows.tell()
        await self.redis.aclose()

    async def _values(self, arguments: Sequence[Argument]) -> list[Any]:
        """Run the script; report damaged values."""
        reply: list[Any] = await self._call(arguments)
        damaged, values = reply[0], reply[1:]
        if damaged:
            self._damaged.trigger(damaged, reason="stored values have a wrong length; they count as missing")
        else:
            self._damaged.resolve()
        return values

    async def _call(self, arguments: Sequence[Argument]) -> Any:
        """Run the script; send its text to a server that has restarted."""
        text, sha = script()
        try:
            try:
                return await self.redis.evalsha(sha, 1, SEQUENCE_KEY, *arguments)
            except NoScriptError:
                return await self.redis.eval(text, 1, SEQUENCE_KEY, *arguments)
        except RedisError as error:
            raise Unavailable(f"the store of history: {type(error).__name__}") from error


def server_url(url: str) -> str:
    """Return the address in the client's schemes: valkey:// and valkeys:// (TLS) become redis:// and rediss://.

    Raises Misconfigured, without the address, which may hold a password.

    >>> server_url("valkeys://10.0.0.3:6379")
    'rediss://10.0.0.3:6379'
    """
    scheme, separator, rest = url.partition("://")
    try:
        known = bool(separator) and scheme in SCHEMES and urlsplit(url).port != 0
    except ValueError:  # the port is not a number
        known = False
    if not known:
        raise Misconfigured(f"the address of a store of history is {'://, '.join(SCHEMES)}://host:port")
    return scheme.replace("valkey", "redis") + separator + rest
