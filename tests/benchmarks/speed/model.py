"""The model of all measured servers: boosted trees on all features of simulated history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from shared.contract.event import Event
from shared.contract.feedback import decode_feedback
from shared.contract.fields import Verdict
from shared.contract.mapping import event_of, feedback_row
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow
from shared.contract.topics import FEEDBACK, TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.features.catalogue import FEATURE_NAMES
from shared.features.columns import Columns
from shared.features.history import MemoryHistory
from shared.features.vector import feature_matrix
from shared.features.verdicts import VerdictLog, facts_of, in_force, pix_key
from shared.learning import config
from shared.learning.training.export import onnx_bytes
from shared.learning.training.packing import BundleParts, pack, sealed
from shared.learning.training.train import raw_scores
from shared.ports import Parties
from shared.scoring.bundle import Calibration, Manifest, SideThresholds, Thresholds
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
    model = HistGradientBoostingClassifier(**_shipped(), random_state=0).fit(features, fraud)
    hold, reject = np.quantile(raw_scores(model, features), (1 - _HELD, 1 - _REJECTED)).tolist()
    identity = Calibration([0.0, 1.0], [0.0, 1.0])
    thresholds = SideThresholds(payer=Thresholds(hold, reject), payee=Thresholds(hold, reject))
    parts = BundleParts(model, onnx_bytes(model, len(FEATURE_NAMES)), FEATURE_NAMES, identity, thresholds)
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
    history, log, vectors = MemoryHistory(), VerdictLog(), []
    parties: dict[str, Parties] = {}
    for events, reports in _batches():
        columns = Columns.of(events)
        reads, _ = history.observe(columns)
        vectors.append(feature_matrix(columns, reads))
        sold = ~columns.is_return
        settle(history, columns[sold], reads[sold])
        parties |= {each.end_to_end_id: Parties(each.payer_id, each.payee_id, each.device_id) for each in events}
        for row in reports:
            about = {row.end_to_end_id: parties[row.end_to_end_id]} if row.end_to_end_id in parties else {}
            history.count(facts_of(log.tell(row, about, 0)))
    return np.concatenate(vectors), np.array([_is_fraud(log, id_) for id_ in parties])


def _is_fraud(log: VerdictLog, end_to_end_id: str) -> bool:
    reports = log.values.get(pix_key(end_to_end_id))
    verdict = in_force(reports.states) if reports else None
    return verdict is not None and verdict.verdict is Verdict.FRAUD


def _batches() -> Iterator[tuple[list[Event], list[FeedbackRow]]]:
    """Yield batches of transactions, and the reports received in the meantime."""
    pseudonymiser = Pseudonymiser(LOCAL_HMAC_KEY.encode())
    events, reports = [], []
    for line in lines(_TRANSACTIONS, seed=8, days=_DAYS, customers=None):
        if line.topic == TRANSACTIONS:
            events.append(event_of(decode_transaction(bytes(line.data)).value, pseudonymiser))
        elif line.topic == FEEDBACK:
            reports.append(feedback_row(decode_feedback(bytes(line.data)).value, 0, pseudonymiser))
        if len(events) == _BATCH:
            yield events, reports
            events, reports = [], []
    yield events, reports
