"""The measures of a day's inputs and score in `pix.health`, and which of their moves are drift.

By feature, of all publishers: `input_psi` against the champion's profile, `input_missing`, `input_unseen` (share of
rows where the profile has none), `input_weight` (mean absolute contribution, log-odds), `input_weighted` (how far the
input moved from the most alike of the days before, in log-odds), `input_limit` (of its habit). By feature and
publisher: `publisher_weighted`, of each publisher the moves that are farthest by their habit. By column and
publisher: `unseen_codes`, the share of rows with a code that the contract does not know.

Of the score: `score_psi`, and its parts `score_psi_mix` (the mix of traffic moved) and `score_psi_given` (scores
given the mix moved).

A move of all that weighs and a rise of the loss foretold are DRIFT in the ledger, so that the next automatic run
trains. The move of a single publisher is FEATURE_DRIFT: a person looks, since a training could only learn its fault.
`jobs.drift` alerts on the score, within hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from shared.contract.rows import HealthRow
from shared.learning.data.profile import Profile
from shared.learning.lifecycle.ledger import DriftAction
from shared.learning.monitoring.day_inputs import DayInputs
from shared.learning.monitoring.habit import HabitMove, farthest, moves, without
from shared.learning.monitoring.histogram import Histogram, of_profile, stability, unseen, weight
from shared.learning.monitoring.measures import DECIDED, EXPECTED_LOSS, Key
from shared.learning.monitoring.score_mix import ScoreMove, score_move
from shared.learning.specs.drift import DriftSpec

PUBLISHED = 5
"""Moves of each publisher that have a row."""
LOSS_DAYS = 14
"""Fewest earlier days that tell the usual loss."""
_LISTED = 3


class Alert(NamedTuple):
    """A row of the ledger to be: its action, the reason, and figures."""

    action: DriftAction
    reason: str
    figures: dict[str, float]


class MeasuredInputs(NamedTuple):
    """The moves and the score of a day."""

    moves: list[HabitMove]
    score: ScoreMove | None


def measure(day: DayInputs, known: Sequence[DayInputs], profile: Profile, spec: DriftSpec) -> MeasuredInputs:
    """Return how far a day has moved from those before it."""
    return MeasuredInputs(moves(day, known, profile, spec), score_move(day, known))


def health_rows(day: DayInputs, profile: Profile, found: MeasuredInputs, key: Key) -> list[HealthRow]:
    """Return the measures of a day."""
    rows = [
        *_of_profile(day, profile, key),
        *_of_moves(found.moves, key),
        *(
            key.count("unseen_codes", count / own.rows, own.rows, f"{code} {publisher}")
            for publisher, own in day.publishers.items()
            for code, count in own.other_codes.items()
        ),
    ]
    if found.score:
        parts = {
            "score_psi": found.score.total,
            "score_psi_mix": found.score.mix,
            "score_psi_given": found.score.given,
        }
        rows += [key.count(name, value, found.score.rows) for name, value in parts.items()]
    return rows


def _of_profile(day: DayInputs, profile: Profile, key: Key) -> list[HealthRow]:
    rows = []
    for name, histogram in day.everybody().items():
        column = profile.features.get(name)
        values: dict[str, float] = {"input_missing": histogram.missing / max(histogram.rows, 1)}
        if column is not None:
            reference = of_profile(column)
            own: Histogram = histogram.on(column.edges)
            values |= {"input_psi": stability(own, reference), "input_unseen": unseen(own, reference)}
            values |= {"input_weight": weight(column)} if column.effects is not None else {}
        rows += [key.count(measure, value, histogram.rows, name) for measure, value in values.items()]
    return rows


def _of_moves(found: Sequence[HabitMove], key: Key) -> list[HealthRow]:
    rows, listed = [], dict[str, int]()
    for move in found:
        if move.publisher is None:
            rows.append(key.count("input_weighted", move.value, move.rows, move.feature))
            rows.append(key.count("input_limit", move.limit, move.rows, move.feature))
        elif listed.setdefault(move.publisher, 0) < PUBLISHED:
            listed[move.publisher] += 1
            rows.append(key.count("publisher_weighted", move.value, move.rows, f"{move.feature} {move.publisher}"))
    return rows


def alerts(
    day: DayInputs, known: Sequence[DayInputs], profile: Profile, spec: DriftSpec, found: Sequence[HabitMove]
) -> list[Alert]:
    """Return the drift of all, unless a single publisher makes it, or else that of publishers alone."""
    of_all, single = farthest(found, None), next((each for each in found if each.publisher and each.is_beyond), None)
    if of_all and single and single.publisher:
        rest = moves(
            without(day, single.publisher), [without(each, single.publisher) for each in known], profile, spec
        )
        of_all = of_all if farthest(rest, None) else None
    if of_all:
        return [_alert("DRIFT", "inputs moved by more than their habit", [one for one in found if not one.publisher])]
    beyond = [one for one in found if one.publisher]
    return [_alert("FEATURE_DRIFT", "inputs of a publisher moved by more than their habit", beyond)] if single else []


def _alert(action: DriftAction, words: str, found: Sequence[HabitMove]) -> Alert:
    beyond = [one for one in found if one.is_beyond]
    named = ", ".join(
        f"{one.feature}{f' of {one.publisher}' if one.publisher else ''} {one.value:.2f} ({one.limit or 0.0:.2f})"
        for one in beyond[:_LISTED]
    )
    more = f" and {len(beyond) - _LISTED} more" if len(beyond) > _LISTED else ""
    figures = {f"moved_{one.feature}": one.value for one in beyond[:_LISTED]}
    return Alert(action, f"{words}, in log-odds of the score: {named}{more}", figures)


def loss_alert(rows: Sequence[HealthRow], known: Sequence[HealthRow], spec: DriftSpec) -> Alert | None:
    """Return the alert of a day whose foretold loss of a Pix is above the usual one, beyond chance.

    `rows` are the day's measures, `known` those of days before it. The usual loss is the median of days.
    """
    today = _losses(rows)
    if not today:
        return None
    [(_, (value, low))] = today.items()
    usual = [one for _, (one, _) in sorted(_losses(known).items())][-2 * LOSS_DAYS :]
    if len(usual) < LOSS_DAYS or low <= (often := median(usual)) or value <= spec.loss_rise_max * often:
        return None
    reason = f"foretold loss of a Pix R$ {value:.4f}, {value / often:.2f} times the usual ({spec.loss_rise_max:g})"
    return Alert("DRIFT", reason, {"loss_rise": value / often})


def _losses(rows: Sequence[HealthRow]) -> dict[int, tuple[float, float]]:
    """Return by day the foretold loss of a Pix in BRL and the lower end of its interval, of all sides and models."""
    decided, lost, least = dict[int, float](), dict[int, float](), dict[int, float]()
    for row in rows:
        if row.age_days is None and row.segment is None and row.value is not None:
            if row.measure == DECIDED:
                decided[row.day] = decided.get(row.day, 0.0) + row.value
            if row.measure == EXPECTED_LOSS:
                lost[row.day] = lost.get(row.day, 0.0) + row.value
                least[row.day] = least.get(row.day, 0.0) + (row.low or 0.0)
    return {day: (lost[day] / decided[day], least[day] / decided[day]) for day in lost if decided.get(day)}
