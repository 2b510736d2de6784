"""Estimate the monthly cost of a plan at list prices."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from msgspec import Struct

from infra.capacity.desk import cost_of_desk, cost_of_queue
from infra.capacity.figures import GIB, TIB, Known, Prices
from infra.capacity.late import (
    ASKED_BYTES,
    LOOKED_UP_DAYS,
    QUERY_BYTES_MIN,
    TOLD_BYTES,
    late_bytes_a_day,
    rows_of_block,
)
from infra.capacity.plan import CONCURRENCY, INSTANCES_MIN, REPLICAS, UTILISATION, Plan, bytes_of_pix
from infra.capacity.register import cost_of_register
from infra.capacity.safekeeping import cost_of_backups, cost_of_files, cost_of_keys, cost_of_scans
from shared.contract.tables import feature_columns
from shared.learning import config
from shared.learning.monitoring.input_sql import CHUNK
from shared.learning.monitoring.ladder import AGES
from shared.settings import MATURITY_DAYS, Settings

DAYS, HOURS, SECONDS = 30, 730, 30 * 86_400
MEMORY_GIB, OUTCOME_MEMORY_GIB = 1.0, 0.5
"""`score_memory` and `outcome_memory` of infra/terraform."""
RETRAIN_VCPU, RETRAIN_GIB = 8, 32
"""`retrain_resources` of infra/terraform."""
ACTIVE_MONTHS = 3
WATCHES_A_DAY, WATCHED_DAYS = 96, 1.5
"""Late transactions are queried every 15 minutes over the partitions of the last day: one or two."""
OUTCOME_WATCHES_A_DAY = 24
"""Pix without an outcome are queried hourly over the same partitions, and those of their outcomes."""
FILLS_A_DAY, FILLED_DAYS = 288, 2.5
"""Rows without a place are searched every 5 minutes over the partitions of the last two days: two or three. Late
outcomes that have waited long enough are searched as often."""
DRIFTS_A_DAY = 4
HEALTH_READS = 2
"""Queries of jobs.monitor about a day's decisions; one more reads them for each age of its labels."""
_INPUT_BYTES = 8 + 7 + 2 * 10 + 8  # initiated_at, side, institutions, history_sequence: read by each query of inputs
_CODE_BYTES, _CELL_BYTES = 5 * 6, 6 + 16 + 8 + 22  # codes; form, amount, score, model_version
LOOKS_A_DAY, TESTED_DAYS = 1_440, 4
"""Looks of jobs.challenge at the arms of a test, over the partitions of the last day, on the days of a month on which
one runs: a ramp takes some 31 hours, and its last step waits for a person."""
CONTEST_READS = 2
"""Queries of jobs.compare about a day under test, once before its labels and once with them; a challenger is taken to
be tried all the time."""
PROBATION_LOOKS, PROBATION_DAYS = 2, 2.5
"""Looks of jobs.probation after each swap, and the days of decisions that one reads: two or three partitions."""
COMPARED_DAYS, _SCANS_OF_PLACES = 1.5, 2
"""A night's comparison of features reads those of one day's Pix, in one or two partitions, and the places of all rows
twice: to find a snapshot that still holds, and where the replay begins."""
EXPORT_SECONDS = Settings("").otel_metric_export_interval / 1e3
SCHEDULES = 11
_WATCHED_BYTES = 8 + 8 + 10 + 1  # initiated_at, scored_at, payer_ispb, late
_MISSED_BYTES = 34 + 8 + 8 + 9 + 10 + 8  # end_to_end_id, two times, decision, payer_ispb, scheduled_for
_OUTCOME_BYTES = 34 + 7 + 9 + 8  # end_to_end_id, side, status, at: read by trainings, and to find missing ones
_LABELLED_BYTES = 34 + 7 + 3 * 8 + 8 + 10 + 8  # end_to_end_id, side, times, decision, payer_ispb, history_sequence
_DECIDED_BYTES = 34 + 7 + 4 * 8 + 16 + 2 * 9 + 24 + 22 + 2 + 8  # ids, times, amount, decisions, model, reasons, flags
_FORM_BYTES = 6  # initiation_form, by which labels are told apart
_ARM_BYTES = 34 + 22 + 10 + 2 * 9 + 1 + 2 * 8 + 3 * 8  # id, challenger, arm, decisions, degraded, scores, times
_CONTEST_BYTES = _DECIDED_BYTES + 2 * 34 + 16 + 24 + 28 + 8  # and accounts, scores, version, decision, arm, chance
_REPORT_BYTES = 4 * 34 + 4 * 10 + 3 * 8  # ids, states and times of a report
_VERSION_BYTES = 34 + 7 + 2 * 8 + 4 * 10  # end_to_end_id, side, times and verdict of an example in the sample
_EXAMPLE_BYTES = 2 * _VERSION_BYTES  # of an example in a training, beside its features
_SCANS_OF_OUTCOMES, _SCANS_OF_REPORTS, _SCANS_OF_VERSIONS = 4, 6, 3
"""Times that the statements of shared/learning/data/training_sample.py read these for a training: when counting the
examples, appending them, and looking up those that changed."""
_PLACED_BYTES = 4 * 8 + 1  # initiated_at, scored_at, the places of the ask and of the decision, place_pending
_LOOKED_UP_BYTES = 4 * 34 + 8  # end_to_end_id, payer_id, payee_id, device_id, initiated_at
_MILLION = 1e6
_FEATURE_BYTES = 8


class Cost(Struct, frozen=True):
    """Monthly cost by item, in USD."""

    cloud_run: float
    pubsub: float
    valkey: float
    valkey_files: float
    valkey_backups: float
    bigquery_write: float
    bigquery_storage: float
    bigquery_training: float
    bigquery_late_outcomes: float
    bigquery_queries: float
    bigquery_desk: float
    bigquery_queue: float
    bigquery_register: float
    retraining: float
    logging: float
    monitoring: float
    keys: float
    scans: float
    other: float

    @property
    def total(self) -> float:
        """Return the sum of all items."""
        return math.fsum(getattr(self, name) for name in self.__struct_fields__)


def cost(plan: Plan, known: Known, prices: Prices) -> Cost:
    """Estimate the cost of 30 mean days once the tables hold `months_kept` months of rows."""
    costs = (part * prices.bigquery.region_factor for part in _bigquery(plan, known, prices))
    storage, training, late, queries = costs
    a_month, outcomes = plan.pix_a_day * DAYS, known.assumed.outcomes_per_pix.value
    messages, rows, _ = bytes_of_pix(known, prices)
    node = prices.valkey.nodes[plan.valkey_node].hour * prices.valkey.region_factor
    return Cost(
        cloud_run=_cloud_run(plan, known, prices),
        pubsub=prices.pubsub.traffic_cost(a_month, messages),
        valkey=plan.valkey_shards * (1 + REPLICAS) * node * HOURS,
        valkey_files=cost_of_files(plan, prices),
        valkey_backups=cost_of_backups(plan, prices),
        bigquery_write=prices.bigquery.append_cost(a_month * rows),
        bigquery_storage=storage,
        bigquery_training=training,
        bigquery_late_outcomes=late,
        bigquery_queries=queries,
        bigquery_desk=cost_of_desk(plan.pix_a_day, known, prices.bigquery) * prices.bigquery.region_factor,
        bigquery_queue=cost_of_queue(plan.pix_a_day, known, prices.bigquery) * prices.bigquery.region_factor,
        bigquery_register=cost_of_register(plan, known, prices.bigquery) * prices.bigquery.region_factor,
        retraining=_retraining(known, prices),
        logging=a_month * (1 + outcomes) * known.assumed.log_bytes.value / GIB * prices.logging.gib,
        monitoring=_monitoring(plan, known, prices),
        keys=cost_of_keys(plan, known, prices),
        scans=cost_of_scans(known, prices),
        other=_other(known, prices),
    )


def busy(rate: float, seconds: float) -> float:
    """Return the share of time with at least one request in progress (busy probability of an M/G/infinity queue).

    `rate` is in requests a second, `seconds` the mean time of one.

    >>> busy(0, 0.1), round(busy(10, 0.1), 3)
    (0.0, 0.632)
    """
    return 1 - math.exp(-rate * seconds)


def lookup_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes read to find the Pix of a report: one block in each of three partitions.

    Clustering by end_to_end_id limits the read to one block; a partition smaller than a block is read entirely.
    """
    return max(QUERY_BYTES_MIN, LOOKED_UP_DAYS * rows_of_block(pix_a_day, known) * _LOOKED_UP_BYTES)


def training_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes that one training reads.

    It extends the training sample by the Pix that have matured since the last one: their rows, outcomes from then on,
    and all reports. Then it reads the sample, which holds every fraud and `dataset.sampled_a_day` other Pix a day.
    """
    assumed, features = known.assumed, _FEATURE_BYTES * len(feature_columns())
    days, kept = DAYS / assumed.trainings_a_month.value, DAYS * assumed.months_kept.value
    matured = days * pix_a_day * (features + 2 * _LABELLED_BYTES)
    told = (MATURITY_DAYS + 1 + days) * pix_a_day * assumed.outcomes_per_pix.value * _OUTCOME_BYTES
    reports = kept * pix_a_day * assumed.reports_per_pix.value
    sample = kept * (pix_a_day * assumed.frauds_per_pix + min(pix_a_day, _config().dataset.sampled_a_day))
    read = sample * (features + _EXAMPLE_BYTES + _SCANS_OF_VERSIONS * _VERSION_BYTES)
    return matured + _SCANS_OF_OUTCOMES * told + _SCANS_OF_REPORTS * reports * _REPORT_BYTES + read


@cache
def _config() -> config.Config:
    return config.load(Path(__file__).parents[2] / "jobs" / "config.yaml")


def skew_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes that a night's comparison of features reads.

    Beside a day's features and the places it reads each Pix and outcome, as an old Pix may have changed on that day,
    and all reports with their parties.
    """
    assumed, features = known.assumed, _FEATURE_BYTES * len(feature_columns())
    kept = DAYS * assumed.months_kept.value * pix_a_day
    scored = _SCANS_OF_PLACES * _PLACED_BYTES + ASKED_BYTES + _LOOKED_UP_BYTES
    told = assumed.outcomes_per_pix.value * TOLD_BYTES + assumed.reports_per_pix.value * _REPORT_BYTES
    return kept * (scored + told) + COMPARED_DAYS * pix_a_day * features


def health_bytes(pix_a_day: float, known: Known) -> float:
    """Return the bytes that jobs.monitor reads about a day: decisions, their labels at each age, and inputs by bin.

    Each feature is read once, in queries of CHUNK features; days before are kept as counts and not read again.
    """
    outcomes = known.assumed.outcomes_per_pix.value * _OUTCOME_BYTES
    ages = sum(_DECIDED_BYTES + _FORM_BYTES + (1 + age) * outcomes for age in AGES)
    chunks = math.ceil(len(feature_columns()) / CHUNK)
    inputs = _FEATURE_BYTES * len(feature_columns()) + (chunks + 2) * _INPUT_BYTES + _CODE_BYTES + _CELL_BYTES
    return pix_a_day * (HEALTH_READS * _DECIDED_BYTES + ages + inputs)


def _cloud_run(plan: Plan, known: Known, prices: Prices) -> float:
    """Return the cost of requests and instances.

    An instance is charged in full while it answers a request; idle ones kept by `score_instances.min` cost less.
    """
    price = prices.cloud_run
    scoring, telling = (_active(rate, work, known) for rate, work in _streams(plan, known))
    idle = max(0.0, INSTANCES_MIN - scoring)
    working = scoring * (price.vcpu_second + MEMORY_GIB * price.gib_second)
    working += telling * (price.vcpu_second + OUTCOME_MEMORY_GIB * price.gib_second)
    waiting = idle * (price.idle_vcpu_second + MEMORY_GIB * price.idle_gib_second)
    messages = plan.pix_a_day * DAYS * (1 + known.assumed.outcomes_per_pix.value)
    requests = messages / _MILLION * price.million_requests
    return (working + waiting) * SECONDS * price.region_factor + requests  # requests cost the same in every region


def _streams(plan: Plan, known: Known) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the mean rate of Pix and of outcomes, each with the processor time of one over that of a Pix."""
    assumed = known.assumed
    return (plan.mean_pix_s, 1.0), (plan.mean_pix_s * assumed.outcomes_per_pix.value, assumed.outcome_work.value)


def _active(rate: float, work: float, known: Known) -> float:
    """Return the mean number of instances that answer at least one request."""
    wanted = _wanted(rate, work, known)
    return wanted * busy(rate / wanted, known.assumed.answer_s.value)


def _wanted(rate: float, work: float, known: Known) -> float:
    """Return the instances of a function that a mean second needs, at least one."""
    cores = rate * work * known.measured.score_cpu_s.value * known.assumed.processor_ratio.value
    return max(1.0, max(cores, rate * known.assumed.answer_s.value / CONCURRENCY) / UTILISATION)


def _monitoring(plan: Plan, known: Known, prices: Prices) -> float:
    """Return the cost of metrics: all instances export at a fixed interval; there is one of the label function."""
    scoring, telling = (_wanted(rate, work, known) for rate, work in _streams(plan, known))
    exports = (max(INSTANCES_MIN, scoring) + telling + 1) * SECONDS / EXPORT_SECONDS
    return exports * known.assumed.metric_samples.value / _MILLION * prices.monitoring.million_samples


def _bigquery(plan: Plan, known: Known, prices: Prices) -> tuple[float, float, float, float]:
    """Return the cost of storage, of trainings, late outcomes and other queries, before the region factor."""
    price, assumed = prices.bigquery, known.assumed
    _, _, row = bytes_of_pix(known, prices)
    months, outcomes = assumed.months_kept.value, assumed.outcomes_per_pix.value * _OUTCOME_BYTES
    of_month = plan.pix_a_day * DAYS * row / GIB
    old = max(0.0, months - ACTIVE_MONTHS)
    storage = of_month * ((months - old) * price.active_gib_month + old * price.long_term_gib_month)
    features = _FEATURE_BYTES * len(feature_columns())
    training = assumed.trainings_a_month.value * training_bytes(plan.pix_a_day, known)
    watches = DAYS * WATCHES_A_DAY * plan.pix_a_day * WATCHED_DAYS * _WATCHED_BYTES
    watches += DAYS * OUTCOME_WATCHES_A_DAY * plan.pix_a_day * WATCHED_DAYS * (_MISSED_BYTES + outcomes)
    placed = max(QUERY_BYTES_MIN, plan.pix_a_day * FILLED_DAYS * _PLACED_BYTES) + QUERY_BYTES_MIN
    watches += DAYS * FILLS_A_DAY * placed
    watches += DAYS * health_bytes(plan.pix_a_day, known)
    watches += TESTED_DAYS * LOOKS_A_DAY * plan.pix_a_day * WATCHED_DAYS * _ARM_BYTES
    labelled = (1 + _config().contest.label_age_days) * outcomes
    watches += DAYS * plan.pix_a_day * CONTEST_READS * (2 * _CONTEST_BYTES + labelled)
    looks = assumed.trainings_a_month.value * PROBATION_LOOKS * PROBATION_DAYS
    watches += looks * plan.pix_a_day * _DECIDED_BYTES
    drift = DAYS * DRIFTS_A_DAY * plan.pix_a_day * features
    skew = DAYS * skew_bytes(plan.pix_a_day, known)
    lookups = DAYS * plan.pix_a_day * assumed.reports_per_pix.value * lookup_bytes(plan.pix_a_day, known)
    late = DAYS * late_bytes_a_day(plan.pix_a_day, known, Settings("").late_outcome_seconds, FILLS_A_DAY)
    read = (training, late, watches + drift + skew + lookups)
    of_training, of_late, of_others = (size / TIB * price.query_tib for size in read)
    return storage, of_training, of_late, of_others


def _retraining(known: Known, prices: Prices) -> float:
    price, assumed = prices.cloud_run, known.assumed
    seconds = assumed.trainings_a_month.value * assumed.training_hours.value * 3600
    of_second = RETRAIN_VCPU * price.job_vcpu_second + RETRAIN_GIB * price.job_gib_second
    return seconds * of_second * price.region_factor


def _other(known: Known, prices: Prices) -> float:
    price, assumed = prices.other, known.assumed
    kept = 12 * assumed.trainings_a_month.value * assumed.snapshot_gib.value  # snapshots live for a year
    of_month = price.mlflow_database_month + SCHEDULES * price.scheduler_job_month
    stored = kept * price.storage_gib_month + assumed.registry_gib.value * price.registry_gib_month
    return (of_month + stored) * price.region_factor
