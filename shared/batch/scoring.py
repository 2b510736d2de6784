"""Rows of features as decisions, by the code that serves: bundle, rules and policy of `shared.scoring`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.batch.inputs import AT, ID, SCHEDULED, Vectors
from shared.batch.trees import by_columns
from shared.errors import Misconfigured
from shared.scoring.bundle import Bundle
from shared.scoring.guarded_model import GuardedModel
from shared.scoring.policy import Decisions, ModelScores, decide
from shared.scoring.rules import Decision, FiredRules, Rule, Rules, by_payee
from shared.scoring.scorer import NO_MODEL
from shared.telemetry.metrics import Metrics

Explained = Literal["stopped", "all"]
"""The Pix that have reasons: those that are stopped, or all, as functions explain them by a model with exact ones."""
_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        (ID, pa.string()),
        ("side", pa.string()),
        (AT, _TIME),
        ("score", pa.float64()),
        ("decision", pa.string()),
        ("hold_until", _TIME),
        ("reasons", pa.list_(pa.string())),
        ("reason_contributions", pa.list_(pa.float64())),
        ("model_version", pa.string()),
    ]
)
"""The columns of a decision, named as those of `pix.scores`."""
_SIDES = pa.array(["PAYER", "PAYEE"])


@dataclass(frozen=True, slots=True)
class Method:
    """The means to decide: the files of a bundle, the rules in force, the period, and the Pix that are explained.

    `since` and `until` are in microseconds, None for no limit: rows initiated from `since` to before `until` count.
    It can be pickled, so a task on another machine decides by the same files.
    """

    files: Mapping[str, bytes]
    rules: Sequence[Rule]
    since: int | None = None
    until: int | None = None
    explained: Explained = "stopped"


class BatchScorer:
    """Decide rows by a model and the rules, as functions do with the control group off.

    A Pix that neither rules nor model stop is an APPROVE, so its columns are made for all such rows at once;
    `policy.decide` decides the others, and all of them where all are explained.
    """

    def __init__(self, method: Method, bundle: Bundle | None = None) -> None:
        """Load the bundle, unless it is given. Raises BundleRefused, Misconfigured."""
        self._bundle = bundle or by_columns(Bundle(method.files), method.files)
        self._rules = Rules(list(method.rules))
        self._model = GuardedModel(Metrics(), time.monotonic)
        self._method = method
        self.features = features_read(self._bundle, self._rules)
        self._vectors = Vectors(self.features)

    def scored(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the decisions on the rows of the period, with the columns of SCHEMA. Raises Misconfigured."""
        rows = self._of_period(rows)
        if not rows.num_rows:
            return pa.RecordBatch.from_pylist([], SCHEMA)
        features = self._vectors.of(rows)
        at = _micros(rows.column(AT))
        ids = rows.column(ID).cast(pa.string())
        sides = _SIDES.take(pa.array(by_payee(features).astype(np.int8)))
        columns = [ids, sides, pa.array(at, _TIME), *self._decided(features, _due(rows, at))]
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)

    def _decided(self, features: NDArray[np.float32], due: NDArray[np.int64]) -> list[pa.Array]:
        """Return the columns of SCHEMA from the score on."""
        n = len(features)
        scored = self._model.score(self._bundle, np.arange(n), features)
        fired = self._rules.apply(features)
        scores = np.full(n, np.nan)
        scores[scored.indexes] = scored.values
        asked = np.flatnonzero(self._needs_policy(features, scores, fired))
        decisions = self._by_policy(features[asked], scores[asked], _at(fired, asked), due[asked])
        return _columns(scores, asked, decisions, self._bundle.version)

    def _needs_policy(
        self, features: NDArray[np.float32], scores: NDArray[np.float64], fired: FiredRules
    ) -> NDArray[np.bool_]:
        if self._method.explained == "all":
            return np.ones(len(features), dtype=bool)
        by_model = self._bundle.thresholds.reached(scores, by_payee(features))
        stopped: NDArray[np.bool_] = np.maximum(fired.severity, by_model) != Decision.APPROVE
        return stopped | np.isnan(scores)

    def _by_policy(
        self, features: NDArray[np.float32], scores: NDArray[np.float64], fired: FiredRules, due: NDArray[np.int64]
    ) -> Decisions:
        sound = np.flatnonzero(~np.isnan(scores))
        models = [ModelScores(self._bundle, sound, scores[sound], self._model.reasons)] if len(scores) else []
        found = decide(features, models, fired, due)
        for score, reasons, contributions in zip(found.scores, found.reasons, found.contributions, strict=True):
            if score is None:
                reasons.append(NO_MODEL)
                contributions.append(0.0)
        return found

    def _of_period(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of the period. Raises Misconfigured if one has no id or no time."""
        if rows.column(ID).null_count or rows.column(AT).null_count:
            raise Misconfigured(f"a row has no {ID} or no {AT}")
        at = _micros(rows.column(AT))
        kept = np.ones(len(at), dtype=bool)
        if self._method.since is not None:
            kept &= at >= self._method.since
        if self._method.until is not None:
            kept &= at < self._method.until
        return rows if kept.all() else rows.filter(pa.array(kept))


def features_read(bundle: Bundle, rules: Rules) -> list[str]:
    """Return the names of the features that decide: those of the model and of the rules, and the side."""
    return list(dict.fromkeys([*bundle.features_read, *rules.features]))


def _columns(
    scores: NDArray[np.float64], asked: NDArray[np.intp], decisions: Decisions, version: str
) -> list[pa.Array]:
    """Return the columns of n decisions; those not `asked` about are approved, and have no reasons."""
    n = len(scores)
    sound = ~np.isnan(scores)
    places = np.full(n, len(asked), dtype=np.int32)
    places[asked] = np.arange(len(asked), dtype=np.int32)
    at = pa.array(places)
    names = pa.array([*decisions.decisions, Decision.APPROVE.name], pa.string())
    held = pa.array([*decisions.hold_until, None], _TIME)
    reasons = pa.array([*decisions.reasons, []], pa.list_(pa.string()))
    contributions = pa.array([*decisions.contributions, []], pa.list_(pa.float64()))
    versions = pc.if_else(pa.array(sound), pa.scalar(version), pa.scalar(None, pa.string()))
    columns = [each.take(at) for each in (names, held, reasons, contributions)]
    return [pa.array(scores, mask=~sound), *columns, versions]


def _at(fired: FiredRules, asked: NDArray[np.intp]) -> FiredRules:
    return FiredRules(fired.severity[asked], [fired.codes[i] for i in asked.tolist()])


def _due(rows: pa.RecordBatch, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the times in microseconds at which Pix are to be sent [n]."""
    if SCHEDULED not in rows.schema.names:
        return at
    return np.maximum(at, _micros(rows.column(SCHEDULED)))


def _micros(times: pa.Array) -> NDArray[np.int64]:
    """Return timestamps as microseconds [n]; NULL is 0."""
    whole = times.cast(pa.timestamp("us", tz=times.type.tz)).cast(pa.int64())
    found: NDArray[np.int64] = pc.fill_null(whole, 0).to_numpy(zero_copy_only=False)
    return found
