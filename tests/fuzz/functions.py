"""All functions over in-memory adapters, and the invariant of every body: answered 204, exactly one row.

A Pix whose row is stored needs no other one: only then may a body leave none.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from shared.adapters.bigquery.asked import scored_statement
from shared.adapters.bigquery.encoding import RowEncoder
from shared.adapters.bigquery.lookup import returns_statement, statement
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.memory.serving import MemoryBlobs, MemoryLookup, MemoryTable
from shared.contract.envelope import decode_envelope
from shared.contract.payload_hash import PayloadHash
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import LateRow, Record, ScoreRow
from shared.contract.tables import table
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from shared.ports.decisions import Parties
from shared.scoring.champion import Champion
from shared.scoring.conclusions import Conclusions
from shared.scoring.rules import Rules
from shared.scoring.scorer import Scorer
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import ACK, Intake
from shared.serving.label_service import LabelPipeline, label_intake
from shared.serving.outcome_service import CountedOutcomes, OutcomePipeline, outcome_intake
from shared.serving.score_service import ScorePipeline, score_intake
from shared.serving.verdict_history import VerdictHistory
from shared.settings import ASSUMED
from shared.telemetry.metrics import Metrics
from tests.telemetry import make_telemetry

NOW = 1_795_185_126_000_000  # 2026-11-20T14:32:06Z
AHEAD_SECONDS = 86_400.0
NEVER_AHEAD = 1e18
"""A report or an outcome dated ahead of the clock would come again."""
LIMITS = BatchLimits(64, 1)
KNOWN = 20_000
"""Most transactions that the lookup of the label function remembers."""


class WrongAnswer(AssertionError):
    """A body was not answered with 204, or did not leave exactly one row though its Pix had none."""


STRANGERS = Parties("payer", "payee", None)


class ScoredLookup(MemoryLookup):
    """A lookup in memory that also builds the BigQuery statements, and knows every Pix and report.

    A report about an unknown Pix would come again.
    """

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each transaction; every id must fit into a query."""
        statement("score_events", end_to_end_ids)
        returns_statement("outcomes", end_to_end_ids)
        return {**dict.fromkeys(end_to_end_ids, STRANGERS), **await super().parties(end_to_end_ids)}

    async def reported(self, report_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return no Pix of each report."""
        return dict.fromkeys(report_ids, frozenset())


def _asked(body: bytes) -> tuple[str, str] | None:
    """Return the Pix and side that a body asks about, None if it is no transaction."""
    try:
        pix = decode_transaction(decode_envelope(body).data).value
    except Malformed:
        return None
    return pix.end_to_end_id, pix.side


class EncodingTable(MemoryTable):
    """A table in memory that also encodes its rows for BigQuery."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._encoder = RowEncoder(table(name))

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows; every row must be encodable."""
        self._encoder.encode(rows)
        return await super().append(rows)


class LateTable(EncodingTable):
    """A table of late outcomes that also builds the statements by which a job looks up their Pix."""

    def __init__(self) -> None:
        super().__init__("late_outcomes")

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows; every id must fit into a query."""
        scored_statement("project", "dataset", [row.end_to_end_id for row in rows if isinstance(row, LateRow)])
        return await super().append(rows)


class Functions:
    """Score, label and outcome function with a shared history and a fixed clock."""

    def __init__(self) -> None:
        logging.disable(logging.CRITICAL)
        telemetry, metrics = make_telemetry(), Metrics()
        self._loop = asyncio.new_event_loop()
        self._tables = {name: EncodingTable(name) for name in ("score_events", "feedback", "outcomes", "quarantine")}
        self._stored: set[tuple[str, str]] = set()
        self._lookup, history = ScoredLookup(), MemoryHistoryAdapter()
        champion = Champion(MemoryBlobs(), 1e9, lambda: 0.0, metrics)
        conclusions = Conclusions(history, ASSUMED)
        scorer = Scorer(history, conclusions, champion, Rules.load(), lambda: NOW, 40.0, 1, metrics)
        now, shared = lambda: NOW, VerdictHistory(self._lookup, history)
        scored, reported, told, quarantine = self._tables.values()
        pseudonymiser = Pseudonymiser(b"fuzz")
        score = ScorePipeline(scorer, scored, pseudonymiser, now, AHEAD_SECONDS, telemetry.metrics)
        label = LabelPipeline(shared, reported, pseudonymiser, now, NEVER_AHEAD, telemetry.metrics)
        counted = CountedOutcomes(history, -math.inf, now)  # an outcome that is not late would come again
        outcome = OutcomePipeline(counted, told, now, NEVER_AHEAD, telemetry.metrics, late=LateTable())
        self._intakes: list[Intake[Any]] = [
            score_intake(score, quarantine, PayloadHash(b"fuzz"), now, LIMITS, telemetry),
            label_intake(label, quarantine, PayloadHash(b"fuzz"), now, LIMITS, telemetry),
            outcome_intake(outcome, quarantine, PayloadHash(b"fuzz"), now, LIMITS, telemetry),
        ]

    def check(self, bodies: Sequence[tuple[int, bytes]]) -> int:
        """Deliver bodies concurrently, each to the function of its number; return the number quarantined.

        Raises WrongAnswer; the message has the first body that fails alone, if there is one.
        """
        wrong = self._wrong(bodies)
        if wrong is None:
            return self._quarantined
        for single in bodies:
            if reason := self._wrong([single]):
                raise WrongAnswer(f"{reason}: function {single[0]}, body {single[1]!r}")
        raise WrongAnswer(f"{wrong}, but none of {len(bodies)} bodies by itself")

    def close(self) -> None:
        """Close the event loop."""
        self._loop.close()
        logging.disable(logging.NOTSET)

    def _wrong(self, bodies: Sequence[tuple[int, bytes]]) -> str | None:
        for each in self._tables.values():
            each.rows.clear()
        statuses = self._loop.run_until_complete(self._delivered(bodies))
        if any(status != ACK for status in statuses):
            return f"answered {sorted(set(map(str, statuses)))}"
        rows = sum(len(each.rows) for each in self._tables.values())
        self._quarantined = len(self._tables["quarantine"].rows)
        before = set(self._stored)
        self._learn()
        least = len(bodies) - self._repeats(bodies, before)
        return None if least <= rows <= len(bodies) else f"{rows} rows of {len(bodies)} bodies"

    def _repeats(self, bodies: Sequence[tuple[int, bytes]], before: set[tuple[str, str]]) -> int:
        """Return the number of bodies that may leave no row, as that of their Pix and side is stored by another."""
        asked = Counter(_asked(body) for to, body in bodies if to == 0)
        return sum(count - (side not in before) for side, count in asked.items() if side in self._stored)

    async def _delivered(self, bodies: Sequence[tuple[int, bytes]]) -> list[Any]:
        work = [self._intakes[function].handle(body) for function, body in bodies]
        return list(await asyncio.gather(*work, return_exceptions=True))

    def _learn(self) -> None:
        """Add the scored transactions to the lookup, for reports about them, and note their sides as stored."""
        if len(self._lookup.known) > KNOWN:
            self._lookup.known.clear()
        for row in self._tables["score_events"].rows:
            if isinstance(row, ScoreRow):
                event = row.event
                self._stored.add((event.end_to_end_id, event.side))
                self._lookup.known[event.end_to_end_id] = Parties(event.payer_id, event.payee_id, event.device_id)
