"""How much of a change each source explains: one source at a time gets values of the reference, scored by the bundle.

A row of the day whose source has the values of a reference row of the same publisher scores as if that source had
not changed. The fall of its score is the part of that source. Some of it is there without any change, as values of
another row do not fit the rest of this one; so the same is done among reference rows, and only the difference counts
(a difference in differences). Of each row three things change: the log-odds of the raw score, whether it is alerted,
and the loss in BRL that is foretold where it is let through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.monitoring.causes.rows import CauseRows
from shared.scoring.bundle import Bundle
from shared.scoring.explanation import log_odds

CHANGES = ("score", "alerts", "brl")
"""The changes, in the order of the columns: log-odds, share of rows, BRL a row."""
DONORS_MIN = 30
"""Reference rows of a publisher below which values come from those of all."""
SURE = 4.0
"""Standard errors below which a part is chance: some hundred parts are looked at."""
_AMOUNT = "amount"


class ExchangeEffect(Struct, frozen=True):
    """A part of a change, in the unit of the change, and its standard error."""

    value: float
    error: float

    @property
    def sure(self) -> float:
        """The size of the part beyond chance, 0 if it is within.

        >>> ExchangeEffect(-5.0, 1.0).sure, ExchangeEffect(-3.0, 1.0).sure
        (1.0, 0.0)
        """
        return max(abs(self.value) - SURE * self.error, 0.0)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """By how much each row [n] and reference row [m] changes by the exchange of a source, columns CHANGES."""

    day: NDArray[np.float64]
    reference: NDArray[np.float64]

    def effects(self, rows: NDArray[np.bool_], reference: NDArray[np.bool_]) -> list[ExchangeEffect]:
        """Return the part of some rows in the change of the mean of all, one for each of CHANGES."""
        share = rows.mean()
        return [_effect(self.day[rows, k], self.reference[reference, k], float(share)) for k in range(len(CHANGES))]


def consequences(
    bundle: Bundle, features: NDArray[np.float32], rows: CauseRows, amount: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return CHANGES [n, 3] of vectors [n, len(FEATURE_NAMES)] in the place of those of rows."""
    scores = bundle.score(features)
    raw = log_odds(bundle.raw(bundle.inputs(features)))
    sides = bundle.thresholds
    hold = np.where(rows.by_payee, sides.payee.hold, sides.payer.hold)
    alerted = scores >= hold
    found: NDArray[np.float64] = np.stack([raw, alerted, np.where(alerted, 0.0, scores * amount)], axis=1)
    return np.nan_to_num(found)


def exchanged(
    bundle: Bundle, rows: CauseRows, reference: CauseRows, members: Mapping[str, Sequence[int]], seed: int = 0
) -> dict[str, Exchanged]:
    """Return the changes by the exchange of each source; `members` are its places in the vector."""
    rng = np.random.default_rng(seed)
    found = {}
    own, known = (consequences(bundle, each.features, each, each.amount) for each in (rows, reference))
    for source, places in members.items():
        day = own - _with(bundle, rows, reference, _donors(rng, rows, reference), source, places)
        among = known - _with(bundle, reference, reference, _donors(rng, reference, reference), source, places)
        found[source] = Exchanged(day, among)
    return found


def _with(
    bundle: Bundle,
    rows: CauseRows,
    reference: CauseRows,
    donors: NDArray[np.intp],
    source: str,
    places: Sequence[int],
) -> NDArray[np.float64]:
    features = rows.features.copy()
    features[:, places] = reference.features[donors][:, places]
    return consequences(bundle, features, rows, reference.amount[donors] if source == _AMOUNT else rows.amount)


def _donors(rng: np.random.Generator, rows: CauseRows, reference: CauseRows) -> NDArray[np.intp]:
    """Return a reference row for each row, of its publisher and side where there are enough."""
    found = rng.integers(0, len(reference), len(rows))
    for publisher in np.unique(rows.publisher):
        for by_payee in (False, True):
            own = np.flatnonzero((rows.publisher == publisher) & (rows.by_payee == by_payee))
            alike = np.flatnonzero((reference.publisher == publisher) & (reference.by_payee == by_payee))
            if len(own) and len(alike) >= DONORS_MIN:
                found[own] = rng.choice(alike, len(own))
    return found


def _effect(day: NDArray[np.float64], reference: NDArray[np.float64], share: float) -> ExchangeEffect:
    if len(day) < 2 or len(reference) < 2:
        return ExchangeEffect(0.0, 0.0)
    error = np.sqrt(day.var(ddof=1) / len(day) + reference.var(ddof=1) / len(reference))
    return ExchangeEffect(share * float(day.mean() - reference.mean()), share * float(error))
