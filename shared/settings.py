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
CLAIM_SECONDS = 900
"""Longer than the longest pause between two deliveries of a message: 60 s to acknowledge and 600 s of back-off."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs from one deployment to the next; each field names its environment variable.

    `hmac_key` comes from Secret Manager; only what makes pseudonyms has to have it.
    `deadline_seconds` is how long after its initiation a Pix is scored in time, `ahead_seconds` how far in the future
    a message may say it happened: one of next year would make all history until then look old.
    `state` is memory:// or the address of a Valkey or Redis, redis://host:port; the names after it are about that.
    """

    project: str
    hmac_key: str = ""
    hmac_key_version: int = 1
    dataset: str = "pix"
    bucket: str = "pix-models"
    state: str = "memory://"
    state_connect_seconds: float = 0.25
    state_call_seconds: float = 0.5
    state_claim_seconds: int = CLAIM_SECONDS
    state_record_days: int = 180
    deadline_seconds: float = 40.0
    ahead_seconds: float = 86_400.0
    pointer_ttl_seconds: float = POINTER_TTL_SECONDS
    maturity_days: float = MATURITY_DAYS
    batch_max: int = 256
    batches_in_flight: int = 4
    append_timeout_seconds: float = 20.0
    bigquery_storage_emulator_host: str = ""

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
    "bigquery_storage_emulator_host": "BIGQUERY_STORAGE_EMULATOR_HOST",
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
