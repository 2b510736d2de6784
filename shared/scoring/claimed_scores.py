"""Scores by the versions that first claims name, whichever version serves by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.errors import PixError, Unavailable
from shared.ports.history import Claim, Observations
from shared.scoring.arms import Assignment
from shared.scoring.bundle import Bundle
from shared.scoring.challenge import CHALLENGER
from shared.scoring.challenger import LiveChallenger, ScoredBatch
from shared.scoring.champion import Champion
from shared.scoring.guarded_model import GuardedModel
from shared.scoring.policy import ModelScores
from shared.telemetry.metrics import Metrics

_Score = Callable[[Bundle, NDArray[np.int64], NDArray[np.float32]], ModelScores]


class ClaimedScores:
    """Score each Pix by the version that claimed it first.

    A Pix in the arm of a challenger that is refused or fails on it is scored by the champion of its claim. It has no
    score if no model claimed it or the champion fails on it too, and an error if the version that claimed it is not
    in memory, as another one might decide differently.
    """

    def __init__(
        self, champion: Champion, challenger: LiveChallenger | None, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._champion = champion
        self._challenger = challenger
        self._model = GuardedModel(metrics, clock)

    def score(
        self,
        events: Sequence[Event],
        features: NDArray[np.float32],
        history: Observations,
        champion: Bundle | None,
        own: Claim,
    ) -> ScoredBatch:
        """Return the scores of a batch with vectors [n, F]; `champion` is that of the claim `own`.

        A Pix whose decision is known already is scored by `own`.
        """
        claims = [
            own.model_version if answer else claim.model_version
            for claim, answer in zip(history.claims, history.answers, strict=True)
        ]
        if champion and all(claim == champion.version for claim in claims):
            return ScoredBatch([self._model.score(champion, np.arange(len(claims)), features)], {})
        assigned = [Assignment.decode(each) for each in claims]
        if self._challenger and any(each.challenger for each in assigned):
            return self._score_arms(self._challenger, events, assigned, features, champion)
        return ScoredBatch(*self._by_champions(dict(enumerate(assigned)), features, champion))

    def _score_arms(
        self,
        challenger: LiveChallenger,
        events: Sequence[Event],
        assigned: Sequence[Assignment],
        features: NDArray[np.float32],
        champion: Bundle | None,
    ) -> ScoredBatch:
        arms = challenger.arms(assigned, (event.payer_id for event in events))
        own = {i: arm.challenger for i, arm in enumerate(arms) if arm and arm.name == CHALLENGER}
        models, errors = self._by_version(own, features, None, challenger.score)
        done = {i for each in models for i in each.indexes.tolist()} | errors.keys()
        left = {i: each for i, each in enumerate(assigned) if i not in done}
        others, failed = self._by_champions(left, features, champion)
        return ScoredBatch([*models, *others], errors | failed, arms, challenger.beside(arms, features))

    def _by_champions(
        self, assigned: Mapping[int, Assignment], features: NDArray[np.float32], champion: Bundle | None
    ) -> tuple[list[ModelScores], dict[int, PixError]]:
        versions = {i: each.champion for i, each in assigned.items()}
        return self._by_version(versions, features, champion, self._model.score)

    def _by_version(
        self,
        versions: Mapping[int, str | None],
        features: NDArray[np.float32],
        serving: Bundle | None,
        score: _Score,
    ) -> tuple[list[ModelScores], dict[int, PixError]]:
        """Return the scores of the Pix at the indexes of `versions`, each by its version, and errors by index."""
        scored: list[ModelScores] = []
        errors: dict[int, PixError] = {}
        for version in dict.fromkeys(versions.values()):
            indexes = np.array([i for i, each in versions.items() if each == version])
            try:
                model = serving if serving and version == serving.version else self._bundle(version)
            except Unavailable as error:
                errors |= dict.fromkeys(indexes.tolist(), error)
                continue
            if model is not None:
                vectors = features if len(indexes) == len(features) else features[indexes]
                scored.append(score(model, indexes, vectors))
        return scored, errors

    def _bundle(self, version: str | None) -> Bundle | None:
        return None if version is None else self._champion.version(version)
