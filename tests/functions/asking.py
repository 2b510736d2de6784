"""The score and the decide function in one process, over one table in memory and any store of history."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.adapters.memory.callers import MemoryCallers
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.late import MemoryLate
from shared.adapters.memory.messages import MemoryTopic
from shared.adapters.memory.serving import MemoryBlobs, MemoryDecisions, MemoryTable
from shared.contract.event import EPOCH
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import Record, ScoreRow
from shared.errors import Unavailable
from shared.operations.late import FormerLives, LateCounted, LateCounting, Telling, count_late
from shared.ports.late import LatePeriod
from shared.scoring.bundle import MANIFEST, POINTER, Manifest, Pointer, path
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.control_group import ControlGroup
from shared.scoring.rules import Rules
from shared.scoring.scorer import Scorer
from shared.serving.announcing import Announcer
from shared.serving.decide_service import DecideService
from shared.serving.earlier import EarlierDecisions, OncePipeline
from shared.serving.endings import Endings
from shared.serving.group_commit import BatchLimits
from shared.serving.http.decide_api import DECISIONS, LONGEST_MS, DecideApi
from shared.serving.http.problems import TIMEOUT_HEADER, HttpAnswer
from shared.serving.intake import Intake
from shared.serving.label_service import LabelPipeline, label_intake
from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline, outcome_intake
from shared.serving.score_service import ScorePipeline, score_intake
from shared.serving.verdict_history import VerdictHistory
from shared.settings import STOPPED
from tests.builders import encoded, push_body
from tests.contract.history_stores import SharedHistory
from tests.functions.bank import Switch, Tables
from tests.telemetry import make_telemetry
from tests.waiting import PATIENCE

NOW = 1_795_185_126_000_000  # 2026-11-20T14:32:06Z
REMEMBERED = 3_600.0
VERSION = "v1"
LIMITS = BatchLimits(256, 4, longest_queue=100_000, longest_wait=4 * PATIENCE)
LONG_MS = LONGEST_MS


class GatedTable(MemoryTable):
    """A table that appends once its gate is open; it is away as often as `failures` says."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures = 0

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows. Raises Unavailable."""
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("the table is away")
        return await super().append(rows)


class Functions:
    """Both functions, each with its own model and batches, as in two instances; needs a running event loop."""

    def __init__(
        self,
        history: SharedHistory,
        bundle: dict[str, bytes] | None = None,
        limits: BatchLimits = LIMITS,
        which: str = STOPPED,
        controls: tuple[ControlGroup | None, ControlGroup | None] = (None, None),
    ) -> None:
        """`controls` are the control groups of the score function and of the decide function."""
        self.now, self._which = NOW, which
        self.history = Switch(history)
        self.table, self.quarantine = GatedTable(), MemoryTable()
        self.lookup = MemoryDecisions(self.table)
        self.topic = MemoryTopic()
        self.blobs = MemoryBlobs()
        if bundle:
            self._serve(bundle)
        self.metrics = make_telemetry().metrics
        self._limits = limits
        self._earlier = EarlierDecisions(lambda: self.lookup, lambda: self.now, REMEMBERED, 1)
        self.score, _ = self._scoring(controls[0])
        self._tell()
        intake, pipeline = self._scoring(controls[1])
        self.service = DecideService(intake, pipeline.decode, self._earlier)
        self.api = DecideApi(self.service, PATIENCE, self.metrics)
        self.guarded = DecideApi(self.service, PATIENCE, self.metrics, MemoryCallers(["known"]))

    @property
    def rows(self) -> list[ScoreRow]:
        """Stored rows, in their order."""
        return [row for row in self.table.rows if isinstance(row, ScoreRow)]

    async def post(self, message: dict[str, Any] | bytes, milliseconds: int = LONG_MS) -> HttpAnswer:
        """Return the answer to a question."""
        body = message if isinstance(message, bytes) else encoded(message)
        return await self.api.answer("POST", DECISIONS, {TIMEOUT_HEADER: str(milliseconds)}, body)

    async def ask(self, message: dict[str, Any], milliseconds: int = LONG_MS) -> dict[str, Any]:
        """Return the decision about a Pix."""
        answer = await self.post(message, milliseconds)
        assert answer.status == 200, answer
        decision: dict[str, Any] = msgspec.json.decode(answer.body)
        return decision

    def forget(self) -> None:
        """Let history forget every Pix."""
        self.history.history = MemoryHistoryAdapter()

    async def deliver(self, message: dict[str, Any], attempt: int | None = None) -> int:
        """Return the status of a delivery of a message of the topic."""
        return await self.score.handle(push_body(encoded(message), attempt=attempt))

    async def tell(self, outcome: dict[str, Any]) -> int:
        """Return the status of a delivery of an outcome."""
        return await self._outcome.handle(push_body(encoded(outcome)))

    async def count_late(self) -> LateCounted:
        """Count late outcomes, as a job does."""
        now = EPOCH + dt.timedelta(microseconds=self.now)
        return await count_late(self._late, LatePeriod(EPOCH, now, 0), 1_000, lambda _: None)

    async def judge(self, report: dict[str, Any]) -> int:
        """Return the status of a delivery of a report."""
        return await self._label.handle(push_body(encoded(report)))

    def _tell(self) -> None:
        """Make the functions of outcomes and reports."""
        tables = Tables()
        tables.score_events = self.table
        endings, metrics = Endings(self.history, self.lookup, self.topic), self.metrics
        counted = CountedOutcomes(self.history, REMEMBERED, lambda: self.now)
        verdicts = VerdictHistory(tables, self.history)
        clock = (lambda: self.now, 86_400.0 * 9, metrics)
        told = (counted, tables.outcomes, *clock)
        outcome = OutcomePipeline(*told, endings=endings, late=tables.late_outcomes)
        telling = Telling(
            FormerLives(self.history, tables), OutcomePipeline(*told, endings=endings).store, self.history
        )
        waiting, late = MemoryLate(tables.late_outcomes.rows), tables.late_outcomes
        self._late = LateCounting(waiting, telling, late, self.history, lambda: self.now)
        label = LabelPipeline(verdicts, tables.feedback, Pseudonymiser(b"test"), *clock, endings=endings)
        rest = (self.quarantine, PayloadHash(b"test"), lambda: self.now, self._limits, make_telemetry())
        self._outcome, self._label = outcome_intake(outcome, *rest), label_intake(label, *rest)

    def _scoring(self, control: ControlGroup | None) -> tuple[Intake[Any], OncePipeline]:
        telemetry = make_telemetry()
        metrics = telemetry.metrics
        champion = Champion(self.blobs, 5.0, lambda: 0.0, metrics)
        champion.look()
        conclusions = Conclusions(self.history, "assumed")
        scorer = Scorer(self.history, conclusions, champion, Rules.load(), lambda: self.now, 40.0, 1, metrics)
        pipeline = ScorePipeline(
            *(scorer, self.table, Pseudonymiser(b"test"), lambda: self.now, 300.0, metrics),
            control=control,
            announcer=Announcer(self.topic, self._which),
        )
        once, hashed = OncePipeline(pipeline, self.history, self._earlier), PayloadHash(b"test")
        return score_intake(once, self.quarantine, hashed, lambda: self.now, self._limits, telemetry), once

    def _serve(self, bundle: dict[str, bytes]) -> None:
        manifest = msgspec.structs.replace(msgspec.json.decode(bundle[MANIFEST], type=Manifest), version=VERSION)
        for name, data in (bundle | {MANIFEST: msgspec.json.encode(manifest)}).items():
            self.blobs.write(path(VERSION, name), data, 0)
        self.blobs.write(POINTER, msgspec.json.encode(Pointer(version=VERSION, swapped_at="")), 0)
