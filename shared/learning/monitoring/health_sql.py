"""The GoogleSQL behind the measures of a day; each query reads the partitions of that day, and few columns."""

from __future__ import annotations

import datetime as dt

from msgspec import Struct

from shared.contract.tables import first, initiated_on, query, timestamp
from shared.learning.judging.live_rejects import own_reject_sql
from shared.scoring.rules import Rules

ONE_DAY = dt.timedelta(days=1)
_COLUMNS = (
    *("end_to_end_id", "side", "initiated_at", "scored_at", "published_at", "amount", "score", "decision"),
    *("policy_decision", "reasons", "model_version", "late", "degraded", "initiation_form"),
)
_POLICY = "COALESCE(policy_decision, decision)"
_STOPPED = f"{_POLICY} != 'APPROVE'"
_DRAWN = "by_model AND decision != 'REJECT'"
_LABELLED = "score IS NOT NULL AND decision != 'REJECT' AND verdict IN ('FRAUD', 'LEGITIMATE')"
_SUMS = f"""COUNT(score) AS `rows`,
  COUNTIF(score IS NOT NULL AND {_STOPPED}) AS stopped,
  COALESCE(SUM(score), 0) AS expected,
  COALESCE(SUM(score * (1 - score)), 0) AS spread,
  COALESCE(SUM(IF({_STOPPED}, score, 0)), 0) AS stopped_expected,
  COALESCE(SUM(IF({_STOPPED}, score * (1 - score), 0)), 0) AS stopped_spread,
  COALESCE(SUM(IF({_STOPPED}, 0, score * brl)), 0) AS missed_brl,
  COALESCE(SUM(IF({_STOPPED}, 0, score * (1 - score) * brl * brl)), 0) AS missed_brl_spread,
  COUNTIF(by_model) AS rejected_by_model,
  COALESCE(SUM(1 - score), 0) AS good,
  COALESCE(SUM(IF(by_model, 1 - score, 0)), 0) AS good_rejected,
  COALESCE(SUM(IF(by_model, score * (1 - score), 0)), 0) AS rejected_spread"""


class HealthSql(Struct, frozen=True):
    """The queries about dataset `dataset` of `project`; `maturity_days` is the age at which silence is a label.

    By `rules` the rejects of a model are told from those that a rule demands.
    """

    project: str
    dataset: str
    maturity_days: float
    rules: Rules

    def traffic(self, day: dt.datetime) -> str:
        """Return the query of the first decisions of a day, by side and model."""
        return (
            "SELECT side, model_version, COUNT(*) AS decided, "
            "COUNTIF(decision = 'APPROVE') AS approved, COUNTIF(decision = 'HOLD') AS held, "
            "COUNTIF(decision = 'BLOCK') AS blocked, COUNTIF(decision = 'REJECT') AS rejected, "
            "COUNTIF(policy_decision IS NOT NULL) AS control, COUNTIF(degraded) AS degraded, COUNTIF(late) AS late, "
            "APPROX_QUANTILES(milliseconds, 100)[OFFSET(50)] AS decide_ms_p50, "
            "APPROX_QUANTILES(milliseconds, 100)[OFFSET(99)] AS decide_ms_p99,\n"
            f"  {_SUMS}\nFROM ({self._decided(day)}) AS decided GROUP BY side, model_version"
        )

    def reasons(self, day: dt.datetime) -> str:
        """Return the query of the numbers of a day's decisions by side and code of a reason."""
        return (
            "SELECT side, code, COUNT(*) AS decided "  # noqa: S608 (names of our own)
            f"FROM ({self._decided(day)}) AS decided, UNNEST(decided.reasons) AS code GROUP BY side, code"
        )

    def arrivals(self, day: dt.datetime) -> str:
        """Return the query of the messages of a day beside Pix: outcomes, refused messages, verdicts at the desk."""
        within = "{0} >= " + timestamp(day) + " AND {0} < " + timestamp(day + ONE_DAY)
        table = f"`{self.project}.{self.dataset}."
        return (
            "SELECT 'outcomes' AS measure, side, status AS segment, COUNT(*) AS found, "  # noqa: S608 (names of our own)
            "CAST(NULL AS FLOAT64) AS mean "
            f"FROM {table}outcomes` WHERE {within.format('`at`')} GROUP BY side, status "
            "UNION ALL SELECT 'quarantined', CAST(NULL AS STRING), segment, COUNT(*), CAST(NULL AS FLOAT64) "
            f"FROM (SELECT CONCAT(topic, ' ', COALESCE(field, reason)) AS segment FROM {table}quarantine` "
            f"WHERE {within.format('quarantined_at')}) AS refused GROUP BY segment "
            "UNION ALL SELECT 'review_seconds', side, CAST(NULL AS STRING), COUNT(*), AVG(seconds_taken) "
            f"FROM {table}reviews` WHERE event = 'JUDGED' AND {within.format('`at`')} GROUP BY side"
        )

    def cohort(self, day: dt.datetime, age_days: int) -> str:
        """Return the query of all that is known about a day's decisions `age_days` after its end.

        It is by side, model and form of initiation.

        A Pix let through by the control group counts as stopped, as the policy stops it, and is judged by its label.
        Rejects of the model are judged by those that the control group decided milder: of the others, only customers
        ask for a label, and they are the good ones.
        `labelled` Pix have a score and a label that no reject has made impossible; `expected` is the sum of their
        scores, `spread` that of p (1 - p), and `frauds` are those among them.
        """
        as_of = day + (1 + age_days) * ONE_DAY
        labels = query("labels", self.project, self.dataset, self.maturity_days, timestamp(as_of), day)
        return (
            "SELECT decided.side AS side, decided.model_version AS model_version, initiation_form, "  # noqa: S608 (names of our own)
            f"COUNTIF(NOT {_STOPPED}) AS passed, "
            f"COUNTIF(NOT {_STOPPED} AND verdict = 'FRAUD') AS missed, "
            f"COALESCE(SUM(IF(NOT {_STOPPED} AND verdict = 'FRAUD', brl, 0)), 0) AS missed_brl, "
            f"COUNTIF({_STOPPED} AND verdict IN ('FRAUD', 'LEGITIMATE')) AS judged, "
            f"COUNTIF({_STOPPED} AND verdict = 'FRAUD') AS confirmed, "
            f"COUNTIF({_DRAWN} AND verdict IN ('FRAUD', 'LEGITIMATE')) AS rejects_judged, "
            f"COUNTIF({_DRAWN} AND verdict = 'FRAUD') AS rejects_confirmed, "
            f"COUNTIF({_LABELLED}) AS labelled, "
            f"COALESCE(SUM(IF({_LABELLED}, score, 0)), 0) AS expected, "
            f"COALESCE(SUM(IF({_LABELLED}, score * (1 - score), 0)), 0) AS spread, "
            f"COUNTIF({_LABELLED} AND verdict = 'FRAUD') AS frauds "
            f"FROM ({self._decided(day)}) AS decided LEFT JOIN ({labels}) AS labels "
            "ON labels.end_to_end_id = decided.end_to_end_id AND labels.side = decided.side "
            "GROUP BY side, model_version, initiation_form"
        )

    def _decided(self, day: dt.datetime) -> str:
        """Return the first decisions about the Pix of a day, with amounts in BRL and milliseconds to decide.

        `by_model` is whether the model rejects, and no rule does.
        """
        rows = first(self.project, self.dataset, timestamp(day + ONE_DAY), initiated_on(day), _COLUMNS)
        return (
            "SELECT end_to_end_id, COALESCE(side, 'PAYER') AS side, score, decision, policy_decision, reasons, "  # noqa: S608 (names of our own)
            "model_version, late, degraded, initiation_form, CAST(amount AS FLOAT64) AS brl, "
            f"score IS NOT NULL AND {own_reject_sql(_POLICY, self.rules)} AS by_model, "
            f"TIMESTAMP_DIFF(scored_at, published_at, MILLISECOND) AS milliseconds FROM ({rows}) AS first"
        )
