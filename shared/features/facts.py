"""Facts by which records of history change, as a struct of arrays.

A fact is linear: signed weights that counters add, and marks to which records rise. Its negative takes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.clock import angles
from shared.features.columns import Columns
from shared.features.keys import Keys, keys_of, pair_of
from shared.features.layout import HOP, MARKS, NEW, READS, ROLES, WEIGHTS

PLACES = {role.name: place for place, role in enumerate(ROLES)}
"""Column of each role in `Facts.keys`."""
ASKED_OF = tuple(PLACES[name] for name in ("payer", "payee", "device", "customer"))
"""The roles in which an ask counts; it only reads the others."""
EXTRAS = WEIGHTS[WEIGHTS.index("new_payee") : WEIGHTS.index("taint_30d") + 1]
"""The weights of a settlement that depend on history, as it was when the Pix was asked for."""
IMPLIED = (
    *(f"amount_to_received_{span}" for span in ("1h", "1d", "7d")),
    *("payer_taint_7d", "payer_taint_30d", "new_pair", "new_device"),
)
"""The features from which EXTRAS follow."""
FEW = 1e-5
"""A decayed count up to this yields no mean: float32 leaves this much of up to 170 Pix that are taken back."""
CENTAVO = 0.01
"""A decayed amount up to this, in BRL, yields no mean, for the same reason: up to 167,000 BRL are taken back."""
LATEST = 2.0**32 - 1
"""The latest time that a record holds, in February 2106; a later fact counts then."""

_HALF_MICRO = 0.5e-6  # a time of whole microseconds as a double may lie just below its second
_W = {name: column for column, name in enumerate(WEIGHTS)}
_M = {name: column for column, name in enumerate(MARKS)}
_EXTRAS = slice(_W["new_payee"], _W["taint_30d"] + 1)
_SETTLED = slice(_W["one"], _W["new_device"] + 1)
_SHARED = slice(_W["new_device"] + 1, _W["taint_30d"] + 1)
"""The weights that are a share of those of EXTRAS which are sums."""
_HANDSET = np.uint64(0x2545F4914F6CDD1D)  # pairs and handsets share a table: keeps their keys apart
_IMPLYING = [
    *(READS[f"payer_received_amount_{span}"] for span in ("1h", "1d", "7d")),
    *(READS[name] for name in ("payer_taint_7d", "payer_taint_30d", "pair_count_30d", "handset_count_30d")),
]
"""Columns of reads from which IMPLIED follow."""


class VerdictCount(Struct, frozen=True, gc=False):
    """A verdict about a Pix to count at `reported_at`, in microseconds since the epoch.

    To take a verdict back, count it with `sign` -1 and the time at which it was counted; the two then cancel out at
    any later time. A fraud of `hop` 1 is the payer's loss; that of a later hop is not, as the payer passed on a
    stolen sum.
    """

    payer_id: str
    payee_id: str
    device_id: str | None
    reported_at: int
    fraud: bool
    sign: int = 1
    hop: int = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """n facts in their order.

    `keys` [n, len(ROLES)] name the records, 0 for none; `at` [n] is in whole seconds, `weights` is
    [n, len(WEIGHTS)], `marks` [n, len(MARKS)].
    """

    keys: Keys
    at: Floats
    weights: Floats
    marks: Floats

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Facts:
        """Return some of the facts."""
        return Facts(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def blank(cls, at: Floats) -> Facts:
        """Return facts that name no record and add nothing, at the seconds in which the times `at` [n] lie."""
        at, count = np.minimum(np.floor(at + _HALF_MICRO), LATEST), len(at)
        marks = np.full((count, len(MARKS)), -np.inf)
        marks[:, _M["reached"]] = at
        return cls(np.zeros((count, len(ROLES)), dtype=np.uint64), at, np.zeros((count, len(WEIGHTS))), marks)

    @classmethod
    def joined(cls, parts: Sequence[Facts], order: NDArray[np.int64] | None = None) -> Facts:
        """Return the facts of all parts; `order` [n] indexes their concatenation."""
        found = cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))
        return found if order is None else found[order]


def asks(columns: Columns) -> Facts:
    """Return the facts [n] of Pix that are asked for: attempts, and sums of limits."""
    facts = Facts.blank(columns.at)
    keys, weights = facts.keys, facts.weights
    for name in ("payer", "payee", "device"):
        keys[:, PLACES[name]] = getattr(columns, name)
    keys[:, PLACES["pair"]] = pair_of(columns.payer, columns.payee)
    keys[:, PLACES["handset"]] = handsets(columns.device, columns.payer)
    keys[:, PLACES["customer"]] = columns.customer
    keys[:, PLACES["owner"]], keys[:, PLACES["key"]] = columns.payee_person, columns.key
    counted = 1.0 - columns.is_return
    centavos = np.rint(columns.amount * 100) * (counted * ~columns.automatic)
    weights[:, _W["asked"]], weights[:, _W["asked_amount"]] = counted, columns.amount * counted
    _put_sums(weights, centavos, columns.counts_at_night, columns.customer > 0)
    return facts


def sums(keys: Keys, at: Floats, centavos: Floats, night: NDArray[np.bool_]) -> Facts:
    """Return facts [n] that add `centavos` (negative to take them back) to the sums of limits.

    `keys` [n, 4] are payer, payee, device and customer; `at` [n] is the time at which the Pix was asked for.
    """
    facts = Facts.blank(at)
    facts.keys[:, PLACES["payer"]], facts.keys[:, PLACES["customer"]] = keys[:, 0], keys[:, 3]
    _put_sums(facts.weights, centavos, night, keys[:, 3] > 0)
    return facts


def blocks(keys: Keys, at: Floats, amount: Floats) -> Facts:
    """Return facts [n] of amounts that the payee's institution blocked, or released (negative)."""
    facts = Facts.blank(at)
    facts.keys[:, PLACES["payee"]] = keys[:, 1]
    facts.weights[:, _W["blocked"]] = amount
    return facts


def implied_features(reads: NDArray[np.float32], amount: Floats) -> NDArray[np.float32]:
    """Return the features [n, len(IMPLIED)] that asks with these reads [n, READ_WIDTH] and amounts [n] have."""
    known = reads.take(_IMPLYING, axis=1).astype(np.float64)
    found = known.astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        came_in = known[:, :3]
        found[:, :3] = amount[:, None] / np.where(came_in > CENTAVO, came_in, np.nan)
        found[:, 5:] = known[:, 5:] <= NEW
    return found


def put_implying(reads: NDArray[np.float32], features: NDArray[np.float32], amount: Floats) -> None:
    """Write into reads [n, READ_WIDTH] values by which asks of these amounts [n] have the features IMPLIED [n, 7]."""
    known, counts = features.astype(np.float64), reads.take(_IMPLYING[5:], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        reads[:, _IMPLYING[:3]] = np.where(known[:, :3] > 0, amount[:, None] / known[:, :3], 0.0)
    reads[:, _IMPLYING[3:5]] = known[:, 3:5]
    is_new = known[:, 5:] == 1
    reads[:, _IMPLYING[5:]] = np.where(is_new == (counts <= NEW), counts, np.where(is_new, 0.0, 1.0))


def extras(features: NDArray[np.float32], amount: Floats) -> Floats:
    """Return the weights [n, len(EXTRAS)] of settlements that depend on the features IMPLIED [n, 7] of their asks.

    Money passed on is the amount, at most the amount that came in; taint handed on is a share of the payer's. They
    follow from the features, as these are stored with each Pix, so that a settlement can be taken back at any time.
    """
    known = features.astype(np.float64)
    found = np.empty((len(features), len(EXTRAS)))
    with np.errstate(divide="ignore", invalid="ignore"):
        found[:, :2] = known[:, 5:] == 1
        found[:, 2:5] = np.maximum(np.minimum(amount[:, None], amount[:, None] / known[:, :3]), 0.0)
        found[:, 5:7] = HOP * np.minimum(np.maximum(known[:, 3:5], 0.0), 1.0)
    found[np.isnan(found)] = 0.0
    return found


@dataclass(frozen=True, slots=True)
class Settlements:
    """n settled Pix: `keys` [n, 4] of payer, payee, device and customer, `at` [n] of the settlement in seconds,
    `amount` [n] in BRL, `extras` [n, len(EXTRAS)], and `first` [n], whether they may be the first of an account."""

    keys: Keys
    at: Floats
    amount: Floats
    extras: Floats
    first: NDArray[np.bool_]

    def counted(self) -> Facts:
        """Return the facts of the settlements."""
        facts = self._facts(None, self.amount)
        marks = facts.marks
        marks[:, _M["at"]], marks[:, _M["amount"]] = facts.at, self.amount
        marks[:, _M["minus_at"]] = np.where(self.first, -facts.at, -np.inf)
        marks[:, _M["at_if_new"]] = np.where(self.extras[:, 0] > 0, facts.at, -np.inf)
        return facts

    def changed(self, before: Floats, after: Floats, returned: bool = True) -> Facts:
        """Return the facts by which the net amounts [n], in BRL, change from `before` to `after`.

        A fall is money returned unless the settlement itself is taken back.
        """
        facts = self._facts(before, after)
        if returned:
            facts.weights[:, _W["returned"]] = np.maximum(before - after, 0.0)
        return facts

    def _facts(self, before: Floats | None, after: Floats) -> Facts:
        facts = Facts.blank(self.at)
        keys = facts.keys
        payer, payee, device = self.keys[:, 0], self.keys[:, 1], self.keys[:, 2]
        keys[:, PLACES["payer"]], keys[:, PLACES["payee"]], keys[:, PLACES["device"]] = payer, payee, device
        keys[:, PLACES["pair"]], keys[:, PLACES["handset"]] = pair_of(payer, payee), handsets(device, payer)
        facts.weights[:, _SETTLED] = self._weights(facts.at, after)
        share = after / self.amount
        if before is not None:
            facts.weights[:, _SETTLED] -= self._weights(facts.at, before)
            share = share - before / self.amount
        # One product: a replay may know the share first and EXTRAS later, with the same result to the last bit.
        facts.weights[:, _SHARED] = self.extras[:, 2:] * share[:, None]
        return facts

    def _weights(self, at: Floats, net: Floats) -> Floats:
        """Return the weights of settlements at `at` [n] of net amounts [n], in the order of WEIGHTS, but _SHARED."""
        turns = np.array(angles(at))
        log, some = np.log1p(net), (net > 0).astype(np.float64)
        weights = np.empty((len(net), _SETTLED.stop - _SETTLED.start))
        weights[:, :5] = np.array((some, net, net * net, log, log * log)).T
        weights[:, 5:9:2], weights[:, 6:9:2] = (some * np.cos(turns)).T, (some * np.sin(turns)).T
        weights[:, 9:] = self.extras[:, :2] * some[:, None]
        return weights


def verdict_facts(verdicts: Sequence[VerdictCount]) -> Facts:
    """Return the facts of verdicts, which change payer, payee and device but no contact."""
    facts = Facts.blank(np.array([each.reported_at for each in verdicts], dtype=np.float64) * 1e-6)
    keys, weights = facts.keys, facts.weights
    keys[:, PLACES["payer"]] = keys_of([each.payer_id for each in verdicts])
    keys[:, PLACES["payee"]] = keys_of([each.payee_id for each in verdicts])
    keys[:, PLACES["device"]] = keys_of([each.device_id or "" for each in verdicts])
    sign = np.array([each.sign for each in verdicts], dtype=np.float64)
    fraud = np.array([each.fraud for each in verdicts], dtype=bool)
    hop = np.array([each.hop for each in verdicts], dtype=np.float64)
    later = fraud & (hop > 1)
    weights[:, _W["fraud"]] = weights[:, _W["taint_7d"]] = weights[:, _W["taint_30d"]] = sign * fraud
    weights[:, _W["cleared"]] = sign * ~fraud
    weights[:, _W["victim"]] = sign * (fraud & ~later)
    weights[:, _W["hop"]], weights[:, _W["hop_depth"]] = sign * later, sign * later * hop
    return facts


def marker_facts(holders: Keys, at: Floats, sign: Floats) -> Facts:
    """Return the facts of fraud markers that persons or keys (chaves) [n] get (`sign` 1) or lose (-1)."""
    facts = Facts.blank(at)
    facts.keys[:, PLACES["owner"]], facts.weights[:, _W["marker"]] = holders, sign
    return facts


def recovery_facts(payees: Keys, at: Floats, sign: Floats) -> Facts:
    """Return the facts of funds recoveries in which accounts [n] appear (`sign` 1), or no longer do (-1)."""
    facts = Facts.blank(at)
    facts.keys[:, PLACES["payee"]], facts.weights[:, _W["recovery"]] = payees, sign
    return facts


def handsets(device: Keys, payer: Keys) -> Keys:
    """Return the keys [n] of the contacts of device and payer, 0 where a device is missing."""
    return pair_of(np.where(device > 0, device ^ _HANDSET, device), payer)


def _put_sums(weights: Floats, centavos: Floats, night: NDArray[np.bool_], unregistered: NDArray[np.bool_]) -> None:
    weights[:, _W["day"]] = centavos
    weights[:, _W["night"]] = centavos * night
    weights[:, _W["unregistered"]] = centavos * unregistered
