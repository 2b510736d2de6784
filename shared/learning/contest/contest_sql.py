"""The GoogleSQL behind a comparison: each query reads the partitions of one day, and few columns."""

from __future__ import annotations

import datetime as dt

from msgspec import Struct

from shared.contract.tables import first, initiated_on, query, timestamp
from shared.learning.contest.paired import ACCOUNTS
from shared.scoring.challenge import Mode

ONE_DAY = dt.timedelta(days=1)
_COLUMNS = (
    *("end_to_end_id", "side", "initiated_at", "scored_at", "published_at", "payer_id", "payee_id", "amount"),
    *("score", "decision", "policy_decision", "control_probability", "model_version"),
    *("challenger_version", "challenger_score", "challenger_decision", "arm", "arm_propensity"),
)
_POLICY = "COALESCE(policy_decision, decision)"
_OF_MODE = {
    # Both have scored each Pix, and the champion has decided it.
    "SHADOW": "arm = 'CHAMPION' AND arm_propensity = 1 AND score IS NOT NULL AND challenger_decision IS NOT NULL",
    # Whose arm it is counts, whatever became of its score; each account had a chance of either.
    "SHARE": "arm_propensity < 1",
}


class ContestSql(Struct, frozen=True):
    """The queries about dataset `dataset` of `project` for a champion and a challenger.

    `maturity_days` is the age at which silence is a label.
    """

    project: str
    dataset: str
    maturity_days: float
    champion: str
    challenger: str
    mode: Mode

    def totals(self, day: dt.datetime, age_days: int | None) -> str:
        """Return the query of the numbers of Pix of a day by arm, decisions and label, as of `age_days` after it.

        Without an age no label is read. `known` is FRAUD or LEGITIMATE, NULL without a label.
        """
        return (
            "SELECT side, arm, arm_propensity AS propensity, decision, policy, challenger_decision, "  # noqa: S608 (names of our own)
            f"known, COUNT(*) AS pix FROM ({self._judged(day, age_days)}) AS judged "
            "GROUP BY side, arm, propensity, decision, policy, challenger_decision, known"
        )

    def rows(self, day: dt.datetime, age_days: int | None) -> str:
        """Return the query of the Pix of a day that cost differently, one by one and without an id.

        In the shadow they are those on which both decide differently; by arms, those that were stopped or are frauds.
        """
        if self.mode == "SHADOW":
            which, account = "policy != challenger_decision", "payee_id"
        else:
            which, account = "(policy != 'APPROVE' OR known = 'FRAUD')", "payer_id"
        return (
            f"SELECT side, arm, arm_propensity AS propensity, decision, policy, challenger_decision, known, brl, "  # noqa: S608 (names of our own)
            "score, challenger_score, control_probability, "
            f"ABS(MOD(FARM_FINGERPRINT({account}), {ACCOUNTS})) AS account "
            f"FROM ({self._judged(day, age_days)}) AS judged WHERE {which}"
        )

    def _judged(self, day: dt.datetime, age_days: int | None) -> str:
        """Return the first decisions about the Pix of a day under the test, with labels.

        A Pix that was let through and not reported is legitimate as far as is known; a younger one has no row among
        the labels.
        """
        decided = (
            f"SELECT *, {_POLICY} AS policy, CAST(amount AS FLOAT64) AS brl FROM ("  # noqa: S608 (names of our own)
            f"SELECT * REPLACE (COALESCE(side, 'PAYER') AS side) FROM ({self._first(day)}) AS first) AS sided "
            f"WHERE challenger_version = '{self.challenger}' "
            f"AND model_version IN ('{self.champion}', IF(arm = 'CHALLENGER', '{self.challenger}', NULL)) "
            f"AND {_OF_MODE[self.mode]}"
        )
        if age_days is None:
            return f"SELECT decided.*, CAST(NULL AS STRING) AS known FROM ({decided}) AS decided"  # noqa: S608 (names of our own)
        as_of = day + (1 + age_days) * ONE_DAY
        labels = query("labels", self.project, self.dataset, self.maturity_days, timestamp(as_of), day)
        return (
            "SELECT decided.*, CASE WHEN verdict IN ('FRAUD', 'LEGITIMATE') THEN verdict "  # noqa: S608 (names of our own)
            "WHEN decided.decision = 'APPROVE' AND COALESCE(verdict, 'PENDING') = 'PENDING' THEN 'LEGITIMATE' END "
            f"AS known FROM ({decided}) AS decided LEFT JOIN ({labels}) AS labels "
            "ON labels.end_to_end_id = decided.end_to_end_id AND labels.side = decided.side"
        )

    def _first(self, day: dt.datetime) -> str:
        return first(self.project, self.dataset, timestamp(day + ONE_DAY), initiated_on(day), _COLUMNS)
