"""Settings: read once from the environment, by an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from shared.errors import Misconfigured
from shared.setting_limits import KEY_BYTES, LIMITS

LOCAL_HMAC_KEY = "a-local-key-that-protects-nobody"
"""Key of the local cloud and of benchmarks; production has its own in Secret Manager."""
MATURITY_DAYS = 87.0
"""80 days to open an infraction report and 7 to analyse it (Regulamento do Pix, MED)."""
ASSUMED, PUBLISHED = OUTCOMES = ("assumed", "published")
"""Settings of `Settings.outcomes`: an approved Pix has settled, or `pix-outcomes` says which did."""
POINTER_TTL_SECONDS = 5.0
BATCH_MAX = 256
BATCHES_IN_FLIGHT = 4
BEHIND_DAYS = 1_800.0
"""BigQuery streams into the partitions of the last 1,825 days; a message and its dead letter may wait for 21."""
CLAIM_SECONDS = 7_200
"""Longer than the longest pause between two deliveries of a message, 60 s to acknowledge and 600 s of back-off, and
than the longest retention, an hour by night: most outcomes then find the life of their Pix without a query."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The differences between deployments; each field is read from an environment variable.

    The variable is PIX_ and the name of the field in capitals, or a standard variable (`_OWN_NAMES`). The least value
    of each number is in `shared.setting_limits`.
    """

    project: str
    """Google Cloud project of topics, tables and buckets (GOOGLE_CLOUD_PROJECT); required."""
    hmac_key: str = field(default="", repr=False)
    """Key of the pseudonyms, from Secret Manager, of KEY_BYTES at least; empty where no pseudonyms are made."""
    hmac_key_version: int = 1
    """Version of `hmac_key`, stored in each row: pseudonyms of two versions do not match."""
    dataset: str = "pix"
    """BigQuery dataset of all tables."""
    bucket: str = "pix-models"
    """Bucket of model bundles and of the pointer to the champion."""
    data_bucket: str = "pix-data"
    """Bucket of rows: training sets, and files on their way in or out of BigQuery."""
    state: str = "memory://"
    """Store of history: memory://, or redis:// or valkey://host:port (rediss://, valkeys:// with TLS).

    A cluster is named by any of its nodes, as valkey-cluster:// (redis-cluster://; valkeys-cluster:// with TLS).

    The default keeps history in the process, for one instance without a server.
    """
    state_shards: int = 1
    """Shards of history in a cluster, up to 64, each on one primary: three for each primary leave room to add some.

    Another number finds none of the records: history has to be rebuilt. One suits a server alone.
    """
    state_connect_seconds: float = 0.25
    """Seconds to connect to the store, which is in the same network."""
    state_call_seconds: float = 0.5
    """Seconds for a call of the store; later, the batch is scored without history."""
    state_pause_seconds: float = 2.0
    """Seconds without calls to a store that does not answer, before one call tries it again; 0: no pause."""
    state_message_days: int = 21
    """Days that a claim is kept until its row is stored: 7 of retention in Pub/Sub, and 14 of the dead letters."""
    state_claim_seconds: int = CLAIM_SECONDS
    """Seconds that the life of a Pix is kept after its last delivery or outcome, once its rows are stored.

    The default is CLAIM_SECONDS.
    """
    state_record_days: int = 180
    """Days after which an untouched record of history expires; after six of the longest half-life 2 % are left."""
    deadline_seconds: float = 40.0
    """Seconds from the initiation of a Pix within which its score is in time."""
    ahead_seconds: float = 300.0
    """Seconds that the time of a message may lie in the future: minutes, as clocks differ.

    A later time would make all history until then look old.
    """
    behind_days: float = BEHIND_DAYS
    """Days that the time of a message may lie in the past; the default is BEHIND_DAYS.

    No table would take the row of an earlier one.
    """
    outcomes: str = ASSUMED
    """Whether outcomes are ASSUMED or PUBLISHED."""
    pointer_ttl_seconds: float = POINTER_TTL_SECONDS
    """Seconds between two looks at the pointer, so a new champion serves within about as long."""
    maturity_days: float = MATURITY_DAYS
    """Days after which a Pix without a report counts as legitimate; the default is MATURITY_DAYS."""
    batch_max: int = BATCH_MAX
    """Messages in a batch, at most."""
    batches_in_flight: int = BATCHES_IN_FLIGHT
    """Batches worked on at the same time: one computes while others wait for history or BigQuery."""
    batch_linger_seconds: float = 0.015
    """Seconds between the starts of two batches, at most; see `shared.serving.group_commit.BatchLimits`."""
    batch_enough: int = 128
    """Waiting messages that start a batch before the linger has passed: half of `batch_max`."""
    queue_max: int = BATCH_MAX * BATCHES_IN_FLIGHT
    """Waiting messages, at most; as many as are in flight, so a message waits for two rounds of batches."""
    queue_seconds: float = 10.0
    """Seconds that a message may wait before it is refused.

    With a lookup, history and an append that take all their time, each tried twice, a message that waited longer
    would miss Pub/Sub's ack deadline of 60 s.
    """
    drain_seconds: float = 8.0
    """Seconds to finish after SIGTERM: the 10 s of Cloud Run, less the time to export metrics and to stop."""
    log_seconds: float = 1.0
    """Seconds within which batches share a line in the log; 0 gives each its own."""
    append_timeout_seconds: float = 15.0
    """Seconds to wait for the answer to an append; see `queue_seconds`."""
    lookup_seconds: float = 8.0
    """Seconds to wait for the lookup of scored transactions; see `queue_seconds`."""
    bigquery_emulator_host: str = ""
    """Base URL of a BigQuery emulator's REST API (BIGQUERY_EMULATOR_HOST); empty means Google's, with credentials."""
    bigquery_storage_emulator_host: str = ""
    """Address of an emulator of the Storage Write API (BIGQUERY_STORAGE_EMULATOR_HOST); empty means Google's."""
    mlflow_tracking_uri: str = ""
    """URI of the MLflow server or store (MLFLOW_TRACKING_URI); empty means SQLite under .local/mlflow."""
    commit: str = ""
    """Commit of the source of the jobs' image (PIX_COMMIT, set by its build); empty means that of the checkout."""
    image: str = ""
    """Image of the jobs by its digest (PIX_IMAGE), for the record of a run; empty without one."""
    execution: str = ""
    """Execution of the Cloud Run job (CLOUD_RUN_EXECUTION), the actor in the ledger; empty means the user."""
    service: str = ""
    """Name of the Cloud Run service (K_SERVICE), by which metrics are labelled."""
    revision: str = ""
    """Revision of the Cloud Run service (K_REVISION), by which metrics are labelled."""
    otel_exporter_otlp_endpoint: str = ""
    """URL of the collector of metrics (OTEL_EXPORTER_OTLP_ENDPOINT); empty means no export."""
    otel_metric_export_interval: int = 60_000
    """Milliseconds between exports (OTEL_METRIC_EXPORT_INTERVAL); the default is OpenTelemetry's."""

    def __post_init__(self) -> None:
        """Raise Misconfigured with the name of a variable, never with its value."""
        if self.outcomes not in OUTCOMES:
            raise Misconfigured(f"PIX_OUTCOMES is none of {', '.join(OUTCOMES)}")
        if 0 < len(self.hmac_key.encode()) < KEY_BYTES:
            raise Misconfigured(f"PIX_HMAC_KEY is shorter than {KEY_BYTES} bytes")
        for name, variable, _ in _variables():
            if name in LIMITS and not LIMITS[name].admits(getattr(self, name)):
                raise Misconfigured(f"{variable} is not a finite number of {LIMITS[name]}")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Return the settings in `env`. Raises Misconfigured with the name of a variable, never with its value."""
        values: dict[str, Any] = {
            name: _read(env, variable, kind) for name, variable, kind in _variables() if env.get(variable)
        }
        missing = [variable for name, variable, _ in _variables() if name in _REQUIRED and name not in values]
        if missing:
            raise Misconfigured(f"set {' and '.join(missing)}")
        settings = cls(**values)
        if settings.hmac_key == LOCAL_HMAC_KEY and not settings._has_emulator():
            raise Misconfigured("PIX_HMAC_KEY is the public key of the local cloud, and no emulator is set")
        return settings

    def _has_emulator(self) -> bool:
        return bool(self.bigquery_emulator_host or self.bigquery_storage_emulator_host)

    def to_env(self) -> dict[str, str]:
        """Return the environment variables of these settings."""
        return {variable: str(getattr(self, name)) for name, variable, _ in _variables()}


_REQUIRED = ("project",)
_OWN_NAMES = {
    "project": "GOOGLE_CLOUD_PROJECT",
    "bigquery_emulator_host": "BIGQUERY_EMULATOR_HOST",
    "bigquery_storage_emulator_host": "BIGQUERY_STORAGE_EMULATOR_HOST",
    "mlflow_tracking_uri": "MLFLOW_TRACKING_URI",
    "execution": "CLOUD_RUN_EXECUTION",
    "service": "K_SERVICE",
    "revision": "K_REVISION",
    "otel_exporter_otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "otel_metric_export_interval": "OTEL_METRIC_EXPORT_INTERVAL",
}
_KINDS = {"str": str, "int": int, "float": float}


def _variables() -> list[tuple[str, str, type]]:
    """Return (field, environment variable, type) of every setting."""
    return [(f.name, _OWN_NAMES.get(f.name, f"PIX_{f.name.upper()}"), _KINDS[str(f.type)]) for f in fields(Settings)]


def _read(env: Mapping[str, str], variable: str, kind: type) -> object:
    try:
        return kind(env[variable])
    except ValueError:
        raise Misconfigured(f"{variable} is not of type {kind.__name__}") from None
