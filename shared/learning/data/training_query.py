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
RATE = "sampling_rate"
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
        facts = (_HOP if name == "hop" else name for name in FACTS)
        rate = f"LEAST(sampling_rate, {legitimate / MILLION!r})"
        columns = ", ".join((*KEYS, *COLUMNS, *facts, *(FEATURE_PREFIX + name for name in names)))
        return (
            f"SELECT {columns}, IF({kept()}, 1.0, {rate}) AS {RATE} {self._matured()} "
            f"AND ({kept()} OR {sample_hash()} < ROUND({rate} * {MILLION}))"
        )

    def _matured(self) -> str:
        until = f"TIMESTAMP_SUB({timestamp(self.as_of)}, INTERVAL {round(24 * self.maturity_days)} HOUR)"
        versions = latest(f"`{self.project}.{self.dataset}.training_sample`", self.as_of)
        matured = f"FROM (\n{versions}\n) AS examples WHERE verdict != '{NO_VERDICT}' AND initiated_at <= {until}"
        if self.window_days is None:
            return matured
        return f"{matured} AND initiated_at > TIMESTAMP_SUB({until}, INTERVAL {round(24 * self.window_days)} HOUR)"


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
