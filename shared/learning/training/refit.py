"""Refit an approved challenger on all rows that have matured, and prove that it is the same model, only newer.

The gate judges a fit that ends before the calibration period, which is weeks older than it has to be. Once approved,
the recipe, its candidate and parameters, is fitted again up to the newest row. Nothing later is left to judge that
fit on, so it has to prove itself:

- it is calibrated on scores of rows that its recipe had not seen: those of the calibration period by the approved
  fit, those of the test period by a fit that ends before it (scores of rows that a fit has seen are too extreme);
- that second fit, under the approved calibration, expects as many frauds in the test period as the approved fit
  does: the recipe's scores keep their meaning as rows are added;
- on rows that neither fit was trained on, the refit's scores are distributed as the approved ones and agree with
  them, and the approved thresholds stop as many Pix.

Distributions are those of raw log-odds, moved and stretched to one mean and deviation. A fit to more rows is surer of
the many Pix that are clearly legitimate: all of their log-odds are lower, and the calibration, which is fitted again,
takes that back where frauds are. Deciles of the scores as they are would call this a shift: all their edges lie far
below any threshold. Whether scores mean the same is for the expected frauds to say, and for the numbers of stops.

The correlation is one of log-odds, not of ranks, for a like reason: nearly all rows are clearly legitimate, and their
order decides nothing. On the first 102 days of a simulated world ranks agreed by .76 and log-odds by .88, and each
row of the approved fit's highest hundredth was in the refit's highest twentieth.

The thresholds stay: they are probabilities, chosen for the costs, and the gate has judged them. A refit that does not
prove itself is not served, and the approved fit is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.profile import OrderedColumn, column_profile, stability_index
from shared.learning.data.split import DAY, Split
from shared.learning.specs.gate import RefitSpec
from shared.learning.training import calibrate
from shared.learning.training.calibrate import log_odds
from shared.learning.training.challenger import Challenger
from shared.learning.training.explaining.background import background
from shared.learning.training.export import onnx_bytes, onnx_scores, require_parity
from shared.learning.training.packing import BundleParts, pack
from shared.learning.training.train import Fitted, raw_scores
from shared.scoring.bundle import Calibration
from shared.scoring.rules import by_payee
from shared.scoring.thresholds import SideThresholds

_DEVIATIONS = 3.0  # standard deviations of a difference of counts


class Proof(Struct, frozen=True):
    """One comparison of a refit with the approved fit, and a sentence on it."""

    name: str
    passed: bool
    measured: float
    limit: float
    text: str


class Refit(NamedTuple):
    """A refit: its parts, its files without the manifest, and its proofs."""

    parts: BundleParts
    files: dict[str, bytes]
    proofs: list[Proof]

    @property
    def proven(self) -> bool:
        """Whether it may serve in place of the approved fit."""
        return all(proof.passed for proof in self.proofs)


class _Pair(NamedTuple):
    """Calibrated scores of the approved fit and of the refit on the same rows [n], and who asked."""

    approved: NDArray[np.float64]
    refit: NDArray[np.float64]
    payees: NDArray[np.bool_]


def refit(approved: Challenger, data: Dataset, split: Split, config: Config) -> Refit:
    """Return the refit of an approved challenger. Raises FitFailed, CannotContinue, ExportFailed."""
    ahead = approved.recipe.fit(slice(split.train.start, split.calibration.stop))
    ahead_raw = raw_scores(ahead.model, data.features[split.test, ahead.columns])
    first = np.searchsorted(data.initiated_at, data.initiated_at[-1] - round(config.split.training_days * DAY))
    period = slice(int(first), len(data))
    fitted = approved.recipe.fit(period)
    names = [data.names[j] for j in fitted.columns]
    recent = np.ascontiguousarray(data.features[split.calibration.start :, fitted.columns])
    exported = onnx_bytes(fitted.model, len(names))
    raw = onnx_scores(exported, recent)
    require_parity(fitted.model, recent, raw)
    calibration = _calibration(approved, ahead_raw, data, split, config)
    behind = background(data, period, fitted.columns)
    parts = BundleParts(fitted.model, exported, names, calibration, approved.parts.thresholds, behind)
    unseen = _unseen(fitted, split.calibration.start, len(data))
    pair = _Pair(
        calibrate.apply(approved.parts.calibration, approved.raw[unseen]),
        calibrate.apply(calibration, raw[unseen]),
        by_payee(data.features[split.calibration.start :][unseen]),
    )
    proofs = [
        _keeps_meaning(approved, ahead_raw, data, split, config.refit),
        _same_distribution(approved.raw[unseen], raw[unseen], config.refit),
        _same_stops(pair, parts.thresholds, config.refit),
        _same_order(approved.raw[unseen], raw[unseen], config.refit),
    ]
    return Refit(parts, pack(parts, recent, config.seed), proofs)


def _calibration(
    approved: Challenger, ahead_raw: NDArray[np.float64], data: Dataset, split: Split, config: Config
) -> Calibration:
    """Return the calibration by scores of the recipe on rows that it had not seen, of both later periods."""
    rows = np.r_[split.calibration, split.test]
    raw = np.concatenate([approved.raw[: split.calibration.stop - split.calibration.start], ahead_raw])
    return calibrate.fit_calibration(raw, data.fraud[rows], data.weight[rows], data.pix[rows], config.calibrations)


def _unseen(fitted: Fitted, start: int, stop: int) -> NDArray[np.intp]:
    """Return the indexes, from `start`, of the rows that a fit did not draw; all of them if it drew every one."""
    unseen = np.ones(stop, dtype=bool)
    unseen[fitted.rows] = False
    found = np.flatnonzero(unseen[start:])
    return found if len(found) else np.arange(stop - start)


def _keeps_meaning(
    approved: Challenger, ahead_raw: NDArray[np.float64], data: Dataset, split: Split, spec: RefitSpec
) -> Proof:
    weight, tested = data.weight[split.test], slice(split.test.start - split.calibration.start, None)
    before, after = (
        float(weight @ calibrate.apply(approved.parts.calibration, raw)) for raw in (approved.raw[tested], ahead_raw)
    )
    ratio = after / before
    text = f"with newer rows it expects {after:,.1f} frauds in the test period, the approved fit {before:,.1f}"
    return Proof("meaning", 1 / spec.ratio_max <= ratio <= spec.ratio_max, ratio, spec.ratio_max, text)


def _same_distribution(approved: NDArray[np.float64], raw: NDArray[np.float64], spec: RefitSpec) -> Proof:
    before, after = _standard(approved), _standard(raw)
    psi = stability_index(column_profile(before), OrderedColumn.of(after))
    text = f"the stability index of the scores is {psi:.3f}, at most {spec.psi_max:g} is allowed"
    return Proof("distribution", psi <= spec.psi_max, psi, spec.psi_max, text)


def _standard(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-odds of raw scores with a mean of 0 and a standard deviation of 1; all are 0 if they are equal."""
    odds = log_odds(raw)
    deviation = float(odds.std())
    return np.asarray((odds - odds.mean()) / deviation) if deviation > 0 else np.zeros(len(odds))


def _same_stops(pair: _Pair, thresholds: SideThresholds, spec: RefitSpec) -> Proof:
    """Compare the numbers of stops; a difference that chance explains is none."""
    before, after = (
        int(np.count_nonzero(thresholds.reached(scores, pair.payees))) for scores in (pair.approved, pair.refit)
    )
    most, least = max(before, after), min(before, after)
    passed = most <= spec.ratio_max * least + _DEVIATIONS * math.sqrt(most + least)
    text = f"it stops {after:,} of {len(pair.refit):,} legitimate rows that no fit saw, the approved fit {before:,}"
    return Proof("stops", passed, float(after), spec.ratio_max * before, text)


def _same_order(approved: NDArray[np.float64], raw: NDArray[np.float64], spec: RefitSpec) -> Proof:
    correlation = float(np.mean(_standard(approved) * _standard(raw)))
    text = f"the correlation of its log-odds with the approved ones is {correlation:.3f}"
    return Proof("order", correlation >= spec.correlation_min, correlation, spec.correlation_min, text)
