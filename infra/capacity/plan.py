"""From Pix a day to instances, memory, bytes and rates."""

from __future__ import annotations

import math

from msgspec import Struct

from infra.capacity import profile
from infra.capacity.figures import Count, Known, Prices
from shared.features.layout import LAYOUTS
from shared.settings import CLAIM_SECONDS, POINTER_TTL_SECONDS, Settings

UTILISATION = 0.6
"""Cloud Run adds instances above this share of CPU or of concurrency: https://cloud.google.com/run/docs/about-instance-autoscaling"""
CONCURRENCY = 250
INSTANCES_MIN = 2
REPLICAS = 1
FILLED = 0.8
"""Share of Valkey's memory above which an alert is raised, and which is planned with."""
VALKEY_BUSY = 0.7
"""Share of the time that the one thread which runs scripts may be at work before calls queue."""
RECORD_DAYS = Settings("").state_record_days
YEAR = 2026
_MEGA, _GIGA = 1e6, 1e9
_KEY_BYTES = 8
_INDEX_BYTES = 48
"""Of a record in the index of a replay: up to four places of 8 bytes for each that there is room for, which is up to
half as many again as there are."""


class Plan(Struct, frozen=True):
    """What a volume takes: rates in the busiest second of the busiest date, bytes a day on a mean one."""

    pix_a_day: float
    mean_pix_s: float
    peak_pix_s: float
    score_instances: int
    cpu_cores: float
    outstanding_pushes: float
    published_mb_s: float
    pushed_mb_s: float
    append_mb_s: float
    append_connections: int
    appended_gb_day: float
    stored_tb_year: float
    valkey_gb: float
    valkey_filled: float
    valkey_cores: float
    valkey_node: str
    valkey_shards: int
    replay_gb: float
    pointer_writes_s: float
    pointer_reads_s: float


def plan(pix_a_day: float, known: Known, prices: Prices, record_days: int = RECORD_DAYS) -> Plan:
    """Return what so many Pix on a mean day take.

    Instances are those that Cloud Run would start for CPU or concurrency, whichever wants more. Records of history
    are counted for those `record_days` that were measured. Raises KeyError for others.
    """
    keys = known.measured.keys_per_daily_pix.values[record_days]
    measured, assumed = known.measured, known.assumed
    mean = pix_a_day / profile.SECONDS
    peak = mean * profile.peak(measured.hourly_shares.values) * profile.factor(profile.busiest(YEAR))
    cores = peak * measured.score_cpu_s.value * assumed.processor_ratio.value
    outstanding = peak * assumed.answer_s.value
    wanted = max(cores, outstanding / CONCURRENCY) / UTILISATION
    instances = max(INSTANCES_MIN, math.ceil(wanted))
    memory = valkey_bytes(pix_a_day, peak, keys, known) / _GIGA
    busy = valkey_cores(peak, instances, known)
    node, shards = valkey_nodes(memory, busy, prices)
    message = max(measured.message_bytes.value, prices.pubsub.request_bytes_min)
    return Plan(
        pix_a_day=pix_a_day,
        mean_pix_s=mean,
        peak_pix_s=peak,
        score_instances=instances,
        cpu_cores=cores,
        outstanding_pushes=outstanding,
        published_mb_s=peak * message / _MEGA,
        pushed_mb_s=peak * message / _MEGA,
        append_mb_s=peak * measured.row_bytes.value / _MEGA,
        append_connections=2 * instances,  # score_events and quarantine
        appended_gb_day=pix_a_day * measured.row_bytes.value / _GIGA,
        stored_tb_year=365 * pix_a_day * measured.stored_row_bytes.value / _GIGA / 1e3,
        valkey_gb=memory,
        valkey_filled=memory / max(node.writable_gb for node in prices.valkey.nodes.values()),
        valkey_cores=busy,
        valkey_node=node,
        valkey_shards=shards,
        replay_gb=pix_a_day * _replayed_bytes(keys) / _GIGA,
        pointer_writes_s=assumed.trainings_a_month.value / 30 / profile.SECONDS,
        pointer_reads_s=instances / POINTER_TTL_SECONDS,
    )


def valkey_bytes(pix_a_day: float, peak_pix_s: float, keys: Count, known: Known) -> float:
    """Return the memory of all records, and of the claims of the last quarter of an hour at the peak."""
    measured = known.measured
    records = (
        keys.accounts * measured.account_record_bytes.value
        + keys.contacts * measured.contact_record_bytes.value
        + keys.devices * measured.device_record_bytes.value
    )
    return pix_a_day * records + peak_pix_s * CLAIM_SECONDS * measured.claim_bytes.value


def valkey_cores(peak_pix_s: float, instances: int, known: Known) -> float:
    """Return how many threads that run scripts are busy: so much for a call, so much for each Pix in it."""
    measured = known.measured
    of_pix = measured.valkey_pix_s.value + measured.valkey_call_s.value / batch_rows(peak_pix_s / instances)
    return peak_pix_s * of_pix * known.assumed.processor_ratio.value


def batch_rows(pix_s: float) -> float:
    """Return how many of so many Pix a second are worked on together by an instance, as `shared.serving` has it.

    BigQuery's answer takes longer than batches are apart at most, so that is how far they are.

    >>> batch_rows(1), batch_rows(1e9) == Settings("").batch_enough
    (1.0, True)
    """
    settings = Settings("")
    return min(settings.batch_enough, max(1.0, pix_s * settings.batch_linger_seconds))


def valkey_nodes(gigabytes: float, cores: float, prices: Prices) -> tuple[str, int]:
    """Return the type of node and the number of shards that hold and serve it at the lowest price.

    One shard is preferred at any price: it is what the code can do as it is.
    """
    options = []
    for name, node in prices.valkey.nodes.items():
        shards = max(math.ceil(gigabytes / (node.writable_gb * FILLED)), math.ceil(cores / VALKEY_BUSY), 1)
        options.append((shards > 1, shards * node.hour, name, shards))
    _, _, name, shards = min(options)
    return name, shards


def _replayed_bytes(keys: Count) -> float:
    """Return the memory of a replay for each Pix a day: doubles, key and index of each record, of all kinds.

    The records of the largest kind count twice: they are copied when their array grows.
    """
    counts = (keys.accounts, keys.contacts, keys.devices)
    records = [count * (8 * layout.width + _KEY_BYTES) for count, layout in zip(counts, LAYOUTS, strict=True)]
    return sum(records) + max(records) + _INDEX_BYTES * sum(counts)
