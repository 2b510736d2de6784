"""`shared.ports.History` and `shared.ports.Verdicts` in Valkey or Redis (7 or newer), shared by all instances.

A micro-batch is one call of a script, so it is atomic. Its claims, the outcome of each transaction, are kept until
`claim_seconds` after the last delivery, which must be longer than the longest pause between two deliveries of a
message: the ack deadline and the largest back-off, 60 + 600 s on Pub/Sub. A claim takes 0.75 kB, so 15 minutes of 100
transactions/s take 67 MB. Records that nothing touches for `record_seconds` expire.

A micro-batch touches many keys. They share one hash tag and so live on one primary, with or without cluster mode. To
spread them over several, shard by account at the client; payer and payee may then be on two shards, and a Pix takes
two calls. The server must not evict (maxmemory-policy noeviction): when it is full it refuses writes, and scoring is
degraded.

Counters are float64 as in memory. Reads equal memory's to one unit in the last place of float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from shared.adapters.valkey.script import script
from shared.adapters.valkey.wire import (
    SEQUENCE_KEY,
    Argument,
    observations,
    observe_arguments,
    sequences,
    verdict_arguments,
)
from shared.errors import Misconfigured, Unavailable
from shared.features.columns import Events
from shared.features.history import READ_WIDTH
from shared.ports import Claim, Observations, PixVerdict

SCHEMES = ("redis", "rediss", "valkey", "valkeys")


class ValkeyHistory:
    """History that many processes share; each EndToEndId counts once among them."""

    def __init__(self, client: Redis, claim_seconds: int, record_seconds: int) -> None:
        self.redis = client
        self._claim_seconds = claim_seconds
        self._record_seconds = record_seconds

    @classmethod
    def connect(
        cls,
        url: str,
        connect_seconds: float,
        call_seconds: float,
        claim_seconds: int,
        record_seconds: int,
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
        return cls(client, claim_seconds, record_seconds)

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count it, in order and once for each EndToEndId."""
        if not events:
            none = np.empty(0, dtype=np.int64)
            return Observations(np.empty((0, READ_WIDTH), dtype=np.float32), none, [], none.astype(bool))
        fingerprints = events.columns.fingerprints()
        arguments = observe_arguments(events, fingerprints, claim, self._claim_seconds, self._record_seconds)
        return observations(await self._call(arguments), fingerprints, claim)

    async def apply(self, verdicts: Sequence[PixVerdict]) -> list[int | None]:
        """Count each verdict and reverse the one it replaces; return the sequence at which each counts."""
        if not verdicts:
            return []
        return sequences(await self._call(verdict_arguments(verdicts, self._record_seconds)))

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()

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
