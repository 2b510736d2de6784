"""The labels that decisions leave, by the rules of `pix.labels`, once all of them are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.scoring.rules import Decision
from tests.benchmarks.learning.world import LearningWorld


class Labels(NamedTuple):
    """Whether each row has a verdict, and whether that is FRAUD; both [n]. A row without a verdict is UNKNOWN."""

    known: NDArray[np.bool_]
    fraud: NDArray[np.bool_]


def all_labels(world: LearningWorld) -> Labels:
    """Return the labels that nobody has: those of a world in which everything settles."""
    return Labels(np.ones(len(world), dtype=bool), world.stream.fraud.copy())


def labels_left(world: LearningWorld, decided: NDArray[np.int8]) -> Labels:
    """Return the labels after decisions [n].

    - A Pix that was approved was paid: its fraud is reported, and silence makes it legitimate.
    - One that was held was reviewed. A fraud is refused, or released by mistake and reported later: FRAUD either way.
      A legitimate one that was refused is FRAUD unless its customer complains.
    - One that was rejected has a verdict only after a complaint, by which it is LEGITIMATE.
    """
    held, rejected = decided == Decision.HOLD, decided == Decision.REJECT
    wronged = held & ~world.stream.fraud & world.refused & ~world.complains
    return Labels(~rejected | world.complains, (world.stream.fraud & ~rejected) | wronged)
