"""Load a whole history into Valkey or Redis, where `shared.adapters.valkey.history` goes on; erase from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from shared.adapters.valkey.history import server_url
from shared.adapters.valkey.script import LETTERS, script
from shared.adapters.valkey.wire import SEQUENCE_KEY, Argument, encode_heard, fill_arguments, settle_arguments
from shared.errors import Misconfigured, Unavailable
from shared.features.keys import Keys
from shared.features.layout import LAYOUTS
from shared.features.state import State
from shared.features.verdicts import AppliedVerdict

PREFIX = SEQUENCE_KEY.encode()[:-1]
"""What stands before all keys, as in history.lua: then comes a letter, then the key of a record or an EndToEndId."""
SAID = b"s"
"""The letter of what was said about a Pix."""
_RECORDS = 2_000  # at once: a megabyte, for which the server is busy some milliseconds
_CONNECT_SECONDS, _CALL_SECONDS = 5.0, 60.0


class ValkeyLoad:
    """A store of history that is to be filled; it has to be empty."""

    def __init__(self, client: Redis, record_seconds: int) -> None:
        self._redis = client
        self._record_seconds = record_seconds

    @classmethod
    def connect(cls, url: str, record_seconds: int) -> Self:
        """Return the store at `url`; its records vanish when nothing has touched them for so long."""
        client = Redis.from_url(
            server_url(url), socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_CALL_SECONDS
        )
        return cls(client, record_seconds)

    def check(self) -> None:
        """Raise Misconfigured if the store has counted transactions, Unavailable if it does not answer."""
        if self._call(["counted"]):
            raise Misconfigured("the store of history has counted transactions already; empty it, or name another")

    def load(
        self, state: State, said: Mapping[str, Sequence[AppliedVerdict]], advance: Callable[[int], None]
    ) -> None:
        """Store all records, what was said, and at last the sequence; `advance` is told how many were stored.

        A load that was interrupted can be repeated. Raises Misconfigured, Unavailable.
        """
        self.check()
        for layout, (keys, records) in zip(LAYOUTS, state.tables, strict=True):
            for start in range(0, len(keys), _RECORDS):
                part = slice(start, start + _RECORDS)
                letter = LETTERS[layout.kind]
                advance(self._call(fill_arguments(letter, keys[part], records[part], self._record_seconds)))
        heard = list(said.items())
        for start in range(0, len(heard), _RECORDS):
            arguments = [each for id_, log in heard[start : start + _RECORDS] for each in (id_, encode_heard(log))]
            advance(self._call(["recall", self._record_seconds, *arguments]))
        if not self._call(["resume", state.sequence]):
            raise Misconfigured("the store of history counted transactions while it was being filled; empty it")

    def open(self) -> None:
        """Let an empty store count from the first transaction on. Raises Misconfigured, Unavailable."""
        self.load(State.empty(), {}, lambda _: None)

    def settle(self, end_to_end_ids: Sequence[str], claim_seconds: int) -> None:
        """Say that these transactions have their rows, so that what is delivered again is not decided again.

        Raises Unavailable.
        """
        for start in range(0, len(end_to_end_ids), _RECORDS):
            self._call(settle_arguments(end_to_end_ids[start : start + _RECORDS], claim_seconds))

    def erase(self, records: Mapping[str, Keys], end_to_end_ids: Iterable[str]) -> int:
        """Erase records by the kind of their layout, and what was said about Pix; return how many there were.

        A claim stays: it lives for minutes, and without it a Pix that is delivered again would be decided again.
        Raises Unavailable.
        """
        names = [PREFIX + LETTERS[kind].encode() + key for kind, keys in records.items() for key in _packed(keys)]
        names += [PREFIX + SAID + id_.encode() for id_ in end_to_end_ids]
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
    """Return keys as they stand in names."""
    together = keys.astype("<u8").tobytes()
    return [together[start : start + 8] for start in range(0, len(together), 8)]


def _unavailable(error: RedisError) -> Unavailable:
    return Unavailable(f"the store of history: {type(error).__name__}")
