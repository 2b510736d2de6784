"""A bundle as an MLflow model: `mlflow.pyfunc.load_model` returns a model that computes the served score.

MLflow stores this package with the bundle and calls `_load_pyfunc`; nothing is unpickled. It puts its copy first on
the path, so a process that then imports `shared` imports the version stored with the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.scoring.bundle import Bundle


class ServedModel:
    """Calibrated probabilities of fraud for a data frame with one column for each input of the model."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> NDArray[np.float64]:  # noqa: ARG002 (MLflow fixes the signature)
        """Return scores [n]; `params` is ignored."""
        inputs = model_input[self._bundle.feature_names].to_numpy(dtype=np.float32)
        return self._bundle.score(self._bundle.vectors(inputs))


def _load_pyfunc(data_path: str) -> ServedModel:
    return ServedModel(Bundle({file.name: file.read_bytes() for file in Path(data_path).iterdir()}))
