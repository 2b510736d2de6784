"""Labelled examples with a learnable signal, in the form of the training query's result."""

from __future__ import annotations

import copy
import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.adapters.memory.learning import MemoryArchive, MemoryExports, MemoryLedger, MemoryQueries, MemoryRuns
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import micros
from shared.contract.rows import FEATURE_PREFIX, LedgerRow
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.learning import config
from shared.learning.data.dataset import TrainingSource
from shared.learning.data.defects import RANGES
from shared.learning.data.key_columns import Categories
from shared.learning.data.quality import QualityReport
from shared.learning.data.split import DAY
from shared.learning.data.training_query import FACTS
from shared.learning.lifecycle.comparisons import ACTIONS, DayComparison, comparison_row
from shared.learning.lifecycle.request import Promote, Request
from shared.learning.lifecycle.retraining import Services
from shared.learning.ports import ReportProgress
from shared.scoring.rules import Rules

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAYS = 60
AS_OF = START + dt.timedelta(days=DAYS)
ALWAYS = dt.timedelta(days=3650)
CONFIG = config.load(Path(config.__file__).parents[2] / "jobs" / "config.yaml")
QUICK = config.load(Path(__file__).with_name("quick.yaml"))


def examples(rows: int = 6_000, seed: int = 0, fraud_share: float = 0.03) -> pa.Table:
    """Return rows over DAYS days; three features carry the signal, one has no values, one is constant."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, len(FEATURE_NAMES))).astype(np.float32)
    features[rng.random(features.shape) < 0.1] = np.nan
    risk = np.nansum(features[:, 10:13], axis=1)
    fraud = risk + rng.gumbel(scale=0.7, size=rows) > np.quantile(risk + 0.4, 1 - fraud_share)
    features[:, -1] = np.nan
    features[:, -2] = 1.0
    for j, feature in enumerate(FEATURES):
        features[:, j] = _in_range(features[:, j], *RANGES.get(feature.unit, (-np.inf, np.inf)))
    # Else rules would reject most rows.
    within_limits = [
        FEATURE_NAMES.index(f"{name}_left") for name in ("day_limit", "device_limit", "device_day_limit")
    ]
    features[:, within_limits] = np.abs(features[:, within_limits])
    unmarked = [FEATURE_NAMES.index(name) for name in ("owner_markers", "dict_markers_d90")]
    features[:, unmarked] = np.mod(features[:, unmarked], 1)
    at = micros(START) + np.sort(rng.integers(0, DAYS * DAY, rows))
    return pa.table(
        {
            "end_to_end_id": [f"E12345678{i:023d}" for i in range(rows)],
            "initiated_at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "amount": rng.lognormal(5, 1, rows).round(2) + 0.01,
            "verdict": np.where(fraud, "FRAUD", "LEGITIMATE"),
            "sampling_rate": np.ones(rows),
            "decision": ["APPROVE"] * rows,
            "policy_decision": pa.nulls(rows, pa.string()),
            "control_probability": pa.nulls(rows, pa.float64()),
            "side": rng.choice(["PAYER", "PAYEE"], rows, p=[0.8, 0.2]),
            "payer_ispb": rng.choice(["00000000", "12345678", "60701190"], rows),
            "payee_ispb": rng.choice(["00000000", "12345678"], rows),
            "initiation_form": rng.choice(["DICT", "MANU", "QRDN"], rows),
            "fraud_type": np.where(fraud, rng.choice(["MULE_ACCOUNT", "SCAMMER_ACCOUNT"], rows), None),
            "situation_type": np.where(fraud, rng.choice(["SCAM", "ACCOUNT_TAKEOVER"], rows), None),
            "payee_id": np.where(fraud, rng.choice([f"account-{i}" for i in range(rows // 20)], rows), None),
            "funds_recovery_id": pa.nulls(rows, pa.string()),
            "hop": np.where(fraud, rng.choice(["root", "later hop"], rows, p=[0.9, 0.1]), None),
            **{
                FEATURE_PREFIX + name: pa.array(features[:, j].astype(float), from_pandas=True)
                for j, name in enumerate(FEATURE_NAMES)
            },
        }
    ).take(rng.permutation(rows))


def stopped(rows: int, seed: int = 1) -> pa.Table:
    """Return decisions of the last days without a label, in the form of the query of them."""
    table = examples(10 * rows + 100, seed).sort_by("initiated_at").slice(9 * rows, rows)
    table = table.select([name for name in table.column_names if name not in ("verdict", "sampling_rate")])
    table = table.set_column(table.schema.get_field_index("decision"), "decision", pa.array(["REJECT"] * rows))
    for name, values in (
        ("score", pa.array(np.linspace(0.3, 0.9, rows))),
        ("pix", pa.array(np.arange(rows))),
        ("found", pa.array(np.full(rows, 2 * rows))),
    ):
        table = table.append_column(name, values)
    return table


def _in_range(column: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map values to a range by an increasing function."""
    if np.isinf(low):
        return column
    above: np.ndarray = np.exp(column) if np.isinf(high) else (high - low) / (1 + np.exp(-column))
    return low + above


def facts(rows: int) -> dict[str, Categories]:
    """Return facts that put all rows in the same segments."""
    return {name: Categories(("",), np.zeros(rows, dtype=np.int32)) for name in FACTS}


UNCHECKED = QualityReport(0, 0, 0, 0.0, 1.0, None, None, {}, [])
"""The report of a training set without checks."""


COUNTS = [
    {"side": "PAYER", "decision": "REJECT", "policy": "REJECT", "reason": "UNPAID", "rows": 1_234},
    {"side": "PAYER", "decision": "REJECT", "policy": "REJECT", "reason": None, "rows": 1_234},
    {"side": "PAYEE", "decision": "BLOCK", "policy": "BLOCK", "reason": "ENDED", "rows": 7},
    {"side": "PAYEE", "decision": "BLOCK", "policy": "BLOCK", "reason": None, "rows": 93},
]
"""Rows of the query of decisions by whether they have a label."""


COMPARED = DayComparison(START, AS_OF, 6_000, 0, [])
"""A comparison of all examples with a replay, which found no difference."""


class Bench:
    """A retraining's world in memory, with a clock that moves a second each time it is read."""

    def __init__(self, table: pa.Table | None = None) -> None:
        self.exports = MemoryExports(examples() if table is None else table, 3, {"AS unjudged": stopped(0)})
        self.blobs = MemoryBlobs(self.now)
        self.runs = MemoryRuns(self.now)
        self.archive = MemoryArchive()
        self.ledger = MemoryLedger()
        self.ledger.append(comparison_row(COMPARED, START, "tests"))
        self.rows: list[LedgerRow] = self.ledger.stored
        self._seconds = 0

    def services(self) -> Services:
        source = TrainingSource(self.exports, MemoryQueries(self.counted), "p", "pix", maturity_days=0)
        return Services(
            source=source,
            bucket="models",
            blobs=self.blobs,
            shelf=self.blobs,
            archive=self.archive,
            runs=self.runs,
            registry=self.runs,
            ledger=self.ledger,
            rules=Rules.load(),
            clock=self.now,
            provenance={"commit": "0123abcd", "image": "jobs@sha256:4567", "library.numpy": "2.0"},
        )

    def counted(self, sql: str, _: object) -> list[dict[str, Any]]:
        """Answer each query: the sample is complete, and holds the table, and some decisions have no label."""
        if "AS reason" in sql:
            return COUNTS
        frauds = pc.sum(pc.equal(self.exports.table["verdict"], "FRAUD")).as_py() or 0
        rows = len(self.exports.table)
        return [
            {
                "rows": rows,
                "labels": rows,
                "frauds": frauds,
                "kept": frauds,
                "first_at": START,
                "first": START,
                "last": AS_OF + ALWAYS,
                "now": self.now(),
            }
        ]

    def now(self) -> dt.datetime:
        self._seconds += 1
        return AS_OF + dt.timedelta(seconds=self._seconds)

    def forward(self, time: dt.timedelta) -> None:
        """Let time pass."""
        self._seconds += round(time.total_seconds())

    def events(self) -> list[LedgerRow]:
        """Return the rows of the ledger but those of comparisons."""
        return [row for row in self.rows if row.action not in ACTIONS]

    def actions(self) -> list[str]:
        """Return the actions of these rows."""
        return [row.action for row in self.events()]

    def copy(self) -> Bench:
        """Return another world in the same state; a table never changes, and a lock is of one world."""
        table, lock = self.exports.table, self.blobs._lock
        return copy.deepcopy(self, {id(table): table, id(lock): threading.Lock()})


def request(promote: Promote = "gate") -> Request:
    return Request(AS_OF, "manual", "tests", promote)


@contextmanager
def silent(name: str) -> Iterator[ReportProgress]:  # noqa: ARG001  # a name of the protocol
    """Display no progress."""
    yield lambda _done, _total, _status: None
