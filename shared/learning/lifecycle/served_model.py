"""A bundle as an MLflow model: `mlflow.pyfunc.load_model` gives the score that is served.

MLflow stores this package beside the bundle and calls `_load_pyfunc`; nothing is unpickled. It puts its copy first on
the path, so what a process imports of `shared` after that is of the version that the model came with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.features.catalogue import FEATURE_NAMES
from shared.scoring.bundle import Bundle


class ServedModel:
    """Calibrated probabilities of fraud for a data frame with one column for each input of the model."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> NDArray[np.float64]:  # noqa: ARG002
        """Return scores [n]; MLflow fixes the signature."""
        vectors = np.full((len(model_input), len(FEATURE_NAMES)), np.nan, dtype=np.float32)
        places = [FEATURE_NAMES.index(name) for name in self._bundle.feature_names]
        vectors[:, places] = model_input[self._bundle.feature_names].to_numpy(dtype=np.float32)
        return self._bundle.score(vectors)


def _load_pyfunc(data_path: str) -> ServedModel:
    return ServedModel(Bundle({file.name: file.read_bytes() for file in Path(data_path).iterdir()}))
