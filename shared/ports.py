"""Ports: everything that the core asks of the outside, as small Protocols.

Each has an in-memory twin in `shared.adapters.memory` and an adapter in the folder of its vendor.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.contract.decision import Decided, DecisionMessage
from shared.contract.envelope import PubsubMessage
from shared.contract.event import Event
from shared.contract.rows import FeedbackRow, OutcomeRow, Record
from shared.features.columns import Events
from shared.features.facts import Facts
from shared.features.keys import Keys
from shared.features.life import Lives
from shared.features.places import Epoch
from shared.features.rebuilding import Asked
from shared.features.shards import Shard
from shared.features.state import State
from shared.telemetry.metrics import Series


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

    async def keep_reads(self) -> None:
        """Wait until history keeps all that `observe` has read so far, as a change keeps what it rests on.

        Until then a shard that loses its part of an ask reads it once more when it counts it again, which is not what
        a stored decision rests on. Raises Unavailable.
        """
        ...

    async def visited(self, changes: Sequence[tuple[str, int]]) -> list[tuple[int, ...]]:
        """Return the places on other shards of changes that were made before, each given by its key and place.

        They are forgotten with the value of the key, as its place is. Raises Unavailable.
        """
        ...


class Parties(NamedTuple):
    """The pseudonyms whose records a report about a Pix concerns."""

    payer_id: str
    payee_id: str
    device_id: str | None


class AskedLookup(Protocol):
    """Stored rows of Pix whose lives history has forgotten."""

    async def asked(self, end_to_end_ids: Collection[str]) -> Mapping[str, Asked]:
        """Return each Pix that was scored, with its outcomes so far. Raises Unavailable."""
        ...


class Lookup(Protocol):
    """Transactions that were scored before."""

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each known transaction, and of each known return by its D id. Raises Unavailable.

        The payer of a return is the payee of the Pix that is paid back.
        """
        ...

    async def reported(self, report_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the EndToEndIds of the Pix of each known infraction report. Raises Unavailable."""
        ...


class StoredDecision(NamedTuple):
    """The first decision of a side about a Pix, as its row is stored, and the facts that say which Pix it is."""

    decided: Decided
    amount: int
    """Centavos."""
    payer_id: str
    payee_id: str
    key_version: int | None
    """Version of the HMAC key of the pseudonyms."""


class Sought(NamedTuple):
    """A side of a Pix whose decision is looked up.

    It is looked for around the minute of its id, where it was initiated or scheduled for, and at `initiated_at` in
    microseconds, if that is known.
    """

    end_to_end_id: str
    side: str
    initiated_at: int | None


class DecisionLookup(Protocol):
    """Stored decisions that history does not keep."""

    async def decisions(self, sought: Sequence[Sought]) -> list[StoredDecision | None]:
        """Return the first decision of each, None if there is none. Raises Unavailable."""
        ...


class Callers(Protocol):
    """Those who may call a function, by the tokens that they send."""

    async def verify(self, token: str) -> None:
        """Return if a bearer token is valid. Raises Unauthenticated, Unavailable."""
        ...


class OverdueHolds(Protocol):
    """Holds and blocks whose deadline has passed."""

    async def overdue(self, since: dt.datetime, until: dt.datetime) -> Sequence[Decided]:
        """Return those with a deadline after `since` and until `until` that nothing had ended by then.

        Raises Unavailable, Misconfigured.
        """
        ...


class DecisionPublisher(Protocol):
    """The topic of decisions."""

    async def publish(self, messages: Sequence[DecisionMessage]) -> None:
        """Publish messages. Raises Unavailable unless all of them are known to be published."""
        ...


class Table(Protocol):
    """Rows that are appended and never changed."""

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows; return, once they are visible, the indexes of those that the table refuses.

        Raises Unavailable unless all other rows are known to be stored.
        """
        ...


class Unplaced(NamedTuple):
    """A stored decision whose row has no place in history, or not all of its places."""

    event: Event
    decision: str
    claim: Claim
    """The claim by which it was decided."""
    is_counted: bool = False
    """Whether history has counted the Pix: for its other side, or for this one, of which only another shard has lost
    its part. Then its life alone tells the place, and it is not to be counted again as a whole."""
    implied: tuple[float | None, ...] | None = None
    """The features IMPLIED by which it was decided, if its home has lost it and other shards have not: there its
    settlement may be counted by them."""


class UnplacedPeriod(NamedTuple):
    """Pix initiated from `since` on and scored before `until`."""

    since: dt.datetime
    until: dt.datetime


class UnplacedRows(Protocol):
    """Stored rows whose places in history are still to be found."""

    def scores(self, window: UnplacedPeriod, after: Unplaced | None, limit: int) -> list[Unplaced]:
        """Return up to `limit` decisions, one of each Pix and side, in the order of scoring, those after `after`.

        Raises Unavailable, Misconfigured.
        """
        ...

    def outcomes(self, window: UnplacedPeriod) -> list[OutcomeRow]:
        """Return outcomes that history has lost, or that came before their Pix had a place, in their order.

        Raises Unavailable, Misconfigured.
        """
        ...

    def reports(self, window: UnplacedPeriod) -> list[FeedbackRow]:
        """Return reports that history has lost, in their order. Raises Unavailable, Misconfigured."""
        ...


class LatePeriod(NamedTuple):
    """Late outcomes received from `since` on, as they wait at `now`."""

    since: dt.datetime
    now: dt.datetime
    seconds: float
    """Time for which one of them waits before all are counted, and after an attempt that found no place of its Pix.

    That time doubles with each attempt.
    """


class LateOutcomes(Protocol):
    """Stored outcomes that came when history had forgotten their Pix."""

    def waiting(self, period: LatePeriod, limit: int) -> list[OutcomeRow]:
        """Return up to `limit` outcomes to count, those of a day of Pix together; none before one is due.

        Raises Unavailable, Misconfigured.
        """
        ...


class Blob(NamedTuple):
    """An object's bytes and the generation they were read at."""

    data: bytes
    generation: int


class Blobs(Protocol):
    """Objects in a bucket."""

    def read(self, name: str) -> Blob | None:
        """Return the object, or None if there is none. Raises Unavailable."""
        ...

    def write(self, name: str, data: bytes, if_generation: int) -> int:
        """Write the object if it is still at `if_generation` (0: absent) and return the new generation.

        Raises PreconditionFailed, Unavailable.
        """
        ...


class Checksum(NamedTuple):
    """The MD5 of an object in hexadecimal digits, and its size in bytes."""

    md5: str
    size: int


class Listed(NamedTuple):
    """The name of an object and the time of its last write."""

    name: str
    updated_at: dt.datetime


class Shelf(Protocol):
    """Objects in a bucket, listed and deleted by prefix."""

    def listed(self, prefix: str) -> list[Listed]:
        """Return the objects under `prefix`, by name. Raises Unavailable, Misconfigured."""
        ...

    def delete(self, prefix: str) -> None:
        """Delete the objects under `prefix`. Raises Unavailable, Misconfigured."""
        ...


class Signer(Protocol):
    """The private key of those who may make a model serve."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message: of Ed25519, or of ECDSA on P-256 with SHA-256, in DER.

        Raises Unavailable, Misconfigured.
        """
        ...


class MetricsExporter(Protocol):
    """The collector of metrics."""

    def export(self, series: Sequence[Series]) -> None:
        """Send the series, cumulative since the start of the process. Blocks. Raises Unavailable."""
        ...


Parameter = str | int | float | dt.datetime
"""A value of a query parameter."""


class Queries(Protocol):
    """Queries that return a few rows."""

    def rows(self, sql: str, parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
        """Return the rows of a query whose parameters are named `@name`. Raises Unavailable, Misconfigured."""
        ...


class RowExports(Protocol):
    """Queries whose results are too large to page through."""

    def export(self, sql: str, folder: Path) -> list[Path]:
        """Run a query and write its rows to `folder` as Parquet files. Raises Unavailable, Misconfigured."""
        ...


class StagedExports(RowExports, Protocol):
    """Query results that stay in the bucket under a name, to be read once or again."""

    def stage(self, sql: str, name: str) -> None:
        """Write the rows of a query under `name`, in the query's order. Raises Unavailable, Misconfigured."""
        ...

    def staged(self, name: str, folder: Path) -> Iterator[Path]:
        """Yield the Parquet files under `name` one after the other; each is deleted before the next one.

        Raises Unavailable, Misconfigured.
        """
        ...

    def clear(self, name: str) -> None:
        """Delete everything under `name`."""
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


class Received(NamedTuple):
    """A message that a source has handed out, until it is settled."""

    message: PubsubMessage
    receipt: Any
    """The source's own name of this delivery."""
    at: float
    """The time of its arrival (`perf_counter`)."""


class MessageSource(Protocol):
    """A subscription whose messages are taken in batches, each settled once its row is stored, or else given back."""

    @property
    def waiting(self) -> int:
        """The number of messages that have come and are not received yet."""
        ...

    async def receive(self, largest: int, enough: int, patience: float) -> list[Received]:
        """Return 1 to `largest` messages: once `enough` have come, or `patience` seconds have passed with fewer.

        Return none once the source is stopped. Raises Misconfigured if there is no such subscription.
        """
        ...

    async def settle(self, received: Sequence[Received], errors: Sequence[Exception | None]) -> None:
        """Acknowledge the messages without an error, and have the others delivered again, later.

        It never raises: the message of a settlement that is lost is delivered again.
        """
        ...

    async def stop(self) -> None:
        """Receive nothing more, and give back all that nobody has taken; messages in work can still be settled."""
        ...

    async def close(self) -> None:
        """End the connections."""
        ...


class LostPlaces(Protocol):
    """The ends of epochs in which the store lost its last changes, in the tables."""

    def noted(self) -> Mapping[int, int]:
        """Return the number of the last kept change by `Epoch.part`. Raises Unavailable, Misconfigured."""
        ...

    def note(self, epochs: Sequence[Epoch]) -> None:
        """Note epochs; later places of theirs count as missing. Raises Unavailable, Misconfigured."""
        ...


REDRIVEN = "redriven"
"""The message attribute that counts redrives."""


class DeadLetter(NamedTuple):
    """A message among the dead letters, leased under `ack_id`."""

    message_id: str
    data: bytes
    attributes: Mapping[str, str]
    died_at: dt.datetime
    ack_id: str

    @property
    def redriven(self) -> int:
        """The number of earlier redrives."""
        text = self.attributes.get(REDRIVEN, "")
        return int(text) if text.isdecimal() else 0


class DeadLetters(Protocol):
    """The dead letters of one topic."""

    def pull(self, limit: int, seconds: float) -> list[DeadLetter]:
        """Lease up to `limit` letters; return none if none arrives in time. Raises Unavailable, Misconfigured."""
        ...

    def redrive(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Publish letters to their topic and remove the published ones; return the others. Raises Unavailable."""
        ...

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """End the leases of letters, so that they can be pulled again at once. Raises Unavailable."""
        ...
