"""Measure challengers and incumbent on the same test period, which no choice was made on."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.training_query import CAMPAIGN_FACTS
from shared.learning.data.unjudged import Unjudged
from shared.learning.judging.bootstrap import Interval, Resampling
from shared.learning.judging.clusters import campaigns
from shared.learning.judging.evaluate import Evaluation, Scored, Truth, evaluate
from shared.learning.judging.segments import Dimension, dimensions
from shared.learning.judging.stakes import Opinion, UnjudgedRows
from shared.learning.specs.gate import SideCosts
from shared.learning.training.costs import decision_costs_by_side
from shared.learning.training.packing import SEEN_UNTIL
from shared.learning.training.thresholds import decisions, review_budget
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Rules, by_payee

RULES_ALONE = "the rules alone"
_CHUNK = 65_536  # rows scored at a time, to bound memory


@dataclass(frozen=True, slots=True)
class Contender:
    """A model, or the rules alone, on a period: name, scores and decisions, figures and their intervals.

    `inputs` are the features that the model reads, none for rules. `seen_until` is the time in seconds of the last
    example used in training or calibration, None if not known. `validation` is the average precision on the
    calibration period. `opinion` is on the decisions without a label, None if these are not known.
    """

    name: str
    scored: Scored
    evaluation: Evaluation
    intervals: dict[str, Interval]
    inputs: tuple[str, ...] = ()
    seen_until: float | None = None
    validation: float | None = None
    opinion: Opinion | None = None

    @property
    def is_model(self) -> bool:
        """Whether this is a model, not the rules alone."""
        return bool(self.inputs)


@dataclass(frozen=True, slots=True)
class TestPeriod:
    """The test period, the same rows for every contender.

    `features` float32 [n, F] are served vectors with columns `names`; `pix` int32 [n] is the number of
    the Pix, whose sides are adjacent; `campaign` [n] numbers the campaigns, groups of Pix that are one observation;
    `payees` bool [n] is true on the payee's side, `by_rule` [n] are the decisions of the rules, `losses` [n, 3] the
    cost of each possible decision in BRL by side, by `costs`; `holds_max` the most Pix that reviewers of both sides
    can handle.
    `notice` is a sentence on rows that the champion was trained on, empty if there are none. `unjudged` are the
    decisions of the period without a label, None if they are not known.
    """

    features: NDArray[np.float32]
    names: tuple[str, ...]
    truth: Truth
    resampling: Resampling
    pix: NDArray[np.int32]
    campaign: NDArray[np.intp]
    payees: NDArray[np.bool_]
    by_rule: NDArray[np.int8]
    losses: NDArray[np.float64]
    costs: SideCosts
    dimensions: list[Dimension]
    alert_share: float
    confidence: float
    holds_max: float
    notice: str
    unjudged: UnjudgedRows | None = None

    @classmethod
    def of(
        cls,
        data: Dataset,
        period: slice,
        rules: Rules,
        config: Config,
        champion: Bundle | None = None,
        unjudged: Unjudged | None = None,
    ) -> TestPeriod:
        """Return a period of the data set with the decisions of the rules and the costs.

        Rows that the champion was trained on would favour it. They are left out if the remaining frauds are enough
        for a verdict; otherwise they stay and the notice mentions them. A challenger that then wins has won against
        that advantage.
        """
        rows, notice = _rows_to_judge(data, period, champion, config.gate.frauds_min)
        features = np.ascontiguousarray(data.features[rows])
        truth = Truth(data.fraud[rows], data.amount[rows], data.initiated_at[rows])
        weight = data.weight[rows]
        payees = by_payee(features)
        return cls(
            features,
            data.names,
            truth,
            Resampling.of(truth.initiated_at, weight, config.gate.resamples, config.seed),
            data.pix[rows],
            _campaigns(data, rows),
            payees,
            rules.apply(features).severity,
            decision_costs_by_side(truth.fraud, truth.amount, payees, config.costs),
            config.costs,
            dimensions(data, rows),
            config.alert_share,
            config.gate.confidence,
            review_budget(weight, truth.initiated_at, payees, config.costs),
            notice,
            _unjudged_rows(unjudged, int(truth.initiated_at.min()), rules) if unjudged is not None else None,
        )

    @property
    def weight(self) -> NDArray[np.float64]:
        """The number of Pix that each row represents, [n]."""
        return self.resampling.weight

    def model(self, bundle: Bundle, validation: float | None = None) -> Contender:
        """Return the figures of a bundle, whose decisions are combined with the rules as in serving."""
        scores = _scores(bundle, self.features)
        return self.contender(
            bundle.version,
            scores,
            decisions(scores, bundle.thresholds, self.payees, self.by_rule),
            tuple(bundle.feature_names),
            bundle.manifest.metrics.get(SEEN_UNTIL),
            validation,
            _opinion(bundle, self.unjudged) if self.unjudged else None,
        )

    def rules(self) -> Contender:
        """Return the figures of the rules without a model; the severity of their decision is the score."""
        opinion = Opinion(None, self.unjudged.by_rule) if self.unjudged else None
        return self.contender(RULES_ALONE, self.by_rule / 2.0, self.by_rule, opinion=opinion)

    def contender(
        self,
        name: str,
        scores: NDArray[np.float64],
        decided: NDArray[np.int8],
        inputs: tuple[str, ...] = (),
        seen_until: float | None = None,
        validation: float | None = None,
        opinion: Opinion | None = None,
    ) -> Contender:
        """Return the figures of `scores` [n] and decisions [n]."""
        scored = Scored(scores, decided, self.losses[np.arange(len(decided)), decided])
        figures, intervals = evaluate(scored, self.truth, self.resampling, self.alert_share, self.confidence)
        return Contender(name, scored, figures, intervals, inputs, seen_until, validation, opinion)


def _scores(bundle: Bundle, features: NDArray[np.float32]) -> NDArray[np.float64]:
    starts = range(0, len(features), _CHUNK)
    return np.concatenate([np.zeros(0), *(bundle.score(features[start : start + _CHUNK]) for start in starts)])


def _opinion(bundle: Bundle, rows: UnjudgedRows) -> Opinion:
    scores = _scores(bundle, rows.features)
    return Opinion(scores, decisions(scores, bundle.thresholds, rows.payees, rows.by_rule))


def _unjudged_rows(unjudged: Unjudged, since: int, rules: Rules) -> UnjudgedRows:
    """Return the decisions without a label of the days that are judged."""
    rows = unjudged.at(unjudged.initiated_at >= since)
    features = np.ascontiguousarray(rows.features)
    by_rule = rules.apply(features).severity
    facts = (rows.initiated_at, rows.amount, rows.score, rows.weight)
    return UnjudgedRows(features, *facts, by_payee(features), by_rule)


def _campaigns(data: Dataset, rows: slice) -> NDArray[np.intp]:
    """Return the campaign of each row: frauds of one receiving account, or of one funds recovery, are one."""
    shared = []
    for name in CAMPAIGN_FACTS:
        fact = data.facts[name]
        known = np.array([bool(value) for value in fact.values])[fact.codes[rows]]
        shared.append(np.where(known, fact.codes[rows] + 1, 0))
    return campaigns(data.pix[rows], *shared)


def _rows_to_judge(data: Dataset, period: slice, champion: Bundle | None, frauds_min: int) -> tuple[slice, str]:
    """Return the rows to judge on, and the notice about them."""
    if champion is None:
        return period, ""
    name, seen_until = champion.version, champion.manifest.metrics.get(SEEN_UNTIL)
    if seen_until is None:
        return period, f"It is not known which of these rows {name} was trained on; any such row favours it."
    first = int(np.searchsorted(data.initiated_at, round(seen_until * 1e6), side="right"))
    if first <= period.start:
        return period, ""
    later = slice(min(first, period.stop), period.stop)
    frauds = int(data.fraud[later].sum())
    if min(frauds, later.stop - later.start - frauds) < frauds_min:
        return period, f"{name} was trained on some of these rows, which favours it: too few frauds are newer."
    since = dt.datetime.fromtimestamp(seen_until, dt.UTC)
    return later, f"Only rows after {since:%Y-%m-%d %H:%M} UTC count, as {name} was trained on earlier ones."
