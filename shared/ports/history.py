"""Ports of history: the claims, records and lives of Pix, and the store that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.features.columns import Events
from shared.features.facts import Facts
from shared.features.keys import Keys
from shared.features.life import Lives
from shared.features.places import Epoch
from shared.features.shards import Shard
from shared.features.state import State


class Claim(NamedTuple):
    """The first decision about a transaction; redeliveries repeat it."""

    model_version: str | None
    """The champion at that time, None if there was no model; with the challenger, if one was tried, the text of a
    `shared.scoring.arms.Assignment`."""
    scored_at: int
    """Microseconds since the epoch."""
    key_version: int = 1
    """Version of the HMAC key of the pseudonyms; under another key the same message names other accounts."""


class Observations(NamedTuple):
    """The answer of history about n transactions, as it was just before each."""

    reads: NDArray[np.float32]
    """[n, `shared.features.history.READ_WIDTH`]."""
    sequence: NDArray[np.int64]
    """[n], the place of each ask in the order in which history counted its changes, UNCOUNTED or STORED."""
    claims: list[Claim]
    """The first claim of each transaction by its side: its own, unless that side observed it before."""
    taken: NDArray[np.bool_]
    """[n], true where another message of the side claimed the id first, and no row answers both."""
    lives: Lives
    """[n], the life of each transaction."""
    numbers: Sequence[int | None]
    """Of the claims, 1 for the first, one more whenever the side asks again; None where history did not answer."""
    answers: Sequence[bytes | None]
    """The decision of each claim that could not be stored; None for any other."""
    visited: Sequence[tuple[int, ...]]
    """The places of each ask on other shards of history than its own; empty where one shard holds all of it."""


class Answer(NamedTuple):
    """The first decision of a side about a transaction, whose row could not be stored."""

    end_to_end_id: str
    side: str
    decision: bytes


class History(Protocol):
    """The past transactions of payer, payee, pair, device and person."""

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count the ask, in order and once for each EndToEndId.

        An event that was observed before, by whichever side, gets the reads, place and life of the first time and is
        not counted again; a side that observed it before gets its first claim. A history that was emptied and not
        filled again claims events without counting them, as every account would look new; it counts them when they
        are observed again. Raises Unavailable.
        """
        ...

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note that the rows of some transactions, by EndToEndId and side, are stored.

        Until then a claim is kept for as long as a message may come back. It need not be known at once, nor after a
        crash.
        """
        ...

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Keep the first decisions of transactions whose rows could not be stored. Raises Unavailable."""
        ...

    async def settle(self) -> None:
        """Wait until the rows that are stored are noted. Raises Unavailable."""
        ...


CONFLICT = -3
"""The place of a change that was not made, because the stored value has another version."""

LOST = -5
"""The place of a change that was not made, because its life tells of an ask that history has lost: it waits until the
Pix is counted again."""

UNPLACED = -1
"""The place of a change that history does not count, as it has no facts."""


class Changes(NamedTuple):
    """Changes of n stored values, each with its facts: all of a change, or nothing, is stored."""

    keys: list[str]
    """Letter (`LIFE_KEY`, ...) and id of each value."""
    expected: list[int]
    """The version of each stored value, 0 if there is none."""
    values: list[bytes]
    """The new values, which start with their version, one more than before. A life replaces the head of the stored
    value, so that its claims stay; any other value replaces the stored one."""
    place_at: list[int]
    """The offset in each value at which the place of the change is written as an int64, -1: nowhere."""
    facts: Facts
    """[m], in the order of `of`."""
    of: NDArray[np.int64]
    """[m], the index of the change of each fact, ascending."""


LIFE_KEY = "l"
"""Letter of the keys of lives; `shared.features.verdicts` has those of verdicts and fraud markers."""


class Changed(NamedTuple):
    """The places of n changes of stored values."""

    places: NDArray[np.int64]
    """[n], UNPLACED of a change without facts, CONFLICT or LOST of one that was not made."""
    visited: list[tuple[int, ...]]
    """The places of each on other shards of history, as in `Observations`."""

    @classmethod
    def none(cls) -> Changed:
        """Return the places of no changes."""
        return cls(np.empty(0, dtype=np.int64), [])


class ChangingHistory(Protocol):
    """The history that counts outcomes and verdicts, and remembers which."""

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored value of each key. Raises Unavailable, also while history is empty."""
        ...

    async def change(self, changes: Changes) -> Changed:
        """Make each change whose stored value has the expected version, in order; return its places.

        Raises Unavailable, also while history is empty.
        """
        ...

    async def prolong(self, end_to_end_ids: Sequence[str]) -> None:
        """Keep the lives of some Pix for as long as a message may come back, or until they change.

        For changes whose rows could not be stored: without the life, a redelivery would count them again. Raises
        Unavailable.
        """
        ...

    async def keep_reads(self) -> None:
        """Wait until history keeps all that `observe` has read so far, as a change keeps the reads that it rests on.

        Until then a shard that loses its part of an ask reads it once more when it counts it again, and a stored
        decision rests on the first reads. Raises Unavailable.
        """
        ...

    async def visited(self, changes: Sequence[tuple[str, int]]) -> list[tuple[int, ...]]:
        """Return the places on other shards of changes that were made before, each given by its key and place.

        They are forgotten with the value of the key, as its place is. Raises Unavailable.
        """
        ...


class HistoryStore(Protocol):
    """The shared store of history, or one shard of it, as a whole: filled, opened and erased from in bulk."""

    @property
    def shard(self) -> Shard:
        """Return the shard of a store of one."""
        ...

    def each(self) -> Sequence[HistoryStore]:
        """Return the store of each shard."""
        ...

    def is_empty(self) -> bool:
        """Return whether a shard was never opened, or was emptied since. Raises Unavailable."""
        ...

    def hold(self) -> None:
        """Reserve a store that has counted nothing, for some minutes, and close it until it is loaded.

        Raises Misconfigured if it has counted, PreconditionFailed if another job holds it, Unavailable.
        """
        ...

    def load(self, state: State, values: Mapping[str, bytes], advance: Callable[[int], None]) -> None:
        """Fill an empty store with records, and with the values of Pix and fraud markers by their keys.

        Each shard takes its own. `advance` receives the number of records and values of each part that is stored.
        An interrupted load can be repeated. Raises as `hold`, which it does first, also if it is emptied meanwhile.
        """
        ...

    def mark_stored(self, rows: Iterable[tuple[str, str]], life_seconds: int) -> None:
        """Claim Pix whose rows, by EndToEndId and side, are stored: a redelivery is not decided again.

        Each shard takes those at home there. Raises as `hold`, which it does first.
        """
        ...

    def epochs(self) -> list[Epoch]:
        """Return the former epochs, each with the last number that the store has of it, in their order.

        Raises Unavailable, Misconfigured.
        """
        ...

    def erase(self, records: Mapping[str, Keys], payers: Keys, end_to_end_ids: Iterable[str]) -> int:
        """Erase records by kind, and the lives and verdicts of some Pix; return the number erased.

        `payers` are those of the contacts, in the same order. Raises Unavailable.
        """
        ...
