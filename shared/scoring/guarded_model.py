"""A model that may fail: only the transactions that it cannot score are without a score."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared.scoring.bundle import Bundle
from shared.scoring.policy import ModelScores, Reasons, strongest
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import MODEL_FAILURES, Metric, Metrics

log = logging.getLogger(__name__)

NOT_FINITE = "an answer is not finite"


class GuardedModel:
    """Score and explain by a bundle, and count its failures; none of them fails a transaction.

    A failure is a score or contribution that is not finite, or an exception of any kind: a runtime's errors have no
    common base. The log names the kind of an exception and never its text, which may hold values of the transaction.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], float],
        failures: Metric = MODEL_FAILURES,
        incident: Incident | None = None,
    ) -> None:
        """`failures` counts them, and `incident` logs them."""
        self._metrics = metrics
        self._failures = failures
        self._incident = incident or Incident(log, "model failed", clock)

    def score(self, bundle: Bundle, indexes: NDArray[np.int64], features: NDArray[np.float32]) -> ModelScores:
        """Return the scores of the transactions at `indexes` [k] with vectors [k, F]; those that fail are left out.

        The same model fails on the same vector again, so a redelivery is left out too.
        """
        values = self._isolated(bundle, bundle.score, features, np.array(np.nan))
        sound = np.isfinite(values)
        if sound.all():
            self._incident.resolve()
            return ModelScores(bundle, indexes, values, self.reasons)
        self._metrics.add(self._failures, len(values) - int(np.count_nonzero(sound)), "score")
        return ModelScores(bundle, indexes[sound], values[sound], self.reasons)

    def reasons(self, bundle: Bundle, vectors: NDArray[np.float32]) -> list[Reasons]:
        """Return the reasons of scores as `model_reasons` does, none of one that the model cannot explain."""
        nothing = np.full(len(bundle.reason_codes), np.nan)
        found = self._isolated(bundle, bundle.contributions, vectors, nothing)
        sound = _finite(found)
        if not sound.all():
            self._metrics.add(self._failures, len(found) - int(np.count_nonzero(sound)), "reasons")
            found[~sound] = np.nan
        return strongest(bundle.reason_codes, found)

    def _isolated(
        self,
        bundle: Bundle,
        call: Callable[[NDArray[np.float32]], NDArray[np.float64]],
        features: NDArray[np.float32],
        failed: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the values of a call for vectors [k, F]; `failed` are those of one on which it raises.

        A call that raises is halved until the vector at fault is isolated.
        """
        try:
            values = call(features)
        except Exception as error:  # noqa: BLE001 (no fault of one transaction may fail the rest of its batch)
            half = len(features) // 2
            if half:
                parts = (features[:half], features[half:])
                return np.concatenate([self._isolated(bundle, call, part, failed) for part in parts])
            self._incident.trigger(len(features), version=bundle.version, reason=type(error).__name__)
            return np.repeat(failed[np.newaxis], len(features), axis=0)
        if wrong := int(np.count_nonzero(~_finite(values))):
            self._incident.trigger(wrong, version=bundle.version, reason=NOT_FINITE)
        return values


def _finite(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether the values of each row are finite, for [k] or [k, width]."""
    finite: NDArray[np.bool_] = np.isfinite(values)
    return finite if values.ndim == 1 else np.logical_and.reduce(finite, axis=1)
