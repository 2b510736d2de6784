"""Measure the recurrence alone: the counters read by the features of this stream, without the vector."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from shared.features.facts import Facts
from shared.features.layout import ACCOUNT, LAYOUTS, RATES, Layout
from shared.replay import recurrence as compiled
from shared.replay.kernel import replay_facts
from shared.replay.recurrence import Chunk
from tests.benchmarks.handbook.features import Advance, Transactions, chunks

_SPANS = {
    "sent_count": ("7d", "30d"),
    "sent_amount": ("7d", "30d"),
    "sent_square": ("7d",),
    "frauds_received": ("1d", "7d", "30d"),
    "cleared_received": ("1d", "7d"),
}
LEAN = Layout(
    "account",
    ACCOUNT.marks[:1],
    tuple(m._replace(spans=_SPANS[m.name]) for m in ACCOUNT.measures if m.name in _SPANS),
)
"""An account with only the counters read by the chosen features."""
COUNTED = "10 counters of each account: count, amount, square sent; frauds and cleared received"
_BATCH = 4096


def processor_seconds(transactions: Transactions, advance: Advance) -> float:
    """Return the processor time of reading and counting all transactions and verdicts in LEAN accounts."""
    accounts, *others = (_table(layout) for layout in (LEAN, *LAYOUTS[1:]))
    for table in others:
        table.make_room(1)
    seconds = 0.0
    for chunk in chunks(transactions, _BATCH):
        facts, place = compiled._merged(chunk)
        seconds += _count(accounts, others, facts, place, chunk)
        advance(len(chunk.events))
    return seconds


def _count(accounts: Any, others: list[Any], facts: Facts, place: Any, chunk: Chunk) -> float:
    began = time.process_time()
    nobody = np.zeros_like(facts.pair)
    accounts.make_room(2 * len(facts))
    reads = np.empty((len(chunk.events), 2 * LEAN.width), dtype=np.float32)
    named = (facts.payer, facts.payee, nobody, nobody, nobody)
    tables = tuple(table.arrays() for table in (accounts, *others))
    replay_facts(named, facts.at, facts.weights, facts.marks, place, reads, tables, _PLANS, _PLACES, RATES)
    return time.process_time() - began


def _table(layout: Layout) -> Any:
    return compiled._HashTable(layout, np.empty(0, np.uint64), np.empty((0, layout.width)))


def _plan(role: str, start: int) -> tuple[Any, ...]:
    half_life, _, *rest = compiled._plan(role, role, LEAN)
    return (half_life, start, *rest)


_PLANS = (_plan("payer", 0), _plan("payee", LEAN.width), *compiled._PLANS[2:])
# LEAN has no counters of passed-on money or taint, so their column ranges are empty.
_PLACES = compiled._Places()._replace(marks=1, passed=0, passed_end=0, taint=0, taint_end=0)
