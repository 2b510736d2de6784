"""Settings, read once from the environment by an entry point and passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from shared.errors import Misconfigured

LOCAL_HMAC_KEY = "a-local-key-that-protects-nobody"


MATURITY_DAYS = 87.0
"""80 days to open an infraction report and 7 to analyse it (Regulamento do Pix, MED)."""
POINTER_TTL_SECONDS = 5.0
BATCH_MAX = 256
BATCHES_IN_FLIGHT = 4
CLAIM_SECONDS = 900
"""Longer than the longest pause between two deliveries of a message: 60 s to acknowledge and 600 s of back-off."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs from one deployment to the next; each field names its environment variable.

    `hmac_key` comes from Secret Manager; only what makes pseudonyms has to have it.
    `deadline_seconds` is how long after its initiation a Pix is scored in time, `ahead_seconds` how far in the future
    a message may say it happened: one of next year would make all history until then look old.
    `batch_max` messages are worked on together, `batches_in_flight` times; batches follow each other at a distance of
    at most `batch_linger_seconds`, or once `batch_enough` messages wait. As many wait as are worked on (`queue_max`),
    so who waits is through after two rounds. What has waited for `queue_seconds` is refused: with a store of history,
    a lookup of `lookup_seconds` and an append that take all their time, each twice if it is tried twice, it would be
    late for Pub/Sub's ack deadline of 60 s.
    `drain_seconds` are what Cloud Run leaves after SIGTERM (10 s), less the time to export and to stop.
    Batches within `log_seconds` share a line in the log; 0 gives each its own.
    `bucket` holds models, `data_bucket` rows: training sets, and what passes through on its way in or out.
    Metrics go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, every `otel_metric_export_interval` ms.
    `state_pause_seconds` is how long a store that does not answer is left alone until one call sees if it is back.
    `state` is memory:// or the address of a Valkey or Redis, redis://host:port; the names after it are about that.
    """

    project: str
    hmac_key: str = ""
    hmac_key_version: int = 1
    dataset: str = "pix"
    bucket: str = "pix-models"
    data_bucket: str = "pix-data"
    state: str = "memory://"
    state_connect_seconds: float = 0.25
    state_call_seconds: float = 0.5
    state_pause_seconds: float = 2.0
    state_claim_seconds: int = CLAIM_SECONDS
    state_record_days: int = 180
    deadline_seconds: float = 40.0
    ahead_seconds: float = 86_400.0
    pointer_ttl_seconds: float = POINTER_TTL_SECONDS
    maturity_days: float = MATURITY_DAYS
    batch_max: int = BATCH_MAX
    batches_in_flight: int = BATCHES_IN_FLIGHT
    batch_linger_seconds: float = 0.015
    batch_enough: int = 128
    queue_max: int = BATCH_MAX * BATCHES_IN_FLIGHT
    queue_seconds: float = 10.0
    drain_seconds: float = 8.0
    log_seconds: float = 1.0
    append_timeout_seconds: float = 15.0
    lookup_seconds: float = 8.0
    bigquery_emulator_host: str = ""
    """Base URL of a BigQuery emulator's REST API; empty means Google's, with credentials."""
    bigquery_storage_emulator_host: str = ""
    service: str = ""
    revision: str = ""
    otel_exporter_otlp_endpoint: str = ""
    otel_metric_export_interval: int = 60_000

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Return settings from `env`. Raises Misconfigured, naming the variable but never its value."""
        values: dict[str, Any] = {
            name: _read(env, variable, kind) for name, variable, kind in _variables() if env.get(variable)
        }
        missing = [variable for name, variable, _ in _variables() if name in _REQUIRED and name not in values]
        if missing:
            raise Misconfigured(f"set {' and '.join(missing)}")
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """Return the environment that gives these settings."""
        return {variable: str(getattr(self, name)) for name, variable, _ in _variables()}


_REQUIRED = ("project",)
_OWN_NAMES = {
    "project": "GOOGLE_CLOUD_PROJECT",
    "bigquery_emulator_host": "BIGQUERY_EMULATOR_HOST",
    "bigquery_storage_emulator_host": "BIGQUERY_STORAGE_EMULATOR_HOST",
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
