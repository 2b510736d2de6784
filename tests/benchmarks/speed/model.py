"""The model of all measured servers: boosted trees on all features of simulated history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.contract.event import Event, micros
from shared.contract.feedback import PixReport, decode_feedback
from shared.contract.fields import Verdict
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.topics import FEEDBACK, TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.features.catalogue import FEATURE_NAMES
from shared.features.columns import Columns
from shared.features.facts import VerdictCount, verdict_facts
from shared.features.history import MemoryHistory
from shared.features.vector import feature_matrix
from shared.learning import config
from shared.learning.training.export import onnx_bytes
from shared.learning.training.packing import BundleParts, pack, sealed
from shared.learning.training.train import raw_scores
from shared.scoring.bundle import Calibration, Manifest
from shared.scoring.thresholds import SideThresholds, Thresholds
from shared.settings import LOCAL_HMAC_KEY
from tests.benchmarks.speed.events import lines
from tests.unit.lives import settle

VERSION = "bench"
TREES = 200
CANDIDATE = "boosting"
CONFIG = Path(__file__).resolve().parents[3] / "jobs" / "config.yaml"
_TRANSACTIONS, _DAYS = 40_000, 30
_BATCH = 512
_HELD, _REJECTED = 0.005, 0.0005  # shares of transactions


class Trained(NamedTuple):
    """A classifier, its training vectors [n, F], and its bundle."""

    model: Any
    features: NDArray[np.float32]
    bundle: dict[str, bytes]


def train() -> Trained:
    """Train on the simulator's frauds within seconds; speed matters here, not quality."""
    features, fraud = _examples()
    unknown = np.isnan(features).all(axis=0)  # scikit-learn bins no column without values
    model = HistGradientBoostingClassifier(**_shipped(), random_state=0).fit(np.where(unknown, 0, features), fraud)
    hold, reject = np.quantile(raw_scores(model, features), (1 - _HELD, 1 - _REJECTED)).tolist()
    identity = Calibration([0.0, 1.0], [0.0, 1.0])
    thresholds = SideThresholds(payer=Thresholds(hold, reject), payee=Thresholds(hold, reject))
    exported = onnx_bytes(model, len(FEATURE_NAMES))
    parts = BundleParts(model, exported, FEATURE_NAMES, identity, thresholds, features[:: len(features) // 100][:100])
    made = dt.datetime(2025, 1, 1, tzinfo=dt.UTC).isoformat()
    return Trained(model, features, sealed(pack(parts, features[-5000:], seed=0), Manifest(VERSION, made, {})))


def _shipped() -> dict[str, Any]:
    """Return the default parameters of retraining, with a fixed number of trees."""
    candidates = config.load(CONFIG).candidates
    params = next(candidate.params for candidate in candidates if candidate.name == CANDIDATE)
    own = {name: value for name, value in params.items() if name in HistGradientBoostingClassifier().get_params()}
    return {**own, "max_iter": TREES, "early_stopping": False}


def _examples() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return point-in-time vectors [n, F] and confirmed frauds [n]; every Pix settles."""
    history, vectors = MemoryHistory(), []
    fraud: dict[str, bool] = {}
    for events, reports in _batches():
        columns = Columns.of(events)
        reads = history.observe(columns)[0]
        vectors.append(feature_matrix(columns, reads))
        settle(history, columns, reads)
        fraud.update((event.end_to_end_id, False) for event in events)
        history.count(verdict_facts([report for _, report in reports]))
        fraud.update((id_, report.fraud) for id_, report in reports)
    return np.concatenate(vectors), np.array(list(fraud.values()))


def _batches() -> Iterator[tuple[list[Event], list[tuple[str, VerdictCount]]]]:
    """Yield batches of transactions, and the verdicts received in the meantime with their EndToEndIds."""
    pseudonymiser = Pseudonymiser(LOCAL_HMAC_KEY.encode())
    known: dict[str, Event] = {}
    events, reports = [], []
    for line in lines(_TRANSACTIONS, seed=8, days=_DAYS, customers=None):
        if line.topic == TRANSACTIONS:
            event = event_of(decode_transaction(bytes(line.data)).value, pseudonymiser)
            known[event.end_to_end_id] = event
            events.append(event)
        elif line.topic == FEEDBACK:
            feedback = decode_feedback(bytes(line.data)).value
            if isinstance(feedback, PixReport) and feedback.verdict is not Verdict.PENDING:
                reports.append((feedback.end_to_end_id, _report(known[feedback.end_to_end_id], feedback)))
        if len(events) == _BATCH:
            yield events, reports
            events, reports = [], []
    yield events, reports


def _report(event: Event, feedback: PixReport) -> VerdictCount:
    fraud = feedback.verdict is Verdict.FRAUD
    return VerdictCount(event.payer_id, event.payee_id, event.device_id, micros(feedback.reported_at), fraud)
