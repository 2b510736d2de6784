"""Query the figures of a run from BigQuery and render them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.cloud import bigquery
from rich.table import Table
from sklearn.metrics import average_precision_score

from infra.local.demo.models import Swap
from infra.local.demo.traffic import Sent
from shared.contract import tables
from shared.contract.topics import TRANSACTIONS


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of wall-clock time."""

    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True, slots=True)
class LoadPhases:
    """The calm phase and the burst of the live traffic."""

    calm: TimeRange
    burst: TimeRange
    waits: list[float]
    """Milliseconds from publish to a visible row, for transactions watched in the calm phase."""


@dataclass(frozen=True, slots=True)
class VersionQuality:
    """Quality of one model version on the live transactions that it scored."""

    version: str
    scored: int
    frauds: int
    average_precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The figures of a run; latencies in milliseconds, throughput in transactions a second."""

    transactions: int
    scored: int
    lost: int
    duplicated: int
    malformed: int
    quarantined: int
    set_aside: int
    """Transactions whose time lies in the future: in quarantine, neither scored nor lost."""
    throughput: float
    watched: int
    row_ms: tuple[float, float]
    decided_ms: tuple[float, float]
    decisions: dict[str, int]
    quality: list[VersionQuality]
    scored_by: dict[str | None, int]
    """Live rows of each model version; None for rules alone."""
    swap: Swap | None
    seconds_to_first_score: float | None


class Queries:
    """The queries behind the final table; `since` is the publish time of the first live message."""

    def __init__(self, client: bigquery.Client, dataset: str, maturity_days: float, since: dt.datetime) -> None:
        self._client = client
        self._dataset = dataset
        self._maturity_days = maturity_days
        self._since = since

    def live_ids(self) -> list[str]:
        """Return the id of each row of `pix.scores` whose Pix was published in the live part."""
        rows = self._ask(
            "SELECT end_to_end_id FROM {scores} WHERE end_to_end_id IN "
            "(SELECT end_to_end_id FROM {dataset}.score_events WHERE published_at >= @since)"
        )
        return [row.end_to_end_id for row in rows]

    def scored(self) -> int:
        """Return the number of live transactions with a row."""
        return int(
            self._one("SELECT COUNT(DISTINCT end_to_end_id) FROM {dataset}.score_events WHERE published_at >= @since")
        )

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

    def decided_ms(self, calm: TimeRange) -> tuple[float, float]:
        """Return the median and 99th percentile from publish to decision in the calm phase, in milliseconds."""
        sql = (
            "SELECT TIMESTAMP_DIFF(scored_at, published_at, MICROSECOND) / 1000 AS ms "
            "FROM {scores} WHERE published_at BETWEEN @start AND @end"
        )
        return _percentiles([row.ms for row in self._ask(sql, start=calm.start, end=calm.end)])

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
                "FROM {scores} AS s JOIN ({labels}) AS l USING (end_to_end_id) "
                "WHERE s.published_at >= @since AND s.score IS NOT NULL AND l.verdict != 'PENDING'".replace(
                    "{labels}", labels
                ),
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


def _percentiles(waits: list[float]) -> tuple[float, float]:
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


def collect(queries: Queries, sent: Sent, traffic: LoadPhases, as_of: dt.datetime, swap: Swap | None) -> DemoResult:
    """Query the figures of a run, with the swap under load if there was one."""
    ids, ahead = queries.live_ids(), queries.in_the_future()
    return DemoResult(
        transactions=sent.transactions,
        scored=len(set(ids)),
        lost=max(0, len(sent.ids - set(ids)) - ahead),
        duplicated=len(ids) - len(set(ids)),
        malformed=sent.malformed,
        quarantined=queries.quarantined(),
        set_aside=ahead,
        throughput=queries.throughput(traffic.burst),
        watched=len(traffic.waits),
        row_ms=_percentiles(traffic.waits),
        decided_ms=queries.decided_ms(traffic.calm),
        decisions=queries.decisions(),
        quality=queries.quality(as_of),
        scored_by=queries.scored_by(),
        swap=swap,
        seconds_to_first_score=queries.seconds_to_first_score(swap.after) if swap else None,
    )


def succeeded(result: DemoResult) -> bool:
    """Return whether nothing was lost or duplicated, and rows were scored before and after a swap under load."""
    return result.lost == 0 and result.duplicated == 0 and _served_both(result)


def verdict(result: DemoResult) -> str:
    """Return the outcome of a run in a sentence."""
    if result.lost or result.duplicated:
        return f"{result.lost} transactions were LOST, {result.duplicated} are in the view twice."
    if result.swap is None:
        return "Nothing was lost or duplicated, but no model passed the gate, so there was no swap under load."
    if not _served_both(result):
        return "Nothing was lost or duplicated, but only one side of the swap scored rows."
    sides = "both models" if result.swap.before else "the rules and the model"
    return f"Nothing was lost or duplicated, and the swap under load served rows from {sides}."


def _served_both(result: DemoResult) -> bool:
    swap = result.swap
    return swap is not None and all(result.scored_by.get(version) for version in (swap.before, swap.after))


def _milliseconds(percentiles: tuple[float, float]) -> str:
    return "none" if np.isnan(percentiles[0]) else f"{percentiles[0]:,.0f} / {percentiles[1]:,.0f} ms"


def render(result: DemoResult) -> Table:
    """Render the final table."""
    table = Table(title="The run, as recorded in BigQuery", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = [
        ("transactions published", f"{result.transactions:,}"),
        ("scored (rows of pix.scores)", f"{result.scored:,}"),
        ("lost", f"{result.lost:,}"),
        ("duplicated in the view", f"{result.duplicated:,}"),
        ("malformed published / in quarantine", f"{result.malformed:,} / {result.quarantined:,}"),
        *([("set aside: in the future", f"{result.set_aside:,}")] if result.set_aside else []),
        ("throughput under load", f"{result.throughput:,.0f} tx/s"),
        ("publish to decision, p50 / p99", _milliseconds(result.decided_ms)),
        (f"publish to row seen by a query ({result.watched})", _milliseconds(result.row_ms)),
        ("decisions", ", ".join(f"{name} {n:,}" for name, n in sorted(result.decisions.items()))),
    ]
    for q in result.quality:
        rows.append((f"model {q.version}", f"{q.scored:,} scored, {q.frauds} frauds"))
        if q.frauds:
            rows.append(("  average precision / recall", f"{q.average_precision:.3f} / {q.recall:.3f}"))
    rows.append(_swap_row(result))
    for name, value in rows:
        table.add_row(name, value)
    return table


def _swap_row(result: DemoResult) -> tuple[str, str]:
    seconds = result.seconds_to_first_score
    if result.swap is None or seconds is None:
        return "swap under load", "none"
    how = "drill" if result.swap.is_drill else "by the gate"
    return f"swap under load ({how})", f"{seconds:.1f} s to the first score"
