"""The contributions of reason groups to a model's score, by the kind of explanation that its bundle declares.

Both kinds count in log-odds of the score before calibration, which is monotone and keeps its order:

SHAPLEY    `reasons.onnx` computes interventional Shapley values against a background of the training period, summed
           over the features of each group. A score's log-odds are `base` plus the contributions of all groups.
OCCLUSION  A contribution is the fall of the score if all features of its group were usual, at their median. They do
           not add up to the score, and cost one call of the model each: only Pix that it stops are explained.
           Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from shared.scoring.reason_words import Code

Kind = Literal["SHAPLEY", "OCCLUSION"]
SHAPLEY: Kind = "SHAPLEY"
OCCLUSION: Kind = "OCCLUSION"

ADDITIVITY = 1e-4
"""Largest difference of log-odds from the sum of contributions, relative to their size above 1.

A training allows a tenth of it: platforms differ a little.
"""

_FLOAT32 = 1.5e-7
"""Error of one probability that ONNX Runtime computes in float32.

It takes small probabilities from 1, so their error is not relative: 1.2e-7 at most on 20,000 rows of a linear model,
on which half of those below 1e-7 were 0.
"""
_FLOAT32_BIAS = 1e-8
"""Error of the mean of many of them: at most 5e-9 there, with a standard deviation of 3.3e-8 for one."""
_CERTAIN = 1e-7
"""Probability beyond which a score counts as certain: log-odds of 0 and 1 are infinite."""


class Explanation(Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `reasons.json`: how a bundle explains its scores."""

    kind: Kind
    """The kind of explanation; SHAPLEY needs `reasons.onnx`."""
    groups: Annotated[dict[Code, list[str]], Meta(min_length=1)]
    """The reason groups in the order of the contributions, by code, with the model's inputs that belong to each."""
    base: float | None = None
    """Mean log-odds over the background, which contributions add to; None for OCCLUSION."""
    background: str | None = None
    """SHA-256 of the background's vectors, float32 by rows; None for OCCLUSION."""

    def __post_init__(self) -> None:
        known = [self.base is not None, self.background is not None]
        if known != [self.kind == SHAPLEY] * 2:
            raise ValueError(f"{self.kind} has base and background: {known}")

    def members(self, names: Sequence[str]) -> list[NDArray[np.intp]]:
        """Return the indexes among `names` of each group's inputs. Raises ValueError unless each is in one group."""
        if sorted(name for own in self.groups.values() for name in own) != sorted(names):
            raise ValueError("the groups are not those of the inputs")
        return [np.array([names.index(name) for name in own], dtype=np.intp) for own in self.groups.values()]


def falls(
    inputs: NDArray[np.float32],
    score: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    baseline: NDArray[np.float32],
    members: Sequence[NDArray[np.intp]],
) -> NDArray[np.float64]:
    """Return by how much a score [n] of inputs [n, F] falls if some of them are usual, [n, len(members)].

    `members` are the indexes of the inputs that are set to their `baseline` [F], together.

    >>> falls(np.float32([[1, 5]]), lambda each: each.sum(axis=1), np.float32([0, 2]), [np.array([0]), np.array([1])])
    array([[1., 3.]], dtype=float32)
    """
    variants = np.repeat(inputs[:, np.newaxis], len(members) + 1, axis=1)
    for each, own in enumerate(members):
        variants[:, each, own] = baseline[own]
    scores = score(variants.reshape(-1, inputs.shape[1])).reshape(variants.shape[:2])
    return scores[:, -1:] - scores[:, :-1]


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-odds of probabilities, finite at 0 and 1.

    >>> log_odds(np.array([0.5, 0.0])).round(1).tolist()
    [0.0, -16.1]
    """
    inside = np.clip(probabilities, _CERTAIN, 1 - _CERTAIN)
    found: NDArray[np.float64] = np.log(inside / (1 - inside))
    return found


def adds_up(base: float, contributions: NDArray[np.float64], probabilities: NDArray[np.float64]) -> bool:
    """Return whether base plus contributions [n, groups] are the log-odds of probabilities [n], within ADDITIVITY.

    It compares probabilities: the float32 of one that is all but certain does not tell its log-odds. A wrong base
    moves all to one side, so their mean tells it where each alone is too small. Equal scores count once in it, as
    their errors are the same.

    >>> adds_up(-1.0, np.array([[0.6, 0.4]]), np.array([0.5])), adds_up(-1.0, np.array([[0.6]]), np.array([0.5]))
    (True, False)
    """
    sums = base + contributions.sum(axis=1)
    size = np.maximum(np.abs(contributions).sum(axis=1), 1.0)
    told = np.exp(-np.logaddexp(0.0, -sums))
    allowed = ADDITIVITY * size * probabilities * (1 - probabilities)
    errors = told - probabilities
    each = np.unique(probabilities, return_inverse=True)[1]
    number = np.bincount(each)
    allowed_mean = (np.bincount(each, allowed) / number).mean() + _FLOAT32 / len(number) ** 0.5 + _FLOAT32_BIAS
    mean = (np.bincount(each, errors) / number).mean()
    return bool(np.all(np.abs(errors) <= allowed + _FLOAT32) and abs(mean) <= allowed_mean)
