"""The days of a comparison as they were read, each once, so that no look reads a row of BigQuery again.

They are objects in the bucket of rows: `contest/<challenger>/<champion>/<mode>/<day>-<age>.json`, written once. No
row in them names a Pix or an account.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.fields import Side
from shared.errors import PreconditionFailed
from shared.learning.contest.contest_sql import ContestSql
from shared.learning.data.label_chance import SEVERITY
from shared.ports.blobs import Blobs
from shared.ports.tables import Queries
from shared.scoring.rules import Decision

FOLDER = "contest"
FRAUD = "FRAUD"


class Total(Struct, frozen=True, array_like=True):
    """The number of Pix of a day by arm, decisions and label; `known` is FRAUD, LEGITIMATE or None."""

    side: str
    arm: str
    propensity: float
    decision: str
    policy: str
    challenger_decision: str | None
    known: str | None
    pix: int


class ContestRow(Struct, frozen=True, array_like=True):
    """A Pix that costs differently; `policy` is the decision of the arm's model and the rules, `brl` its amount."""

    side: str
    arm: str
    propensity: float
    decision: str
    policy: str
    challenger_decision: str | None
    known: str | None
    brl: float
    score: float | None
    challenger_score: float | None
    control_probability: float | None
    account: int


class Cohort(Struct, frozen=True):
    """A day of a comparison, with labels as of an age or without any."""

    totals: list[Total]
    rows: list[ContestRow]


class CohortColumns(NamedTuple):
    """The rows of cohorts, each [n]; `day` numbers the cohorts.

    `policy` and `challenger` are the severities of the decisions of the arm's model and of the challenger, with the
    rules. `passed` is whether the Pix was let through in the end, `drawn` whether the control group decided it,
    `chance` the chance of that, `known` and `fraud` its label.
    """

    day: NDArray[np.intp]
    payees: NDArray[np.bool_]
    challenger_arm: NDArray[np.bool_]
    propensity: NDArray[np.float64]
    passed: NDArray[np.bool_]
    drawn: NDArray[np.bool_]
    policy: NDArray[np.int8]
    challenger: NDArray[np.int8]
    known: NDArray[np.bool_]
    fraud: NDArray[np.bool_]
    amount: NDArray[np.float64]
    score: NDArray[np.float64]
    challenger_score: NDArray[np.float64]
    chance: NDArray[np.float64]
    account: NDArray[np.intp]

    def take(self, rows: NDArray[np.bool_]) -> CohortColumns:
        """Return some rows."""
        return CohortColumns._make(column[rows] for column in self)


def columns(cohorts: Sequence[Cohort]) -> CohortColumns:
    """Return the rows of cohorts as columns."""
    rows = [(day, row) for day, cohort in enumerate(cohorts) for row in cohort.rows]

    def of(read: Any, dtype: Any) -> NDArray[Any]:
        return np.array([read(row) for _, row in rows], dtype=dtype)

    return CohortColumns(
        np.array([day for day, _ in rows], np.intp),
        of(lambda row: row.side == Side.PAYEE, bool),
        of(lambda row: row.arm == "CHALLENGER", bool),
        of(lambda row: row.propensity, np.float64),
        of(lambda row: row.decision == "APPROVE", bool),
        of(lambda row: row.decision != row.policy, bool),
        of(lambda row: severity(row.policy), np.int8),
        of(lambda row: severity(row.challenger_decision), np.int8),
        of(lambda row: row.known is not None, bool),
        of(lambda row: row.known == FRAUD, bool),
        of(lambda row: row.brl, np.float64),
        of(lambda row: np.nan if row.score is None else row.score, np.float64),
        of(lambda row: np.nan if row.challenger_score is None else row.challenger_score, np.float64),
        of(lambda row: row.control_probability or 0.0, np.float64),
        of(lambda row: row.account, np.intp),
    )


def severity(decision: str | None) -> int:
    """Return the severity of a decision by its name.

    >>> severity("BLOCK"), severity("APPROVE"), severity(None)
    (1, 0, 0)
    """
    return int(SEVERITY.get(decision or "", Decision.APPROVE))


class CohortStore(NamedTuple):
    """The days of one comparison: those in the bucket, and the tables to read the others from."""

    blobs: Blobs
    queries: Queries
    sql: ContestSql

    def cohort(self, day: dt.datetime, age_days: int | None) -> Cohort:
        """Return a day, and keep it if it was not read before. Raises Unavailable, Misconfigured."""
        name = self._name(day, age_days)
        blob = self.blobs.read(name)
        if blob is not None:
            return msgspec.json.decode(blob.data, type=Cohort)
        found = Cohort(
            [_struct(Total, row) for row in self.queries.rows(self.sql.totals(day, age_days), {})],
            [_struct(ContestRow, row) for row in self.queries.rows(self.sql.rows(day, age_days), {})],
        )
        try:
            self.blobs.write(name, msgspec.json.encode(found), 0)
        except PreconditionFailed:  # another run reads the same day
            kept = self.blobs.read(name)
            return msgspec.json.decode(kept.data, type=Cohort) if kept else found
        return found

    def _name(self, day: dt.datetime, age_days: int | None) -> str:
        age = "scores" if age_days is None else str(age_days)
        sql = self.sql
        return f"{FOLDER}/{sql.challenger}/{sql.champion}/{sql.mode.lower()}/{day:%Y-%m-%d}-{age}.json"


def _struct(kind: Any, row: Mapping[str, Any]) -> Any:
    return kind(*(row[name] for name in kind.__struct_fields__))
