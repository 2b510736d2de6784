"""The functions in one process, over tables in memory and any store of history; replay over what they stored."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from shared.adapters.bigquery.asked import asked_of
from shared.adapters.memory.late import MemoryLate
from shared.adapters.memory.purse import MemoryPurse
from shared.adapters.memory.serving import MemoryBlobs, MemoryTable
from shared.adapters.memory.suspicions import MemorySuspicions
from shared.adapters.memory.unplaced import CountedRow, MemoryUnplaced, counted, kept_by_part, told
from shared.adapters.valkey.history import ValkeyHistory
from shared.contract.event import EPOCH, micros
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import FeedbackRow, FillRow, LostRow, OutcomeRow, QuarantineRow, ScoreRow
from shared.contract.tables import table
from shared.errors import Unavailable
from shared.features.catalogue import FEATURE_NAMES
from shared.features.columns import Events
from shared.features.rebuilding import Asked
from shared.features.shards import Shard
from shared.features.state import State
from shared.operations.filling import Filled, Filling, fill
from shared.operations.late import FormerLives, LateCounted, LateCounting, Telling, count_late
from shared.ports.decisions import Parties
from shared.ports.history import Answer, Changed, Changes, Claim, Observations
from shared.ports.late import LatePeriod
from shared.ports.places import UnplacedPeriod
from shared.replay.arrow_rows import arrow_table
from shared.replay.audit import Audit, Together
from shared.replay.changes import ChangeQueue
from shared.replay.joining import in_step
from shared.replay.parquet import reported
from shared.replay.reports import ReportQueue
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.control import Ticket
from shared.scoring.control_group import ControlGroup
from shared.scoring.control_switch import ControlSwitch
from shared.scoring.rules import Rules
from shared.scoring.scorer import Scorer
from shared.scoring.suspected_accounts import SuspectedAccounts
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import ACK
from shared.serving.label_service import LabelPipeline, label_intake
from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline, outcome_intake
from shared.serving.score_service import ScorePipeline, score_intake
from shared.serving.verdict_history import VerdictHistory
from shared.settings import CLAIM_SECONDS
from tests.builders import encoded, med_report, push_body, transaction
from tests.contract.history_stores import SharedHistory, Store
from tests.telemetry import make_telemetry
from tests.unit.served import changes_table, placed_rows, placed_table

COMPANY = "11222333000181"
SECOND = 1_000_000
LAST = 1 << 62
AHEAD_SECONDS = 300.0
_LIMITS = BatchLimits(64, 1)
_ids = itertools.count()


class Switch:
    """A history that may be away, or `mute`: it does as it is told, but its answer comes too late."""

    def __init__(self, history: SharedHistory) -> None:
        self.history = history
        self.away = self.mute = self.mute_to_changes = False

    async def observe(self, events: Events, claim: Claim) -> Observations:
        self._check()
        found = await self.history.observe(events, claim)
        self._answer(self.mute)
        return found

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        self.history.stored(rows)

    async def answer(self, answers: Sequence[Answer]) -> None:
        self._check()
        await self.history.answer(answers)

    async def keep_reads(self) -> None:
        self._check()
        await self.history.keep_reads()

    async def settle(self) -> None:
        self._check()
        await self.history.settle()

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        self._check()
        return await self.history.find(keys)

    async def change(self, changes: Changes) -> Changed:
        self._check()
        found = await self.history.change(changes)
        self._answer(self.mute or self.mute_to_changes)
        return found

    async def prolong(self, end_to_end_ids: Sequence[str]) -> None:
        self._check()
        await self.history.prolong(end_to_end_ids)

    async def visited(self, changes: Sequence[tuple[str, int]]) -> list[tuple[int, ...]]:
        self._check()
        return await self.history.visited(changes)

    @staticmethod
    def _answer(mute: bool) -> None:
        if mute:
            raise Unavailable("history answers too late")

    def _check(self) -> None:
        if self.away:
            raise Unavailable("history is away")


class Tables:
    """The stored rows, and the lookups in them."""

    def __init__(self) -> None:
        self.score_events, self.outcomes, self.late_outcomes = MemoryTable(), MemoryTable(), MemoryTable()
        self.feedback, self.quarantine = MemoryTable(), MemoryTable()
        self.fills, self.lost = MemoryTable(), MemoryTable()

    @property
    def counted(self) -> list[ScoreRow]:
        """Decisions with their places, in the order of `places`."""
        return [each.row for each in self.places]

    @property
    def places(self) -> list[CountedRow]:
        """Decisions with their places, in the order of history; at one place, the one that it counted is first."""
        fills = [row for row in self.fills.rows if isinstance(row, FillRow)]
        rows = counted(self.scores, fills, self.epochs)
        return sorted(rows, key=lambda each: (each.row.history_sequence or LAST, each.turn, each.row.scored_at))

    @property
    def epochs(self) -> list[LostRow]:
        """Epochs of which history lost changes."""
        return [row for row in self.lost.rows if isinstance(row, LostRow)]

    @property
    def unplaced(self) -> MemoryUnplaced:
        """The rows whose places are to be found."""
        rows = (table.rows for table in (self.score_events, self.outcomes, self.feedback, self.fills, self.lost))
        return MemoryUnplaced(*rows)

    @property
    def scores(self) -> list[ScoreRow]:
        return [row for row in self.score_events.rows if isinstance(row, ScoreRow)]

    @property
    def told(self) -> list[OutcomeRow]:
        return [row for row in self.outcomes.rows if isinstance(row, OutcomeRow)]

    @property
    def reports(self) -> list[FeedbackRow]:
        return [row for row in self.feedback.rows if isinstance(row, FeedbackRow)]

    @property
    def refused(self) -> list[tuple[str, str | None]]:
        """Reason and field of each quarantined message."""
        return [(row.reason, row.field) for row in self.quarantine.rows if isinstance(row, QuarantineRow)]

    async def asked(self, end_to_end_ids: Collection[str]) -> Mapping[str, Asked]:
        """Return each Pix that was scored, with its outcomes."""
        found = {}
        for id_ in end_to_end_ids:
            sides: dict[str, ScoreRow] = {}
            for row in self.counted:
                if row.event.end_to_end_id == id_:
                    sides.setdefault(row.event.side, row)
            outcomes = [each for each in told(self.told, self.epochs) if each.end_to_end_id == id_]
            if sides:
                columns = arrow_table(table("score_events"), list(sides.values())).to_pylist()
                found[id_] = asked_of(columns, arrow_table(table("outcomes"), outcomes).to_pylist())
        return found

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each Pix, and of each return by its D id."""
        known = {row.event.end_to_end_id: _parties(row) for row in self.scores}
        for row in self.told:
            if row.return_id and row.end_to_end_id in known:
                payer, payee, device = known[row.end_to_end_id]
                known[row.return_id] = Parties(payee, payer, device)
        return {id_: known[id_] for id_ in end_to_end_ids if id_ in known}

    async def reported(self, report_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the Pix of each known infraction report."""
        found: dict[str, set[str]] = {}
        for row in self.reports:
            if row.source == "MED" and row.report_id in report_ids and row.end_to_end_id:
                found.setdefault(row.report_id, set()).add(row.end_to_end_id)
        return {report: frozenset(ids) for report, ids in found.items()}


class Bank:
    """An institution that pushes messages at times of its choice, with outcomes `assumed` or `published`."""

    def __init__(
        self,
        store: Store,
        outcomes: str,
        history: SharedHistory | None = None,
        remembered: float = CLAIM_SECONDS,
        keeping: SharedHistory | None = None,
        register: MemorySuspicions | None = None,
    ) -> None:
        """`history` keeps lives for `remembered` seconds at least; jobs use `keeping`, which keeps them longer."""
        self.store, self.published = store, outcomes == "published"
        self.history = Switch(history or store.fresh())
        self.tables = Tables()
        self.clock = 0
        pseudonymiser, self.blobs = Pseudonymiser(b"test"), MemoryBlobs()
        self._telemetry = [make_telemetry() for _ in range(3)]
        metrics = [each.metrics for each in self._telemetry]
        switch = ControlSwitch(self.blobs, lambda: 0.0, 15.0)
        self.champion = Champion(self.blobs, 5.0, lambda: 0.0, metrics[0], switch.look)
        control = ControlGroup(
            switch, MemoryPurse(), lambda id_, side: Ticket(id_ + side, 0.0), self._now, metrics[0]
        )
        conclusions = Conclusions(self.history, outcomes)
        scorer = Scorer(self.history, conclusions, self.champion, Rules.load(), self._now, 40.0, 1, metrics[0])
        table, clock = self.tables.score_events, (self._now, AHEAD_SECONDS)
        read = None if register is None else partial(register.rows, None)
        self.score_metrics = metrics[0]
        suspected = SuspectedAccounts(read, lambda: self.clock / SECOND, metrics[0]) if read else None
        score = ScorePipeline(scorer, table, pseudonymiser, *clock, metrics[0], control=control, suspected=suspected)
        outcomes_of = CountedOutcomes(self.history, remembered, self._now)
        told = (outcomes_of, self.tables.outcomes, self._now, AHEAD_SECONDS, metrics[1])
        outcome = OutcomePipeline(*told, late=self.tables.late_outcomes)
        long = keeping or self.history
        again = OutcomePipeline(CountedOutcomes(long, remembered, self._now), *told[1:]).store
        telling = Telling(FormerLives(long, self.tables), again, self.history)
        verdicts = VerdictHistory(self.tables, self.history)
        label = LabelPipeline(verdicts, self.tables.feedback, pseudonymiser, self._now, AHEAD_SECONDS, metrics[2])
        self._filling = Filling(
            *(self.tables.unplaced, self.history, conclusions, self.tables.fills),
            *(telling.tell, label.store, self._now),
        )
        waiting = MemoryLate(self.tables.late_outcomes.rows)
        self._late = LateCounting(waiting, telling, self.tables.late_outcomes, self.history, self._now)
        rest = (self.tables.quarantine, PayloadHash(b"test"), self._now, _LIMITS)
        self._score = score_intake(score, *rest, self._telemetry[0])
        self._outcome = outcome_intake(outcome, *rest, self._telemetry[1])
        self._label = label_intake(label, *rest, self._telemetry[2])

    def ask(self, local: str, amount: str, payee: int = 1, **changes: Any) -> ScoreRow:
        """Return the row of a Pix at a local time of 2026, for example "11-20T23:00"; nobody tells its outcome."""
        return self.score(message(local, amount, payee, **changes))

    def pay(self, local: str, amount: str, payee: int = 1, **changes: Any) -> ScoreRow:
        """Return the row of a Pix; it settles if it is approved, and is given up otherwise."""
        row = self.ask(local, amount, payee, **changes)
        if self.published:
            self.tell(row, "SETTLED" if row.decision == "APPROVE" else "CANCELLED", seconds=0)
        return row

    def decide(self, local: str, amount: str, payee: int = 1, **changes: Any) -> tuple[str, list[str]]:
        """Return decision and codes of the rules of `pay`."""
        return decision_of(self.pay(local, amount, payee, **changes))

    def score(self, message: dict[str, Any]) -> ScoreRow:
        """Push a transaction a second after it was initiated, and return its row."""
        due = micros(dt.datetime.fromisoformat(message["initiated_at"])) + SECOND
        self.clock = max(self.clock, due)
        assert self.push("score", message) == ACK
        return self.shown(message)

    def shown(self, message: dict[str, Any]) -> ScoreRow:
        """Return the first row of a transaction."""
        named = (message["end_to_end_id"], message.get("side", "PAYER"))
        return next(row for row in self.tables.scores if (row.event.end_to_end_id, row.event.side) == named)

    def tell(self, row: ScoreRow, status: str, seconds: float = 3, expected: int = ACK, **more: Any) -> None:
        """Push an outcome that came about `seconds` after its Pix was initiated."""
        at = row.event.initiated_at + round(seconds * SECOND)
        self.clock = max(self.clock, at)
        outcome = {"end_to_end_id": row.event.end_to_end_id, "side": row.event.side, "status": status, "at": _utc(at)}
        assert self.push("outcome", outcome | more) == expected

    def give_back(self, row: ScoreRow, amount: str, number: int = 1, seconds: float = 60) -> str:
        """Push a return, and return its id."""
        day = dt.datetime.fromtimestamp(row.event.initiated_at / SECOND, dt.UTC)
        id_ = f"D87654321{day:%Y%m%d%H%M}{row.event.end_to_end_id[-8:]}{number:03d}"
        self.tell(row, "RETURNED", seconds, return_id=id_, amount=amount, reason="FR01")
        return id_

    def report(self, row: ScoreRow | str, local: str, expected: int = ACK, **changes: Any) -> None:
        """Push an infraction report that has this state since a local time; agreed to if nothing else is said."""
        id_ = row if isinstance(row, str) else row.event.end_to_end_id
        self.judge(med_report(id_, **changes), local, expected)

    def judge(self, report: dict[str, Any], local: str, expected: int = ACK) -> None:
        """Push a report of any source."""
        self.clock = max(self.clock, micros(_local(local)))
        assert self.push("label", report | {"reported_at": _local(local).isoformat()}) == expected

    def push(self, function: str, message: dict[str, Any]) -> int:
        """Return the status of one delivery of a message."""
        intake: Any = {"score": self._score, "outcome": self._outcome, "label": self._label}[function]
        status: int = self.store.run(intake.handle(push_body(encoded(message))))
        return status

    def fill(self, limit: int = 1_000) -> Filled:
        """Find the places that rows lack, an hour later."""
        self.clock += 3_600 * SECOND
        if isinstance(self.history.history, ValkeyHistory):
            self.history.history.know_lost(kept_by_part(self.tables.epochs))
        window = UnplacedPeriod(EPOCH, EPOCH + dt.timedelta(microseconds=self.clock))
        return self.store.run(fill(self._filling, window, limit, lambda _: None))

    def count_late(self, seconds: float = 0) -> LateCounted:
        """Count late outcomes, once one of them has waited for `seconds`."""
        return self.store.run(self._count_late(seconds))

    def count_late_twice(self) -> list[LateCounted]:
        """Count late outcomes by two jobs at the same time."""

        async def both() -> list[LateCounted]:
            return [*await asyncio.gather(self._count_late(0), self._count_late(0))]

        return self.store.run(both())

    async def _count_late(self, seconds: float) -> LateCounted:
        period = LatePeriod(EPOCH, EPOCH + dt.timedelta(microseconds=self.clock), seconds)
        return await count_late(self._late, period, 1_000, lambda _: None)

    def replay(self) -> None:
        """Replay the stored rows: each has the features with which it was decided, and no place is missing."""
        places = [each for each in self.tables.places if each.row.history_sequence is not None]
        if not places:
            return
        rows = [each.row for each in places]
        outcomes, stated = told(self.tables.told, self.tables.epochs), told(self.tables.reports, self.tables.epochs)
        parties = {row.event.end_to_end_id: _parties(row) for row in rows}
        found = reported(arrow_table(table("feedback"), stated), self.store.run(self._all(parties)), placed=True)
        start, shards = State.empty(), Shard.each(self.store.shards)
        together = Together(start)
        work = [
            Audit(
                start,
                ReportQueue(found, shard=of),
                ChangeQueue([changes_table(rows, outcomes, of)], of),
                of,
                together,
            )
            for of in shards
        ]
        for number, some in in_step([_asked(places, of) for of in shards]):
            work[number].add(some, lambda scored_at: np.ones(len(scored_at), dtype=bool))
        assert together.comparison.features == {}, together.comparison.features
        for each in work:
            counted = (each.sequence.missing, each.sequence.unequal, each.sequence.conflicts)
            assert counted == (0, [], []), each.sequence
        whole = {(each.row.event.end_to_end_id, each.row.event.side) for each in places if not each.part_lost}
        assert (together.comparison.rows, len(together.joined)) == (len(whole), 0)

    async def _all(self, parties: dict[str, Parties]) -> Mapping[str, Parties]:
        returns = {row.return_id for row in self.tables.told if row.return_id}
        return await self.tables.parties({*parties, *returns})

    def _now(self) -> int:
        return self.clock


def message(local: str, amount: str, payee: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a transaction at a local time of 2026, to one of several accounts."""
    at = _local(local)
    id_ = f"E12345678{at.astimezone(dt.UTC):%Y%m%d%H%M}{next(_ids):011d}"
    own = {"end_to_end_id": id_, "initiated_at": at.isoformat(), "amount": amount, "payee__account": f"900{payee}"}
    return transaction(**own | changes)


def decision_of(row: ScoreRow) -> tuple[str, list[str]]:
    """Return decision and codes of rules."""
    return row.decision, [reason for reason in row.reasons if not reason.startswith("NO_")]


def feature(row: ScoreRow, name: str) -> float:
    """Return one feature."""
    return float(row.features[FEATURE_NAMES.index(name)])


def _asked(places: Sequence[CountedRow], shard: Shard) -> list[pa.Table]:
    """Return the rows that a shard has counted, if there are some."""
    of = {id(each.row): each for each in places}
    rows = placed_rows([each.row for each in places], shard)
    if not rows:
        return []
    own = [of[id(row)] for _, row in rows]
    found = placed_table([each.row for each in places], shard)
    found = found.append_column("filled", pa.array([each.filled for each in own], pa.bool_()))
    return [found.append_column("part_lost", pa.array([each.part_lost for each in own], pa.bool_()))]


def _parties(row: ScoreRow) -> Parties:
    return Parties(row.event.payer_id, row.event.payee_id, row.event.device_id)


def _local(time: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-{time}-03:00")


def _utc(at: int) -> str:
    return dt.datetime.fromtimestamp(at / SECOND, dt.UTC).isoformat()
