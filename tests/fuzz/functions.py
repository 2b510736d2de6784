"""Both functions over memory, and what has to hold of each body: answered 204, and exactly one row."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from shared.adapters.bigquery.encoding import RowEncoder
from shared.adapters.bigquery.lookup import statement
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.serving import MemoryBlobs, MemoryLookup, MemoryTable
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import Record, ScoreRow
from shared.contract.tables import table
from shared.ports import Parties
from shared.scoring.champion import Champion
from shared.scoring.rules import Rules
from shared.scoring.scorer import Scorer
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import ACK, Intake
from shared.serving.label_service import LabelPipeline, SharedHistory, label_intake
from shared.serving.score_service import ScorePipeline, score_intake
from shared.telemetry.metrics import Metrics
from tests.told import make_telemetry

NOW = 1_795_185_126_000_000  # 2026-11-20T14:32:06Z
AHEAD_SECONDS = 86_400.0
LIMITS = BatchLimits(64, 1)
KNOWN = 20_000
"""Transactions that a report can be about."""


class WrongAnswer(AssertionError):
    """A body that was not answered with 204, or left no row or more than one."""


class AskedLookup(MemoryLookup):
    """Transactions that are known, asked for as BigQuery would be."""

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each transaction that is known; of each id a query can be made."""
        statement("score_events", end_to_end_ids)
        return await super().parties(end_to_end_ids)


class EncodingTable(MemoryTable):
    """A table that writes its rows as BigQuery would get them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._encoder = RowEncoder(table(name))

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows that can be encoded, which all have to be."""
        self._encoder.encode(rows)
        return await super().append(rows)


class Functions:
    """Score and label function, which share a history, with a clock that stands still."""

    def __init__(self) -> None:
        logging.disable(logging.CRITICAL)
        telemetry, metrics = make_telemetry(), Metrics()
        self._loop = asyncio.new_event_loop()
        self._tables = {name: EncodingTable(name) for name in ("score_events", "feedback", "quarantine")}
        self._lookup, history = AskedLookup(), MemoryHistoryAdapter()
        champion = Champion(MemoryBlobs(), 1e9, lambda: 0.0, metrics)
        scorer = Scorer(history, champion, Rules.load(), lambda: NOW, 40.0, 1, metrics)
        now, shared = lambda: NOW, SharedHistory(self._lookup, history)
        scored, reported, aside = self._tables.values()
        score = ScorePipeline(scorer, scored, Pseudonymiser(b"fuzz"), now, AHEAD_SECONDS, telemetry.metrics)
        label = LabelPipeline(shared, reported, now, AHEAD_SECONDS, telemetry.metrics)
        self._intakes: list[Intake[Any]] = [
            score_intake(score, aside, now, LIMITS, telemetry),
            label_intake(label, aside, now, LIMITS, telemetry),
        ]

    def check(self, bodies: Sequence[tuple[int, bytes]]) -> int:
        """Deliver bodies, each to the score (0) or label (1) function, at once; return how many were set aside.

        Raises WrongAnswer, which names a body that is wrong by itself if there is one.
        """
        wrong = self._wrong(bodies)
        if wrong is None:
            return self._aside
        for single in bodies:
            if reason := self._wrong([single]):
                raise WrongAnswer(f"{reason}: function {single[0]}, body {single[1]!r}")
        raise WrongAnswer(f"{wrong}, but none of {len(bodies)} bodies by itself")

    def close(self) -> None:
        """End the loop."""
        self._loop.close()
        logging.disable(logging.NOTSET)

    def _wrong(self, bodies: Sequence[tuple[int, bytes]]) -> str | None:
        for each in self._tables.values():
            each.rows.clear()
        statuses = self._loop.run_until_complete(self._delivered(bodies))
        if any(status != ACK for status in statuses):
            return f"answered {sorted(set(map(str, statuses)))}"
        rows = sum(len(each.rows) for each in self._tables.values())
        self._aside = len(self._tables["quarantine"].rows)
        self._learn()
        return None if rows == len(bodies) else f"{rows} rows of {len(bodies)} bodies"

    async def _delivered(self, bodies: Sequence[tuple[int, bytes]]) -> list[Any]:
        work = [self._intakes[function].handle(body) for function, body in bodies]
        return list(await asyncio.gather(*work, return_exceptions=True))

    def _learn(self) -> None:
        """Let reports find what was scored."""
        if len(self._lookup.known) > KNOWN:
            self._lookup.known.clear()
        for row in self._tables["score_events"].rows:
            if isinstance(row, ScoreRow):
                event = row.event
                self._lookup.known[event.end_to_end_id] = Parties(event.payer_id, event.payee_id, event.device_id)
