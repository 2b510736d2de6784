"""Decide the Pix of a world as the score function does: rules, the model that serves, and the control group."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from shared.adapters.memory.purse import MemoryPurse
from shared.scoring.bundle import Bundle
from shared.scoring.control import Budget, Lottery, chances
from shared.scoring.policy import ModelScores, Reasons, decide
from shared.scoring.purse import Caps, Spend
from shared.scoring.rules import Decision, FiredRules, Rules
from tests.benchmarks.learning.world import LearningWorld

BATCH = 16_384
SEVERITY = {"APPROVE": Decision.APPROVE, "HOLD": Decision.HOLD, "REJECT": Decision.REJECT}
REPORTED = (
    *("PAYEE_MARKED_IN_DICT", "PAYEE_UNDER_SUSPICION", "PAYEE_MARKED", "PAYEE_CONFIRMED_FRAUD"),
    "PAYER_CONFIRMED_FRAUD",
)
"""Codes of rules that the benchmark leaves out: they read reports, most of which never come where Pix are stopped."""
BUDGET = Budget(0.5, 0.5, pix=500_00, day=1_000_00, month=15_000_00, review=4_00, reserved=0)
"""The control group of the benchmark, for some 670 Pix a day; a review costs as much as in `jobs/config.yaml`."""


class Served(NamedTuple):
    """Decisions on the rows of a world, each [n]: by the policy, as answered, and the chance of the control group.

    The chance is NaN where a Pix had none; `scores` are NaN where no model served.
    """

    policy: NDArray[np.int8]
    decided: NDArray[np.int8]
    chance: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def nothing(cls, rows: int) -> Self:
        """Return the decisions on rows that nobody has decided."""
        approve, missing = np.zeros(rows, dtype=np.int8), np.full(rows, np.nan)
        return cls(approve, approve.copy(), missing, missing.copy())

    def keep(self, rows: slice, found: Served) -> None:
        """Write the decisions on some rows."""
        self.policy[rows], self.decided[rows] = found.policy, found.decided
        self.chance[rows], self.scores[rows] = found.chance, found.scores


class ControlGroup:
    """The draw of the control group among Pix in order of time, by the product's chances, lottery and purse."""

    def __init__(self, budget: Budget, secret: bytes) -> None:
        self._budget, self._lottery, self._purse = budget, Lottery(secret), MemoryPurse()
        self._caps = Caps(budget.day, budget.month)

    def apply(self, world: LearningWorld, rows: slice, model: Bundle, fired: FiredRules, found: Served) -> Served:
        """Return the decisions on a batch of rows, with those that are drawn one step milder."""
        decided, chance = found.decided.copy(), found.chance.copy()
        cents = np.rint(world.stream.amount[rows] * 100).astype(np.int64)
        nobody = np.zeros(len(decided), dtype=bool)
        open_ = np.array([not codes for codes in fired.codes], dtype=bool) & (found.policy > Decision.APPROVE)
        possible = chances(self._budget, model.thresholds, found.scores, nobody, cents) * open_
        for i in np.flatnonzero(possible).tolist():
            ticket = self._lottery(world.ids[rows.start + i], "PAYER")
            cost = int(cents[i]) if found.policy[i] == Decision.HOLD else self._budget.review
            at, drawn = int(world.stream.initiated_at[rows.start + i]), ticket.number < possible[i]
            spend = [Spend(ticket.name, cost, again=False)] if drawn else []
            answer = asyncio.run(self._purse.spend(spend, self._caps, at))
            if drawn and answer.paid[0]:
                decided[i] -= 1
            if answer.paid[0] if drawn else cost <= answer.left:
                chance[i] = possible[i]
        return found._replace(decided=decided, chance=chance)


def rules_without_reports() -> Rules:
    """Return the rules of norms on limits.

    In a world of some hundred Pix a day each shop has few payers, so that one report that is agreed to by mistake
    would have it rejected for years, and after two years half of all Pix.
    """
    return Rules([rule for rule in Rules.load().rules if rule.code not in REPORTED])


def served(
    world: LearningWorld, rows: slice, model: Bundle | None, rules: Rules, control: ControlGroup | None
) -> Served:
    """Return the decisions on some rows by a model, or by the rules alone."""
    starts = range(rows.start, rows.stop, BATCH)
    parts = [_batch(world, slice(at, min(at + BATCH, rows.stop)), model, rules, control) for at in starts]
    return Served(*(np.concatenate(columns) for columns in zip(Served.nothing(0), *parts, strict=True)))


def _unexplained(_: Bundle, vectors: NDArray[np.float32]) -> list[Reasons]:
    """Return no reasons, which nobody reads here."""
    return [Reasons([], [])] * len(vectors)


def _batch(
    world: LearningWorld, rows: slice, model: Bundle | None, rules: Rules, control: ControlGroup | None
) -> Served:
    features, fired = np.ascontiguousarray(world.stream.features[rows]), rules.apply(world.stream.features[rows])
    every, scores = np.arange(len(features)), np.full(len(features), np.nan)
    if model:
        scores = model.score(features)
    scored = [ModelScores(model, every, scores, _unexplained)] if model else []
    answer = decide(features, scored, fired, world.stream.initiated_at[rows])
    policy = np.array([SEVERITY[name] for name in answer.decisions], dtype=np.int8)
    found = Served(policy, policy, np.full(len(policy), np.nan), scores)
    return control.apply(world, rows, model, fired, found) if control and model else found
