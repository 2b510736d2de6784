"""An institution over the three functions: it asks, publishes outcomes and reports, and reads its rows."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import numpy as np

from shared.adapters.memory.serving import MemoryBlobs, MemoryLookup, MemoryTable
from shared.contract.event import micros
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow, OutcomeRow, QuarantineRow, ScoreRow
from shared.errors import Unavailable
from shared.features.catalogue import FEATURE_NAMES
from shared.features.columns import Events
from shared.features.facts import IMPLIED
from shared.features.outcomes import Outcome
from shared.features.rebuilding import Asked
from shared.features.state import State
from shared.ports import Claim, Observations, Parties
from shared.replay.audit import Audit
from shared.replay.changes import ChangeQueue
from shared.replay.reports import Reported, ReportQueue
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.rules import Rules
from shared.scoring.scorer import Scorer
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import Intake
from shared.serving.label_service import LabelPipeline, label_intake
from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline, outcome_intake
from shared.serving.score_service import ScorePipeline, score_intake
from shared.serving.verdict_history import VerdictHistory
from tests.builders import encoded, push_body, transaction
from tests.contract.history_stores import SharedHistory, Store
from tests.telemetry import make_telemetry
from tests.unit.served import Served

AHEAD = 300.0
PSEUDONYMISER = Pseudonymiser(b"an institution of tests")
COMPANY = "11222333000181"
ACK, RETRY = 204, 503

Row = TypeVar("Row")
_ids = itertools.count()


class StoredPix:
    """`shared.ports.AskedLookup` over rows of scores and outcomes."""

    def __init__(self, scores: MemoryTable, outcomes: MemoryTable) -> None:
        self._scores, self._outcomes = scores, outcomes

    async def asked(self, end_to_end_ids: Collection[str]) -> Mapping[str, Asked]:
        """Return each Pix with a row."""
        return {id_: each for id_ in end_to_end_ids if (each := self._asked(id_)) is not None}

    def _asked(self, end_to_end_id: str) -> Asked | None:
        rows = [row for row in self._scores.rows if isinstance(row, ScoreRow)]
        rows = [row for row in rows if row.event.end_to_end_id == end_to_end_id]
        if not rows:
            return None
        values = dict(zip(FEATURE_NAMES, rows[0].features.tolist(), strict=True))
        told = [row for row in self._outcomes.rows if isinstance(row, OutcomeRow)]
        return Asked(
            rows[0].event,
            rows[0].scored_at,
            rows[0].history_sequence,
            tuple(values[name] for name in IMPLIED),
            tuple((row.event.side, row.decision == "APPROVE", row.decided_sequence) for row in rows),
            tuple(
                (Outcome(row.status, row.at, row.return_id, row.amount or 0), row.history_sequence)
                for row in told
                if row.end_to_end_id == end_to_end_id
            ),
        )


class Institution:
    """Times are local ones of 2026, such as `11-20T23:00`; accounts are numbers."""

    def __init__(self, store: Store, outcomes: str = "assumed") -> None:
        self._store = store
        self.history: SharedHistory = store.fresh()
        self.away = False
        self._clock = 0
        self.scores, self.outcomes, self.feedback, self.quarantine = (MemoryTable() for _ in range(4))
        self._lookup = MemoryLookup()
        telemetry = make_telemetry()
        limits, now, metrics = BatchLimits(64, 1), lambda: self._clock, telemetry.metrics
        champion = Champion(MemoryBlobs(), 1e9, lambda: 0.0, metrics)
        scorer = Scorer(self, Conclusions(self.history, outcomes), champion, Rules.load(), now, 40.0, 1, metrics)
        score = ScorePipeline(scorer, self.scores, PSEUDONYMISER, now, AHEAD, metrics)
        counted = CountedOutcomes(self.history, StoredPix(self.scores, self.outcomes))
        outcome = OutcomePipeline(counted, self.outcomes, now, AHEAD, metrics)
        verdicts = VerdictHistory(self._lookup, self.history)
        label = LabelPipeline(verdicts, self.feedback, PSEUDONYMISER, now, AHEAD, metrics)
        self._intakes: dict[str, Intake[Any]] = {
            "score": score_intake(score, self.quarantine, now, limits, telemetry),
            "outcome": outcome_intake(outcome, self.quarantine, now, limits, telemetry),
            "label": label_intake(label, self.quarantine, now, limits, telemetry),
        }

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Observe in the store, unless it is away."""
        if self.away:
            raise Unavailable("history is away")
        return await self.history.observe(events, claim)

    def message(self, local: str, amount: str, payee: int = 1, payer: int = 1, **changes: Any) -> dict[str, Any]:
        """Return a Pix between two accounts of two persons, from a registered device."""
        at = local_time(local)
        fields = {"payer__account": f"700{payer}", "payee__account": f"900{payee}"}
        found = transaction(initiated_at=at.isoformat(), amount=amount, **fields | changes)
        found["end_to_end_id"] = f"E12345678{at.astimezone(dt.UTC):%Y%m%d%H%M}{next(_ids):011d}"
        return found

    def ask(self, local: str, amount: str, payee: int = 1, payer: int = 1, **changes: Any) -> ScoreRow:
        """Ask for a Pix, and return its row."""
        return self.publish(self.message(local, amount, payee, payer, **changes))

    def publish(self, message: dict[str, Any]) -> ScoreRow:
        """Publish a Pix a second after it was initiated, and return its latest row."""
        self._clock = max(self._clock, micros(dt.datetime.fromisoformat(message["initiated_at"])) + 1_000_000)
        assert self.deliver("score", message) == ACK
        row = self.rows(self.scores, ScoreRow)[-1]
        event = row.event
        self._lookup.known.setdefault(event.end_to_end_id, Parties(event.payer_id, event.payee_id, event.device_id))
        return row

    def tell(self, row: ScoreRow, status: str, local: str, **more: Any) -> int:
        """Publish an outcome of a Pix; return the answer."""
        self.wait_until(local)
        about = {"end_to_end_id": row.event.end_to_end_id, "status": status, "at": local_time(local).isoformat()}
        return self.deliver("outcome", about | more)

    def report(self, row: ScoreRow, local: str, **more: Any) -> int:
        """Publish a report about a Pix, by default an infraction report that was agreed to; return the answer."""
        self.wait_until(local)
        id_ = row.event.end_to_end_id
        about = {"source": "MED", "report_id": f"m-{id_}", "end_to_end_id": id_, "reported_at": _iso(local)}
        state = {"status": "CLOSED", "analysis_result": "AGREED", "situation_type": "SCAM"}
        return self.deliver("label", about | (state if more.get("source", "MED") == "MED" else {}) | more)

    def wait_until(self, local: str) -> None:
        """Let the clock go on to a time."""
        self._clock = max(self._clock, micros(local_time(local)))

    def deliver(self, function: str, message: dict[str, Any]) -> int:
        """Return a function's answer to a message."""
        return self._store.run(self._intakes[function].handle(push_body(encoded(message))))

    def rows(self, table: MemoryTable, kind: type[Row]) -> list[Row]:
        """Return the rows of a table."""
        return [row for row in table.rows if isinstance(row, kind)]

    def refusals(self) -> list[tuple[str, str, str | None]]:
        """Return topic, reason and field of each row in quarantine."""
        return [(row.topic, row.reason, row.field) for row in self.rows(self.quarantine, QuarantineRow)]

    def replayed(self) -> Audit:
        """Replay the stored rows, and compare each feature with the served one."""
        served = Served()
        served.rows = [row for row in self.rows(self.scores, ScoreRow) if row.history_sequence is not None]
        served.outcomes = self.rows(self.outcomes, OutcomeRow)
        known = self._lookup.known
        reports = [
            Reported(row, {row.end_to_end_id: known[row.end_to_end_id]})
            for row in self.rows(self.feedback, FeedbackRow)
            if row.end_to_end_id in known
        ]
        work = Audit(State.empty(), ReportQueue(reports), ChangeQueue([served.changes()]))
        work.add(served.table(), lambda scored_at: np.ones(len(scored_at), dtype=bool))
        return work


def features(row: ScoreRow) -> dict[str, float]:
    """Return the features of a row by name."""
    return dict(zip(FEATURE_NAMES, row.features.tolist(), strict=True))


def local_time(local: str) -> dt.datetime:
    """Return a local time of 2026."""
    return dt.datetime.fromisoformat(f"2026-{local}:00-03:00")


def _iso(local: str) -> str:
    return local_time(local).isoformat()
