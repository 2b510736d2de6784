"""The shared store of history as a whole: fill it in bulk, open it, erase from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from shared.adapters.valkey.history import server_url
from shared.adapters.valkey.script import LETTERS, script
from shared.adapters.valkey.wire import SEQUENCE_KEY, Argument, encode_verdict_log, fill_arguments, settle_arguments
from shared.errors import Misconfigured, Unavailable
from shared.features.keys import Keys
from shared.features.layout import LAYOUTS
from shared.features.state import State
from shared.features.verdicts import AppliedVerdict

PREFIX = SEQUENCE_KEY.encode()[:-1]
"""The prefix of all keys, as in history.lua; a letter follows, then a record's key or an EndToEndId."""
VERDICT_LOG = b"s"
"""The letter of verdict logs."""
_RECORDS = 2_000  # at once: a megabyte, for which the server is busy some milliseconds
_CONNECT_SECONDS, _CALL_SECONDS = 5.0, 60.0


class ValkeyStore:
    """`shared.ports.HistoryStore` in Valkey or Redis."""

    def __init__(self, client: Redis, record_seconds: int) -> None:
        self._redis = client
        self._record_seconds = record_seconds

    @classmethod
    def connect(cls, url: str, record_seconds: int) -> Self:
        """Return the store at `url`; records untouched for `record_seconds` expire."""
        client = Redis.from_url(
            server_url(url), socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_CALL_SECONDS
        )
        return cls(client, record_seconds)

    def require_empty(self) -> None:
        """Raise Misconfigured if the store has counted transactions, Unavailable if it does not answer."""
        if self._call(["counted"]):
            raise Misconfigured("the store of history has counted transactions already; empty it, or name another")

    def load(
        self, state: State, verdicts: Mapping[str, Sequence[AppliedVerdict]], advance: Callable[[int], None]
    ) -> None:
        """Store all records, then the verdict logs, then the sequence, which opens the store.

        `advance` receives the number of records of each part that is stored. An interrupted load can be repeated.
        Raises Misconfigured, Unavailable.
        """
        self.require_empty()
        for layout, (keys, records) in zip(LAYOUTS, state.tables, strict=True):
            for start in range(0, len(keys), _RECORDS):
                part = slice(start, start + _RECORDS)
                letter = LETTERS[layout.kind]
                advance(self._call(fill_arguments(letter, keys[part], records[part], self._record_seconds)))
        logs = list(verdicts.items())
        for start in range(0, len(logs), _RECORDS):
            arguments = [
                each for id_, log in logs[start : start + _RECORDS] for each in (id_, encode_verdict_log(log))
            ]
            advance(self._call(["recall", self._record_seconds, *arguments]))
        if not self._call(["resume", state.sequence]):
            raise Misconfigured("the store of history counted transactions while it was being filled; empty it")

    def open(self) -> None:
        """Open an empty store, so that it counts from its first transaction. Raises Misconfigured, Unavailable."""
        self.load(State.empty(), {}, lambda _: None)

    def mark_stored(self, end_to_end_ids: Sequence[str], claim_seconds: int) -> None:
        """Claim transactions whose rows are stored, so that a redelivery is not decided again. Raises Unavailable."""
        for start in range(0, len(end_to_end_ids), _RECORDS):
            self._call(settle_arguments(end_to_end_ids[start : start + _RECORDS], claim_seconds))

    def erase(self, records: Mapping[str, Keys], end_to_end_ids: Iterable[str]) -> int:
        """Erase records by kind, and the verdict logs of some Pix; return the number erased.

        Claims stay: they live for minutes, and without one a redelivered Pix would be decided again.
        Raises Unavailable.
        """
        names = [PREFIX + LETTERS[kind].encode() + key for kind, keys in records.items() for key in _packed(keys)]
        names += [PREFIX + VERDICT_LOG + id_.encode() for id_ in end_to_end_ids]
        try:
            return sum(
                int(self._redis.unlink(*names[start : start + _RECORDS])) for start in range(0, len(names), _RECORDS)
            )
        except RedisError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

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
