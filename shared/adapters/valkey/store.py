"""The shared store of history as a whole: fill it in bulk, open it, erase from it."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
from redis import Redis
from redis.cluster import RedisCluster
from redis.crc import key_slot
from redis.exceptions import NoScriptError, ResponseError

from shared.adapters.valkey.clients import ERRORS, is_cluster, server_url, unavailable
from shared.adapters.valkey.credentials import credentials_of
from shared.adapters.valkey.script import script
from shared.adapters.valkey.visits import ENTRY_KEY, STEP_KEY, ask_step
from shared.adapters.valkey.wire import (
    LETTERS,
    SEQUENCE_KEY,
    Argument,
    fill_arguments,
    forget_arguments,
    name_of,
    put_arguments,
    sequence_key,
    stored_life,
)
from shared.batched import batched
from shared.errors import Misconfigured, PreconditionFailed
from shared.features.keys import Keys
from shared.features.layout import CONTACT, LAYOUTS
from shared.features.places import Epoch, Place
from shared.features.shards import Shard, home_of, shard_of
from shared.features.state import State
from shared.features.verdicts import VERDICT_KEY
from shared.ports.history import LIFE_KEY

T = TypeVar("T")
HOLD_SECONDS = 300
"""Seconds for which a job that fills the store has it for itself after its last call."""
PREFIX = SEQUENCE_KEY.encode()[:-1]
"""The prefix of all keys with one shard, as in history.lua; a letter follows, then a record's key or a value's id."""
_RECORDS = 2_000  # at once: a megabyte, for which the server is busy some milliseconds
_CALLS = 8  # on their way at once, so that neither side waits for the other
_HELD = "HELD"
_NO_KEYS: Keys = np.empty(0, dtype=np.uint64)
_OF_A_PIX = (LIFE_KEY, VERDICT_KEY)
_FINGERPRINT_BYTES = 8
_CONNECT_SECONDS, _CALL_SECONDS = 5.0, 60.0


class ValkeyStore:
    """`shared.ports.history.HistoryStore` in Valkey or Redis, on a server or a cluster."""

    def __init__(
        self,
        connect: Callable[[], Redis | RedisCluster],
        record_seconds: int,
        shards: int = 1,
        hmac_key: str = "",
    ) -> None:
        """`hmac_key` is the fingerprint of the key of all pseudonyms, as in `ValkeyHistory`."""
        self._own = list(range(shards))
        self._connect = connect
        self._client: Redis | RedisCluster | None = None
        self._record_seconds = record_seconds
        self._shards = shards
        self._keys = [sequence_key(shard, shards, hmac_key) for shard in range(shards)]
        self._job = uuid.uuid4().hex

    @classmethod
    def connect(cls, url: str, record_seconds: int, shards: int = 1, hmac_key: str = "") -> Self:
        """Return the store at `url`; records untouched for `record_seconds` expire. Raises Misconfigured."""
        (address, tokens), cluster = credentials_of(server_url(url)), is_cluster(url)

        def client() -> Redis | RedisCluster:
            kind = RedisCluster if cluster else Redis
            return kind.from_url(
                address,
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_CALL_SECONDS,
                credential_provider=tokens,
            )

        return cls(client, record_seconds, shards, hmac_key)

    def each(self) -> list[Self]:
        """Return the store of each shard, which share the connection and the name of this job."""
        found = [copy.copy(self) for _ in self._own]
        for shard, store in zip(self._own, found, strict=True):
            store._own = [shard]
        return found

    @property
    def shard(self) -> Shard:
        """Return the shard of a store of one."""
        return Shard(self._own[0], self._shards)

    def is_empty(self) -> bool:
        """Return whether a shard was never opened, or was emptied since. Raises Unavailable."""
        return any(self._call(shard, ["is_empty"]) for shard in self._own)

    def hold(self) -> None:
        """Reserve a store that has counted nothing for HOLD_SECONDS, and close it; every call of `load` extends that.

        Raises Misconfigured if it has counted, PreconditionFailed if another job holds it, Unavailable.
        """
        if any(self._call(shard, ["counted"]) for shard in self._own):
            raise Misconfigured("the store of history has counted transactions already; empty it, or name another")
        for shard in self._own:
            if not self._call(shard, ["hold", HOLD_SECONDS, self._holder(shard)]):
                raise PreconditionFailed("another job fills the store of history")

    def load(self, state: State, values: Mapping[str, bytes], advance: Callable[[int], None]) -> None:
        """Store the records, then the values by their keys, then the sequence, which opens the store.

        `advance` receives the number of records and values of each part that is stored. An interrupted load can be
        repeated. Raises as `hold`; a store that was emptied meanwhile is no longer held.
        """
        last = {place.shard: place for place in map(Place.of, state.places)}
        self.hold()
        for shard in self._own:
            for count in self._fill(shard, self._fills(shard, state, values)):
                advance(count)
        for shard in self._own:
            epoch, number, _ = last.get(shard, Place(0, 0))
            if not self._held(shard, [["resume", epoch, number]])[0]:
                raise Misconfigured("the store of history counted transactions while it was being filled; empty it")

    def open(self) -> None:
        """Open an empty store, so that it counts from its first transaction. Raises Misconfigured, Unavailable."""
        self.load(State.empty(), {}, lambda _: None)

    def epochs(self) -> list[Epoch]:
        """Return the former epochs, each with the last number that the store has of it, in their order by shard.

        Raises Unavailable, Misconfigured.
        """
        return [Epoch.read(text, shard) for shard in self._own for text in self._call(shard, ["epochs"])]

    def mark_stored(self, rows: Iterable[tuple[str, str]], life_seconds: int) -> None:
        """Claim Pix whose rows, by EndToEndId and side, are stored: a redelivery is not decided again.

        Raises as `hold`.
        """
        sides: dict[str, list[str]] = {}
        for id_, side in rows:
            sides.setdefault(id_, []).append(side)
        self.hold()
        for shard, ids in self._by_home(sides).items():
            if shard not in self._own:
                continue
            lives = ([(LIFE_KEY + id_, stored_life(sides[id_])) for id_ in some] for some in batched(ids, _RECORDS))
            for _ in self._fill(shard, (put_arguments(each, life_seconds) for each in lives)):
                pass

    def erase(self, records: Mapping[str, Keys], payers: Keys, end_to_end_ids: Iterable[str]) -> int:
        """Erase records by kind, and the lives and verdicts of some Pix; return the number erased.

        `payers` are those of the contacts. Raises Unavailable.
        """
        contacts, records = records.get(CONTACT.kind, _NO_KEYS), {**records, CONTACT.kind: _NO_KEYS}
        ids = list(end_to_end_ids)
        return sum(
            self._unlink(shard, self._names(shard, records, ids)) + self._forget(shard, contacts, payers)
            for shard in self._own
        )

    def forget_other_keys(self) -> int:
        """Erase all data under other HMAC keys in the present layout; return the number. Raises Unavailable."""
        return sum(self._unlink(shard, self._of_other_keys(shard)) for shard in self._own)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _holder(self, shard: int) -> str:
        """Return the name of this job as a key of a shard, on the node of the others."""
        return f"{self._keys[shard]}-{self._job}"

    def _by_home(self, ids: Iterable[str]) -> dict[int, list[str]]:
        known, found = list(ids), dict[int, list[str]]()
        for id_, home in zip(known, home_of(known, self._shards).tolist(), strict=True):
            found.setdefault(home, []).append(id_)
        return found

    def _names(self, shard: int, records: Mapping[str, Keys], ids: Sequence[str]) -> list[bytes]:
        """Return the names on a shard of records, and of the lives of Pix."""
        prefix = self._keys[shard].encode()[:-1]
        names = [
            LETTERS[kind].encode() + key
            for kind, keys in records.items()
            for key in _packed(keys[shard_of(keys, self._shards) == shard])
        ]
        values = [name_of(letter + id_) for id_ in self._by_home(ids).get(shard, []) for letter in _OF_A_PIX]
        names += [name.encode() for name in values]
        if self._shards > 1:
            names += [(ENTRY_KEY + name).encode() for name in values]
            names += [STEP_KEY.encode() + ask_step(name_of(LIFE_KEY + id_)) for id_ in ids]
        return [prefix + name for name in names]

    def _of_other_keys(self, shard: int) -> Iterator[bytes]:
        own, tag = self._keys[shard].encode()[:-1], sequence_key(shard, self._shards).encode()[:-1]
        for name in self._node(shard).scan_iter(match=b"*" + tag + b"*", count=_RECORDS):
            if name.find(tag) in (0, _FINGERPRINT_BYTES) and not name.startswith(own):
                yield name

    def _unlink(self, shard: int, names: Iterable[bytes]) -> int:
        try:
            return sum(int(self._node(shard).unlink(*some)) for some in batched(names, _RECORDS))
        except ERRORS as error:
            raise unavailable(error) from error

    def _forget(self, shard: int, contacts: Keys, payers: Keys) -> int:
        own = np.flatnonzero(shard_of(payers, self._shards) == shard)
        parts = (own[start : start + _RECORDS] for start in range(0, len(own), _RECORDS))
        return sum(int(self._call(shard, forget_arguments(contacts[part], payers[part]))) for part in parts)

    def _fills(self, shard: int, state: State, values: Mapping[str, bytes]) -> Iterator[list[Argument]]:
        """Yield the calls that store the part of a shard in a state and values."""
        for layout, (keys, records) in zip(LAYOUTS, state.tables, strict=True):
            owners = state.payers if layout is CONTACT else keys
            own = np.flatnonzero(shard_of(owners, self._shards) == shard)
            if layout is CONTACT:
                own = own[np.argsort(owners[own], kind="stable")]
            for start in range(0, len(own), _RECORDS):
                part = own[start : start + _RECORDS]
                payers = owners[part] if layout is CONTACT else _NO_KEYS
                yield fill_arguments(layout, keys[part], payers, records[part], self._record_seconds)
        homes = home_of((key[1:] for key in values), self._shards).tolist()
        stored = (each for each, home in zip(values.items(), homes, strict=True) if home == shard)
        for some in batched(stored, _RECORDS):
            yield put_arguments(some, self._record_seconds)

    def _fill(self, shard: int, calls: Iterable[list[Argument]]) -> Iterator[int]:
        """Make calls, several at a time, while the store is held; yield the answer of each."""
        for some in batched(calls, _CALLS):
            _, *counts = self._held(shard, [["hold", HOLD_SECONDS, self._holder(shard)], *some])
            yield from counts

    def _held(self, shard: int, calls: Sequence[Sequence[Argument]]) -> list[Any]:
        """Return the answers of calls, each of which is refused unless the store is held. Raises as `hold`."""
        text, sha = script()
        try:
            pipeline = self._node(shard).pipeline(transaction=False)
            pipeline.script_load(text)
            for arguments in calls:
                pipeline.evalsha(sha, 2, self._keys[shard], self._holder(shard), *arguments)
            return pipeline.execute()[1:]
        except ResponseError as error:
            if _HELD in str(error):
                raise PreconditionFailed("the store of history was emptied, or another job fills it") from error
            raise unavailable(error) from error
        except ERRORS as error:
            raise unavailable(error) from error

    def _call(self, shard: int, arguments: Sequence[Argument]) -> Any:
        text, sha = script()
        try:
            node = self._node(shard)
            try:
                return node.evalsha(sha, 1, self._keys[shard], *arguments)
            except NoScriptError:
                return node.eval(text, 1, self._keys[shard], *arguments)
        except ERRORS as error:
            raise unavailable(error) from error

    def _node(self, shard: int) -> Redis:
        """Return the client of the node of a shard, by the cluster's word of now."""
        if self._client is None:
            self._client = self._connect()
        if not isinstance(self._client, RedisCluster):
            return self._client
        self._client.nodes_manager.initialize()
        slot = key_slot(self._keys[shard].encode())
        node = self._client.nodes_manager.get_node_from_slot(slot)
        return self._client.get_redis_connection(node)


def _packed(keys: Keys) -> list[bytes]:
    """Return keys as the 8 bytes that stand in key names."""
    together = keys.astype("<u8").tobytes()
    return [together[start : start + 8] for start in range(0, len(together), 8)]
