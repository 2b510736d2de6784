"""Plot simulated days."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from infra.capacity.autoscaling import Counts, SimulatedDay

_MINUTE = 60
_WIDTH, _HEIGHT = 4.2, 7.5


def picture(days: Mapping[str, SimulatedDay], title: str) -> bytes:
    """Return a PNG with a column for each option: Pix a second, instances and age of the oldest message by hour."""
    figure = Figure(figsize=(_WIDTH * len(days), _HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(days), sharex=True, squeeze=False)
    for column, (name, day) in enumerate(days.items()):
        rate, instances, age = axes[:, column]
        hours = np.arange(len(day.arrived) // _MINUTE) * _MINUTE / 3600
        rate.set_title(name)
        rate.plot(hours, _of_minutes(day.arrived, "mean"), label="published")
        rate.plot(hours, _of_minutes(day.acknowledged, "mean"), label="acknowledged", linestyle="--")
        instances.plot(hours, _of_minutes(day.instances, "max"), color="tab:green")
        age.plot(hours, _of_minutes(day.age, "max"), color="tab:red")
        age.set_xlabel("local hour")
        for axis in (rate, instances, age):
            axis.set_ylim(bottom=0)  # no shared scale: options differ by orders of magnitude
    for row, label in zip(axes[:, 0], ("Pix a second", "instances", "oldest message (s)"), strict=True):
        row.set_ylabel(label)
    axes[0, 0].legend()
    figure.suptitle(title)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _of_minutes(values: Counts, how: str) -> NDArray[np.float64]:
    """Reduce seconds to minutes by `how`: "mean" or "max"."""
    minutes = values[: len(values) // _MINUTE * _MINUTE].reshape(-1, _MINUTE).astype(np.float64)
    reduced: NDArray[np.float64] = minutes.mean(axis=1) if how == "mean" else minutes.max(axis=1)
    return reduced
