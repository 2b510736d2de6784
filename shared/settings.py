"""Settings: read once from the environment, by an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from shared.contract.pseudonyms import SHARD_PART, shard_key_of
from shared.errors import Misconfigured
from shared.setting_limits import KEY_BYTES, LIMITS

LOCAL_HMAC_KEY = "a-local-key-that-protects-nobody"
"""Key of the local cloud and of benchmarks; production has its own in Secret Manager."""
MATURITY_DAYS = 87.0
"""80 days to open an infraction report and 7 to analyse it (Regulamento do Pix, MED)."""
ASSUMED, PUBLISHED = OUTCOMES = ("assumed", "published")
"""Settings of `Settings.outcomes`: an approved Pix has settled, or `pix-outcomes` says which did."""
ALL, STOPPED, NOTHING = PUBLISHED_DECISIONS = ("all", "stopped", "none")
"""Settings of `Settings.publish_decisions`."""
RELEASE, REFUSE = UNREVIEWED_HOLDS = ("release", "refuse")
"""Settings of `Settings.unreviewed_holds`."""
FUNCTION, PLATFORM = OIDC_BY = ("function", "platform")
"""Settings of `Settings.oidc_by`."""
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
    hmac_key_next: str = field(default="", repr=False)
    """Key that is to follow `hmac_key`; while it is set, rows carry the pseudonyms under both.

    Empty, the default, unless the key is about to be changed. Where history has several shards, both end in the same
    `.shards.` and shard key (`shared.contract.pseudonyms`), so that each record stays on its shard.
    """
    hmac_key_version: int = 1
    """Version of `hmac_key`, stored in each row: pseudonyms of two versions do not match."""
    dataset: str = "pix"
    """BigQuery dataset of all tables."""
    bucket: str = "pix-models"
    """Bucket of model bundles and of the pointer to the champion."""
    model_keys: str = ""
    """Public keys whose signatures make a model serve (PIX_MODEL_KEYS): Ed25519 or P-256, with commas between them.

    Each is a SubjectPublicKeyInfo in base64 (`shared.scoring.signature.public_keys`). Two while the key is changed;
    without any, nothing in the bucket is trusted, and rules alone decide.
    """
    model_signer: str = ""
    """Key that signs models (PIX_MODEL_SIGNER): a key version of Cloud KMS, or a file with a private key of Ed25519.

    Empty, the default, where models are only read: such a process can publish, promote and switch nothing.
    """
    data_bucket: str = "pix-data"
    """Bucket of rows: training sets, and files on their way in or out of BigQuery."""
    state: str = "memory://"
    """Store of history: memory://, or redis:// or valkey://host:port (rediss://, valkeys:// with TLS).

    A cluster is named by any of its nodes, as valkey-cluster:// (redis-cluster://; valkeys-cluster:// with TLS). With
    `?auth=google` the client sends a token of its account, as Memorystore asks for one.

    The default keeps history in the process, for one instance without a server.
    """
    state_shards: int = 1
    """Shards of history in a cluster, up to 64, each on one primary: three for each primary leave room to add some.

    Another number finds none of the records: history has to be rebuilt. One suits a server alone.
    """
    state_connect_seconds: float = 0.25
    """Seconds to connect to the store, which is in the same network."""
    state_call_seconds: float = 0.5
    """Seconds in which the store answers no call; a batch that waits for it then is scored without history.

    A call of a store that answers others may take three times as long: it works on one after the other.
    """
    state_pause_seconds: float = 2.0
    """Seconds without calls to a store that does not answer, before one call tries it again; 0: no pause."""
    state_message_days: int = 21
    """Days that a claim is kept until its row is stored: 7 of retention in Pub/Sub, and 14 of the dead letters."""
    state_claim_seconds: int = CLAIM_SECONDS
    """Seconds that the life of a Pix is kept after its last delivery or outcome, once its rows are stored.

    The default is CLAIM_SECONDS.
    """
    late_outcome_seconds: float = 3_600.0
    """Seconds that an outcome whose Pix history has forgotten waits until `jobs.repair` counts all of them together.

    An hour, as most are returns, days after their Pix, and a query for each would cost more than all else.
    """
    state_record_days: int = 180
    """Days after which an untouched record of history expires; after six of the longest half-life 2 % are left."""
    deadline_seconds: float = 40.0
    """Seconds from the initiation of a Pix within which its score is in time."""
    decide_seconds: float = 2.0
    """Seconds for the answer to a question over HTTP whose caller does not say how long it waits.

    A Pix settles within ten seconds, of which the payer's institution has a part.
    """
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
    publish_decisions: str = NOTHING
    """Decisions that are published to `pix-decisions`: ALL, those that are STOPPED (HOLD, BLOCK, REJECT), or NOTHING.

    The default suits where nobody has made the topic.
    """
    unreviewed_holds: str = REFUSE
    """The end that `jobs.expire` gives a hold that nobody reviewed by its deadline: RELEASE or REFUSE.

    The default is the safer one, as a Pix is final.
    """
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
    start_seconds: float = 90.0
    """Seconds that an instance waits at its start for bucket and store, then starts without them; 0: at once.

    The network of a new instance may take a minute; Cloud Run's start-up probe waits for two.
    """
    append_timeout_seconds: float = 15.0
    """Seconds to wait for the answer to an append; see `queue_seconds`."""
    lookup_seconds: float = 8.0
    """Seconds to wait for the lookup of scored transactions; see `queue_seconds`."""
    oidc_audience: str = ""
    """Audience of the OIDC tokens of callers (PIX_OIDC_AUDIENCE), which the function then verifies itself.

    Empty where the platform does (`oidc_by`), and in the local cloud.
    """
    oidc_by: str = FUNCTION
    """Who verifies the tokens of callers: the FUNCTION, or the PLATFORM, as Cloud Run does by IAM.

    No mark of a platform says it: any Knative sets K_SERVICE. By default no function starts without an audience.
    """
    oidc_accounts: str = ""
    """Addresses of the service accounts that may call, with commas between them (PIX_OIDC_ACCOUNTS).

    That of the push subscription, or those of the callers of the API.
    """
    bigquery_emulator_host: str = ""
    """Base URL of a BigQuery emulator's REST API (BIGQUERY_EMULATOR_HOST); empty means Google's, with credentials."""
    bigquery_storage_emulator_host: str = ""
    """Address of an emulator of the Storage Write API (BIGQUERY_STORAGE_EMULATOR_HOST); empty means Google's."""
    pubsub_emulator_host: str = ""
    """Address of an emulator of Pub/Sub (PUBSUB_EMULATOR_HOST); empty means Google's."""
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
        if self.publish_decisions not in PUBLISHED_DECISIONS:
            raise Misconfigured(f"PIX_PUBLISH_DECISIONS is none of {', '.join(PUBLISHED_DECISIONS)}")
        if self.unreviewed_holds not in UNREVIEWED_HOLDS:
            raise Misconfigured(f"PIX_UNREVIEWED_HOLDS is none of {', '.join(UNREVIEWED_HOLDS)}")
        if self.oidc_by not in OIDC_BY:
            raise Misconfigured(f"PIX_OIDC_BY is none of {', '.join(OIDC_BY)}")
        if bool(self.oidc_audience) != bool(self.oidc_accounts):
            raise Misconfigured("PIX_OIDC_AUDIENCE and PIX_OIDC_ACCOUNTS are to be set together")
        if 0 < len(self.hmac_key.encode()) < KEY_BYTES:
            raise Misconfigured(f"PIX_HMAC_KEY is shorter than {KEY_BYTES} bytes")
        self._check_shard_keys()
        self._check_next_key()
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
        for key, variable in ((settings.hmac_key, "PIX_HMAC_KEY"), (settings.hmac_key_next, "PIX_HMAC_KEY_NEXT")):
            if key == LOCAL_HMAC_KEY and not settings.has_emulator:
                raise Misconfigured(f"{variable} is the public key of the local cloud, and no emulator is set")
        return settings

    def _check_shard_keys(self) -> None:
        for key, variable in ((self.hmac_key, "PIX_HMAC_KEY"), (self.hmac_key_next, "PIX_HMAC_KEY_NEXT")):
            shard_key = shard_key_of(key.encode())
            if shard_key is not None and min(len(shard_key), key.index(SHARD_PART)) < KEY_BYTES:
                raise Misconfigured(f"{variable} has less than {KEY_BYTES} bytes before or after {SHARD_PART}")

    def _check_next_key(self) -> None:
        if not self.hmac_key_next:
            return
        if len(self.hmac_key_next.encode()) < KEY_BYTES:
            raise Misconfigured(f"PIX_HMAC_KEY_NEXT is shorter than {KEY_BYTES} bytes")
        if not self.hmac_key:
            raise Misconfigured("PIX_HMAC_KEY_NEXT is set without PIX_HMAC_KEY, the key that it follows")
        if self.hmac_key_next == self.hmac_key:
            raise Misconfigured("PIX_HMAC_KEY_NEXT is PIX_HMAC_KEY: unset it once it is the key in force")
        shard_keys = [shard_key_of(key.encode()) for key in (self.hmac_key, self.hmac_key_next)]
        if self.state_shards > 1 and (None in shard_keys or shard_keys[0] != shard_keys[1]):
            # Rows tell the places on the shards of the former ids, so the new ones have to be on the same.
            raise Misconfigured(
                f"PIX_HMAC_KEY_NEXT moves records to other shards: {SHARD_PART} and one shard key must end both keys"
            )

    @property
    def has_emulator(self) -> bool:
        """Return whether BigQuery is an emulator, as in the local cloud."""
        return bool(self.bigquery_emulator_host or self.bigquery_storage_emulator_host)

    def to_env(self) -> dict[str, str]:
        """Return the environment variables of these settings."""
        return {variable: str(getattr(self, name)) for name, variable, _ in _variables()}


_REQUIRED = ("project",)
_OWN_NAMES = {
    "project": "GOOGLE_CLOUD_PROJECT",
    "bigquery_emulator_host": "BIGQUERY_EMULATOR_HOST",
    "bigquery_storage_emulator_host": "BIGQUERY_STORAGE_EMULATOR_HOST",
    "pubsub_emulator_host": "PUBSUB_EMULATOR_HOST",
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
