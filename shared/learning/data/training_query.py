"""The GoogleSQL of the training set.

The view `training_examples` joins features as served with the verdict in force at the cut-off. What is asked of it
here are Pix that have matured: of younger ones only the frauds are known yet. As examples they would come after
everything else in time, where calibration and test must hold both classes in their true proportion, and training on
them would tell a model of the time that it is tested on.
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

FACTS = ("payer_ispb", "payee_ispb", "initiation_form", "fraud_type", "situation_type")
"""Columns that tell rows apart; the last two are of the report in force, NULL where there is none."""
KEYS = ("end_to_end_id", "initiated_at", "amount", "verdict")
MILLION = 1_000_000


class TrainingQuery(Struct, frozen=True):
    """What is known at `as_of` of the Pix in dataset `dataset` of `project` that are `maturity_days` old by then."""

    project: str
    dataset: str
    maturity_days: float
    as_of: dt.datetime

    @property
    def until(self) -> int:
        """When the youngest such Pix was initiated at the latest, in microseconds."""
        return micros(self.as_of) - round(24 * self.maturity_days) * HOUR

    def count(self) -> str:
        """Return the query of how many examples there are, `labels`, and how many of them are `frauds`."""
        return f"SELECT COUNT(*) AS labels, COUNTIF(verdict = 'FRAUD') AS frauds {self._matured()}"

    def rows(self, names: Sequence[str], legitimate: int = MILLION) -> str:
        """Return the query of the examples with features `names`: all frauds, and so many of a million others.

        Which others depends on nothing but their ids.
        """
        columns = ", ".join((*KEYS, *FACTS, *(FEATURE_PREFIX + name for name in names)))
        sampled = f" AND (verdict = 'FRAUD' OR ABS(MOD(FARM_FINGERPRINT(end_to_end_id), {MILLION})) < {legitimate})"
        return f"SELECT {columns} {self._matured()}{'' if legitimate == MILLION else sampled}"

    def _matured(self) -> str:
        until = f"TIMESTAMP_SUB({timestamp(self.as_of)}, INTERVAL {round(24 * self.maturity_days)} HOUR)"
        known = query("training_examples", self.project, self.dataset, self.maturity_days, timestamp(self.as_of))
        return f"FROM (\n{known}\n) AS examples WHERE initiated_at <= {until}"


def legitimate_per_million(labels: int, frauds: int, rows_max: int) -> int:
    """Return how many of a million legitimate examples to take so that no more than `rows_max` come in all.

    Whether one is taken is chance, so the aim lies four standard deviations below. Raises Misconfigured if the frauds
    leave no room.

    >>> legitimate_per_million(1_000_000, 10_000, rows_max=2_000_000)
    1000000
    >>> legitimate_per_million(10_000_000, 10_000, rows_max=2_000_000)
    198632
    """
    if labels <= rows_max:
        return MILLION
    taken = math.floor(MILLION * (rows_max - frauds - 4 * math.sqrt(rows_max)) / (labels - frauds))
    if taken < 1:
        raise Misconfigured(f"{frauds} frauds leave no room for others: dataset.rows_max is {rows_max}")
    return taken
