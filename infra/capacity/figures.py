"""The figures that capacity is reckoned from: measured or assumed, list prices, quotas."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

GIB, TIB = 2.0**30, 2.0**40
FOLDER = Path(__file__).resolve().parent
Figures = TypeVar("Figures")


class Measured(Struct, frozen=True, forbid_unknown_fields=True):
    """A figure, the command that prints it and under which name in its JSON, and when it was run."""

    value: float
    unit: str
    command: str
    shown: str
    on: str


class Shares(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of a whole, in order, the command that prints them, and when it was run."""

    values: tuple[float, ...]
    unit: str
    command: str
    shown: str
    on: str


class Assumed(Struct, frozen=True, forbid_unknown_fields=True):
    """A figure that nobody has measured here, and why it is taken."""

    value: float
    unit: str
    why: str


class Count(Struct, frozen=True, forbid_unknown_fields=True):
    """Records of each kind for each Pix a day."""

    accounts: float
    contacts: float
    devices: float


class Keys(Struct, frozen=True, forbid_unknown_fields=True):
    """How many records there are, by the days (PIX_STATE_RECORD_DAYS) after which an untouched one vanishes."""

    values: dict[int, Count]
    unit: str
    command: str
    shown: str
    on: str


class Measurements(Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured."""

    message_bytes: Measured
    row_bytes: Measured
    stored_row_bytes: Measured
    score_cpu_s: Measured
    cold_start_s: Measured
    account_record_bytes: Measured
    contact_record_bytes: Measured
    device_record_bytes: Measured
    claim_bytes: Measured
    valkey_call_s: Measured
    valkey_pix_s: Measured
    keys_per_daily_pix: Keys
    hourly_shares: Shares


class Assumptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What was not measured."""

    answer_s: Assumed
    reports_per_pix: Assumed
    block_bytes: Assumed
    log_bytes: Assumed
    metric_samples: Assumed
    months_kept: Assumed
    trainings_a_month: Assumed
    training_hours: Assumed
    snapshot_gib: Assumed
    registry_gib: Assumed
    processor_ratio: Assumed


class Known(Struct, frozen=True, forbid_unknown_fields=True):
    """infra/capacity/measured.json."""

    note: str
    machine: str
    measured: Measurements
    assumed: Assumptions


class CloudRun(Struct, frozen=True):
    """Prices of instances (USD)."""

    vcpu_second: float
    gib_second: float
    idle_vcpu_second: float
    idle_gib_second: float
    job_vcpu_second: float
    job_gib_second: float
    million_requests: float
    region_factor: float


class PubSub(Struct, frozen=True):
    """Prices of bytes published and delivered (USD)."""

    tib: float
    request_bytes_min: int

    def passed(self, messages: float, message_bytes: float) -> float:
        """Return what it costs to publish and to deliver so many messages of so many bytes."""
        return 2 * messages * max(message_bytes, self.request_bytes_min) / TIB * self.tib


class BigQuery(Struct, frozen=True):
    """Prices of bytes appended, stored and read (USD)."""

    storage_write_gib: float
    active_gib_month: float
    long_term_gib_month: float
    query_tib: float
    region_factor: float

    def appended(self, size: float) -> float:
        """Return what it costs to append so many bytes in the region."""
        return size / GIB * self.storage_write_gib * self.region_factor


class Node(Struct, frozen=True):
    """A node of Valkey: its price for an hour (USD), and what may be written into it (GB)."""

    hour: float
    writable_gb: float


class Valkey(Struct, frozen=True):
    """Nodes by type."""

    nodes: dict[str, Node]
    region_factor: float


class Logging(Struct, frozen=True):
    """The price of log entries taken in (USD)."""

    gib: float


class Monitoring(Struct, frozen=True):
    """The price of samples of metrics taken in (USD)."""

    million_samples: float


class Other(Struct, frozen=True):
    """Prices of what hardly depends on volume (USD)."""

    mlflow_database_month: float
    scheduler_job_month: float
    registry_gib_month: float
    storage_gib_month: float
    region_factor: float


class Prices(Struct, frozen=True):
    """prices.json. A region factor is what southamerica-east1 costs beside the price that is listed."""

    currency: str
    as_of: str
    note: str
    cloud_run: CloudRun
    pubsub: PubSub
    bigquery: BigQuery
    valkey: Valkey
    logging: Logging
    monitoring: Monitoring
    other: Other


class Quota(Struct, frozen=True, forbid_unknown_fields=True):
    """A limit on `needs`, a field of `infra.capacity.plan.Plan`, and what is done when it is reached.

    `verified` says when and where the limit was seen; None: it is from memory.
    """

    name: str
    needs: str
    limit: float
    unit: str
    fixed: bool
    source: str
    verified: str | None
    then: str


class Quotas(Struct, frozen=True, forbid_unknown_fields=True):
    """infra/capacity/quotas.json."""

    note: str
    quotas: tuple[Quota, ...]


def known() -> Known:
    """Return what was measured and assumed."""
    return _read("measured.json", Known)


def prices() -> Prices:
    """Return list prices."""
    return _read("prices.json", Prices)


def quotas() -> tuple[Quota, ...]:
    """Return the quotas."""
    return _read("quotas.json", Quotas).quotas


def _read(name: str, kind: type[Figures]) -> Figures:
    return msgspec.json.decode((FOLDER / name).read_bytes(), type=kind)
