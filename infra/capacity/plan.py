"""Size the system for a daily volume of Pix."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from infra.capacity import profile
from infra.capacity.figures import Known, Prices, RecordCounts
from shared.features.layout import ACCOUNT, CONTACT, CONTACT_SECONDS, DAY, DEVICE, PERSON
from shared.features.places import SHARDS_MAX
from shared.settings import CLAIM_SECONDS, POINTER_TTL_SECONDS, Settings

UTILISATION = 0.6
"""Cloud Run adds instances above this share of CPU or of concurrency: https://cloud.google.com/run/docs/about-instance-autoscaling"""
CONCURRENCY = 250
"""Requests in progress in an instance, of the score function and of the outcome function."""
INSTANCES_MIN = 2
REPLICAS = 1
FILLED = 0.8
"""Planned share of Valkey's memory; above it an alert is raised."""
VALKEY_BUSY = 0.7
"""Planned share of busy time of Valkey's script thread; above it calls queue."""
CONTACT_DAYS = round(CONTACT_SECONDS / DAY)
"""Days without a Pix after which a contact is forgotten."""
FINGERPRINT_BYTES = 4
"""Memory of a contact that is forgotten, as in records.lua."""
RECORD_DAYS = Settings("").state_record_days
YEAR = 2026
_MEGA, _GIGA = 1e6, 1e9
_KEY_BYTES = 16
"""Of a replay, for each record: its key, and the payer of a contact."""
_COUNTED = (ACCOUNT, CONTACT, DEVICE, PERSON)
"""Kinds of records, in the order of RecordCounts. Fraud markers make the others: too few to plan for."""
_INDEX_BYTES = 48
"""Index of a replay, for each record: up to four slots of 8 bytes, with capacity for up to half as many again."""


class Plan(Struct, frozen=True):
    """Resources for a volume: rates are for the busiest second of the busiest date, bytes a day for a mean day."""

    pix_a_day: float
    mean_pix_s: float
    peak_pix_s: float
    score_instances: int
    outcome_instances: int
    vcpus: int
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
    """Size the system for a daily volume of Pix and of their outcomes.

    History records expire after `record_days`. Raises KeyError if they were not counted for that many days.
    """
    keys = known.measured.keys_per_daily_pix.values[record_days]
    measured, assumed = known.measured, known.assumed
    mean = pix_a_day / profile.SECONDS
    peak = mean * profile.peak(measured.hourly_shares.values) * profile.factor(profile.busiest(YEAR))
    cores = peak * measured.score_cpu_s.value * assumed.processor_ratio.value
    outstanding = peak * assumed.answer_s.value
    instances = max(INSTANCES_MIN, wanted_instances(cores, outstanding))
    outcomes = assumed.outcomes_per_pix.value
    outcome_instances = wanted_instances(cores * outcomes * assumed.outcome_work.value, outstanding * outcomes)
    memory = valkey_bytes(pix_a_day, peak, keys, known) / _GIGA
    load = (peak, instances, peak * outcomes, outcome_instances, known)
    node, shards = valkey_nodes(memory, lambda shards: valkey_cores(*load, shards), prices)
    messages, rows, stored = bytes_of_pix(known, prices)
    return Plan(
        pix_a_day=pix_a_day,
        mean_pix_s=mean,
        peak_pix_s=peak,
        score_instances=instances,
        outcome_instances=outcome_instances,
        vcpus=instances + outcome_instances,
        cpu_cores=cores,
        outstanding_pushes=outstanding,
        published_mb_s=peak * messages / _MEGA,
        pushed_mb_s=peak * messages / _MEGA,
        append_mb_s=peak * rows / _MEGA,
        append_connections=2 * (instances + outcome_instances),  # their own table and quarantine
        appended_gb_day=pix_a_day * rows / _GIGA,
        stored_tb_year=365 * pix_a_day * stored / _GIGA / 1e3,
        valkey_gb=memory,
        valkey_filled=memory / max(node.writable_gb for node in prices.valkey.nodes.values()),
        valkey_cores=valkey_cores(*load),
        valkey_node=node,
        valkey_shards=shards,
        replay_gb=pix_a_day * _replayed_bytes(keys) / _GIGA,
        pointer_writes_s=assumed.trainings_a_month.value / 30 / profile.SECONDS,
        pointer_reads_s=instances / POINTER_TTL_SECONDS,
    )


def wanted_instances(cores: float, outstanding: float) -> int:
    """Return the instances that Cloud Run starts for CPU or concurrency, whichever needs more.

    `cores` is the CPU in use, `outstanding` the number of requests in progress.

    >>> wanted_instances(0.1, 1.0), wanted_instances(6.0, 300.0), wanted_instances(0.1, 3_000.0)
    (1, 10, 20)
    """
    return math.ceil(max(cores, outstanding / CONCURRENCY) / UTILISATION)


def bytes_of_pix(known: Known, prices: Prices) -> tuple[float, float, float]:
    """Return the bytes of a Pix with its outcomes: of messages as Pub/Sub counts them, appended, and stored."""
    measured, assumed, least = known.measured, known.assumed, prices.pubsub.request_bytes_min
    outcomes = assumed.outcomes_per_pix.value
    return (
        max(measured.message_bytes.value, least) + outcomes * max(assumed.outcome_message_bytes.value, least),
        measured.row_bytes.value + outcomes * measured.outcome_row_bytes.value,
        measured.stored_row_bytes.value + outcomes * measured.outcome_stored_row_bytes.value,
    )


def valkey_bytes(pix_a_day: float, peak_pix_s: float, keys: RecordCounts, known: Known) -> float:
    """Return the memory of all records and of the lives of the last CLAIM_SECONDS at the peak rate.

    An outcome keeps the life of its Pix for CLAIM_SECONDS more; most come at once.
    """
    measured = known.measured
    records = (
        keys.accounts * measured.account_record_bytes.value
        + _contact_bytes(keys.contacts, known)
        + keys.devices * measured.device_record_bytes.value
        + keys.persons * measured.person_record_bytes.value
    )
    return pix_a_day * records + peak_pix_s * CLAIM_SECONDS * measured.life_bytes.value


def _contact_bytes(contacts: float, known: Known) -> float:
    """Return the memory of contacts, of which some are forgotten, and of these some not removed yet."""
    recent = min(contacts, known.measured.keys_per_daily_pix.values[CONTACT_DAYS].contacts)
    forgotten, kept = contacts - recent, known.assumed.forgotten_kept.value
    whole = recent + forgotten * kept
    return whole * known.measured.contact_record_bytes.value + forgotten * (1 - kept) * FINGERPRINT_BYTES


def valkey_cores(
    pix_s: float, instances: int, outcomes_s: float, outcome_instances: int, known: Known, shards: int = 1
) -> float:
    """Return the load on Valkey's script threads, in cores; the cost of its calls is shared by the Pix of a batch.

    Without outcomes the score function settles its Pix itself, at the same cost. Each shard takes calls of its own.
    The work of a visit beside its calls is left out, as no figure of it is in measured.json.
    """
    measured = known.measured
    changes, changing = (outcomes_s, outcome_instances) if outcomes_s else (pix_s, instances)
    asks, tells = pix_s / batch_rows(pix_s / instances), changes / batch_rows(changes / changing)
    calls = asks * measured.valkey_call_s.value + tells * measured.valkey_outcome_calls_s.value
    work = pix_s * measured.valkey_pix_s.value + changes * measured.valkey_outcome_s.value
    return (_calls(shards) * calls + work) * known.assumed.processor_ratio.value


def _calls(shards: int) -> int:
    """Return the calls of a micro-batch for one of a history that is not divided: to its home, and for visits."""
    return 1 if shards == 1 else 2 * shards


def batch_rows(pix_s: float) -> float:
    """Return the mean batch size of an instance at `pix_s` Pix a second, as batched by `shared.serving`.

    BigQuery answers more slowly than the longest linger, so batches start one linger apart.

    >>> batch_rows(1), batch_rows(1e9) == Settings("").batch_enough
    (1.0, True)
    """
    settings = Settings("")
    return min(settings.batch_enough, max(1.0, pix_s * settings.batch_linger_seconds))


def valkey_nodes(gigabytes: float, cores: Callable[[int], float], prices: Prices) -> tuple[str, int]:
    """Return the cheapest node type and number of primaries for this memory, and CPU by the number of primaries.

    A single primary wins at any price: it needs no cluster, and a micro-batch is one call. Beyond SHARDS_MAX
    primaries memory alone decides, as a history is not divided further.
    """
    options = []
    for name, node in prices.valkey.nodes.items():
        shards = max(math.ceil(gigabytes / (node.writable_gb * FILLED)), 1)
        while shards < SHARDS_MAX and cores(shards) > VALKEY_BUSY * shards:
            shards += 1
        options.append((shards > 1, shards * node.hour, name, shards))
    _, _, name, shards = min(options)
    return name, shards


def _replayed_bytes(keys: RecordCounts) -> float:
    """Return the memory of a replay for each Pix a day, in bytes: doubles, keys and index of every record.

    Records of the largest kind count twice, as they are copied when their array grows.
    """
    counts = (keys.accounts, keys.contacts, keys.devices, keys.persons)
    records = [count * (8 * layout.width + _KEY_BYTES) for count, layout in zip(counts, _COUNTED, strict=True)]
    return sum(records) + max(records) + _INDEX_BYTES * sum(counts)
