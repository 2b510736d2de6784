"""The steps of a batch from history to rows; `shared.serving.score_service` puts them in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from contextlib import suppress

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.rows import NextIds, ScoreRow
from shared.errors import Malformed, PixError, Unavailable
from shared.features.columns import Events
from shared.features.history import READ_WIDTH
from shared.features.life import LIFE, STORED, UNCOUNTED
from shared.features.outcomes import UNDECIDED
from shared.ports.history import UNPLACED, Answer, Changed, Claim, History, Observations
from shared.scoring.arms import Assignment
from shared.scoring.bundle import Bundle
from shared.scoring.challenger import LiveChallenger
from shared.scoring.champion import Champion
from shared.scoring.claimed_scores import ClaimedScores
from shared.scoring.conclusions import Conclusions
from shared.scoring.first_decision import FirstDecision
from shared.scoring.policy import Decisions
from shared.scoring.reply import Reply
from shared.scoring.rules import Rules
from shared.telemetry.metrics import DECISIONS, GOOD, GOOD_REJECTED, LATE, SCORED, Metrics

NO_HISTORY = "NO_HISTORY"
NO_MODEL = "NO_MODEL"


class Delivery(Struct, frozen=True):
    """An event, the time at which Pub/Sub received its message (microseconds), and the number of this delivery.

    `reply` is of a caller that waits for the decision; nobody waits for that of a message. `next_ids` are the
    pseudonyms under the next HMAC key, if there is one.
    """

    event: Event
    published_at: int | None
    attempt: int | None = None
    reply: Reply | None = None
    next_ids: NextIds | None = None


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
        challenger: LiveChallenger | None = None,
    ) -> None:
        """`challenger` is the version that is tried beside the champion, None where none ever is."""
        self.rules = rules
        self._reject_codes = rules.reject_codes
        self.scores = ClaimedScores(champion, challenger, metrics, lambda: now() / 1e6)
        self._history = history
        self._conclusions = conclusions
        self._champion = champion
        self._now = now
        self._deadline = deadline_seconds * 1e6
        self._hmac_key_version = hmac_key_version
        self._metrics = metrics
        self._challenger = challenger

    async def begin(self) -> tuple[Bundle | None, Claim]:
        """Return the champion, and the claim on new transactions of a batch: by it, and the challenger beside it."""
        champion = await self._champion.current_now()
        alone = Assignment(champion.version if champion else None)
        assigned = self._challenger.assignment(champion) if self._challenger else alone
        return champion, Claim(assigned.encode(), self._now(), self._hmac_key_version)

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
        for i, delivery in enumerate(deliveries):
            event = delivery.event
            score, reasons, claim, place = decisions.scores[i], decisions.reasons[i], history.claims[i], places[i]
            if place == STORED or i in errors:
                continue
            sequence = None if place == UNCOUNTED else place
            if sequence is None:
                reasons.append(NO_HISTORY)
            if score is None:
                reasons.append(NO_MODEL)
            contributions = decisions.contributions[i]
            # By position, in the order of ScoreRow, as msgspec compares each name of a call with each of the struct.
            row = ScoreRow(
                event,
                claim.scored_at,  # scored_at
                score,
                decisions.decisions[i],  # decision
                reasons,
                [*contributions, *[0.0] * (len(reasons) - len(contributions))],  # reason_contributions
                decisions.versions[i],  # model_version
                claim.scored_at - event.initiated_at > self._deadline,  # late
                score is None or sequence is None,  # degraded
                self._hmac_key_version,  # hmac_key_version
                sequence,  # history_sequence
                changes[i] if changes[i] >= 0 else None,  # decided_sequence
                history.visited[i],  # visited
                concluded.visited[i],  # decided_visited
                decisions.policy[i],  # policy_decision
                decisions.chances[i],  # control_probability
                decisions.hold_until[i],  # hold_until
                delivery.published_at,  # published_at
                delivery.attempt,  # delivery_attempt
                history.numbers[i],  # claim_number
                sequence is None or changes[i] == UNDECIDED,  # place_pending
                features[i],  # features
                delivery.next_ids,  # next_ids
                decisions.challenged[i] if decisions.challenged else None,  # challenged
            )
            known = history.answers[i]
            rows[i] = FirstDecision.decode(known).applied(row) if known else row
        return rows

    def stored(self, rows: Iterable[ScoreRow]) -> None:
        """Note that rows are stored."""
        self._history.stored((row.event.end_to_end_id, row.event.side) for row in rows)

    async def answer(self, rows: Iterable[ScoreRow]) -> bool:
        """Keep the decisions of rows that are not stored; return False if history does not answer."""
        known = [Answer(row.event.end_to_end_id, row.event.side, FirstDecision.of(row).encode()) for row in rows]
        try:
            await self._history.answer(known)
        except Unavailable:
            return False
        return True

    def count(self, rows: Collection[ScoreRow]) -> None:
        """Count rows by step of the ladder and by decision, late ones, and good customers who are rejected."""
        for step, n in Counter(map(_step, rows)).items():
            self._metrics.add(SCORED, n, step)
        for decision, n in Counter([row.decision for row in rows]).items():
            self._metrics.add(DECISIONS, n, decision)
        if late := sum(row.late for row in rows):
            self._metrics.add(LATE, late)
        good, rejected = defaultdict[str, float](float), defaultdict[str, float](float)
        for row in rows:
            if row.score is not None:
                good[row.event.side] += 1.0 - row.score
                if self._is_own_reject(row):
                    rejected[row.event.side] += 1.0 - row.score
        for metric, sums in ((GOOD, good), (GOOD_REJECTED, rejected)):
            for side, by in sums.items():
                self._metrics.add(metric, by, side)

    def _is_own_reject(self, row: ScoreRow) -> bool:
        """Return whether the model rejects, and no rule does; a Pix let through by the control group counts, too."""
        return (row.policy_decision or row.decision) == "REJECT" and self._reject_codes.isdisjoint(row.reasons)


def _step(row: ScoreRow) -> str:
    if row.score is None:
        return "rules_only"
    return "full" if row.history_sequence is not None else "no_history"
