"""Estimate the monthly cost of a plan at list prices."""

from __future__ import annotations

import math

from msgspec import Struct

from infra.capacity.figures import GIB, TIB, Known, Prices
from infra.capacity.plan import CONCURRENCY, INSTANCES_MIN, REPLICAS, UTILISATION, Plan
from shared.contract.tables import table
from shared.settings import Settings

DAYS, HOURS, SECONDS = 30, 730, 30 * 86_400
MEMORY_GIB = 1.0
"""`score_memory` of infra/terraform."""
RETRAIN_VCPU, RETRAIN_GIB = 8, 32
"""`retrain_resources` of infra/terraform."""
ACTIVE_MONTHS = 3
WATCHES_A_DAY, WATCHED_DAYS = 96, 1.5
"""Late transactions are queried every 15 minutes over the partitions of the last day: one or two."""
DRIFTS_A_DAY = 4
EXPORT_SECONDS = Settings("").otel_metric_export_interval / 1e3
SCHEDULES = 3
_WATCHED_BYTES = 8 + 8 + 10 + 1  # initiated_at, scored_at, payer_ispb, late
_COUNTED_BYTES = 34 + 8  # end_to_end_id, initiated_at: training counts the rows before it reads them
_LOOKED_UP_BYTES = 4 * 34 + 8  # end_to_end_id, payer_id, payee_id, device_id, initiated_at
_LOOKED_UP_DAYS = 3
_QUERY_BYTES_MIN = 10e6
_MILLION = 1e6
_FEATURE_BYTES = 8


class Cost(Struct, frozen=True):
    """Monthly cost by item, in USD."""

    cloud_run: float
    pubsub: float
    valkey: float
    bigquery_write: float
    bigquery_storage: float
    bigquery_training: float
    bigquery_queries: float
    retraining: float
    logging: float
    monitoring: float
    other: float

    @property
    def total(self) -> float:
        """Return the sum of all items."""
        return math.fsum(getattr(self, name) for name in self.__struct_fields__)


def cost(plan: Plan, known: Known, prices: Prices) -> Cost:
    """Estimate the cost of 30 mean days once the tables hold `months_kept` months of rows."""
    storage, training, queries = (part * prices.bigquery.region_factor for part in _bigquery(plan, known, prices))
    a_month = plan.pix_a_day * DAYS
    node = prices.valkey.nodes[plan.valkey_node].hour * prices.valkey.region_factor
    return Cost(
        cloud_run=_cloud_run(plan, known, prices),
        pubsub=prices.pubsub.traffic_cost(a_month, known.measured.message_bytes.value),
        valkey=plan.valkey_shards * (1 + REPLICAS) * node * HOURS,
        bigquery_write=prices.bigquery.append_cost(a_month * known.measured.row_bytes.value),
        bigquery_storage=storage,
        bigquery_training=training,
        bigquery_queries=queries,
        retraining=_retraining(known, prices),
        logging=a_month * known.assumed.log_bytes.value / GIB * prices.logging.gib,
        monitoring=_monitoring(plan, known, prices),
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
    rows = min(pix_a_day, known.assumed.block_bytes.value / known.measured.stored_row_bytes.value)
    return max(_QUERY_BYTES_MIN, _LOOKED_UP_DAYS * rows * _LOOKED_UP_BYTES)


def _cloud_run(plan: Plan, known: Known, prices: Prices) -> float:
    """Return the cost of requests and instances.

    An instance is charged in full while it answers a request; idle ones kept by `score_instances.min` cost less.
    """
    price, answer = prices.cloud_run, known.assumed.answer_s.value
    wanted = _wanted(plan, known)
    active = wanted * busy(plan.mean_pix_s / wanted, answer)
    idle = max(0.0, INSTANCES_MIN - active)
    working = active * (price.vcpu_second + MEMORY_GIB * price.gib_second)
    waiting = idle * (price.idle_vcpu_second + MEMORY_GIB * price.idle_gib_second)
    requests = plan.pix_a_day * DAYS / _MILLION * price.million_requests
    return (working + waiting) * SECONDS * price.region_factor + requests  # requests cost the same in every region


def _wanted(plan: Plan, known: Known) -> float:
    """Return the score instances that a mean second needs, at least one."""
    cores = plan.mean_pix_s * known.measured.score_cpu_s.value * known.assumed.processor_ratio.value
    return max(1.0, max(cores, plan.mean_pix_s * known.assumed.answer_s.value / CONCURRENCY) / UTILISATION)


def _monitoring(plan: Plan, known: Known, prices: Prices) -> float:
    """Return the cost of metrics: the score instances and one label instance export at a fixed interval."""
    exports = (max(INSTANCES_MIN, _wanted(plan, known)) + 1) * SECONDS / EXPORT_SECONDS
    return exports * known.assumed.metric_samples.value / _MILLION * prices.monitoring.million_samples


def _bigquery(plan: Plan, known: Known, prices: Prices) -> tuple[float, float, float]:
    """Return the cost of storage, of training reads and of other queries, before the region factor."""
    price, measured, assumed = prices.bigquery, known.measured, known.assumed
    row, months = measured.stored_row_bytes.value, assumed.months_kept.value
    of_month = plan.pix_a_day * DAYS * row / GIB
    old = max(0.0, months - ACTIVE_MONTHS)
    storage = of_month * ((months - old) * price.active_gib_month + old * price.long_term_gib_month)
    rows = plan.pix_a_day * DAYS * months
    features = _FEATURE_BYTES * sum(column.name.startswith("f_") for column in table("score_events").schema)
    training = assumed.trainings_a_month.value * rows * (features + 2 * _COUNTED_BYTES)
    watches = DAYS * WATCHES_A_DAY * plan.pix_a_day * WATCHED_DAYS * _WATCHED_BYTES
    drift = DAYS * DRIFTS_A_DAY * plan.pix_a_day * features
    lookups = DAYS * plan.pix_a_day * assumed.reports_per_pix.value * lookup_bytes(plan.pix_a_day, known)
    return storage, training / TIB * price.query_tib, (watches + drift + lookups) / TIB * price.query_tib


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
