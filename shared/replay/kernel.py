"""The compiled kernel of a replay: the recurrence of `shared.features.history`, one event after the other.

numba infers the types of these functions from their arguments, so they carry no annotations. `plan` is the layout of
a role as `shared.replay.recurrence` prepares it. `p` holds columns and constants; it is an argument because the cache
of compiled code does not follow changes of imported constants.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _slot(index, keys, key):
    """Return the slot that holds the key's row, or the free one where it belongs."""
    mask = np.uint64(len(index) - 1)
    slot = (key >> np.uint64(1)) & mask  # keys are odd and well mixed
    while index[slot] >= 0 and keys[index[slot]] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True)
def index_all(keys, used, index):
    """Insert the rows in use into an empty index."""
    for row in range(used):
        index[_slot(index, keys, keys[row])] = row


@njit(cache=True)
def _row(table, key, payer):
    """Return the key's row, which is made if there is none."""
    index, keys, records, used, blank, payers = table
    slot = _slot(index, keys, key)
    if index[slot] >= 0:
        return index[slot]
    row = used[0]
    used[0] += 1
    index[slot] = row
    keys[row] = key
    payers[row] = payer
    for i in range(len(blank)):
        records[row, i] = blank[i]
    return row


@njit(cache=True, inline="always")
def _find(index, keys, key):
    """Return the key's row, -1 if there is none."""
    return index[_slot(index, keys, key)]


@njit(cache=True, inline="always")
def _decay(since, until, p, decay):
    """Write the share of a count at `since` that is left at `until`, for each span, into `decay`."""
    rates, starts, day = p.rates, p.starts, p.day
    for i in range(len(rates)):
        decay[i] = np.exp2((since - until) * rates[i]) if until > since else 1.0
    for i in range(len(starts)):
        same = np.floor((since - starts[i]) / day) == np.floor((until - starts[i]) / day)
        decay[len(rates) + i] = 1.0 if same else 0.0
    decay[len(rates) + len(starts)] = 1.0


@njit(cache=True, inline="always")
def _advance(record, blank, at, plan, p, decay):
    """Decay a record to R = max(T, at), and return R; one that is forgotten by then starts again."""
    touched = record[0]
    if at <= touched:
        return touched
    if at - touched > plan.lasts:
        for i in range(len(blank)):
            record[i] = blank[i]
        record[0] = at
        return at
    _decay(touched, at, p, decay)
    span, marks = plan.span, len(plan.from_now)
    for i in range(len(span)):
        record[marks + i] *= decay[span[i]]
    record[0] = at
    return at


@njit(cache=True, inline="always")
def _read(record, touched, reached, at, plan, p, reads):
    """Write a record's values at R into a row of reads; `touched` is its T before it was advanced."""
    marks = len(plan.from_now)
    for i in range(marks):
        mark = touched if i == 0 else record[i]
        read = reached * plan.from_now[i] + mark * plan.of_mark[i]
        reads[plan.offset + i] = np.nan if np.isinf(mark) else read
    for i in range(marks, len(record)):
        reads[plan.offset + i] = record[i]
    if reached > at:
        for i in range(len(plan.period)):
            period = plan.period[i]
            if period >= 0:
                start = p.starts[period]
                if np.floor((reached - start) / p.day) != np.floor((at - start) / p.day):
                    reads[plan.offset + marks + i] = np.nan


@njit(cache=True, inline="always")
def _peek(table, key, at, plan, p, decay, spare, reads):
    """Read a record without changing it; one that does not exist is blank."""
    index, keys, records, _, blank, _ = table
    row = _find(index, keys, key)
    for i in range(len(blank)):
        spare[i] = records[row, i] if row >= 0 else blank[i]
    touched = spare[0]
    forgotten = at - touched > plan.lasts
    seen = forgotten and spare[p.seen_by] > p.new
    reached = _advance(spare[: len(blank)], blank, at, plan, p, decay)
    _read(spare[: len(blank)], -np.inf if forgotten else touched, reached, at, plan, p, reads)
    if seen:
        for i in range(len(p.seen_reads)):
            reads[plan.offset + i] = p.seen_reads[i]


@njit(cache=True, inline="always")
def _add(record, at, reached, weights, marks, plan, p, decay):
    """Add the weights of a fact, decayed from its time to R, to a record, and raise the marks."""
    raised, moved = plan.raised, plan.moved
    _decay(at, reached, p, decay)
    for i in range(len(raised)):
        record[i] = max(record[i], marks[raised[i]])
    for i in range(len(moved)):
        record[moved[i]] += weights[plan.weight[i]] * decay[plan.moved_span[i]]


@njit(cache=True, inline="always")
def _count(table, key, payer, at, weights, marks, plan, p, decay, rounds):
    """Count a fact in a record, and round it to its stored precision if `rounds`."""
    record = table[2][_row(table, key, payer)]
    reached = _advance(record, table[4], at, plan, p, decay)
    if not reached - at > plan.lasts:
        _add(record, at, reached, weights, marks, plan, p, decay)
    if rounds:
        for run in range(len(plan.single)):
            for i in range(plan.single[run, 0], plan.single[run, 1]):
                record[i] = np.float64(np.float32(record[i]))


@njit(cache=True, inline="always")
def _remember(reads, amount, p, memo):
    """Write the weights of a settlement that depend on the reads of its ask, as `facts.extras` does."""
    # As facts.implied_features and facts.extras do: by features, which are float32.
    memo[0] = 1.0 if np.float64(reads[p.paired]) <= p.new else 0.0
    memo[1] = 1.0 if np.float64(reads[p.handled]) <= p.new else 0.0
    for i in range(3):
        came_in = np.float64(reads[p.came_in[i]])
        ratio = np.float64(np.float32(amount / came_in)) if came_in > p.centavo else np.nan
        memo[2 + i] = max(min(amount, amount / ratio), 0.0) if ratio > 0.0 else 0.0
    for i in range(2):
        memo[5 + i] = p.hop * min(max(np.float64(reads[p.taint[i]]), 0.0), 1.0)


@njit(cache=True)
def replay_facts(keys, payers, at, weights, marks, place, slot, reads, memo, tables, plans, p):
    """Count facts one after the other.

    Where `place` is not -1 the fact is an ask: history is read into that row of `reads`, and the weights of its
    settlement are remembered in row `slot` of `memo`. Any other fact with a slot takes its share of these. `payers`
    are the payers of facts, named in the records that they make.
    """
    decay, spare = np.empty(p.spans), np.empty(p.widest)
    for i in range(len(at)):
        t, to = at[i], place[i]
        if to >= 0:
            for role in range(len(plans)):
                if keys[i, role]:
                    _peek(tables[plans[role].table], keys[i, role], t, plans[role], p, decay, spare, reads[to])
            if slot[i] >= 0:
                _remember(reads[to], weights[i, p.asked_amount], p, memo[slot[i]])
        elif slot[i] >= 0:
            for column in range(memo.shape[1]):
                weights[i, p.extras + column] *= memo[slot[i], column]
            if memo[slot[i], 0] == 0.0:
                marks[i, p.at_if_new] = -np.inf
        for role in range(len(plans)):
            if keys[i, role] and (to < 0 or plans[role].asked):
                # An account that pays itself has two roles, after which it is rounded once.
                rounds = role != p.payer or keys[i, p.payer] != keys[i, p.payee]
                _count(
                    tables[plans[role].table],
                    keys[i, role],
                    payers[i],
                    t,
                    weights[i],
                    marks[i],
                    plans[role],
                    p,
                    decay,
                    rounds,
                )
