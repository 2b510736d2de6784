"""How far each feature moves from day to day, and when a move is beyond its habit.

As in `shared.learning.lifecycle.windows`, a day is compared with each one remembered and the least distance counts;
the limit is that of a feature's own movements. Here a move is weighed by the champion's contributions, and each
publisher has a habit of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct

from shared.learning.data.profile import ColumnProfile, Profile
from shared.learning.monitoring.day_inputs import DayInputs
from shared.learning.monitoring.histogram import Histogram, effects_on
from shared.learning.specs.drift import DriftSpec

ROWS_MIN = 100
"""Rows of a publisher on a day below which its shares are chance."""
_LEAST, _SPREAD_MIN = 1e-4, 0.3


class HabitMove(Struct, frozen=True):
    """The move of a feature on a day, in log-odds of the score: of a publisher, or of all (None).

    `limit` is None as long as too few movements are known. `to_habit` compares the two.
    """

    feature: str
    publisher: str | None
    value: float
    limit: float | None
    rows: int

    @property
    def to_habit(self) -> float:
        """The move by its limit, 0 without one."""
        return 0.0 if self.limit is None else self.value / self.limit

    @property
    def is_beyond(self) -> bool:
        """Whether the move is beyond the habit."""
        return self.to_habit > 1


Features = Mapping[str, Histogram]


def moves(day: DayInputs, known: Sequence[DayInputs], profile: Profile, spec: DriftSpec) -> list[HabitMove]:
    """Return the moves of a day against those before it, the farthest beyond its habit first."""
    found = list(_moves(None, day.everybody(), [(each.everybody(), each.rows) for each in known], profile, spec))
    for name, own in day.publishers.items():
        past = [
            (each.publishers[name].features, each.publishers[name].rows) for each in known if name in each.publishers
        ]
        if own.rows >= ROWS_MIN:
            found += _moves(name, own.features, [one for one in past if one[1] >= ROWS_MIN], profile, spec)
    return sorted(found, key=lambda each: (-each.to_habit, -each.value))


def without(day: DayInputs, publisher: str) -> DayInputs:
    """Return a day without the rows of a publisher."""
    rest = {name: own for name, own in day.publishers.items() if name != publisher}
    return DayInputs(day.day, day.version, day.anchors, rest, day.cells)


def _moves(
    publisher: str | None,
    today: Features,
    past: Sequence[tuple[Features, int]],
    profile: Profile,
    spec: DriftSpec,
) -> Iterator[HabitMove]:
    for name, histogram in today.items():
        column = profile.features.get(name)
        if column is None or column.effects is None:
            continue  # its contributions are not known
        before = [one[name] for one, _ in past if name in one]
        if before and any(column.effects):
            value, limit = _move(histogram, before, column, spec)
            yield HabitMove(name, publisher, value, limit, histogram.rows)


def _move(
    today: Histogram, before: Sequence[Histogram], column: ColumnProfile, spec: DriftSpec
) -> tuple[float, float | None]:
    """Return the least distance of a day from those before, and the limit of its habit.

    The habit is that of the days before among themselves, each against those before it.
    """
    edges = sorted(set(today.edges).intersection(*(each.edges for each in before)))
    effects = effects_on(edges, column)
    days = [each.on(edges) for each in (*before, today)]
    shares = np.array([each.shares for each in days])
    expected = shares @ effects
    distance = np.abs(shares[:, np.newaxis] - shares[np.newaxis])  # [day, reference, bin]
    centred = np.abs(effects[np.newaxis] - expected[:, np.newaxis])  # [reference, bin]
    apart = np.einsum("dre,re->dr", distance, centred)
    known = [float(apart[number, :number].min()) for number in range(1, len(days))]
    if len(known) - 1 < spec.movements_min:
        return known[-1], None
    logarithms = np.log(np.maximum(known[:-1], _LEAST))
    spread = max(float(logarithms.std(ddof=1)), _SPREAD_MIN)
    return known[-1], max(spec.weighted_min, float(np.exp(logarithms.mean() + spec.deviations * spread)))


def farthest(found: Sequence[HabitMove], publisher: str | None) -> HabitMove | None:
    """Return the move that is farthest beyond its habit, None where all are within."""
    return next((each for each in found if each.publisher == publisher and each.is_beyond), None)
