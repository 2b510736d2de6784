"""The version that is tried beside the champion: its arm, its scores, and its end if it fails or is slow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.rows import Challenged
from shared.errors import PixError, Unavailable
from shared.scoring.arms import AccountDraw, Arm, Assignment
from shared.scoring.bundle import Bundle
from shared.scoring.champion import Champion
from shared.scoring.guarded_model import GuardedModel
from shared.scoring.policy import ModelScores, names_of
from shared.scoring.rules import FiredRules, by_payee
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import (
    CHALLENGER_DROPPED,
    CHALLENGER_FAILURES,
    CHALLENGER_SCORED,
    CHALLENGER_SECONDS,
    Metrics,
)

log = logging.getLogger(__name__)

FAILED_SHARE, FAILED_MOST = 0.01, 10.0
"""The share of Pix that a challenger may fail on, and the number beyond it at which it is dropped."""
BATCH_SECONDS, PIX_SECONDS, SLOW_MOST = 0.003, 0.0001, 0.25
"""Processor time that a batch and each of its Pix may take, and the sum beyond it at which a challenger is dropped.

Scores of 64 Pix take 0.1 ms with 200 trees, and the batch 1.6 ms at least, without a model.
"""


class Allowance:
    """A sum that is spent within a limit; the excess of one time is paid back by others that need less.

    >>> allowance = Allowance(10.0)
    >>> [allowance.exceeded(spent, allowed=1.0) for spent in (9.0, 0.0, 2.0, 5.0)]
    [False, False, False, True]
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._excess = 0.0

    def exceeded(self, spent: float, allowed: float) -> bool:
        """Return whether the excess is above the most that is allowed."""
        self._excess = max(0.0, self._excess + spent - allowed)
        return self._excess > self._most


class ScoredBatch(NamedTuple):
    """The scores of a batch by the versions that are to decide, and its errors by index.

    `arms` are those of each Pix, empty where no challenger is tried; `beside` are the scores of challengers that do
    not decide.
    """

    models: list[ModelScores]
    errors: dict[int, PixError]
    arms: Sequence[Arm | None] = ()
    beside: Sequence[ModelScores] = ()


class LiveChallenger:
    """Score by the challenger that the pointer names, once it is in memory: loaded and proven as a champion is.

    It never holds up or fails a batch. A Pix that it cannot score is the champion's. One that is refused, fails on
    more than FAILED_SHARE or takes more processor time than it may, is dropped: this instance claims no Pix for it
    until another test begins, and says so by one line in the log and a metric. An instance drops it whatever the arm
    of a Pix, so the arms of the others remain comparable.
    """

    def __init__(
        self,
        champion: Champion,
        draw: AccountDraw,
        metrics: Metrics,
        clock: Callable[[], float],
        timer: Callable[[], float] = time.thread_time,
    ) -> None:
        """`timer` returns the processor time of the thread, in seconds, which a busy machine does not stretch."""
        self._champion = champion
        self._draw = draw
        self._metrics = metrics
        self._timer = timer
        incident = Incident(log, "challenger failed", clock)
        self._model = GuardedModel(metrics, clock, CHALLENGER_FAILURES, incident)
        self._tried: tuple[str, str] | None = None
        self._is_dropped = False
        self._failures, self._seconds = Allowance(FAILED_MOST), Allowance(SLOW_MOST)

    def assignment(self, champion: Bundle | None) -> Assignment:
        """Return the versions for the claim of new Pix."""
        alone = Assignment(champion.version if champion else None)
        challenge = self._champion.challenge() if champion else None
        if challenge is None or alone.champion is None or challenge.version == alone.champion:
            return alone
        self._begin((challenge.version, challenge.started_at))
        if self._is_dropped:
            return alone
        try:
            bundle = self._champion.version(challenge.version)
        except Unavailable:  # it is on its way, or the bucket is away: the next batch asks again
            return alone
        if bundle is None:
            self._drop("refused")
            return alone
        return Assignment(alone.champion, challenge.version, challenge.share)

    def arms(self, assigned: Iterable[Assignment], payer_ids: Iterable[str]) -> list[Arm | None]:
        """Return the arm of each Pix, None where no challenger is tried."""
        return [self._arm(each, payer_id) for each, payer_id in zip(assigned, payer_ids, strict=True)]

    def score(self, bundle: Bundle, indexes: NDArray[np.int64], features: NDArray[np.float32]) -> ModelScores:
        """Return the scores of the Pix at `indexes` [k] with vectors [k, F]; those that fail are left out."""
        began = self._timer()
        found = self._model.score(bundle, indexes, features)
        seconds = self._timer() - began
        self._metrics.record(CHALLENGER_SECONDS, seconds)
        self._metrics.add(CHALLENGER_SCORED, len(found.indexes))
        if self._tried and bundle.version == self._tried[0] and not self._is_dropped:
            self._judge(len(indexes), len(indexes) - len(found.indexes), seconds)
        return found

    def beside(self, arms: Sequence[Arm | None], features: NDArray[np.float32]) -> list[ModelScores]:
        """Return the scores of the challengers for the Pix [n] that they do not decide.

        One that is not in memory, of a Pix that was claimed before, gives none.
        """
        watching = [arm.challenger if arm and arm.version != arm.challenger else None for arm in arms]
        found = []
        for version in {each for each in watching if each is not None}:
            indexes = np.array([i for i, each in enumerate(watching) if each == version])
            try:
                bundle = self._champion.version(version)
            except Unavailable:
                continue
            if bundle is not None:
                vectors = features if len(indexes) == len(features) else features[indexes]
                found.append(self.score(bundle, indexes, vectors))
        return found

    def _arm(self, assigned: Assignment, payer_id: str) -> Arm | None:
        if assigned.challenger is None or not 0.0 < assigned.share < 1.0:
            return assigned.arm(0.0)
        return assigned.arm(self._draw(assigned.challenger, payer_id))

    def _begin(self, tried: tuple[str, str]) -> None:
        if tried != self._tried:
            self._tried, self._is_dropped = tried, False
            self._failures, self._seconds = Allowance(FAILED_MOST), Allowance(SLOW_MOST)

    def _judge(self, pix: int, failed: int, seconds: float) -> None:
        if self._failures.exceeded(failed, FAILED_SHARE * pix):
            self._drop("failures")
        elif self._seconds.exceeded(seconds, BATCH_SECONDS + PIX_SECONDS * pix):
            self._drop("slow")

    def _drop(self, reason: str) -> None:
        self._is_dropped = True
        self._metrics.add(CHALLENGER_DROPPED, 1, reason)
        version = self._tried[0] if self._tried else None
        log.error("challenger dropped", extra={"fields": {"version": version, "reason": reason}})


def challenged(scored: ScoredBatch, features: NDArray[np.float32], fired: FiredRules) -> list[Challenged | None]:
    """Return the columns of challengers for the Pix of a batch, empty where none is tried."""
    if not any(scored.arms):
        return []
    payees, known = by_payee(features), dict[int, tuple[float, str]]()
    for bundle, indexes, values, _ in (*scored.models, *scored.beside):
        severity = np.maximum(fired.severity[indexes], bundle.thresholds.reached(values, payees[indexes]))
        names = names_of(severity, payees[indexes])
        for i, value, name in zip(indexes.tolist(), values.tolist(), names, strict=True):
            arm = scored.arms[i]
            if arm and arm.challenger == bundle.version:
                known[i] = value, name
    return [
        Challenged(arm.challenger, arm.name, arm.propensity, *known.get(i, (None, None))) if arm else None
        for i, arm in enumerate(scored.arms)
    ]
