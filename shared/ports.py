"""The ports of the core: Protocols of one or two methods.

Each has an in-memory twin in `shared.adapters.memory` and an adapter for each vendor beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.rows import Record
from shared.features.verdicts import ReportedVerdict
from shared.telemetry.metrics import Series


class Claim(NamedTuple):
    """The first decision about a transaction; redeliveries repeat it."""

    model_version: str | None
    """The champion at that time, None if there was no model."""
    scored_at: int
    """Microseconds since the epoch."""
    key_version: int = 1
    """Version of the HMAC key of the pseudonyms; under another key the same message names other accounts."""


UNCOUNTED = -1
"""The sequence of a transaction that history claimed while it was empty: neither read nor counted."""
STORED = -2
"""The sequence of a transaction whose row is stored already, so that there is nothing to decide."""


class Observations(NamedTuple):
    """The answer of history about n transactions, as it was just before each."""

    reads: NDArray[np.float32]
    """[n, `shared.features.history.READ_WIDTH`]."""
    sequence: NDArray[np.int64]
    """[n], the position of each transaction in the order in which history counted them, UNCOUNTED or STORED."""
    claims: list[Claim]
    """The first claim of each transaction: its own, unless it was observed before."""
    taken: NDArray[np.bool_]
    """[n], true where another message claimed the id first: its fingerprint under the same key differs."""


class History(Protocol):
    """The past transactions of payer, payee, pair and device."""

    async def observe(self, events: Sequence[Event], claim: Claim) -> Observations:
        """Read history before each event, then count the event, in order and once for each EndToEndId.

        An event that was observed before gets the reads, sequence and claim of the first time and is not counted
        again. A history that was emptied and not filled again claims events without counting them, as every account
        would look new. Raises Unavailable.
        """
        ...


class Parties(NamedTuple):
    """The pseudonyms whose records a report about a Pix concerns."""

    payer_id: str
    payee_id: str
    device_id: str | None


class PixVerdict(NamedTuple):
    """A verdict about a Pix, with the pseudonyms whose records it changes."""

    end_to_end_id: str
    parties: Parties
    reported: ReportedVerdict


class Verdicts(Protocol):
    """The history that counts verdicts."""

    async def apply(self, verdicts: Sequence[PixVerdict]) -> list[int | None]:
        """Count each verdict and reverse the one it replaces, by `shared.features.verdicts`.

        Return the sequence after which each counts, None where it changes nothing. Applying a verdict again changes
        nothing and gives the first answer. Raises Unavailable, also while history is empty.
        """
        ...


class Lookup(Protocol):
    """Transactions that were scored before."""

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each known transaction. Raises Unavailable."""
        ...


class Table(Protocol):
    """Rows that are appended and never changed."""

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows; return, once they are visible, the indexes of those that the table will never take.

        Raises Unavailable unless all other rows are known to be stored.
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


class MetricsExporter(Protocol):
    """The collector of metrics."""

    def export(self, series: Sequence[Series]) -> None:
        """Send the series, cumulative since the start of the process. Blocks. Raises Unavailable."""
        ...
