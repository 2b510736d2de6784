"""The GoogleSQL of the training set: an example for each side on which a Pix was scored.

The view `training_examples` joins features as served with the verdict in force at the cut-off. The query takes only
matured Pix, as the legitimate ones among younger Pix are not known yet: their frauds alone would fill the latest
periods, where calibration and test need both classes in their true proportion.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

from msgspec import Struct

from shared.contract.event import micros
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.tables import query, timestamp
from shared.errors import Misconfigured
from shared.learning.data.split import HOUR

FACTS = ("side", "payer_ispb", "payee_ispb", "initiation_form", "fraud_type", "situation_type", "hop")
"""Columns that form segments; the last three are those of the report in force, NULL without one."""
ROOT, LATER = "root", "later hop"
_HOP = f"CASE WHEN hop >= 2 THEN '{LATER}' WHEN hop = 1 THEN '{ROOT}' END AS hop"
KEYS = ("end_to_end_id", "initiated_at", "amount", "verdict")
MILLION = 1_000_000


class TrainingQuery(Struct, frozen=True):
    """Query of the Pix in dataset `dataset` of `project` that are `maturity_days` old at `as_of`, as known then."""

    project: str
    dataset: str
    maturity_days: float
    as_of: dt.datetime

    @property
    def until(self) -> int:
        """Latest time at which such a Pix was initiated, in microseconds."""
        return micros(self.as_of) - round(24 * self.maturity_days) * HOUR

    def count(self) -> str:
        """Return the SQL of the number of examples, `labels`, and of frauds among them, `frauds`."""
        return f"SELECT COUNT(*) AS labels, COUNTIF(verdict = 'FRAUD') AS frauds {self._matured()}"

    def rows(self, names: Sequence[str], legitimate: int = MILLION) -> str:
        """Return the SQL of the examples with features `names`: all frauds, and a sample of legitimate Pix.

        `legitimate` is the sampling rate per million. The sample depends on the ids only, so it is repeatable and has
        both sides of a Pix or neither.
        """
        facts = (_HOP if name == "hop" else name for name in FACTS)
        columns = ", ".join((*KEYS, *facts, *(FEATURE_PREFIX + name for name in names)))
        sampled = f" AND (verdict = 'FRAUD' OR ABS(MOD(FARM_FINGERPRINT(end_to_end_id), {MILLION})) < {legitimate})"
        return f"SELECT {columns} {self._matured()}{'' if legitimate == MILLION else sampled}"

    def _matured(self) -> str:
        until = f"TIMESTAMP_SUB({timestamp(self.as_of)}, INTERVAL {round(24 * self.maturity_days)} HOUR)"
        known = query("training_examples", self.project, self.dataset, self.maturity_days, timestamp(self.as_of))
        return f"FROM (\n{known}\n) AS examples WHERE initiated_at <= {until}"


def legitimate_per_million(labels: int, frauds: int, rows_max: int) -> int:
    """Return the sampling rate of legitimate examples, per million, that keeps the total within `rows_max`.

    The number sampled is random. As both sides of a Pix are sampled together, its standard deviation is at most
    sqrt(2 rows_max), so the rate aims four of them below. Raises Misconfigured if the frauds leave no room.

    >>> legitimate_per_million(1_000_000, 10_000, rows_max=2_000_000)
    1000000
    >>> legitimate_per_million(10_000_000, 10_000, rows_max=2_000_000)
    198398
    """
    if labels <= rows_max:
        return MILLION
    rate = math.floor(MILLION * (rows_max - frauds - 4 * math.sqrt(2 * rows_max)) / (labels - frauds))
    if rate < 1:
        raise Misconfigured(f"{frauds} frauds leave no room for legitimate Pix: dataset.rows_max is {rows_max}")
    return rate
