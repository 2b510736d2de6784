"""Divide a period into segments, find where a model is weak, and compare segments that it should treat alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.fields import Side
from shared.learning.data.dataset import Dataset
from shared.learning.data.key_columns import Categories
from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.judging.clusters import Clusters
from shared.learning.judging.proportions import effective_cases, share_ratio, wilson
from shared.scoring.rules import Decision

INSTITUTIONS = 8  # with segments of their own, by number of Pix; the rest share one
OTHER = "other"
NOT_KNOWN = "not known"
_SIDES: dict[str, str] = {Side.PAYER: "payer's side", Side.PAYEE: "payee's side"}
_AMOUNTS = (50.0, 200.0, 500.0, 1_000.0, 5_000.0)
_HOURS = (4.0, 8.0, 12.0, 16.0, 20.0)
_AGES = (30.0, 180.0, 365.0, 5 * 365.0)  # days
_AGE_LABELS = ("under 30 days", "30 to 180 days", "180 days to a year", "1 to 5 years", "over 5 years")


class Dimension(NamedTuple):
    """A division of a period: the labels of its segments, and the segment of each row, `codes` [n].

    `only_frauds` is True if only frauds have a label, so false alarms cannot be counted. `comparable` is True if
    customers of all its segments have the same right to be left alone and protected, so differences need an
    explanation. Fraud types, amounts and sides are not comparable: the type is known only afterwards, the amount is
    the money at risk, and each side has decisions and costs of its own.
    """

    title: str
    labels: tuple[str, ...]
    codes: NDArray[np.intp]
    comparable: bool
    only_frauds: bool = False


class Segment(Struct, frozen=True):
    """The decisions of a model in one segment; `rows`, `frauds` and `caught` count rows, all else weighs them by Pix.

    A Pix scored on both sides has two rows, which intervals take for one observation.
    `recall` is the share of frauds held or rejected, `false_alarms` the share of legitimate Pix held or rejected;
    `missed_value` is in BRL. None if only frauds have a label, or if the divisor is zero.
    """

    dimension: str
    label: str
    rows: int
    frauds: int
    caught: int
    recall: float
    recall_interval: Interval
    missed_value: float
    precision: float | None
    alert_rate: float | None
    false_alarms: float | None
    false_alarms_interval: Interval | None


class Disparity(Struct, frozen=True):
    """A segment compared with all others of its dimension: ratios, whether one is clear, and a sentence."""

    dimension: str
    label: str
    frauds: int
    false_alarm_ratio: float
    false_alarm_interval: Interval
    recall_ratio: float | None
    recall_interval: Interval | None
    clear: bool
    text: str


def dimensions(data: Dataset, period: slice) -> list[Dimension]:
    """Return the dimensions of a period: segments in natural order, institutions by number of Pix.

    Sides and hops are left out if there are none to compare.
    """

    def column(name: str) -> NDArray[np.float32]:
        return np.asarray(data.features[period, data.names.index(name)])

    def fact(name: str) -> Categories:
        return Categories(data.facts[name].values, data.facts[name].codes[period])

    weight, side, hop = data.weight[period], fact("side"), fact("hop")
    sides = _named("side", side._replace(values=tuple(_SIDES.get(value, value) for value in side.values)))
    return [
        *([sides._replace(comparable=False)] if len(np.unique(side.codes)) > 1 else []),
        _named("type of fraud (MED, payee's institution)", fact("fraud_type"), only_frauds=True),
        _named("situation (MED, payer's account)", fact("situation_type"), only_frauds=True),
        *([_named("hop from the contested Pix (MED)", hop, only_frauds=True)] if any(hop.values) else []),
        _banded("amount", data.amount[period], _AMOUNTS, _amount_labels(), comparable=False),
        _banded("hour of day (Brasília)", column("hour"), _HOURS, _hour_labels()),
        _institutions("payer's institution (ISPB)", fact("payer_ispb"), weight),
        _institutions("payee's institution (ISPB)", fact("payee_ispb"), weight),
        _banded("age of the payer's account", column("payer_account_age"), _AGES, _AGE_LABELS),
        _banded("age of the payee's account", column("payee_account_age"), _AGES, _AGE_LABELS),
        _named("form of initiation", fact("initiation_form")),
    ]


def segments(
    dimension: Dimension,
    decided: NDArray[np.int8],
    fraud: NDArray[np.bool_],
    amount: NDArray[np.float64],
    weight: NDArray[np.float64],
    pix: NDArray[np.int32],
    confidence: float,
) -> list[Segment]:
    """Return the segments that have a row, or a fraud if only frauds have a label, under `decided` [n]."""
    alerted = decided != Decision.APPROVE
    sums, squares = _sums(dimension), _squares(dimension, pix)
    rows, frauds, caught = sums(np.ones(len(fraud))), sums(fraud), sums(fraud & alerted)
    table = _Table(
        rows=rows,
        frauds=frauds,
        caught=caught,
        missed=sums(weight * amount * (fraud & ~alerted)),
        pix=sums(weight),
        alerts=sums(weight * alerted),
        found=sums(weight * (fraud & alerted)),
        fraudulent=sums(weight * fraud),
        legitimate=sums(weight * ~fraud),
        false_alarms=sums(weight * (~fraud & alerted)),
        squares=squares(weight * ~fraud),
        fraud_squares=squares(weight * fraud),
    )
    present = frauds > 0 if dimension.only_frauds else rows > 0
    return [_segment(dimension, table, code, confidence) for code in np.flatnonzero(present).tolist()]


def disparities(
    dimension: Dimension,
    decided: NDArray[np.int8],
    fraud: NDArray[np.bool_],
    weight: NDArray[np.float64],
    pix: NDArray[np.int32],
    confidence: float,
    frauds_min: int,
) -> list[Disparity]:
    """Return each segment of a comparable dimension against all others together; an empty list if not comparable.

    The confidence holds for all segments of the dimension together (Bonferroni). Recall is compared if the segment
    and the others have `frauds_min` frauds each.
    """
    if not dimension.comparable:
        return []
    alerted = decided != Decision.APPROVE
    sums, squares = _sums(dimension), _squares(dimension, pix)
    stopped = _Shares(sums(weight * (fraud & alerted)), sums(weight * fraud), squares(weight * fraud))
    alarms = _Shares(sums(weight * (~fraud & alerted)), sums(weight * ~fraud), squares(weight * ~fraud))
    frauds = sums(fraud)
    present = np.flatnonzero(alarms.whole > 0).tolist()
    strict = 1 - (1 - confidence) / max(len(present), 1)
    found = []
    for code in present if len(present) > 1 else []:
        false_alarms = alarms.ratio(code, strict)
        enough = min(frauds[code], frauds.sum() - frauds[code]) >= frauds_min
        recall = stopped.ratio(code, strict) if enough else None
        found.append(_disparity(dimension, code, int(frauds[code]), false_alarms, recall))
    return found


class _Shares(NamedTuple):
    """The shares `part / whole` of all segments, and the sums of squares that give their sample sizes."""

    part: NDArray[np.float64]
    whole: NDArray[np.float64]
    squares: NDArray[np.float64]

    def ratio(self, code: int, confidence: float) -> Estimate:
        """Return the ratio of a segment's share to that of all others."""
        own = effective_cases(*(float(total[code]) for total in self))
        return share_ratio(own, effective_cases(*(float(total.sum() - total[code]) for total in self)), confidence)


class _Table(NamedTuple):
    """Sums for each segment of a dimension."""

    rows: NDArray[np.float64]
    frauds: NDArray[np.float64]
    caught: NDArray[np.float64]
    missed: NDArray[np.float64]
    pix: NDArray[np.float64]
    alerts: NDArray[np.float64]
    found: NDArray[np.float64]
    fraudulent: NDArray[np.float64]
    legitimate: NDArray[np.float64]
    false_alarms: NDArray[np.float64]
    squares: NDArray[np.float64]
    fraud_squares: NDArray[np.float64]


def _segment(dimension: Dimension, table: _Table, code: int, confidence: float) -> Segment:
    at = _Table(*(column[code] for column in table))
    recall = wilson(*effective_cases(float(at.found), float(at.fraudulent), float(at.fraud_squares)), confidence)
    all_labelled = not dimension.only_frauds
    false_alarms = wilson(
        *effective_cases(float(at.false_alarms), float(at.legitimate), float(at.squares)), confidence
    )
    return Segment(
        dimension.title,
        dimension.labels[code],
        int(at.rows),
        int(at.frauds),
        int(at.caught),
        recall.value,
        recall.interval,
        float(at.missed),
        float(at.found / at.alerts) if all_labelled and at.alerts else None,
        float(at.alerts / at.pix) if all_labelled else None,
        false_alarms.value if all_labelled else None,
        false_alarms.interval if all_labelled else None,
    )


def _disparity(
    dimension: Dimension, code: int, frauds: int, false_alarms: Estimate, recall: Estimate | None
) -> Disparity:
    sentences = [
        _sentence(false_alarms, "legitimate Pix are stopped {} as often as in the other segments"),
        _sentence(recall, "frauds are stopped {} as often as in the other segments") if recall else "",
    ]
    clear = [text for text in sentences if text]
    return Disparity(
        dimension.title,
        dimension.labels[code],
        frauds,
        false_alarms.value,
        false_alarms.interval,
        recall.value if recall else None,
        recall.interval if recall else None,
        bool(clear),
        "; ".join(clear) if clear else "no clear difference",
    )


def _sentence(found: Estimate, text: str) -> str:
    """Return the text with the ratio if its interval excludes 1, else an empty text."""
    if found.interval.low <= 1 <= found.interval.high:
        return ""
    return text.format(f"{found.value:.2g} times")


def _sums(dimension: Dimension) -> Callable[[NDArray[np.generic]], NDArray[np.float64]]:
    """Return a function that sums values [n] by segment."""

    def add(values: NDArray[np.generic]) -> NDArray[np.float64]:
        size = len(dimension.labels)
        return np.bincount(dimension.codes, weights=values.astype(np.float64), minlength=size).astype(np.float64)

    return add


def _squares(dimension: Dimension, pix: NDArray[np.int32]) -> Callable[[NDArray[np.generic]], NDArray[np.float64]]:
    """Return a function that sums the squares of values [n] by segment, after adding up the rows of a Pix."""
    clusters = Clusters.of(pix, dimension.codes)
    return lambda values: clusters.squares(values, len(dimension.labels))


def _banded(
    title: str, values: NDArray[np.floating], edges: Sequence[float], labels: Sequence[str], comparable: bool = True
) -> Dimension:
    """Return bands of values, each from an edge up to the next; missing values are a band of their own."""
    codes = np.searchsorted(np.asarray(edges), values, side="right")
    codes[np.isnan(values)] = len(labels)
    return Dimension(title, (*labels, NOT_KNOWN), codes.astype(np.intp), comparable)


def _named(title: str, facts: Categories, only_frauds: bool = False) -> Dimension:
    labels = tuple(value or NOT_KNOWN for value in facts.values)
    return Dimension(title, labels, facts.codes.astype(np.intp), not only_frauds, only_frauds)


def _institutions(title: str, facts: Categories, weight: NDArray[np.float64]) -> Dimension:
    """Return the institutions with the most Pix, and one segment for the others."""
    pix = np.bincount(facts.codes, weights=weight, minlength=len(facts.values))
    named = np.argsort(-pix, kind="stable")[:INSTITUTIONS]
    segment = np.full(len(facts.values), len(named))
    segment[named] = np.arange(len(named))
    labels = (*(facts.values[code] or NOT_KNOWN for code in named.tolist()), OTHER)
    return Dimension(title, labels, segment[facts.codes].astype(np.intp), comparable=True)


def _amount_labels() -> list[str]:
    between = [f"R$ {low:,.0f} to {high:,.0f}" for low, high in itertools.pairwise(_AMOUNTS)]
    return [f"under R$ {_AMOUNTS[0]:,.0f}", *between, f"R$ {_AMOUNTS[-1]:,.0f} and more"]


def _hour_labels() -> list[str]:
    return [f"{low:02.0f} to {high:02.0f} h" for low, high in zip((0, *_HOURS), (*_HOURS, 24), strict=True)]
