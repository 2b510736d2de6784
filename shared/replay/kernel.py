"""The compiled kernel of a replay: the recurrence of `shared.features.history`, one event after the other.

numba infers the types of these functions from their arguments, so they carry no annotations. `plan` is the layout of
a role as `shared.replay.recurrence` prepares it. `p` names columns; it is an argument because the cache of compiled
code does not follow changes of imported constants.
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
def _row(index, keys, records, used, blank, key):
    """Return the key's row, and whether it had to be made."""
    slot = _slot(index, keys, key)
    if index[slot] >= 0:
        return index[slot], False
    row = used[0]
    used[0] += 1
    index[slot] = row
    keys[row] = key
    for i in range(len(blank)):
        records[row, i] = blank[i]
    return row, True


@njit(cache=True, inline="always")
def _powers(seconds, rates, decay):
    """Write 2^(-seconds / half-life) of each half-life into `decay`."""
    for i in range(len(rates)):
        decay[i] = np.exp2(-seconds * rates[i]) if seconds > 0.0 else 1.0


@njit(cache=True, inline="always")
def _advance(records, row, at, half_life, rates, decay):
    """Decay a record to R = max(T, at), and return R."""
    touched = records[row, 0]
    if at <= touched:
        return touched
    _powers(at - touched, rates, decay)
    marks = records.shape[1] - len(half_life)
    for i in range(len(half_life)):
        records[row, marks + i] *= decay[half_life[i]]
    records[row, 0] = at
    return at


@njit(cache=True, inline="always")
def _read(records, row, touched, reached, plan, reads, place):
    """Write a record's values at R into a row of reads; `touched` is its T before it was advanced."""
    _, start, from_now, of_mark, _, _, _, _ = plan
    marks = len(from_now)
    for i in range(marks):
        mark = touched if i == 0 else records[row, i]
        reads[place, start + i] = np.nan if np.isinf(mark) else reached * from_now[i] + mark * of_mark[i]
    for i in range(marks, records.shape[1]):
        reads[place, start + i] = records[row, i]


@njit(cache=True, inline="always")
def _add(records, row, weights, marks, event, plan, decay):
    """Add an event's weights, decayed from its time to R, to a record, and raise the marks."""
    _, _, _, _, raised, moved, half_life, weight = plan
    for i in range(len(raised)):
        records[row, i] = max(records[row, i], marks[event, raised[i]])
    for i in range(len(moved)):
        records[row, moved[i]] += weights[event, weight[i]] * decay[half_life[i]]


@njit(cache=True, inline="always")
def _count(table, key, at, weights, marks, event, plan, rates, decay, reads, place):
    """Read a record, then count the event in it; return whether the record is new."""
    index, keys, records, used, blank = table
    row, new = _row(index, keys, records, used, blank, key)
    touched = records[row, 0]
    reached = _advance(records, row, at, plan[0], rates, decay)
    if place >= 0:
        _read(records, row, touched, reached, plan, reads, place)
    _powers(reached - at, rates, decay)
    _add(records, row, weights, marks, event, plan, decay)
    return new


@njit(cache=True, inline="always")
def _count_accounts(table, keys, at, weights, marks, event, plans, p, rates, decay, reads, place):
    """Read the payer's and the payee's record, which may be one, then count the event in both."""
    index, known, records, used, blank = table
    half_life = plans[0][0]
    payer, _ = _row(index, known, records, used, blank, keys[0][event])
    payee, _ = _row(index, known, records, used, blank, keys[1][event])
    sent_at, received_at = records[payer, 0], records[payee, 0]
    paying = _advance(records, payer, at, plans[0][0], rates, decay)
    paid = _advance(records, payee, at, plans[0][0], rates, decay)
    if place >= 0:
        _read(records, payer, sent_at, paying, plans[0], reads, place)
        _read(records, payee, received_at, paid, plans[1], reads, place)
    _powers(paying - at, rates, decay)
    for i in range(p.passed_end - p.passed):
        passed = min(weights[event, p.amount], records[payer, p.marks + p.passed_from + i])
        records[payer, p.marks + p.passed + i] += passed * decay[half_life[p.passed + i]]
    _add(records, payer, weights, marks, event, plans[0], decay)
    _powers(paid - at, rates, decay)
    for i in range(p.taint, p.taint_end):
        handed = p.hop * weights[event, p.one] * min(max(records[payer, p.marks + i], 0.0), 1.0)
        records[payee, p.marks + i] += handed * decay[half_life[i]]
    _add(records, payee, weights, marks, event, plans[1], decay)


@njit(cache=True)
def replay_facts(keys, at, weights, marks, place, reads, tables, plans, p, rates):
    """Count facts one after the other; where `place` is not -1, read history into that row of `reads` first."""
    accounts, contacts, devices = tables
    decay = np.empty(len(rates))
    for i in range(len(at)):
        t, to = at[i], place[i]
        if keys[2][i] and _count(contacts, keys[2][i], t, weights, marks, i, plans[2], rates, decay, reads, to):
            weights[i, p.new_payee] = 1.0
            marks[i, p.at_if_new] = marks[i, p.at]
        if keys[3][i] and _count(contacts, keys[3][i], t, weights, marks, i, plans[3], rates, decay, reads, to):
            weights[i, p.new_device] = 1.0
        if keys[4][i]:
            _count(devices, keys[4][i], t, weights, marks, i, plans[4], rates, decay, reads, to)
        _count_accounts(accounts, keys, t, weights, marks, i, plans, p, rates, decay, reads, to)
