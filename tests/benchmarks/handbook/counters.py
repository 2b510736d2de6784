"""Measure the recurrence alone: the counters read by the features of this stream, without the vector."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from shared.features.facts import EXTRAS
from shared.features.layout import ACCOUNT, LAYOUTS, ROLES, Layout
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
        seconds += _count(accounts, others, compiled.in_order(chunk), chunk)
        advance(len(chunk.events))
    return seconds


def _count(accounts: Any, others: list[Any], ordered: compiled.Ordered, chunk: Chunk) -> float:
    began = time.process_time()
    facts = ordered.facts
    facts.keys[:, 2:] = 0  # neither contacts, devices nor persons
    accounts.make_room(2 * len(facts))
    reads = np.empty((len(chunk.events), 2 * LEAN.width), dtype=np.float32)
    tables = tuple(table.arrays() for table in (accounts, *others))
    no_slots, memo = np.full(len(facts), compiled.NO_SLOT), np.zeros((1, len(EXTRAS)))
    replay_facts(
        *(facts.keys, ordered.payers, facts.at, facts.weights, facts.marks, ordered.place, no_slots),
        *(reads, memo, tables, _PLANS, _CONSTANTS),
    )
    return time.process_time() - began


def _table(layout: Layout) -> Any:
    return compiled._HashTable(layout, np.empty(0, np.uint64), np.empty((0, layout.width)))


def _plan(place: int) -> Any:
    return compiled._plan(place, ROLES[place]._replace(layout=LEAN))._replace(table=0, offset=place * LEAN.width)


_PLANS = (_plan(0), _plan(1), *compiled._PLANS[2:])
_CONSTANTS = compiled._Constants()
