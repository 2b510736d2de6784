"""The steps of a batch from history to rows; `shared.serving.score_service` puts them in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.rows import ScoreRow
from shared.errors import Malformed, PixError, Unavailable
from shared.features.columns import Events
from shared.features.history import READ_WIDTH
from shared.features.life import LIFE, STORED, UNCOUNTED
from shared.features.outcomes import UNDECIDED
from shared.ports import UNPLACED, Answer, Changed, Claim, History, Observations
from shared.scoring.bundle import Bundle
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.first_decision import FirstDecision
from shared.scoring.guarded_model import GuardedModel
from shared.scoring.policy import Decisions, ModelScores
from shared.scoring.rules import Rules
from shared.telemetry.metrics import DECISIONS, LATE, SCORED, Metrics

NO_HISTORY = "NO_HISTORY"
NO_MODEL = "NO_MODEL"


class Delivery(NamedTuple):
    """An event, the time at which Pub/Sub received its message (microseconds), and the number of this delivery."""

    event: Event
    published_at: int | None
    attempt: int | None = None


class Scorer:
    """Turn deliveries into rows of `pix.score_events`; a redelivery gives the same row again.

    It always returns a decision; missing inputs are recorded in the row, which is then `degraded`:

    full        history and model
    no history  reason NO_HISTORY: rules and model decide on the message alone. A model trained with history then
                raises too few alerts rather than too many: in the simulated world a twentieth of its usual alerts,
                86 % of them right against 50 %, among them frauds that no rule finds.
    rules only  reason NO_MODEL, with NO_HISTORY if that is missing too: score and model_version are NULL. There is
                no model, or it cannot score this transaction.

    The first decision stands: if its row could not be stored, history keeps it, and answers the redelivery.

    Three kinds of deliveries have no row: one whose row is stored, another message under a taken id (Malformed), and
    one of which history knows that a model decided it, which is not available at the moment (Unavailable), as another
    model might decide differently.
    """

    def __init__(
        self,
        history: History,
        conclusions: Conclusions,
        champion: Champion,
        rules: Rules,
        now: Callable[[], int],
        deadline_seconds: float,
        hmac_key_version: int,
        metrics: Metrics,
    ) -> None:
        self.rules = rules
        self._model = GuardedModel(metrics, lambda: now() / 1e6)
        self._history = history
        self._conclusions = conclusions
        self._champion = champion
        self._now = now
        self._deadline = deadline_seconds * 1e6
        self._hmac_key_version = hmac_key_version
        self._metrics = metrics

    async def begin(self) -> tuple[Bundle | None, Claim]:
        """Return the model that decides new transactions of a batch, and the claim it makes on them."""
        champion = await self._champion.current_now()
        return champion, Claim(champion.version if champion else None, self._now(), self._hmac_key_version)

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read and count in history; if it is unavailable, every read is NaN and nothing is counted."""
        try:
            return await self._history.observe(events, claim)
        except Unavailable:
            n = len(events)
            reads = np.full((n, READ_WIDTH), np.nan, dtype=np.float32)
            lives = np.zeros(n, dtype=LIFE)
            lives["place"] = UNCOUNTED
            none = [None] * n
            taken, visited = np.zeros(n, dtype=bool), [()] * n
            return Observations(reads, lives["place"], [claim] * n, taken, lives, none, none, visited)

    def score(
        self, features: NDArray[np.float32], history: Observations, champion: Bundle | None, own: Claim
    ) -> tuple[list[ModelScores], dict[int, PixError]]:
        """Score each transaction by the model that claimed it first; `champion` is the model of the claim `own`.

        A transaction has no score if no model claimed it or the model fails on it, and an error if the model is not
        in memory and the decision is not known.
        """
        versions = [
            own.model_version if answer else claim.model_version
            for claim, answer in zip(history.claims, history.answers, strict=True)
        ]
        if all(version == own.model_version for version in versions):
            every = np.arange(len(versions))
            return [self._model.score(champion, every, features)] if champion else [], {}
        scored: list[ModelScores] = []
        errors: dict[int, PixError] = {}
        for version in set(versions):
            indexes = np.array([i for i, each in enumerate(versions) if each == version])
            try:
                model = champion if version == own.model_version else self._version(version)
            except Unavailable as error:
                errors |= dict.fromkeys(indexes.tolist(), error)
                continue
            if model is not None:
                scored.append(self._model.score(model, indexes, features[indexes]))
        return scored, errors

    @staticmethod
    def taken(history: Observations) -> dict[int, PixError]:
        """Return an error for each delivery whose id belongs to another message, by index."""
        return {int(i): Malformed("end_to_end_id_taken", "end_to_end_id") for i in np.flatnonzero(history.taken)}

    async def conclude(
        self, events: Events, decisions: Decisions, history: Observations, errors: Container[int]
    ) -> Changed:
        """Write decisions into history; return the places of the change by each, UNPLACED for none.

        If history is unavailable now, they are UNDECIDED: their rows say that a place is pending.
        """
        places, visited = np.full(len(events), UNPLACED, dtype=np.int64), list[tuple[int, ...]]([()] * len(events))
        sound = [i for i in range(len(events)) if i not in errors]
        if sound:
            ids, sides = [events[i].end_to_end_id for i in sound], [events[i].side for i in sound]
            names = [decisions.decisions[i] for i in sound]
            lives = history.lives if len(sound) == len(events) else history.lives[sound]
            places[sound] = UNDECIDED
            with suppress(Unavailable):
                concluded = await self._conclusions.conclude(ids, sides, lives, names)
                places[sound] = concluded.places
                for i, others in zip(sound, concluded.visited, strict=True):
                    visited[i] = others
        return Changed(places, visited)

    def rows(
        self,
        deliveries: Sequence[Delivery],
        features: NDArray[np.float32],
        decisions: Decisions,
        history: Observations,
        concluded: Changed,
        errors: Container[int],
    ) -> dict[int, ScoreRow]:
        """Return the rows to store, by index: of all deliveries without an error whose row is not stored yet."""
        rows: dict[int, ScoreRow] = {}
        places, changes = history.sequence.tolist(), concluded.places.tolist()
        for i, (event, published_at, attempt) in enumerate(deliveries):
            score, reasons, claim, place = decisions.scores[i], decisions.reasons[i], history.claims[i], places[i]
            if place == STORED or i in errors:
                continue
            sequence = None if place == UNCOUNTED else place
            if sequence is None:
                reasons.append(NO_HISTORY)
            if score is None:
                reasons.append(NO_MODEL)
            row = ScoreRow(
                event=event,
                scored_at=claim.scored_at,
                score=score,
                decision=decisions.decisions[i],
                reasons=reasons,
                model_version=claim.model_version if score is not None else None,
                late=claim.scored_at - event.initiated_at > self._deadline,
                degraded=score is None or sequence is None,
                hold_until=decisions.hold_until[i],
                hmac_key_version=self._hmac_key_version,
                history_sequence=sequence,
                decided_sequence=changes[i] if changes[i] >= 0 else None,
                visited=history.visited[i],
                decided_visited=concluded.visited[i],
                policy_decision=decisions.policy[i],
                control_probability=decisions.chances[i],
                published_at=published_at,
                delivery_attempt=attempt,
                claim_number=history.numbers[i],
                place_pending=sequence is None or changes[i] == UNDECIDED,
                features=features[i],
            )
            known = history.answers[i]
            rows[i] = FirstDecision.decode(known).applied(row) if known else row
        return rows

    def stored(self, rows: Iterable[ScoreRow]) -> None:
        """Note that rows are stored."""
        self._history.stored((row.event.end_to_end_id, row.event.side) for row in rows)

    async def answer(self, rows: Iterable[ScoreRow]) -> None:
        """Keep the decisions of rows that could not be stored, if history answers."""
        known = [Answer(row.event.end_to_end_id, row.event.side, FirstDecision.of(row).encode()) for row in rows]
        with suppress(Unavailable):
            await self._history.answer(known)

    def count(self, rows: Collection[ScoreRow]) -> None:
        """Count rows by step of the ladder and by decision, and those past their deadline."""
        for step, n in Counter(map(_step, rows)).items():
            self._metrics.add(SCORED, n, step)
        for decision, n in Counter([row.decision for row in rows]).items():
            self._metrics.add(DECISIONS, n, decision)
        if late := sum(row.late for row in rows):
            self._metrics.add(LATE, late)

    def _version(self, name: str | None) -> Bundle | None:
        return None if name is None else self._champion.version(name)


def _step(row: ScoreRow) -> str:
    if row.score is None:
        return "rules_only"
    return "full" if row.history_sequence is not None else "no_history"
