"""The GoogleSQL of the training set: an example for each side on which a Pix was scored.

The table `training_sample` has features as served with the verdict in force, as of the last append before the
cut-off. The query takes only matured Pix, as the legitimate ones among younger Pix are not known yet: their frauds
alone would fill the latest periods, where calibration and test need both classes in their true proportion.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

from msgspec import Struct

from shared.contract.event import micros
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import timestamp
from shared.errors import Misconfigured
from shared.learning.data.label_chance import COLUMNS
from shared.learning.data.split import HOUR
from shared.learning.data.training_sample import MILLION, NO_VERDICT, kept, latest, sample_hash

SEGMENT_FACTS = ("side", "payer_ispb", "payee_ispb", "initiation_form", "fraud_type", "situation_type", "hop")
"""Columns that form segments; the last three are those of the report in force, NULL without one."""
CAMPAIGN_FACTS = ("payee_id", "funds_recovery_id")
"""Columns that join the frauds of a campaign, NULL for others."""
FACTS = (*SEGMENT_FACTS, *CAMPAIGN_FACTS)
ROOT, LATER = "root", "later hop"
_HOP = f"CASE WHEN hop >= 2 THEN '{LATER}' WHEN hop = 1 THEN '{ROOT}' END AS hop"
RATE, LOT = "sampling_rate", "sample_lot"
KEYS = ("end_to_end_id", "initiated_at", "amount", "verdict")


class TrainingQuery(Struct, frozen=True):
    """Query of the Pix in dataset `dataset` of `project` that are `maturity_days` old at `as_of`, as known then.

    Pix that matured more than `window_days` before are not read; None reads all.
    """

    project: str
    dataset: str
    maturity_days: float
    as_of: dt.datetime
    window_days: float | None = None

    @property
    def until(self) -> int:
        """Latest time at which such a Pix was initiated, in microseconds."""
        return micros(self.as_of) - round(24 * self.maturity_days) * HOUR

    def count(self) -> str:
        """Return the SQL of the numbers of examples in the sample, `rows`, of those they stand for, and of frauds.

        `kept` is the number of those that no sampling leaves out, `first_at` the time of the first Pix.
        """
        return (
            "SELECT COUNT(*) AS `rows`, CAST(ROUND(COALESCE(SUM(1 / sampling_rate), 0)) AS INT64) AS labels, "
            f"COUNTIF(verdict = 'FRAUD') AS frauds, COUNTIF({kept()}) AS kept, MIN(initiated_at) AS first_at "
            f"{self._matured()}"
        )

    def new_labels(self) -> str:
        """Return the SQL of the numbers of examples, and of frauds among them, that entered after `@since`.

        An example enters once its verdict is known and the Pix has matured, whichever is later.
        """
        matured = f"TIMESTAMP_ADD(initiated_at, INTERVAL {round(24 * self.maturity_days)} HOUR)"
        return f"{self.count()} AND GREATEST(labelled_at, {matured}) > @since"

    def rows(self, names: Sequence[str], legitimate: int = MILLION) -> str:
        """Return the SQL of the examples with features `names`: all that are `kept`, and a sample of the others.

        `legitimate` is the sampling rate of the others per million; that of the table counts where it is smaller. The
        sample depends on the ids only, so it is repeatable and has both sides of a Pix or neither.
        """
        return (
            f"SELECT {_columns(names, _HOP)}, {_rate(legitimate)} AS {RATE} {self._matured()} "
            f"AND {_taken(legitimate, sample_hash())}"
        )

    def all_rows(self, names: Sequence[str]) -> str:
        """Return the SQL of all examples, and of the number LOT by which `sampled` takes those of `rows`."""
        return f"SELECT {_columns(names, _HOP)}, {RATE}, {sample_hash()} AS {LOT} {self._matured()}"

    def _matured(self) -> str:
        until = f"TIMESTAMP_SUB({timestamp(self.as_of)}, INTERVAL {round(24 * self.maturity_days)} HOUR)"
        versions = latest(f"`{self.project}.{self.dataset}.training_sample`", self.as_of)
        matured = f"FROM (\n{versions}\n) AS examples WHERE verdict != '{NO_VERDICT}' AND initiated_at <= {until}"
        if self.window_days is None:
            return matured
        return f"{matured} AND initiated_at > TIMESTAMP_SUB({until}, INTERVAL {round(24 * self.window_days)} HOUR)"


def every(table: str, names: Sequence[str]) -> str:
    """Return the SQL of all rows of a table of all rows, as they are: those with a bad sampling rate among them."""
    return f"SELECT {_columns(names, 'hop')}, {RATE} FROM {table}"  # noqa: S608 (names of our own)


def sampled(table: str, names: Sequence[str], legitimate: int) -> str:
    """Return the SQL that takes those of `TrainingQuery.rows` from a table of all rows.

    The conditions are those of that query, and both BigQuery and Spark understand them.
    """
    return (
        f"SELECT {_columns(names, 'hop')}, {_rate(legitimate)} AS {RATE} FROM {table} "  # noqa: S608 (names of our own)
        f"WHERE {_taken(legitimate, LOT)}"
    )


def _columns(names: Sequence[str], hop: str) -> str:
    facts = (hop if name == "hop" else name for name in FACTS)
    return ", ".join((*KEYS, *COLUMNS, *facts, *(FEATURE_PREFIX + name for name in names)))


def _rate(legitimate: int) -> str:
    """Return the SQL of the sampling rate of an example; that of the table counts where it is smaller."""
    return f"IF({kept()}, 1.0, {_least(legitimate)})"


def _taken(legitimate: int, lot: str) -> str:
    """Return the SQL condition of the examples that are sampled; `lot` is the SQL of their number below a million."""
    return f"({kept()} OR {lot} < ROUND({_least(legitimate)} * {MILLION}))"


def _least(legitimate: int) -> str:
    return f"LEAST({RATE}, {legitimate / MILLION!r})"


def legitimate_per_million(labels: int, kept: int, rows_max: int) -> int:
    """Return the sampling rate of legitimate examples, per million, that keeps the total within `rows_max`.

    `kept` examples of all `labels` are not sampled. The number sampled is random. As both sides of a Pix are sampled
    together, its standard deviation is at most sqrt(2 rows_max), so the rate aims four of them below. Raises
    Misconfigured if the kept ones leave no room.

    >>> legitimate_per_million(1_000_000, 10_000, rows_max=2_000_000)
    1000000
    >>> legitimate_per_million(10_000_000, 10_000, rows_max=2_000_000)
    198398
    """
    if labels <= rows_max:
        return MILLION
    rate = math.floor(MILLION * (rows_max - kept - 4 * math.sqrt(2 * rows_max)) / (labels - kept))
    if rate < 1:
        raise Misconfigured(
            f"{kept} frauds and drawn Pix leave no room for legitimate Pix: dataset.rows_max is {rows_max}"
        )
    return rate
