"""The saving of a challenger in the shadow: both decisions about the same Pix, the costs those of the gate.

Only Pix on which both decide differently cost differently, and few do. So those rows are read one by one, and all
others count as the number of them on each day.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from shared.learning.judging.pooled import log_odds, pooled_design
from shared.learning.judging.saving import Rows, Saving, discordant, expected_effects, per_million, realised_saving
from shared.learning.judging.spread import Measured
from shared.learning.judging.stakes import saved_by_truth
from shared.learning.specs.gate import SideCosts
from shared.scoring.rules import Decision

ACCOUNTS = 1024
"""Groups into which receiving accounts fall by a hash. Errors by groups of accounts hold as those by accounts do, and
no row of a comparison names an account."""
SPREAD = 32
"""Rows that stand for the Pix of a day that cost nothing different."""


class Differing(NamedTuple):
    """Pix on which both decide differently, each [n].

    `day` numbers the days from 0, `account` is the group of the receiving account, below ACCOUNTS. Both have scored
    each of them; `champion` and `challenger` are the severities of their decisions and the rules'. `weight` is the
    number of decisions that a row stands for.
    """

    day: NDArray[np.intp]
    account: NDArray[np.intp]
    payees: NDArray[np.bool_]
    amount: NDArray[np.float64]
    champion_score: NDArray[np.float64]
    challenger_score: NDArray[np.float64]
    champion: NDArray[np.int8]
    challenger: NDArray[np.int8]
    fraud: NDArray[np.bool_]
    weight: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Differing:
        """Return some rows, by a mask or by their indexes."""
        return Differing._make(column[rows] for column in self)

    @property
    def saved(self) -> SavedColumns:
        """The arguments of `saved_by_truth` before the costs."""
        return self.challenger, self.champion, self.amount, self.payees


SavedColumns = tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.float64], NDArray[np.bool_]]


def paired_saving(differing: Differing, pix: NDArray[np.float64], costs: SideCosts) -> Saving:
    """Return the saving by labels; `pix` [days] are all Pix of each day. One fraud at least differs.

    As in the gate, the expected saving is by the probability of fraud that labels and both scores give together.
    """
    saved = saved_by_truth(*differing.saved, costs)
    own = Rows(differing.fraud, differing.weight, saved, differing.day, differing.account)
    rows = _with_agreeing(own, pix)
    by_rule = np.zeros(len(own.fraud), np.int8)  # where rules decide, both do
    scores = differing.challenger_score, differing.champion_score
    by_row, learnt = expected_effects(own, pooled_design(*scores, by_rule, differing.amount, own.fraud))
    nothing = np.zeros(len(rows.fraud) - len(own.fraud))
    expected = per_million(np.concatenate([by_row, nothing]), np.concatenate([learnt, nothing]), rows)
    change = (differing.challenger > Decision.APPROVE).astype(np.float64) - (differing.champion > Decision.APPROVE)
    frauds = own.fraud
    counts = discordant(change[frauds], own.weight[frauds], own.campaign[frauds])
    return Saving(realised_saving(rows), expected, *counts)


def foretold_saving(differing: Differing, pix: NDArray[np.float64], costs: SideCosts) -> Measured:
    """Return the saving by calibrated scores alone, before labels: their blind spots are its own.

    Both scores speak by their mean log-odds, so neither profits from its own optimism.
    """
    saved = saved_by_truth(*differing.saved, costs)
    p = foretold(differing.challenger_score, differing.champion_score)
    by_row = saved[:, 0] + p * (saved[:, 1] - saved[:, 0])
    both = np.column_stack([by_row, by_row])
    return realised_saving(
        _with_agreeing(Rows(differing.fraud, differing.weight, both, differing.day, differing.account), pix)
    )


def foretold(challenger: NDArray[np.float64], champion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of fraud by the mean log-odds of both scores [n].

    >>> foretold(np.array([0.5, 0.9]), np.array([0.5, 0.1])).round(3).tolist()
    [0.5, 0.5]
    """
    return np.asarray(expit((log_odds(challenger) + log_odds(champion)) / 2))


def _with_agreeing(own: Rows, pix: NDArray[np.float64]) -> Rows:
    """Return rows with those of the Pix on which both agree, which save nothing; `pix` [days] are all.

    Of each day they are `SPREAD` rows of accounts of their own: as nothing is saved on them, they matter for the mean
    of their day only, and not for the covariance within accounts.
    """
    days = len(pix)
    others = np.maximum(pix - np.bincount(own.block, own.weight, days), 0.0)
    day = np.repeat(np.arange(days), SPREAD)
    nothing = np.zeros(len(day))
    return Rows(
        np.concatenate([own.fraud, nothing.astype(bool)]),
        np.concatenate([own.weight, others[day] / SPREAD]),
        np.concatenate([own.saved, np.zeros((len(day), 2))]),
        np.concatenate([own.block, day]),
        np.concatenate([own.campaign, ACCOUNTS + np.arange(len(day))]),
    )
