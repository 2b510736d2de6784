"""A model that may fail: only the transactions that it cannot score are without a score."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared.scoring.bundle import Bundle
from shared.scoring.policy import ModelScores, model_reasons
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import MODEL_FAILURES, Metrics

log = logging.getLogger(__name__)

NOT_FINITE = "the score is not finite"


class GuardedModel:
    """Score and explain by a bundle, and count its failures; none of them fails a transaction.

    A failure is a score that is not finite, or an exception of any kind: a runtime's errors have no common base. The
    log names the kind of an exception and never its text, which may hold values of the transaction.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._incident = Incident(log, "model failed", clock)

    def score(self, bundle: Bundle, indexes: NDArray[np.int64], features: NDArray[np.float32]) -> ModelScores:
        """Return the scores of the transactions at `indexes` [k] with vectors [k, F]; those that fail are left out.

        The same model fails on the same vector again, so a redelivery is left out too.
        """
        values = self._values(bundle, features)
        sound = np.isfinite(values)
        if sound.all():
            self._incident.resolve()
            return ModelScores(bundle, indexes, values, self.reasons)
        self._metrics.add(MODEL_FAILURES, len(values) - int(np.count_nonzero(sound)), "score")
        return ModelScores(bundle, indexes[sound], values[sound], self.reasons)

    def reasons(self, bundle: Bundle, vector: NDArray[np.float32]) -> list[str]:
        """Return the reasons of a score as `model_reasons` does, none if the model cannot explain it."""
        try:
            return model_reasons(bundle, vector)
        except Exception as error:  # noqa: BLE001 (a decision without the model's reasons is better than none)
            self._incident.trigger(version=bundle.version, reason=type(error).__name__)
            self._metrics.add(MODEL_FAILURES, 1, "reasons")
            return []

    def _values(self, bundle: Bundle, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return scores [k], not finite where the model fails; a call that raises is halved until it is isolated."""
        try:
            values = bundle.score(features)
        except Exception as error:  # noqa: BLE001 (no fault of one transaction may fail the rest of its batch)
            half = len(features) // 2
            if half:
                return np.concatenate([self._values(bundle, features[:half]), self._values(bundle, features[half:])])
            self._incident.trigger(len(features), version=bundle.version, reason=type(error).__name__)
            return np.full(len(features), np.nan)
        if wrong := int(np.count_nonzero(~np.isfinite(values))):
            self._incident.trigger(wrong, version=bundle.version, reason=NOT_FINITE)
        return values
