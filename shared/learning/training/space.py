"""The search space: one dimension is the candidate, the others are the parameters of each candidate.

Listed values are stored as JSON, since Optuna's categories cannot be lists.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from optuna.trial import Trial

from shared.learning.specs.search import CandidateSpec, ParameterRange

CANDIDATE = "candidate"
Point = dict[str, Any]
"""A point of the space: values by the name of the dimension."""


def first_point(candidate: CandidateSpec) -> Point:
    """Return the point of a candidate's own parameters.

    >>> first_point(CandidateSpec("net", "neural_network", {"alpha": 1, "hidden_layer_sizes": [32]},
    ...                           {"hidden_layer_sizes": [[16], [32]]}))
    {'candidate': 'net', 'net.hidden_layer_sizes': '[32]'}
    """
    own = {name: candidate.params[name] for name in candidate.search}
    return _point(candidate, own)


def grid_points(candidates: Sequence[CandidateSpec], per_range: int, seed: int) -> list[Point]:
    """Return the points of all candidates' grids, shuffled, so that a smaller budget of trials covers all of them.

    The candidates' own parameters are left out, as every method tries them first.
    """
    points = [point for candidate in candidates for point in _grid(candidate, per_range)]
    order = np.random.default_rng(seed).permutation(len(points))
    return [points[k] for k in order]


def suggest(asked: Trial, candidates: Sequence[CandidateSpec]) -> tuple[CandidateSpec, dict[str, Any]]:
    """Return the candidate that Optuna chooses for a trial, and all its parameters."""
    by_name = {candidate.name: candidate for candidate in candidates}
    candidate = by_name[asked.suggest_categorical(CANDIDATE, list(by_name))]
    found = {name: _suggest(asked, f"{candidate.name}.{name}", space) for name, space in candidate.search.items()}
    return candidate, {**candidate.params, **found}


def _suggest(asked: Trial, name: str, space: list[Any] | ParameterRange) -> Any:
    if not isinstance(space, ParameterRange):
        return msgspec.json.decode(asked.suggest_categorical(name, [_json(value) for value in space]))
    if _is_integer(space):
        return asked.suggest_int(name, int(space.low), int(space.high), log=space.log)
    return asked.suggest_float(name, space.low, space.high, log=space.log)


def _grid(candidate: CandidateSpec, per_range: int) -> list[Point]:
    values = [_values(space, per_range) for space in candidate.search.values()]
    points = [
        _point(candidate, dict(zip(candidate.search, chosen, strict=True))) for chosen in itertools.product(*values)
    ]
    return [point for point in points if point != first_point(candidate)]


def _values(space: list[Any] | ParameterRange, per_range: int) -> list[Any]:
    """Return the values of a parameter in a grid; of a range, evenly spaced ones from end to end.

    >>> _values(ParameterRange(1, 100, log=True), 3), _values(ParameterRange(0.0, 0.5), 2)
    ([1, 10, 100], [0.0, 0.5])
    """
    if not isinstance(space, ParameterRange):
        return space
    spread = np.geomspace if space.log else np.linspace
    points = spread(space.low, space.high, per_range).clip(space.low, space.high)
    values: list[Any] = np.unique(points.round().astype(int) if _is_integer(space) else points).tolist()
    return values


def _point(candidate: CandidateSpec, values: dict[str, Any]) -> Point:
    lists = {name for name, space in candidate.search.items() if not isinstance(space, ParameterRange)}
    placed = {f"{candidate.name}.{name}": _json(v) if name in lists else v for name, v in values.items()}
    return {CANDIDATE: candidate.name, **placed}


def _is_integer(space: ParameterRange) -> bool:
    return float(space.low).is_integer() and float(space.high).is_integer()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
