"""Rank the causes of a day's change: source x publisher x segment, with their likelier kind and examples.

Sources with a sign of a fault come first, as a fault is certain and can be mended, even where the model makes little
of it yet; within both, the order is by the share that they explain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.monitoring.causes.evidence import CauseEvidence, faults, step
from shared.learning.monitoring.causes.exchange import CHANGES, Exchanged, ExchangeEffect, consequences, exchanged
from shared.learning.monitoring.causes.rows import CauseRows
from shared.learning.monitoring.causes.sources import HISTORY, members
from shared.scoring.bundle import Bundle

Kind = Literal["CODE", "CONTRACT", "TRAFFIC"]
"""CODE: ours, as all publishers change at once; CONTRACT: a publisher or a feed sends other content; TRAFFIC:
people, honest or not, do something else."""
SHARES = (0.5, 0.25, 0.25)
"""Weight of each of CHANGES in the rank: the score is known best, losses hang on few rows."""
MOSTLY = 0.8
"""Share of a part from which it counts as that of one publisher or segment."""
LISTED, EXAMPLES, ROWS_MIN = 10, 5, 30
_AMOUNTS = (50.0, 200.0, 1_000.0, 5_000.0)
_BANDS = ("up to R$ 50", "R$ 50 to 200", "R$ 200 to 1,000", "R$ 1,000 to 5,000", "above R$ 5,000")


class DriftCause(Struct, frozen=True):
    """A source whose change explains a part of a day's.

    `publisher` (ISPB) and `segment` are None where it is that of all. `score` is in log-odds of the mean score,
    `alerts` in alerts and `brl` in foretold loss of the day. `share` is that of the change of the score.
    """

    source: str
    publisher: str | None
    segment: str | None
    kind: Kind
    weight: float
    score: ExchangeEffect
    alerts: ExchangeEffect
    brl: ExchangeEffect
    share: float | None
    features: list[str]
    evidence: list[CauseEvidence]
    examples: list[str]

    @property
    def is_fault(self) -> bool:
        """Whether the values show a fault, and not only the minute of a change."""
        return any(each.sign != "STEP" for each in self.evidence)


class Change(Struct, frozen=True):
    """A day against the days before it: mean log-odds, alerts and foretold loss in BRL of the day."""

    score: float
    alerts: float
    brl: float


class _Part(NamedTuple):
    """Rows and reference rows of a publisher or segment, None for all, and their part of the change."""

    name: str | None
    rows: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    effects: list[ExchangeEffect]

    @property
    def size(self) -> float:
        """The part of the score beyond chance."""
        return self.effects[0].sure


def causes(bundle: Bundle, rows: CauseRows, reference: CauseRows, number: int) -> tuple[Change, list[DriftCause]]:
    """Return the change of a day with `number` Pix against a reference, and its causes, the heaviest first."""
    own, known = (consequences(bundle, each.features, each, each.amount).mean(axis=0) for each in (rows, reference))
    change = own - known
    parts = members(bundle.feature_names)
    tried = exchanged(bundle, rows, reference, parts)
    day = _Day(rows, reference, change, number)
    cells = {source: _cell(day, one, source, parts[source]) for source, one in tried.items()}
    largest = [max(abs(cell.part.effects[k].value) for cell in cells.values()) for k in range(len(CHANGES))]
    scale = [max(abs(float(change[k])), largest[k]) or 1.0 for k in range(len(CHANGES))]
    found = [_cause(source, cell, tried[source], day, parts[source], scale) for source, cell in cells.items()]
    listed = [one for one in found if one.weight > 0 or one.is_fault]
    ranked = sorted(listed, key=lambda one: (not one.is_fault, -one.weight))[:LISTED]
    return Change(float(change[0]), number * float(change[1]), number * float(change[2])), ranked


class _Day(NamedTuple):
    """A sample of a day of `number` Pix and one of the days before, and the change of the means [3]."""

    rows: CauseRows
    reference: CauseRows
    change: NDArray[np.float64]
    number: int


class _Cell(NamedTuple):
    """The part of a source, a segment that has most of it, and the signs of a fault in the part."""

    part: _Part
    segment: _Part | None
    signs: list[CauseEvidence]


def _cell(day: _Day, one: Exchanged, source: str, places: Sequence[int]) -> _Cell:
    """Return the part of a source: that of one publisher where fault or change is mostly his, else that of all."""
    rows, reference = day.rows, day.reference
    every = _part(one, None, np.ones(len(rows), dtype=bool), np.ones(len(reference), dtype=bool))
    publishers = [
        _part(one, name, rows.publisher == name, reference.publisher == name)
        for name in np.unique(rows.publisher).tolist()
        if min((rows.publisher == name).sum(), (reference.publisher == name).sum()) >= ROWS_MIN
    ]
    chosen, signs = _mostly(every, publishers), list[CauseEvidence]()
    if not source.startswith(HISTORY):
        chosen, signs = _faulty(day, every, publishers, places) or (chosen, signs)
    return _Cell(chosen, _segment(day, one, chosen), signs)


def _faulty(
    day: _Day, every: _Part, publishers: Sequence[_Part], places: Sequence[int]
) -> tuple[_Part, list[CauseEvidence]] | None:
    """Return the signs of a fault and whose they are: those of all, or of the publisher with most rows among them."""
    found = {part.name: (part, signs) for part in publishers if (signs := _signs(day, part, places))}
    of_all = _signs(day, every, places)
    with_values = [
        part for part in publishers if not np.isnan(day.reference.features[part.reference][:, places]).all()
    ]
    total = sum(int(part.rows.sum()) for part in with_values)
    if of_all and (not found or sum(int(part.rows.sum()) for part, _ in found.values()) >= MOSTLY * total):
        return every, of_all
    return max(found.values(), key=lambda one: int(one[0].rows.sum()), default=None)


def _signs(day: _Day, part: _Part, places: Sequence[int]) -> list[CauseEvidence]:
    return faults(*_samples(day, part), places)


def _samples(day: _Day, part: _Part) -> tuple[CauseRows, CauseRows]:
    return day.rows.take(np.flatnonzero(part.rows)), day.reference.take(np.flatnonzero(part.reference))


def _mostly(every: _Part, publishers: Sequence[_Part]) -> _Part:
    """Return the part of the one publisher that has most of all parts beyond chance, or that of all."""
    total = sum(part.size for part in publishers)
    best = max(publishers, key=lambda part: part.size, default=None)
    if best is None or not best.size or len(publishers) < 2 or best.size < MOSTLY * total:
        return every
    own = abs(best.effects[0].value)
    others = abs(sum(part.effects[0].value for part in publishers if part is not best))
    return best if own >= MOSTLY * (own + others) else every


def _segment(day: _Day, one: Exchanged, chosen: _Part) -> _Part | None:
    """Return the segment of less than half of the rows of a part that has most of it."""
    segments = [
        _part(one, name, chosen.rows & own, chosen.reference & known)
        for name, own, known in _segments(day.rows, day.reference)
        if (chosen.rows & own).sum() >= ROWS_MIN and (chosen.reference & known).sum() >= ROWS_MIN
    ]
    narrow = [part for part in segments if part.rows.sum() < 0.5 * chosen.rows.sum()]
    best = max(narrow, key=lambda part: part.size, default=None)
    total = abs(chosen.effects[0].value)
    return best if best and best.size > 0 and abs(best.effects[0].value) >= MOSTLY * total else None


def _part(one: Exchanged, name: str | None, rows: NDArray[np.bool_], reference: NDArray[np.bool_]) -> _Part:
    return _Part(name, rows, reference, one.effects(rows, reference))


def _segments(rows: CauseRows, reference: CauseRows) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield the segments: forms of initiation, bands of amount, first Pix to a payee and later ones."""
    for form in np.unique(rows.form).tolist():
        yield f"form {form}", rows.form == form, reference.form == form
    bands = [np.searchsorted(_AMOUNTS, each.amount) for each in (rows, reference)]
    for number, name in enumerate(_BANDS):
        yield name, bands[0] == number, bands[1] == number
    new = [each.features[:, FEATURE_NAMES.index("new_pair")] == 1 for each in (rows, reference)]
    yield "first Pix to a payee", new[0], new[1]
    yield "later Pix to a payee", ~new[0], ~new[1]


def _cause(
    source: str, cell: _Cell, one: Exchanged, day: _Day, places: Sequence[int], scale: Sequence[float]
) -> DriftCause:
    part, segment, signs = cell
    samples = _samples(day, part)
    named = [FEATURE_NAMES.index(signs[0].feature)] if signs else places
    score, alerts, brl = part.effects
    sure = (effect.sure / size for effect, size in zip(part.effects, scale, strict=True))
    signs = [*signs, *step(*samples, named)]
    own = segment.rows if segment else part.rows
    return DriftCause(
        source=source,
        publisher=part.name,
        segment=segment.name if segment else None,
        kind=kind_of(source, part.name, signs),
        weight=sum(weight * min(value, 1.0) for weight, value in zip(SHARES, sure, strict=True)),
        score=score,
        alerts=ExchangeEffect(day.number * alerts.value, day.number * alerts.error),
        brl=ExchangeEffect(day.number * brl.value, day.number * brl.error),
        share=score.value / float(day.change[0]) if day.change[0] else None,
        features=_moved_most(*samples, places),
        evidence=signs,
        examples=_examples(day.rows, own, one.day[:, 0] * np.sign(score.value)),
    )


def kind_of(source: str, publisher: str | None, signs: Sequence[CauseEvidence]) -> Kind:
    """Return the likelier kind of a cause.

    A fault of one publisher, or of a feed that grows stale, is one of the contract; a fault or a step of all
    publishers is one of our code. The rest is traffic.

    >>> kind_of("device", "12345678", [CauseEvidence("MISSING", "device_unregistered", 0.1, 1.0)])
    'CONTRACT'
    >>> kind_of("amount", None, [])
    'TRAFFIC'
    """
    if not signs:
        return "TRAFFIC"
    is_stale = any(each.sign == "STALE" for each in signs)
    return "CONTRACT" if is_stale or (publisher is not None and not source.startswith(HISTORY)) else "CODE"


def _moved_most(rows: CauseRows, reference: CauseRows, places: Sequence[int]) -> list[str]:
    """Return the features of a source whose distribution moved most, by Kolmogorov's distance."""
    moved = {}
    for place in places:
        now, was = (np.sort(np.nan_to_num(each.features[:, place], nan=-1e30)) for each in (rows, reference))
        both = np.concatenate([now, was])
        apart = np.searchsorted(now, both, "right") / len(now) - np.searchsorted(was, both, "right") / len(was)
        moved[FEATURE_NAMES[place]] = float(np.abs(apart).max())
    return sorted(moved, key=lambda name: -moved[name])[:EXAMPLES]


def _examples(rows: CauseRows, own: NDArray[np.bool_], pushed: NDArray[np.float64]) -> list[str]:
    """Return the ids of the rows whose score the source has pushed farthest the way of the part."""
    order = np.argsort(-np.where(own, pushed, -np.inf), kind="stable")[: min(EXAMPLES, int(own.sum()))]
    found: list[str] = rows.ids[order].tolist()
    return found
