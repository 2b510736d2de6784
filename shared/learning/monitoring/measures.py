"""The measures of a day in `pix.health`: by name, with their units, from the figures of the queries.

Counts: `decided` and of it `approved`, `held`, `blocked`, `rejected`, `control` (decided milder by the control
group), `outcomes` by status, `reasons` by code, `quarantined` by topic and field. Shares of the decisions:
`degraded`, `late`, `stopped`, and `unscored` without a model. `held_to_budget`: holds and blocks as a share of the
reviews that the team can do in a day. `rejected_by_model`: rejects that no rule demands. Milliseconds from publishing
to deciding: `decide_ms_p50`, `decide_ms_p99`.
`review_seconds`: the mean time of a verdict at the desk.

Before labels (`estimate`): `expected_frauds`, `expected_missed` and `expected_missed_brl` (let through),
`expected_precision`, `expected_recall`, `good_rejected`, the share of legitimate Pix that the model itself rejects,
and `rejects_to_ceiling`, that share over `reject_share_max`. `dispersion`, the factor of their variances, with the
days behind it as rows, and as segment MATURED if it is learnt from these, ASSUMED if they are too few.

As labels come, of the day at an age: `missed` frauds that were let through and `missed_brl`, `confirmed_precision`,
the share of frauds among the stopped Pix that somebody judged, `missed_projected` to maturity (`ladder`), and at the
last age `missed_ratio`, the frauds known over those that were expected on the day; and of the scored Pix with a label
that no reject made impossible: `labelled_frauds`, `labelled_expected`, and `labelled_spread`, the variance of
independent ones, from which `dispersion` learns. Of the model's own rejects those that the control group decided
milder and that have a label (`rejects_judged`), the frauds among them (`rejects_confirmed`), and the share of these
(`reject_precision`).

Each form of initiation has `missed`, `missed_brl`, `confirmed_precision` and `missed_projected` of its own, with the
form as segment. Its frauds grow to maturity as those of its side do.

Inputs and score have theirs in `inputs`, the causes of a drift in `causes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from shared.contract.rows import HealthRow
from shared.learning.data.split import DAY
from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.judging.proportions import wilson
from shared.learning.monitoring.dispersion import DayCount, Dispersion, dispersion
from shared.learning.monitoring.estimate import (
    CONFIDENCE,
    ScoreSums,
    expected_frauds,
    expected_good_rejected,
    expected_missed,
    expected_missed_brl,
    expected_precision,
    expected_recall,
)
from shared.learning.monitoring.ladder import AGES, growth, projected
from shared.learning.specs.gate import CostSpec

DECIDED, MISSED, EXPECTED_MISSED = "decided", "missed", "expected_missed"
EXPECTED_LOSS = "expected_missed_brl"
GOOD_REJECTED = "good_rejected"
REJECTS_JUDGED, REJECTS_CONFIRMED = "rejects_judged", "rejects_confirmed"
_LABELLED = {"labelled_expected": "expected", "labelled_spread": "spread", "labelled_frauds": "known"}
"""The measures of a cohort at the last age, and the fields of its `DayCount`."""
REMEMBERED = frozenset(
    (DECIDED, MISSED, EXPECTED_MISSED, EXPECTED_LOSS, REJECTS_JUDGED, REJECTS_CONFIRMED, *_LABELLED)
)
"""The measures by which a day or cohort is known, and by which later ones are projected, compared or pooled, or get
their intervals."""
_COHORT = ("side", "model_version", "initiation_form")
"""The columns of a cohort by which it is told from others."""
_COUNTS = (DECIDED, "approved", "held", "blocked", "rejected", "control")
_TIMES = ("decide_ms_p50", "decide_ms_p99")
_ESTIMATES = {
    "expected_frauds": expected_frauds,
    EXPECTED_MISSED: expected_missed,
    EXPECTED_LOSS: expected_missed_brl,
    "expected_precision": expected_precision,
    "expected_recall": expected_recall,
}


class Key(Struct, frozen=True):
    """Whose rows are measured: those of a day, of a side and a model or of all, and with the labels of an age."""

    day: int
    measured_at: int
    side: str | None = None
    model_version: str | None = None
    age_days: int | None = None

    def count(self, measure: str, value: float | None, rows: float, segment: str | None = None) -> HealthRow:
        """Return the row of a measure without an interval."""
        return self._row(measure, value, rows, segment, None)

    def estimate(self, measure: str, found: Estimate, rows: float, segment: str | None = None) -> HealthRow:
        """Return the row of a measure with its interval; a figure that is undefined is None."""
        return self._row(measure, found.value, rows, segment, found.interval)

    def _row(
        self, measure: str, value: float | None, rows: float, segment: str | None, interval: Interval | None
    ) -> HealthRow:
        if value is None or math.isnan(value):
            value, interval = None, None
        ends = (interval.low, interval.high) if interval is not None else (None, None)
        return HealthRow(
            day=self.day,
            measured_at=self.measured_at,
            measure=measure,
            row_count=round(rows),
            side=self.side,
            model_version=self.model_version,
            segment=segment,
            age_days=self.age_days,
            value=None if value is None else float(value),
            low=ends[0],
            high=ends[1],
        )


def traffic(
    found: Sequence[Mapping[str, Any]], key: Key, costs: Mapping[str, CostSpec], known: Sequence[HealthRow]
) -> list[HealthRow]:
    """Return the measures of a day's decisions, from `HealthSql.traffic`; a day without any has one row that says so.

    `costs` have the review budget and the ceilings on rejects of each side; `known` are stored rows of earlier days.
    """
    if not found:
        return [key.count(DECIDED, 0, 0)]
    over = {side: dispersion(matured(known, side, key.day)) for side in {one["side"] for one in found}}
    return [row for one in found for row in _traffic(one, _of(key, one), costs[one["side"]], over[one["side"]])]


def matured(known: Sequence[HealthRow], side: str, day: int) -> list[DayCount]:
    """Return the frauds of a side on the days whose labels came of age before `day`, as many days as that takes."""
    counts: dict[int, dict[str, float]] = {}
    for row in known:
        age = (day - row.day) / DAY
        if row.side == side and row.measure in _LABELLED and AGES[-1] < age <= 2 * AGES[-1]:
            count = counts.setdefault(row.day, dict.fromkeys(_LABELLED.values(), 0.0))
            count[_LABELLED[row.measure]] += row.value or 0.0
    return [DayCount(**count) for _, count in sorted(counts.items())]


def _traffic(one: Mapping[str, Any], key: Key, costs: CostSpec, over: Dispersion) -> list[HealthRow]:
    decided, sums = one[DECIDED], msgspec.convert(one, ScoreSums)
    stopped = one["held"] + one["blocked"]
    shares = {
        "degraded": one["degraded"] / decided,
        "late": one["late"] / decided,
        "stopped": 1 - one["approved"] / decided,
        "unscored": 1 - sums.rows / decided,
        "held_to_budget": stopped / costs.reviews_per_day_max,
    }
    return [
        *(key.count(name, one[name], decided) for name in (*_COUNTS, *_TIMES)),
        *(key.count(name, share, decided) for name, share in shares.items()),
        *(_foretold(sums, key, over) if sums.rows else ()),
        *(_rejects(one, key, sums, costs, over) if sums.rows else ()),
    ]


def _foretold(sums: ScoreSums, key: Key, over: Dispersion) -> list[HealthRow]:
    return [
        *(key.estimate(name, measure(sums, over), sums.rows) for name, measure in _ESTIMATES.items()),
        key.count("dispersion", over.factor, over.days, over.basis),
    ]


def _rejects(one: Mapping[str, Any], key: Key, sums: ScoreSums, costs: CostSpec, over: Dispersion) -> list[HealthRow]:
    share = expected_good_rejected(sums, over)
    return [
        key.count("rejected_by_model", one["rejected_by_model"], sums.rows),
        key.estimate(GOOD_REJECTED, share, sums.good),
        key.count("rejects_to_ceiling", share.value / costs.reject_share_max, sums.good),
    ]


def reasons(found: Sequence[Mapping[str, Any]], key: Key) -> list[HealthRow]:
    """Return the number of decisions by each reason, from `HealthSql.reasons`."""
    return [_of(key, one).count("reasons", one[DECIDED], one[DECIDED], one["code"]) for one in found]


def arrivals(found: Sequence[Mapping[str, Any]], key: Key) -> list[HealthRow]:
    """Return the numbers of a day's outcomes, refused messages and verdicts, from `HealthSql.arrivals`."""
    rows = []
    for one in found:
        value = one["found"] if one["measure"] != "review_seconds" else one["mean"]
        rows.append(_of(key, one).count(one["measure"], value, one["found"], one["segment"]))
    return rows


def cohort(found: Sequence[Mapping[str, Any]], key: Key, known: Sequence[HealthRow]) -> list[HealthRow]:
    """Return a day's measures by labels at an age, from `HealthSql.cohort`; `known` are stored rows of earlier days.

    A day without decisions has one row that says so.
    """
    if not found:
        return [key.count(MISSED, 0, 0)]
    forms: dict[tuple[str, str | None], list[Mapping[str, Any]]] = {}
    for one in found:
        forms.setdefault((one["side"], one["model_version"]), []).append(one)
    return [row for of_model in forms.values() for row in _cohort(of_model, _of(key, of_model[0]), known)]


def _cohort(forms: Sequence[Mapping[str, Any]], key: Key, known: Sequence[HealthRow]) -> list[HealthRow]:
    one = {name: sum(form[name] for form in forms) for name in forms[0] if name not in _COHORT}
    factor = _factor(key, known)
    return [
        *_missed(one, key, factor),
        *_labelled(one, key, known),
        *(row for form in forms for row in _missed(form, key, factor, form["initiation_form"])),
    ]


def _missed(one: Mapping[str, Any], key: Key, factor: float, segment: str | None = None) -> list[HealthRow]:
    passed, missed, judged = one["passed"], one[MISSED], one["judged"]
    precision = wilson(one["confirmed"], judged, CONFIDENCE)
    return [
        key.count(MISSED, missed, passed, segment),
        key.count("missed_brl", one["missed_brl"], passed, segment),
        key.estimate("confirmed_precision", precision, judged, segment),
        key.estimate("missed_projected", projected(missed, factor), passed, segment),
    ]


def _labelled(one: Mapping[str, Any], key: Key, known: Sequence[HealthRow]) -> list[HealthRow]:
    drawn, frauds = one[REJECTS_JUDGED], one[REJECTS_CONFIRMED]
    rows = [
        key.count(REJECTS_JUDGED, drawn, drawn),
        key.count(REJECTS_CONFIRMED, frauds, drawn),
        key.estimate("reject_precision", wilson(frauds, drawn, CONFIDENCE), drawn),
    ]
    if key.age_days == AGES[-1] and one["labelled"]:
        figures = {"expected": one["expected"], "spread": one["spread"], "known": one["frauds"]}
        rows += [key.count(name, figures[field], one["labelled"]) for name, field in _LABELLED.items()]
    expected = [row.value for row in known if _alike(row, key) and row.measure == EXPECTED_MISSED]
    if key.age_days == AGES[-1] and expected and expected[-1]:
        rows.append(key.count("missed_ratio", one[MISSED] / expected[-1], one["passed"]))
    return rows


def _factor(key: Key, known: Sequence[HealthRow]) -> float:
    """Return the factor from the frauds of a side at the age to all, as far as days before the key's tell."""
    return label_growth([row for row in known if row.side == key.side], key.age_days or 0)


def label_growth(known: Sequence[HealthRow], age_days: int) -> float:
    """Return the factor from the known frauds of a day at an age to all, NaN if older days do not tell it yet."""
    days: dict[int, dict[int, float]] = {}
    for row in known:
        if row.measure == MISSED and row.segment is None and row.age_days is not None and row.value is not None:
            of_day = days.setdefault(row.day, {})
            of_day[row.age_days] = of_day.get(row.age_days, 0.0) + row.value
    return growth(list(days.values()), age_days)


def _alike(row: HealthRow, key: Key) -> bool:
    return (row.day, row.side, row.model_version) == (key.day, key.side, key.model_version)


def _of(key: Key, one: Mapping[str, Any]) -> Key:
    """Return the key of a row of a query."""
    return msgspec.structs.replace(key, side=one.get("side"), model_version=one.get("model_version"))
