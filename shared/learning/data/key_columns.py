"""The columns of a training set other than features, in order of time, without rows that cannot be used."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.contract.fields import Side
from shared.learning.data.defects import DefectCount, count_defect
from shared.learning.data.label_chance import CHANCE, COLUMNS, SEVERITY, DecisionColumns
from shared.learning.data.matrix import ParquetColumns
from shared.learning.data.training_query import CAMPAIGN_FACTS, FACTS, RATE
from shared.scoring.rules import Decision

_NO_TIME = -1


class Categories(NamedTuple):
    """A categorical column: its distinct values in alphabetical order, and the index of each row's, int32 [n]."""

    values: tuple[str, ...]
    codes: NDArray[np.int32]

    def numbered(self) -> Categories:
        """Return numbers in place of values but "": a training set is kept, and has no ids of accounts.

        The numbers are in alphabetical order, too.

        >>> Categories(("", "a8f0", "c55e"), np.int32([2, 0])).numbered().values
        ('', '00000001', '00000002')
        """
        numbers = (f"{number:08d}" if value else "" for number, value in enumerate(self.values))
        return self._replace(values=tuple(numbers))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Categories:
        """Return some rows, without the values that none of them has."""
        codes = self.codes[rows]
        used = np.bincount(codes, minlength=len(self.values)) > 0
        renumbered = np.cumsum(used, dtype=np.int32) - 1
        return Categories(tuple(itertools.compress(self.values, used.tolist())), renumbered[codes].astype(np.int32))


class KeyColumns(NamedTuple):
    """The columns other than features [n], in order of time; `order` [n] is the place of each row in the files.

    `weight` is the number of labelled examples that a row of a sample stands for. `read` is the number of rows in the
    files, `frauds_read` of frauds among them, `defects` say which were left out.
    """

    order: NDArray[np.intp]
    pix: NDArray[np.int32]
    fraud: NDArray[np.bool_]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    weight: NDArray[np.float64]
    facts: Mapping[str, Categories]
    decided: DecisionColumns
    read: int
    frauds_read: int
    defects: list[DefectCount]

    @property
    def payees(self) -> int:
        """The number of rows of the payee's side."""
        side = self.facts["side"]
        return int(np.array([name == Side.PAYEE for name in side.values], dtype=bool)[side.codes].sum())

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_], left_out: DefectCount) -> KeyColumns:
        """Return some rows, which are in order of time, and the reason for which the others are left out."""
        pix = self.pix[rows]
        return self._replace(
            order=self.order[rows],
            pix=np.cumsum(np.diff(pix, prepend=pix[:1]) != 0, dtype=np.int32),
            fraud=self.fraud[rows],
            initiated_at=self.initiated_at[rows],
            amount=self.amount[rows],
            weight=self.weight[rows],
            facts={name: fact.take(rows) for name, fact in self.facts.items()},
            decided=self.decided.take(rows),
            defects=[*self.defects, left_out],
        )


def key_columns(source: ParquetColumns, until: int) -> KeyColumns:
    """Return the key columns of files; no row may be later than `until`, in microseconds."""
    ids = source.column("end_to_end_id", pa.string())
    at = source.column("initiated_at", pa.timestamp("us"))
    verdicts, codes = source.categories("verdict")
    fraud = _among(verdicts, codes, "FRAUD")
    amount, rate = source.numbers("amount", pa.float64()), source.numbers(RATE, pa.float64())
    chance = source.numbers(CHANCE, pa.float64())
    times = at.cast(pa.int64()).fill_null(_NO_TIME).to_numpy()
    nameless = ids.is_null().to_numpy() | at.is_null().to_numpy()
    found = {
        "classes": (~_among(verdicts, codes, "FRAUD", "LEGITIMATE"), "have neither verdict"),
        "keys": (nameless, "lack an id or a time"),
        "time": (times > until, "are later than the cut-off allows"),
        "amounts": (~(amount > 0) | np.isinf(amount), "have an amount that is missing, not positive or infinite"),
        "rates": (~((rate > 0) & (rate <= 1)), "have no sampling rate"),
        "chances": ((chance < 0) | (chance > 1), "have a chance of the control group that is none"),
    }
    defects = [count_defect(name, bad, fraud, times, text) for name, (bad, text) in found.items()]
    kept = np.flatnonzero(~np.any([bad for bad, _ in found.values()], axis=0))
    side = Categories(*source.categories("side")).codes[kept]
    pix, initiated_at = number_pix(times[kept], ids if len(kept) == len(ids) else ids.take(pa.array(kept)))
    order = np.lexsort((side, pix))
    rows = kept[order]
    facts = {name: Categories(*source.categories(name)) for name in FACTS}
    facts |= {name: facts[name].numbered() for name in CAMPAIGN_FACTS}
    columns = KeyColumns(
        rows,
        pix[order],
        fraud[rows],
        initiated_at[order],
        amount[rows],
        1.0 / rate[rows],
        {name: fact.take(rows) for name, fact in facts.items()},
        decided_as(source, chance).take(rows),
        read=len(fraud),
        frauds_read=int(fraud.sum()),
        defects=defects,
    )
    return _without_repeated(columns, side[order])


def decided_as(source: ParquetColumns, chance: NDArray[np.float64]) -> DecisionColumns:
    """Return how the rows of files were decided; `chance` [n] is NaN where the control group had none."""
    decision, policy = (Categories(*source.categories(name)) for name in COLUMNS[:2])
    drawn = np.array([bool(name) for name in policy.values], dtype=bool)[policy.codes]
    severity = np.where(drawn, _severities(policy), _severities(decision))
    side = Categories(*source.categories("side"))
    return DecisionColumns(severity, drawn, np.nan_to_num(chance), _among(side.values, side.codes, Side.PAYEE))


def _severities(decisions: Categories) -> NDArray[np.int8]:
    of = [SEVERITY.get(name, Decision.APPROVE) for name in decisions.values]
    return np.array(of, dtype=np.int8)[decisions.codes]


def _without_repeated(columns: KeyColumns, side: NDArray[np.int32]) -> KeyColumns:
    """Leave out every row of a side of a Pix that has several: which of them is right cannot be told."""
    again = (np.diff(columns.pix) == 0) & (np.diff(side) == 0)
    repeated = np.r_[False, again] | np.r_[again, False] if len(side) else np.zeros(0, dtype=bool)
    found = count_defect("duplicates", repeated, columns.fraud, columns.initiated_at, "repeat a side of a Pix")
    if not found.rows:
        return columns._replace(defects=[*columns.defects, found])
    return columns.take(~repeated, found)


def _among(values: tuple[str, ...], codes: NDArray[np.int32], *wanted: str) -> NDArray[np.bool_]:
    """Return which rows [n] have one of the values wanted."""
    return np.array([value in wanted for value in values], dtype=bool)[codes]


def number_pix(initiated_at: NDArray[np.int64], ids: pa.ChunkedArray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the number of each row's Pix in order of time, from 0, and its time, both [n].

    The time of a Pix is the earliest of its rows: the two sides may state different ones.

    >>> number, at = number_pix(np.array([7, 5, 4]), pa.chunked_array([["b", "a", "b"]]))
    >>> number.tolist(), at.tolist()
    ([0, 1, 0], [4, 5, 4])
    """
    encoded = ids.fill_null("").combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    earliest = np.full(len(encoded.dictionary), np.iinfo(np.int64).max)
    np.minimum.at(earliest, codes, initiated_at)
    numbers = np.empty(len(earliest), dtype=np.int32)
    numbers[time_order(earliest, pa.chunked_array([encoded.dictionary]))] = np.arange(len(earliest), dtype=np.int32)
    return numbers[codes], earliest[codes]


def time_order(initiated_at: NDArray[np.int64], ids: pa.ChunkedArray) -> NDArray[np.intp]:
    """Return the indexes that sort Pix by time, and Pix of the same time by id.

    >>> time_order(np.array([7, 5, 7]), pa.chunked_array([["b", "c", "a"]])).tolist()
    [1, 2, 0]
    """
    order = np.argsort(initiated_at, kind="stable")
    at = initiated_at[order]
    equal = at[1:] == at[:-1]
    # Only Pix of equal times are sorted by id: a Python string for every Pix would take hundreds of megabytes.
    tied = np.flatnonzero(np.r_[equal, False] | np.r_[False, equal])
    rows = order[tied]
    names = np.array(ids.take(pa.array(rows)).fill_null("").to_pylist(), dtype=str)
    order[tied] = rows[np.lexsort((names, at[tied]))]
    return order
