"""Nightly looks at equal challengers: how often is one promoted that saves nothing?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import Config
from shared.learning.data.split import DAY
from shared.learning.judging.bootstrap import time_blocks
from shared.learning.judging.looks import Look, budget
from shared.learning.judging.pooled import pooled_design
from shared.learning.judging.proportions import chance_of_loss
from shared.learning.judging.saving import (
    Rows,
    Saving,
    discordant,
    expected_saving,
    realised_saving,
)
from shared.learning.judging.stakes import saved_by_truth
from shared.scoring.thresholds import Thresholds
from tests.benchmarks.gate_worlds.world import Policy, Stream, World

WINDOW, ROWS = 36, 8_000  # days of a test period; rows that stand for its legitimate Pix
_SECONDS = 86_400.0


class Nights(NamedTuple):
    """A run of nightly looks: the nights, from 0, on which an equal challenger was promoted, and the first saving."""

    promoted: list[int]
    first: Saving


def equal_nights(
    world: World, policy: Policy, quality: float, frauds: int, nights: int, config: Config, seed: int
) -> Nights:
    """Look every night at a challenger as good as the champion, with the noise of a training of its own.

    The test period moves by a day. Only the checks of the saving decide, so all other ways to be refused are left
    out, and the rate is an upper bound of that of the gate.
    """
    rng = np.random.default_rng(seed)
    days = WINDOW + nights
    scale = days / WINDOW
    stream = world.stream(rng, round(frauds * scale), round(ROWS * scale), days)
    champion = world.scores(stream, quality, rng)
    looks: list[Look] = []
    promoted, first = [], None
    for night in range(nights):
        inside = (stream.day >= night) & (stream.day < night + WINDOW)
        rows = stream.at(inside)
        saving = compared(rows, world.scores(rows, quality, rng), champion[inside], policy.thresholds, config)
        first = first or saving
        ends = night * _SECONDS, (night + WINDOW) * _SECONDS
        level = budget(looks, *ends, config.gate).level
        looks.append(Look(ends[1], level))
        if saves(saving, level, config):
            promoted.append(night)
    assert first is not None
    return Nights(promoted, first)


def compared(
    rows: Stream,
    challenger: NDArray[np.float64],
    champion: NDArray[np.float64],
    thresholds: Thresholds,
    config: Config,
) -> Saving:
    """Return the saving of a challenger with the champion's thresholds, as `measure_saving` does."""
    new, old = thresholds.reached(challenger), thresholds.reached(champion)
    none = np.zeros(len(new), np.int8)
    saved = saved_by_truth(new, old, rows.amount, none.astype(bool), config.costs)
    block = time_blocks((rows.day * DAY).astype(np.int64))
    sums = Rows(rows.fraud, rows.weight, saved, block, rows.campaign)
    design = pooled_design(challenger, champion, none, rows.amount, rows.fraud)
    stops, stopped = new[rows.fraud] > 0, old[rows.fraud] > 0
    change = stops.astype(np.float64) - stopped
    counts = discordant(change, rows.weight[rows.fraud], rows.campaign[rows.fraud])
    return Saving(realised_saving(sums), expected_saving(sums, design), *counts)


def saves(saving: Saving, level: float, config: Config) -> bool:
    """Return whether the checks of the saving let the challenger serve."""
    confidence = config.gate.confidence
    return (
        saving.expected.lower(level) > 0
        and saving.realised.interval(confidence).high >= 0
        and chance_of_loss(saving.gained, saving.lost) >= 1 - confidence
    )
