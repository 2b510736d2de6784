"""Convert the published stream to Pix events and reports, and replay it into the product's feature vectors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.catalogue import FEATURE_NAMES
from shared.features.columns import FORMS, PURPOSES, Columns
from shared.features.facts import VerdictCount
from shared.features.keys import keys_of
from shared.features.layout import DAY
from shared.features.statistics import STATISTICS
from shared.features.vector import feature_matrix
from shared.replay.recurrence import CHUNK, Chunk, Replay
from shared.replay.reports import chunk_of
from tests.benchmarks.handbook.protocol import DELAY, FIRST_DAY, Stream

COLUMNS = ("datetime", "customer_id", "terminal_id", "amount_cents", "fraud")
_EPOCH_DAY = (FIRST_DAY - date(1970, 1, 1)).days
_FORM, _PURPOSE = FORMS.index("QRES"), PURPOSES.index("IPAY")

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Transactions:
    """The stream in time order; arrays are [n], `at` in seconds since the epoch, `amount` in BRL."""

    at: Floats
    amount: Floats
    terminal: NDArray[np.int32]
    stream: Stream

    def __len__(self) -> int:
        return len(self.at)


def read(path: Path) -> Transactions:
    """Read the Parquet file of the stream. Raises OSError, KeyError, pyarrow.ArrowException."""
    table = pyarrow.parquet.read_table(path, columns=list(COLUMNS))
    values = {name: table.column(name).to_numpy() for name in COLUMNS}
    at = values["datetime"].astype("datetime64[s]").astype(np.int64)
    order = np.argsort(at, kind="stable")
    day = (at // round(DAY) - _EPOCH_DAY).astype(np.int32)
    stream = Stream(day[order], values["customer_id"][order].astype(np.int32), values["fraud"][order].astype(bool))
    # 42 transactions of the stream have the amount zero, which is invalid for a Pix.
    amount = np.maximum(values["amount_cents"][order], 1) * 0.01
    return Transactions(at[order].astype(np.float64), amount, values["terminal_id"][order].astype(np.int32), stream)


def feature_rows(transactions: Transactions, advance: Advance) -> tuple[NDArray[np.float32], float]:
    """Return the feature vectors [n, F] and the processor time of the replay, in seconds.

    Each vector has the state before its transaction; a label counts from DELAY days after its own transaction on.
    """
    features = np.empty((len(transactions), len(FEATURE_NAMES)), dtype=np.float32)
    replay, start, seconds = Replay(), 0, 0.0
    for chunk in chunks(transactions):
        began = time.process_time()
        features[start : start + len(chunk.events)] = feature_matrix(chunk.events, replay.run(chunk))
        start += len(chunk.events)
        seconds += time.process_time() - began
        advance(len(chunk.events))
    return features, seconds


def chunks(transactions: Transactions, size: int = CHUNK) -> Iterator[Chunk]:
    """Yield chunks of `size` events with the verdicts received between them, in time order; each event settles."""
    customers, terminals = _ids("customer", transactions.stream.customer), _ids("terminal", transactions.terminal)
    payers, payees = keys_of(customers), keys_of(terminals)
    known = transactions.at + DELAY * DAY
    before = np.searchsorted(transactions.at, known, side="left")
    for start in range(0, len(transactions), size):
        stop = min(start + size, len(transactions))
        low, high = np.searchsorted(before, [start, stop])
        reports = [
            VerdictCount(customers[payer], terminals[payee], None, round(at * 1e6), fraud)
            for payer, payee, at, fraud in zip(
                transactions.stream.customer[low:high].tolist(),
                transactions.terminal[low:high].tolist(),
                known[low:high].tolist(),
                transactions.stream.fraud[low:high].tolist(),
                strict=True,
            )
        ]
        events = _events(transactions, slice(start, stop), payers, payees)
        every = np.ones(len(events), dtype=bool)
        yield chunk_of(events, reports, (before[low:high] - start).tolist(), settles=every)


def _ids(kind: str, numbers: NDArray[np.int32]) -> list[str]:
    """Return an id in the form of a pseudonym for each number up to the largest."""
    return [f"{kind}{number:024d}" for number in range(int(numbers.max()) + 1)]


def _events(
    transactions: Transactions, rows: slice, payers: NDArray[np.uint64], payees: NDArray[np.uint64]
) -> Columns:
    """Return the columns of some transactions; a card payment has only payer, payee, amount and time."""
    at = transactions.at[rows]
    missing, unknown = np.full(len(at), np.nan), np.full(len(at), -1, dtype=np.int8)
    nobody = np.zeros(len(at), dtype=np.uint64)
    return Columns(
        payer=payers[transactions.stream.customer[rows]],
        payee=payees[transactions.terminal[rows]],
        device=nobody,
        at=at,
        amount=transactions.amount[rows],
        form=np.full(len(at), _FORM, dtype=np.int8),
        purpose=np.full(len(at), _PURPOSE, dtype=np.int8),
        payer_type=unknown,
        payee_type=unknown,
        key_type=unknown,
        payer_opened=missing,
        payee_opened=missing,
        key_owned_since=missing,
        same_institution=np.zeros(len(at)),
        same_person=missing,
        device_registered=missing,
        device_registered_at=missing,
        statistics=np.full((len(STATISTICS), len(at)), np.nan),
        side=np.zeros(len(at), dtype=np.int8),
        payer_kind=np.zeros(len(at), dtype=np.int8),
        payee_kind=unknown,
        payer_person=nobody,
        payee_person=nobody,
        key=nobody,
        is_return=np.zeros(len(at), dtype=bool),
        payee_registered=missing,
        night_limit=missing,
        night_from=missing,
        day_limit=missing,
        night_spent=missing,
        day_spent=missing,
        unregistered_spent=missing,
    )
