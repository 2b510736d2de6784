"""What the core asks of the outside, in Protocols of one or two methods.

Each has an in-memory twin in `shared.adapters.memory.serving` and one adapter per vendor beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import Record
from shared.features.columns import Events
from shared.features.verdicts import ReportedVerdict
from shared.telemetry.metrics import Series


class Claim(NamedTuple):
    """Who decides about a transaction first: the model that serves then, and when (microseconds).

    `key_version` is that of the HMAC key behind the pseudonyms: under another, the same message names other accounts.
    """

    model_version: str | None
    scored_at: int
    key_version: int = 1


UNCOUNTED = -1
"""The sequence of a transaction that history claimed while it was empty, so that it neither read nor counted."""
STORED = -2
"""The sequence of a transaction whose row is known to be stored: there is nothing left to decide."""


class Observations(NamedTuple):
    """What history knew of each of n transactions just before it.

    `reads` is float32 [n, shared.features.history.READ_WIDTH]. `sequence` is int64 [n], the place of each transaction
    in the order in which history saw them, UNCOUNTED or STORED. `claims` holds the first claim of each transaction:
    its own, unless it has been seen before. `taken` [n] marks those whose id was claimed by another message, as
    `shared.features.columns.Columns.fingerprints` tells them apart under the same key.
    """

    reads: NDArray[np.float32]
    sequence: NDArray[np.int64]
    claims: list[Claim]
    taken: NDArray[np.bool_]


class History(Protocol):
    """The memory of the score: what payer, payee, pair and device did before."""

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read history before each event, then count it, in order and once for each EndToEndId.

        An event that was observed before gets the very reads, place and claim of the first time and counts no more.
        A history that has been emptied and not yet filled again claims events, but does not count them: what it would
        read are accounts that seem never to have done anything. Raises Unavailable.
        """
        ...


class Parties(NamedTuple):
    """The pseudonyms whose records a report about a Pix concerns."""

    payer_id: str
    payee_id: str
    device_id: str | None


class PixVerdict(NamedTuple):
    """What was said about a Pix."""

    end_to_end_id: str
    parties: Parties
    said: ReportedVerdict


class Verdicts(Protocol):
    """The memory of the score, as it is told what became of a Pix."""

    async def tell(self, statements: Sequence[PixVerdict]) -> list[int | None]:
        """Count each verdict, or take back what it overrides, by `shared.features.verdicts`.

        Return after how many transactions each was counted, None where it changes nothing. Repeating a statement
        changes nothing and gives the first answer. Raises Unavailable, also while history is empty.
        """
        ...


class Lookup(Protocol):
    """Transactions that were scored before."""

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each transaction that is known. Raises Unavailable."""
        ...


class Table(Protocol):
    """Rows that are appended and never changed."""

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows; return, once they are visible, the indexes of those that the table will never take.

        Raises Unavailable if not all others are known to be stored.
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
        """Write the object if it still is at `if_generation` (0: absent) and return the new generation.

        Raises PreconditionFailed, Unavailable.
        """
        ...


class Listed(NamedTuple):
    """An object in the bucket, and when it was written."""

    name: str
    updated_at: dt.datetime


class Shelf(Protocol):
    """The bucket as one who tidies it sees it."""

    def listed(self, prefix: str) -> list[Listed]:
        """Return the objects under `prefix`, by name. Raises Unavailable, Misconfigured."""
        ...

    def delete(self, prefix: str) -> None:
        """Delete the objects under `prefix`. Raises Unavailable, Misconfigured."""
        ...


class MetricsExporter(Protocol):
    """Where figures about the serving go."""

    def export(self, series: Sequence[Series]) -> None:
        """Send what has come together since the start. Blocks. Raises Unavailable."""
        ...
