"""Print plans as a table; the structs are also the JSON output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from infra.capacity.autoscaling import DaySummary
from infra.capacity.binding import Bound
from infra.capacity.cost import Cost
from infra.capacity.plan import Plan
from infra.capacity.workers import Workers

BINDING = 5
"""Number of quotas in the table."""
UNCOUNTED = """\
The total as before lacks backups of Valkey, and keys and signatures of models and images. In both totals:
  append-only files, scans and a key of data (kms_key), which were there before, and the same nodes and kept instances
  request logs of successes, which are dropped now: not measured, and at most the row of logs is saved
In neither: starts that wait for bucket and store, the two revisions of a deployment, minutes of builds, and alerts"""
"""Note below the rows, on changes that the total as before does not show."""


class LateOptions(Struct, frozen=True):
    """USD a month for late outcomes by other ways than that of the default settings."""

    each: float
    """Queries for each, at once: as before."""
    each_by_day: float
    """The same with as few partitions as a query can name; it would miss the outcomes of later days."""
    five_minutes: float
    """All that waited for five minutes, together (PIX_LATE_OUTCOME_SECONDS)."""
    day: float
    """All of a day together."""


class VolumeReport(Struct, frozen=True):
    """Plan, cost, simulated days and quotas at one volume."""

    plan: Plan
    cost: Cost
    total_usd_a_month: float
    before_usd_a_month: float
    """The total without backups, signed models and attested images; see UNCOUNTED."""
    usd_a_million: float
    days: Mapping[str, DaySummary]
    bounds: Sequence[Bound]
    workers: Workers
    """In place of the functions, if messages are pulled."""
    health_gb_day: float
    """Gigabytes that jobs.monitor reads a day."""
    health_usd: float
    """USD a month for these, which are among other queries."""
    late: LateOptions
    """USD a month in place of that of late outcomes, by other ways to count them."""


def table(volumes: Sequence[VolumeReport]) -> str:
    """Render a column for each volume, followed by a note and the first quotas to bind."""
    rows = [(name, [each(volume) for volume in volumes]) for name, each in _ROWS]
    rows += [
        (f"simulated, {option}: instances, oldest message", [_day(volume.days[option]) for volume in volumes])
        for option in volumes[0].days
    ]
    wide = max(len(name) for name, _ in rows)
    columns = [max(len(cells[i]) for _, cells in rows) for i in range(len(volumes))]
    lines = [
        f"{name:<{wide}}  " + "  ".join(f"{cell:>{w}}" for cell, w in zip(cells, columns, strict=True))
        for name, cells in rows
    ]
    return "\n".join((*lines, "", UNCOUNTED, "", *_quotas(volumes[-1].bounds)))


def _quotas(bounds: Sequence[Bound]) -> list[str]:
    lines = ["First quotas to bind, in Pix a day, and the next step:"]
    for bound in bounds[:BINDING]:
        at = f"{bound.reached_at / 1e6:,.1f} million" if bound.reached_at else "never"
        lines.append(f"  {at:>16}  {bound.quota.name} ({bound.quota.limit:g} {bound.quota.unit}). {bound.quota.then}")
    return lines


def _day(day: DaySummary) -> str:
    return f"{day.instances_mean:.1f}/{day.instances_most}, {day.age_most_s} s"


def _usd(of: Callable[[Cost], float]) -> Callable[[VolumeReport], str]:
    return lambda volume: f"{of(volume.cost):,.0f}"


_ROWS: tuple[tuple[str, Callable[[VolumeReport], str]], ...] = (
    ("Pix a day (million)", lambda v: f"{v.plan.pix_a_day / 1e6:g}"),
    ("Pix/s, mean / busiest second", lambda v: f"{v.plan.mean_pix_s:,.0f} / {v.plan.peak_pix_s:,.0f}"),
    ("score instances at the peak", lambda v: f"{v.plan.score_instances:,}"),
    ("outcome instances at the peak", lambda v: f"{v.plan.outcome_instances:,}"),
    ("Pub/Sub in and out, peak (MB/s)", lambda v: f"{v.plan.published_mb_s:,.2f}"),
    ("BigQuery appended, peak (MB/s)", lambda v: f"{v.plan.append_mb_s:,.2f}"),
    ("BigQuery appended a day (GB)", lambda v: f"{v.plan.appended_gb_day:,.1f}"),
    ("BigQuery stored after a year (TB)", lambda v: f"{v.plan.stored_tb_year:,.1f}"),
    (
        "BigQuery read a day by jobs.monitor (GB), USD a month",
        lambda v: f"{v.health_gb_day:,.1f}, {v.health_usd:,.0f}",
    ),
    ("Valkey memory (GB)", lambda v: f"{v.plan.valkey_gb:,.0f}"),
    ("Valkey script threads, peak", lambda v: f"{v.plan.valkey_cores:.2f}"),
    ("Valkey shards", lambda v: f"{v.plan.valkey_shards} {v.plan.valkey_node}"),
    ("USD a month: Cloud Run", _usd(lambda c: c.cloud_run)),
    ("  Pub/Sub", _usd(lambda c: c.pubsub)),
    ("  Valkey, a replica for each shard", _usd(lambda c: c.valkey)),
    ("  Valkey, append-only files", _usd(lambda c: c.valkey_files)),
    ("  Valkey, backups", _usd(lambda c: c.valkey_backups)),
    ("  BigQuery, appends", _usd(lambda c: c.bigquery_write)),
    ("  BigQuery, storage", _usd(lambda c: c.bigquery_storage)),
    ("  BigQuery, training reads", _usd(lambda c: c.bigquery_training)),
    ("  BigQuery, late outcomes (their number is guessed)", _usd(lambda c: c.bigquery_late_outcomes)),
    ("  BigQuery, other queries", _usd(lambda c: c.bigquery_queries)),
    ("  BigQuery, copies by account and cases of the desk", _usd(lambda c: c.bigquery_desk)),
    ("  BigQuery, the open queue of the desk, expiry of holds", _usd(lambda c: c.bigquery_queue)),
    ("  BigQuery, readings of the register of suspicions", _usd(lambda c: c.bigquery_register)),
    ("  retraining", _usd(lambda c: c.retraining)),
    ("  logs", _usd(lambda c: c.logging)),
    ("  metrics", _usd(lambda c: c.monitoring)),
    ("  keys in Cloud KMS", _usd(lambda c: c.keys)),
    ("  scans of images", _usd(lambda c: c.scans)),
    ("  MLflow, snapshots, registry, schedules", _usd(lambda c: c.other)),
    ("  total", lambda v: f"{v.total_usd_a_month:,.0f}"),
    ("  total without backups and signatures, as before", lambda v: f"{v.before_usd_a_month:,.0f}"),
    ("USD per million Pix", lambda v: f"{v.usd_a_million:,.2f}"),
    ("late outcomes by queries for each, as before: USD a month", lambda v: f"{v.late.each:,.0f}"),
    ("  by queries for each, of two days alone", lambda v: f"{v.late.each_by_day:,.0f}"),
    ("  together every five minutes / once a day", lambda v: f"{v.late.five_minutes:,.0f} / {v.late.day:,.0f}"),
    ("by pull: workers, score and outcome", lambda v: f"{v.workers.score:,} + {v.workers.outcome:,}"),
    ("  USD a month in place of Cloud Run", lambda v: f"{v.workers.usd_a_month:,.0f}"),
)
