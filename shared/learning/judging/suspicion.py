"""Find features that tell frauds apart better than they should: they may contain the label, and a person has to look.

A feature leaks if it was written with knowledge of the outcome. It then tells many of the frauds, alone or with
another one or two, from nearly all legitimate Pix. On some streams honest features do so too, so the measure is the
rise over its share when the champion was judged. A suspicion refuses nothing: it asks a person.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.errors import BundleRefused
from shared.learning.judging.comparison import TestPeriod
from shared.learning.judging.review import importance
from shared.learning.specs.gate import SuspicionSpec
from shared.ports.blobs import Blobs
from shared.scoring.bundle import Bundle
from shared.scoring.verified_file import verified_file

_PROFILE = "profile.json"
_FALSE_ALARMS = 0.001  # share of legitimate Pix that a feature may take for frauds
_LEGITIMATE = 50_000  # rows that suffice for this share
_TOGETHER = 3  # features of which each may tell a part
_SURE = 3.0  # standard errors of a rise that is no chance, among all features
_CLEAR = 2.0  # standard errors above an absolute limit, which few frauds pass by chance


class Strengths(Struct, frozen=True):
    """The power of features to tell frauds from legitimate Pix, on a period with `frauds`.

    `alone` is the share of frauds that a feature ranks above all but a thousandth of the legitimate Pix, by its
    value, by its negated value or by being missing; `together` is that share for the three features that tell most
    between them, `names`. `importance` is the share of each in the scores of frauds, by occlusion.
    """

    frauds: int
    alone: dict[str, float]
    together: float
    names: list[str]
    importance: dict[str, float]


class _Judged(Struct, frozen=True):
    """The part of a bundle's profile that says how it was judged."""

    strengths: Strengths | None = None


class _Told(NamedTuple):
    """A feature and the frauds that it tells, [frauds]."""

    name: str
    frauds: NDArray[np.bool_]


def strengths(
    features: NDArray[np.float32],
    names: Sequence[str],
    inputs: Sequence[str],
    fraud: NDArray[np.bool_],
    importance: Sequence[tuple[str, float]],
) -> Strengths:
    """Return the strengths of `inputs` among `features` [n, F], whose columns are `names`.

    `importance` is the mean fall in score by feature; falls below zero are none. If legitimate rows are many, every
    k-th is used.
    """
    legitimate = np.flatnonzero(~fraud)
    legitimate = legitimate[:: max(len(legitimate) // _LEGITIMATE, 1)]
    frauds = np.flatnonzero(fraud)
    found = [
        _Told(name, _told(features[frauds, column], features[legitimate, column]))
        for name in inputs
        for column in (names.index(name),)
    ]
    best = _best_together(found)
    falls = {name: max(fall, 0.0) for name, fall in importance}
    total = sum(falls.values())
    return Strengths(
        len(frauds),
        {one.name: float(one.frauds.mean()) for one in found},
        float(np.any([one.frauds for one in best], axis=0).mean()),
        [one.name for one in best],
        {name: fall / total for name, fall in falls.items()} if total else {},
    )


def strengths_of(bundle: Bundle, period: TestPeriod) -> Strengths:
    """Return the strengths of a model's inputs on a test period."""
    falls = importance(bundle, period)
    return strengths(period.features, period.names, bundle.feature_names, period.truth.fraud, falls)


def suspicions(now: Strengths, before: Strengths | None, spec: SuspicionSpec) -> list[str]:
    """Return a sentence for each suspicion; `before` are the champion's strengths, None if it has none.

    >>> spec = SuspicionSpec(told_max=0.4, together_max=0.8, told_rise_max=0.2, importance_rise_max=0.4)
    >>> usual = Strengths(200, {"a": 0.7, "b": 0.3}, 0.9, ["a", "b"], {"a": 1.0})
    >>> suspicions(usual, None, spec)
    ['a alone tells 70% of the frauds apart, above 40%', 'a, b together tell 90% of the frauds apart, above 80%']
    >>> suspicions(usual, usual, spec)
    []
    """
    found = [_alone(name, share, now, before, spec) for name, share in now.alone.items()]
    found.append(_together(now, before, spec))
    return [*(each for each in found if each is not None), *_importance(now, before, spec)]


def read_strengths(blobs: Blobs, version: str) -> Strengths | None:
    """Return the strengths in a bundle's profile, None without any. Raises BundleRefused, Unavailable."""
    data = verified_file(blobs, version, _PROFILE)
    try:
        return msgspec.json.decode(data, type=_Judged).strengths
    except msgspec.MsgspecError as error:
        raise BundleRefused(f"{version}: {_PROFILE} cannot be read: {error}") from error


def with_strengths(files: Mapping[str, bytes], found: Strengths) -> dict[str, bytes]:
    """Return the files of a bundle with the strengths, on its test period, in its profile: the next reference."""
    profile = msgspec.json.decode(files[_PROFILE])
    return {**files, _PROFILE: msgspec.json.encode(profile | {"strengths": found})}


def _told(frauds: NDArray[np.float32], legitimate: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the frauds [frauds] that one column tells, in the best of three rankings."""
    above, below = (_rankings(column) for column in (frauds, legitimate))
    return max((one > _limit(other) for one, other in zip(above, below, strict=True)), key=np.count_nonzero)


def _rankings(column: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    missing = np.isnan(column)
    lowest = np.float32(-np.inf)
    return missing.astype(np.float32), np.where(missing, lowest, column), np.where(missing, lowest, -column)


def _limit(legitimate: NDArray[np.float32]) -> float:
    """Return the value that all but the allowed share of legitimate values reach at most."""
    allowed = math.floor(_FALSE_ALARMS * len(legitimate))
    return float(np.partition(legitimate, -1 - allowed)[-1 - allowed])


def _best_together(found: Sequence[_Told]) -> list[_Told]:
    """Return the few features that tell most frauds between them, each the one that adds most."""
    chosen: list[_Told] = []
    left = np.ones(len(found[0].frauds), dtype=bool)
    while len(chosen) < _TOGETHER:
        best = max(found, key=lambda one: np.count_nonzero(one.frauds & left))
        if not (best.frauds & left).any():
            break
        chosen.append(best)
        left &= ~best.frauds
    return chosen or [found[0]]


def _alone(name: str, share: float, now: Strengths, before: Strengths | None, spec: SuspicionSpec) -> str | None:
    text = f"{name} alone tells {share:.0%} of the frauds apart"
    if before is None or name not in before.alone:
        return f"{text}, above {spec.told_max:.0%}" if _is_above(share, now.frauds, spec.told_max) else None
    usual = before.alone[name]
    risen = _has_risen(share, now.frauds, usual, before.frauds, spec.told_rise_max)
    return f"{text}, {usual:.0%} before" if risen else None


def _together(now: Strengths, before: Strengths | None, spec: SuspicionSpec) -> str | None:
    text = f"{', '.join(now.names)} together tell {now.together:.0%} of the frauds apart"
    if before is None:
        return (
            f"{text}, above {spec.together_max:.0%}"
            if _is_above(now.together, now.frauds, spec.together_max)
            else None
        )
    risen = _has_risen(now.together, now.frauds, before.together, before.frauds, spec.told_rise_max)
    return f"{text}, the best three {before.together:.0%} before" if risen else None


def _importance(now: Strengths, before: Strengths | None, spec: SuspicionSpec) -> list[str]:
    """Return a sentence for each feature on which scores rest far more than the champion's."""
    if before is None or not before.importance:
        return []
    usual: Mapping[str, float] = before.importance
    return [
        f"{name} makes {share:.0%} of the scores of frauds, {usual.get(name, 0.0):.0%} before"
        for name, share in now.importance.items()
        if share - usual.get(name, 0.0) > spec.importance_rise_max
    ]


def _is_above(share: float, frauds: int, limit: float) -> bool:
    """Return whether a share of frauds is above a limit by more than chance."""
    return share - _CLEAR * math.sqrt(max(share * (1 - share), 0.0) / frauds) > limit


def _has_risen(share: float, frauds: int, usual: float, frauds_before: int, most: float) -> bool:
    """Return whether a share of frauds has risen by more than allowed, and by more than chance."""
    pooled = (share * frauds + usual * frauds_before) / (frauds + frauds_before)
    error = math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / frauds + 1 / frauds_before))
    return share - usual > max(most, _SURE * error)
