"""The inputs of capacity planning: measured and assumed figures, list prices and quotas."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

GIB, TIB = 2.0**30, 2.0**40
_REPORTS_PER_FRAUD = 4
FOLDER = Path(__file__).resolve().parent
File = TypeVar("File")


class Measured(Struct, frozen=True, forbid_unknown_fields=True):
    """A measured figure and how to measure it again."""

    value: float
    unit: str
    command: str
    """The command that prints the figure."""
    shown: str
    """Its key in the JSON that the command prints."""
    on: str
    """Date of the measurement."""


class Shares(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares that add up to 1, in order; the other fields as in Measured."""

    values: tuple[float, ...]
    unit: str
    command: str
    shown: str
    on: str


class Assumed(Struct, frozen=True, forbid_unknown_fields=True):
    """An estimated figure with its justification."""

    value: float
    unit: str
    why: str


class RecordCounts(Struct, frozen=True, forbid_unknown_fields=True):
    """History records of each kind, for each Pix a day."""

    accounts: float
    contacts: float
    devices: float
    persons: float
    """Who pay from devices that are not registered."""


class RecordCountsByDays(Struct, frozen=True, forbid_unknown_fields=True):
    """Record counts by PIX_STATE_RECORD_DAYS, after which an unused record expires; other fields as in Measured."""

    values: dict[int, RecordCounts]
    unit: str
    command: str
    shown: str
    on: str


class Measurements(Struct, frozen=True, forbid_unknown_fields=True):
    """All measured figures."""

    message_bytes: Measured
    row_bytes: Measured
    stored_row_bytes: Measured
    score_cpu_s: Measured
    pull_cpu_s: Measured
    cold_start_s: Measured
    account_record_bytes: Measured
    contact_record_bytes: Measured
    device_record_bytes: Measured
    person_record_bytes: Measured
    life_bytes: Measured
    valkey_call_s: Measured
    valkey_pix_s: Measured
    valkey_outcome_calls_s: Measured
    valkey_outcome_s: Measured
    outcome_row_bytes: Measured
    outcome_stored_row_bytes: Measured
    keys_per_daily_pix: RecordCountsByDays
    hourly_shares: Shares


class Assumptions(Struct, frozen=True, forbid_unknown_fields=True):
    """All estimated figures."""

    answer_s: Assumed
    reports_per_pix: Assumed
    suspicions_per_fraud: Assumed
    block_bytes: Assumed
    log_bytes: Assumed
    metric_samples: Assumed
    months_kept: Assumed
    trainings_a_month: Assumed
    training_hours: Assumed
    snapshot_gib: Assumed
    registry_gib: Assumed
    processor_ratio: Assumed
    outcomes_per_pix: Assumed
    outcome_message_bytes: Assumed
    outcome_work: Assumed
    outcome_lookups_per_pix: Assumed
    outcome_lookup_days: Assumed
    forgotten_kept: Assumed
    cases_a_day: Assumed
    held_share: Assumed
    queue_hours_a_day: Assumed
    builds_a_month: Assumed

    @property
    def frauds_per_pix(self) -> float:
        """Return the share of Pix that are reported as frauds; see `reports_per_pix`."""
        return self.reports_per_pix.value / _REPORTS_PER_FRAUD


class Known(Struct, frozen=True, forbid_unknown_fields=True):
    """The file infra/capacity/measured.json."""

    note: str
    machine: str
    measured: Measurements
    assumed: Assumptions


class CloudRunPrices(Struct, frozen=True):
    """Prices of Cloud Run instances and requests (USD)."""

    vcpu_second: float
    gib_second: float
    idle_vcpu_second: float
    idle_gib_second: float
    job_vcpu_second: float
    job_gib_second: float
    worker_vcpu_second: float
    worker_gib_second: float
    million_requests: float
    region_factor: float


class PubSubPrices(Struct, frozen=True):
    """Prices of bytes published and delivered (USD)."""

    tib: float
    request_bytes_min: int

    def traffic_cost(self, messages: float, message_bytes: float) -> float:
        """Return the cost of publishing and delivering messages of this size."""
        return 2 * messages * max(message_bytes, self.request_bytes_min) / TIB * self.tib


class BigQueryPrices(Struct, frozen=True):
    """Prices of bytes appended, stored and read (USD)."""

    storage_write_gib: float
    active_gib_month: float
    long_term_gib_month: float
    query_tib: float
    region_factor: float

    def append_cost(self, size: float) -> float:
        """Return the cost of appending `size` bytes in the region."""
        return size / GIB * self.storage_write_gib * self.region_factor


class Node(Struct, frozen=True):
    """A Valkey node: price of an hour (USD) and writable capacity (GB)."""

    hour: float
    writable_gb: float


class ValkeyPrices(Struct, frozen=True):
    """Valkey nodes by type, and their files on disk (USD)."""

    nodes: dict[str, Node]
    aof_gb_month: float
    backup_gb_month: float
    region_factor: float


class KeyPrices(Struct, frozen=True):
    """Prices of software keys in Cloud KMS (USD)."""

    version_month: float
    ten_thousand_operations: float


class ScanPrices(Struct, frozen=True):
    """Price of a scan of an image (USD)."""

    image: float


class LoggingPrices(Struct, frozen=True):
    """Price of ingested log entries (USD)."""

    gib: float


class MonitoringPrices(Struct, frozen=True):
    """Price of ingested metric samples (USD)."""

    million_samples: float


class OtherPrices(Struct, frozen=True):
    """Prices that hardly depend on volume (USD)."""

    mlflow_database_month: float
    scheduler_job_month: float
    registry_gib_month: float
    storage_gib_month: float
    region_factor: float


class Prices(Struct, frozen=True):
    """The file prices.json. A region factor is the price in southamerica-east1 over the listed price."""

    currency: str
    as_of: str
    note: str
    cloud_run: CloudRunPrices
    pubsub: PubSubPrices
    bigquery: BigQueryPrices
    valkey: ValkeyPrices
    kms: KeyPrices
    scans: ScanPrices
    logging: LoggingPrices
    monitoring: MonitoringPrices
    other: OtherPrices


class Quota(Struct, frozen=True, forbid_unknown_fields=True):
    """A limit on one figure of a plan."""

    name: str
    needs: str
    """The limited field of `infra.capacity.plan.Plan`."""
    limit: float
    unit: str
    fixed: bool
    """Whether the limit cannot be raised."""
    source: str
    verified: str | None
    """When and where the limit was seen; None if it is from memory."""
    then: str
    """The next step when the limit is reached."""


class Quotas(Struct, frozen=True, forbid_unknown_fields=True):
    """The file infra/capacity/quotas.json."""

    note: str
    quotas: tuple[Quota, ...]


def known() -> Known:
    """Read the measured and assumed figures."""
    return _read("measured.json", Known)


def prices() -> Prices:
    """Read the list prices."""
    return _read("prices.json", Prices)


def quotas() -> tuple[Quota, ...]:
    """Read the quotas."""
    return _read("quotas.json", Quotas).quotas


def _read(name: str, kind: type[File]) -> File:
    return msgspec.json.decode((FOLDER / name).read_bytes(), type=kind)
