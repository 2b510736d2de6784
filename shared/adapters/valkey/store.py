"""The shared store of history as a whole: fill it in bulk, open it, erase from it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
from redis import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from shared.adapters.valkey.history import server_url
from shared.adapters.valkey.script import script
from shared.adapters.valkey.wire import (
    LETTERS,
    SEQUENCE_KEY,
    Argument,
    fill_arguments,
    forget_arguments,
    name_of,
    put_arguments,
    stored_life,
)
from shared.batched import batched
from shared.errors import Misconfigured, PreconditionFailed, Unavailable
from shared.features.keys import Keys
from shared.features.layout import CONTACT, LAYOUTS
from shared.features.places import Epoch, Place
from shared.features.state import State
from shared.features.verdicts import VERDICT_KEY
from shared.ports import LIFE_KEY

T = TypeVar("T")
HOLD_SECONDS = 300
"""Seconds for which a job that fills the store has it for itself after its last call."""
PREFIX = SEQUENCE_KEY.encode()[:-1]
"""The prefix of all keys, as in history.lua; a letter follows, then a record's key or the id of a value."""
_RECORDS = 2_000  # at once: a megabyte, for which the server is busy some milliseconds
_CALLS = 8  # on their way at once, so that neither side waits for the other
_HELD = "HELD"
_NO_KEYS: Keys = np.empty(0, dtype=np.uint64)
_OF_A_PIX = (LIFE_KEY, VERDICT_KEY)
_CONNECT_SECONDS, _CALL_SECONDS = 5.0, 60.0


class ValkeyStore:
    """`shared.ports.HistoryStore` in Valkey or Redis."""

    def __init__(self, client: Redis, record_seconds: int) -> None:
        self._redis = client
        self._record_seconds = record_seconds
        self._holder = f"{SEQUENCE_KEY}-{uuid.uuid4().hex}"  # as a key, on the node of the others

    @classmethod
    def connect(cls, url: str, record_seconds: int) -> Self:
        """Return the store at `url`; records untouched for `record_seconds` expire."""
        client = Redis.from_url(
            server_url(url), socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_CALL_SECONDS
        )
        return cls(client, record_seconds)

    def is_empty(self) -> bool:
        """Return whether the store was never opened, or was emptied since. Raises Unavailable."""
        return bool(self._call(["is_empty"]))

    def hold(self) -> None:
        """Reserve a store that has counted nothing for HOLD_SECONDS, and close it; every call of `load` extends that.

        Raises Misconfigured if it has counted, PreconditionFailed if another job holds it, Unavailable.
        """
        if self._call(["counted"]):
            raise Misconfigured("the store of history has counted transactions already; empty it, or name another")
        if not self._call(["hold", HOLD_SECONDS, self._holder]):
            raise PreconditionFailed("another job fills the store of history")

    def load(self, state: State, values: Mapping[str, bytes], advance: Callable[[int], None]) -> None:
        """Store all records, then the values by their keys, then the sequence, which opens the store.

        `advance` receives the number of records and values of each part that is stored. An interrupted load can be
        repeated. Raises as `hold`; a store that was emptied meanwhile is no longer held.
        """
        self.hold()
        for count in self._fill(self._fills(state, values)):
            advance(count)
        if not self._held([["resume", *Place.of(state.sequence)]])[0]:
            raise Misconfigured("the store of history counted transactions while it was being filled; empty it")

    def open(self) -> None:
        """Open an empty store, so that it counts from its first transaction. Raises Misconfigured, Unavailable."""
        self.load(State.empty(), {}, lambda _: None)

    def epochs(self) -> list[Epoch]:
        """Return the former epochs, each with the last number that the store has of it, in their order.

        Raises Unavailable, Misconfigured.
        """
        return [Epoch.read(text) for text in self._call(["epochs"])]

    def mark_stored(self, rows: Iterable[tuple[str, str]], life_seconds: int) -> None:
        """Claim Pix whose rows, by EndToEndId and side, are stored: a redelivery is not decided again.

        Raises as `hold`.
        """
        sides: dict[str, list[str]] = {}
        for id_, side in rows:
            sides.setdefault(id_, []).append(side)
        self.hold()
        lives = (
            [(LIFE_KEY + id_, stored_life(claimed)) for id_, claimed in some]
            for some in batched(sides.items(), _RECORDS)
        )
        for _ in self._fill(put_arguments(each, life_seconds) for each in lives):
            pass

    def erase(self, records: Mapping[str, Keys], payers: Keys, end_to_end_ids: Iterable[str]) -> int:
        """Erase records by kind, and the lives and verdicts of some Pix; return the number erased.

        `payers` are those of the contacts. Raises Unavailable.
        """
        contacts, records = records.get(CONTACT.kind, _NO_KEYS), {**records, CONTACT.kind: _NO_KEYS}
        names = [PREFIX + LETTERS[kind].encode() + key for kind, keys in records.items() for key in _packed(keys)]
        names += [PREFIX + name_of(letter + id_).encode() for id_ in end_to_end_ids for letter in _OF_A_PIX]
        try:
            erased = sum(int(self._redis.unlink(*some)) for some in batched(names, _RECORDS))
        except RedisError as error:
            raise _unavailable(error) from error
        parts = (slice(start, start + _RECORDS) for start in range(0, len(contacts), _RECORDS))
        return erased + sum(int(self._call(forget_arguments(contacts[part], payers[part]))) for part in parts)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def _fills(self, state: State, values: Mapping[str, bytes]) -> Iterator[list[Argument]]:
        """Yield the calls that store a state and values."""
        by_payer = np.argsort(state.payers, kind="stable")
        for layout, (keys, records) in zip(LAYOUTS, state.tables, strict=True):
            for start in range(0, len(keys), _RECORDS):
                part = slice(start, start + _RECORDS) if layout is not CONTACT else by_payer[start : start + _RECORDS]
                payers = state.payers[part] if layout is CONTACT else _NO_KEYS
                yield fill_arguments(layout, keys[part], payers, records[part], self._record_seconds)
        for some in batched(values.items(), _RECORDS):
            yield put_arguments(some, self._record_seconds)

    def _fill(self, calls: Iterable[list[Argument]]) -> Iterator[int]:
        """Make calls, several at a time, while the store is held; yield the answer of each."""
        for some in batched(calls, _CALLS):
            _, *counts = self._held([["hold", HOLD_SECONDS, self._holder], *some])
            yield from counts

    def _held(self, calls: Sequence[Sequence[Argument]]) -> list[Any]:
        """Return the answers of calls, each of which is refused unless the store is held. Raises as `hold`."""
        text, sha = script()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.script_load(text)
        for arguments in calls:
            pipeline.evalsha(sha, 2, SEQUENCE_KEY, self._holder, *arguments)
        try:
            return pipeline.execute()[1:]
        except ResponseError as error:
            if _HELD in str(error):
                raise PreconditionFailed("the store of history was emptied, or another job fills it") from error
            raise _unavailable(error) from error
        except RedisError as error:
            raise _unavailable(error) from error

    def _call(self, arguments: Sequence[Argument]) -> Any:
        text, sha = script()
        try:
            try:
                return self._redis.evalsha(sha, 1, SEQUENCE_KEY, *arguments)
            except NoScriptError:
                return self._redis.eval(text, 1, SEQUENCE_KEY, *arguments)
        except RedisError as error:
            raise _unavailable(error) from error


def _packed(keys: Keys) -> list[bytes]:
    """Return keys as the 8 bytes that stand in key names."""
    together = keys.astype("<u8").tobytes()
    return [together[start : start + 8] for start in range(0, len(together), 8)]


def _unavailable(error: RedisError) -> Unavailable:
    return Unavailable(f"the store of history: {type(error).__name__}")
