"""The queries on the tables of a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from google.cloud import bigquery
from sklearn.metrics import average_precision_score

from infra.local.demo.traffic import Asked, Told
from shared.contract import tables
from shared.contract.topics import TRANSACTIONS
from shared.learning.judging.live_rejects import own_reject_sql
from shared.scoring.rules import Rules


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of wall-clock time."""

    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True, slots=True)
class VersionQuality:
    """Quality of one model version on the live transactions that it scored."""

    version: str
    scored: int
    frauds: int
    average_precision: float
    recall: float


class Fates(NamedTuple):
    """The fates of the live Pix: how many settled and were returned, and second rows of one side in the view."""

    settled: int
    returned: int
    duplicated: int


class Control(NamedTuple):
    """The live Pix that the control group decided milder: paid, their amount in BRL, and held instead of rejected."""

    paid: int
    amount: float
    held: int


class Shadowed(NamedTuple):
    """The live Pix that a challenger in the shadow scored too, and those that it would have decided otherwise."""

    scored: int
    differing: int


class TurnedAway(NamedTuple):
    """The live Pix that no report ever confirms as fraud, and those among them that a model rejected by itself."""

    good: int
    rejected: int


class Queries:
    """The queries behind the final table; `since` is the publish time of the first live message."""

    def __init__(self, client: bigquery.Client, dataset: str, maturity_days: float, since: dt.datetime) -> None:
        self._client = client
        self._dataset = dataset
        self._maturity_days = maturity_days
        self._since = since

    def live_ids(self) -> list[Asked]:
        """Return the key of each row of `pix.scores` whose side was asked for in the live part."""
        rows = self._ask(
            "SELECT end_to_end_id, side FROM {scores} WHERE CONCAT(end_to_end_id, side) IN (SELECT "
            "CONCAT(end_to_end_id, COALESCE(side, 'PAYER')) FROM {dataset}.score_events WHERE published_at >= @since)"
        )
        return [Asked(row.end_to_end_id, row.side) for row in rows]

    def scored(self) -> int:
        """Return the number of live transactions with a row."""
        return int(
            self._one(
                "SELECT COUNT(*) FROM (SELECT DISTINCT end_to_end_id, side FROM {dataset}.score_events "
                "WHERE published_at >= @since) AS live"
            )
        )

    def told(self) -> int:
        """Return the number of distinct outcomes stored since the live part began."""
        return len(self.outcomes())

    def outcomes(self) -> set[Told]:
        """Return the distinct outcomes stored since the live part began."""
        rows = self._ask(
            "SELECT DISTINCT end_to_end_id, side, status, return_id FROM {dataset}.outcomes "
            "WHERE received_at >= @since"
        )
        return {Told(row.end_to_end_id, row.side, row.status, row.return_id) for row in rows}

    def fates(self) -> Fates:
        """Return the fates of the live Pix in `pix.life`."""
        row = next(
            self._ask(
                "SELECT COUNT(*) AS n, COUNT(DISTINCT CONCAT(end_to_end_id, side)) AS sides, "
                "COUNT(DISTINCT IF(settled_at IS NOT NULL, end_to_end_id, NULL)) AS settled, "
                "COUNT(DISTINCT IF(returned_amount > 0, end_to_end_id, NULL)) AS returned "
                "FROM {dataset}.life WHERE end_to_end_id IN "
                "(SELECT end_to_end_id FROM {dataset}.score_events WHERE published_at >= @since)"
            )
        )
        return Fates(row.settled, row.returned, row.n - row.sides)

    def quarantined(self) -> int:
        """Return the number of quarantined messages."""
        return int(self._one("SELECT COUNT(*) FROM {dataset}.quarantine WHERE quarantined_at >= @since"))

    def in_the_future(self) -> int:
        """Return the number of transactions set aside because their time lies in the future."""
        sql = (
            "SELECT COUNT(*) FROM {dataset}.quarantined "
            "WHERE quarantined_at >= @since AND reason = 'in_the_future' AND topic = @topic"
        )
        return int(self._one(sql, topic=TRANSACTIONS))

    def labelled(self) -> int:
        """Return the number of reports stored since the live part began."""
        return int(self._one("SELECT COUNT(*) FROM {dataset}.feedback WHERE received_at >= @since"))

    def root(self) -> str | None:
        """Return the root of the deepest chain that was reported hop by hop; None without one."""
        rows = self._ask(
            "SELECT root_end_to_end_id, MAX(hop) AS hops FROM {dataset}.feedback WHERE hop > 1 "
            "AND root_end_to_end_id IN (SELECT end_to_end_id FROM {dataset}.life WHERE settled_at IS NOT NULL) "
            "GROUP BY root_end_to_end_id ORDER BY hops DESC, root_end_to_end_id LIMIT 1"
        )
        return next((row.root_end_to_end_id for row in rows), None)

    def decided_ms(self, calm: TimeRange) -> tuple[float, float]:
        """Return the median and 99th percentile from publish to decision in the calm phase, in milliseconds."""
        sql = (
            "SELECT TIMESTAMP_DIFF(scored_at, published_at, MICROSECOND) / 1000 AS ms "
            "FROM {scores} WHERE published_at BETWEEN @start AND @end"
        )
        return percentiles([row.ms for row in self._ask(sql, start=calm.start, end=calm.end)])

    def throughput(self, burst: TimeRange) -> float:
        """Return transactions a second, from the first publish of the burst to its last decision."""
        row = next(
            self._ask(
                "SELECT COUNT(*) AS n, TIMESTAMP_DIFF(MAX(scored_at), MIN(published_at), MILLISECOND) AS ms "
                "FROM {scores} WHERE published_at BETWEEN @start AND @end",
                start=burst.start,
                end=burst.end,
            )
        )
        return 1000 * row.n / row.ms if row.ms else float("nan")

    def decisions(self) -> dict[str, int]:
        """Count the live rows of each decision."""
        rows = self._ask(
            "SELECT decision, COUNT(*) AS n FROM {scores} WHERE published_at >= @since GROUP BY decision"
        )
        return {row.decision: row.n for row in rows}

    def control(self) -> Control:
        """Return the figures of the control group."""
        row = next(
            self._ask(
                "SELECT COUNTIF(decision = 'APPROVE') AS paid, COUNTIF(decision != 'APPROVE') AS held, "
                "CAST(COALESCE(SUM(IF(decision = 'APPROVE', amount, 0)), 0) AS FLOAT64) AS amount "
                "FROM {scores} WHERE published_at >= @since AND policy_decision IS NOT NULL"
            )
        )
        return Control(row.paid, row.amount, row.held)

    def turned_away(self, frauds: Collection[str]) -> TurnedAway:
        """Return the good Pix and those that a model rejected; `frauds` are the EndToEndIds of all others."""
        rejects = own_reject_sql("COALESCE(policy_decision, decision)", Rules.load())
        rows = self._ask(
            f"SELECT end_to_end_id, model_version IS NOT NULL AND {rejects} AS rejected "  # noqa: S608 (codes of our own)
            "FROM {scores} WHERE published_at >= @since"
        )
        rejected = [row.rejected for row in rows if row.end_to_end_id not in frauds]
        return TurnedAway(len(rejected), sum(rejected))

    def shadowed(self) -> Shadowed:
        """Return the figures of a challenger in the shadow."""
        row = next(
            self._ask(
                "SELECT COUNT(*) AS scored, COUNTIF(challenger_decision != decision) AS differing "
                "FROM {scores} WHERE published_at >= @since AND challenger_score IS NOT NULL"
            )
        )
        return Shadowed(row.scored, row.differing)

    def scored_by(self) -> dict[str | None, int]:
        """Count the live rows of each model version; None for rules alone."""
        rows = self._ask(
            "SELECT model_version, COUNT(*) AS n FROM {scores} WHERE published_at >= @since GROUP BY model_version"
        )
        return {row.model_version: row.n for row in rows}

    def seconds_to_first_score(self, version: str) -> float | None:
        """Return the seconds from the pointer swap to the first score of a version; None without one."""
        seconds: float | None = self._one(
            "SELECT TIMESTAMP_DIFF((SELECT MIN(scored_at) FROM {scores} WHERE model_version = @version), "
            "(SELECT MAX(recorded_at) FROM {dataset}.model_ledger WHERE action = 'SWAP' AND to_version = @version), "
            "MILLISECOND) / 1000",
            version=version,
        )
        return seconds

    def quality(self, as_of: dt.datetime) -> list[VersionQuality]:
        """Return average precision and recall of each model version on its own live rows with matured labels."""
        labels = tables.query("labels", self._client.project, self._dataset, self._maturity_days, "@as_of")
        rows = list(
            self._ask(
                "SELECT s.model_version, s.score, s.decision != 'APPROVE' AS alert, l.verdict = 'FRAUD' AS fraud "
                "FROM {scores} AS s JOIN ({labels}) AS l USING (end_to_end_id, side) "
                "WHERE s.published_at >= @since AND s.score IS NOT NULL "
                "AND l.verdict IN ('FRAUD', 'LEGITIMATE')".replace("{labels}", labels),
                as_of=as_of,
            )
        )
        versions = sorted({row.model_version for row in rows})
        return [_quality(version, [row for row in rows if row.model_version == version]) for version in versions]

    def _one(self, sql: str, **parameters: Any) -> Any:
        return next(iter(self._ask(sql, **parameters)))[0]

    def _ask(self, sql: str, **parameters: Any) -> Any:
        parameters = {"since": self._since, **parameters}
        text = sql.replace("{scores}", f"{self._dataset}.scores").replace("{dataset}", self._dataset)
        used = [
            bigquery.ScalarQueryParameter(name, "STRING" if isinstance(value, str) else "TIMESTAMP", value)
            for name, value in parameters.items()
            if f"@{name}" in text
        ]
        job = self._client.query(text, job_config=bigquery.QueryJobConfig(query_parameters=used))
        return iter(job.result(timeout=120))


def percentiles(waits: list[float]) -> tuple[float, float]:
    """Return the median and 99th percentile; NaN without values."""
    if not waits:
        return np.nan, np.nan
    p50, p99 = np.percentile(waits, (50, 99))
    return float(p50), float(p99)


def _quality(version: str, rows: list[Any]) -> VersionQuality:
    fraud = np.array([row.fraud for row in rows])
    score = np.array([row.score for row in rows])
    alert = np.array([row.alert for row in rows])
    found = fraud.any()
    return VersionQuality(
        version,
        len(rows),
        int(fraud.sum()),
        float(average_precision_score(fraud, score)) if found else float("nan"),
        float(alert[fraud].mean()) if found else float("nan"),
    )
