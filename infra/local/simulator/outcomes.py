"""Outcomes of the payments, as if the institution had approved each one.

Nearly all settle within seconds. The SPI or an institution refuses a few, payees return a few days later, and the
payee's institution blocks some under suspicion (bloqueio cautelar) for at most 72 hours.
`infra.local.aftermath` makes outcomes and reports of a Pix consistent with a decision that is not an approval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from msgspec import UNSET, Struct, UnsetType
from numpy.random import Generator

from infra.local.simulator.arrays import Flags, Floats, Ints
from infra.local.simulator.clock import HOUR_MS, MINUTE_MS
from infra.local.simulator.config import Kind, PurposeCode
from infra.local.simulator.due import Due
from infra.local.simulator.encode import amount, instant, line
from infra.local.simulator.fates import Fate
from infra.local.simulator.ids import return_id
from infra.local.simulator.payments import Payments
from infra.local.simulator.world import World

RETURN_WITHIN_MS = 89 * 24 * HOUR_MS
"""The payee may return a Pix within 90 days (Regulamento do Pix)."""
BLOCK_MS = 71 * HOUR_MS
"""Shorter than the 72 hours that a bloqueio cautelar may last (Res. BCB 147/2021)."""
_REASONS = (("AB03", 0.35), ("AC03", 0.20), ("AM02", 0.15), ("AC06", 0.10), ("AC07", 0.10), ("DS04", 0.10))
"""Codes of the SPI with shares: settlement timed out, account invalid, amount above a limit, account blocked, account
closed, rejected by the payee's institution. The shares are assumptions."""
_TIMED_OUT = "AB03"
_RETURNS = {
    Kind.SHOP: (0.006, "MD06"),
    Kind.BURST: (0.004, "MD06"),
    Kind.STRANGER: (0.003, "MD06"),
    Kind.LARGE: (0.003, "MD06"),
    Kind.CONTACT: (0.002, "MD06"),
    Kind.BILL: (0.001, "BE08"),
    Kind.SALARY: (0.001, "BE08"),
    Kind.WITHDRAWAL: (0.02, "SL02"),
}
"""Shares of Pix that their payee returns, and why: MD06 asked for by the payer, BE08 an institution's error, SL02
money of a Pix Saque or Troco that was not handed out; assumptions."""


class OutcomeData(Struct, gc=False):
    """An outcome in the form of the contract."""

    end_to_end_id: str
    side: str
    status: str
    at: str
    reason: str | UnsetType = UNSET
    return_id: str | UnsetType = UNSET
    amount: str | UnsetType = UNSET


class OutcomeProcess:
    """Turns payments into outcomes that are due later; `counts` has the number of each status."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._due = Due()
        self.counts: Counter[str] = Counter()

    def observe(self, rng: Generator, rows: Payments, ids: list[str]) -> Flags:
        """Schedule the outcomes of these payments; return the mask of those that their payees return."""
        at = rows.at + _delays(rng, len(rows))
        for row in np.flatnonzero(rows.fate <= Fate.SEIZED).tolist():
            self._push(ids[row], "SETTLED", int(at[row]))
        self._refusals(rng, rows, ids, at)
        self._blocks(rng, rows, ids, at)
        return self._returns(rng, rows, ids, at)

    def give_back(self, rng: Generator, end_to_end_id: str, payee: int, at: int, cents: int, reason: str) -> None:
        """Schedule the return of an amount by a payee's account."""
        id_ = return_id(rng, self._world, payee, at)
        self._push(end_to_end_id, "RETURNED", at, reason=reason, return_id=id_, amount=amount(cents))

    def due(self, before: int | None) -> Iterator[tuple[int, bytes]]:
        """Remove and yield the outcomes before a moment (None: all of them), in time order."""
        return self._due.before(before)

    def _refusals(self, rng: Generator, rows: Payments, ids: list[str], at: Ints) -> None:
        refused = np.flatnonzero(rows.fate >= Fate.REJECTED)
        reasons = rng.choice([code for code, _ in _REASONS], len(refused), p=[share for _, share in _REASONS])
        waited = (rng.uniform(30, 60, len(refused)) * 1000).astype(np.int64)
        for row, reason, wait in zip(refused.tolist(), reasons.tolist(), waited.tolist(), strict=True):
            fate = Fate(int(rows.fate[row]))
            moment = int(at[row]) + (wait if fate is Fate.EXPIRED else 0)
            code = {Fate.REJECTED: reason, Fate.EXPIRED: _TIMED_OUT}.get(fate, UNSET)
            self._push(ids[row], fate.name, moment, reason=code)

    def _blocks(self, rng: Generator, rows: Payments, ids: list[str], at: Ints) -> None:
        for row in np.flatnonzero((rows.fate == Fate.BLOCKED) | (rows.fate == Fate.SEIZED)).tolist():
            began = int(at[row]) + int(rng.exponential(4) * MINUTE_MS) + 1
            ended = began + MINUTE_MS + int(rng.uniform(0.02, 1) * (BLOCK_MS - MINUTE_MS))
            self._push(ids[row], "BLOCKED", began, side="PAYEE")
            if rows.fate[row] == Fate.BLOCKED:
                self._push(ids[row], "RELEASED", ended, side="PAYEE")
            else:
                self.give_back(rng, ids[row], int(rows.payee[row]), ended, int(rows.cents[row]), "FR01")

    def _returns(self, rng: Generator, rows: Payments, ids: list[str], at: Ints) -> Flags:
        shares, reasons = _return_columns(rows)
        returned: Flags = (rows.fate == Fate.SETTLED) & (rng.random(len(rows)) < shares)
        for row in np.flatnonzero(returned).tolist():
            wait = min(int(rng.lognormal(np.log(30), 1.3) * HOUR_MS) + MINUTE_MS, RETURN_WITHIN_MS)
            whole = reasons[row] == "BE08" or rng.random() < 0.75
            cents = int(rows.cents[row] * (1.0 if whole else rng.uniform(0.2, 0.9)))
            self.give_back(rng, ids[row], int(rows.payee[row]), int(at[row]) + wait, max(1, cents), reasons[row])
        back: Flags = returned | (rows.fate == Fate.SEIZED)
        return back

    def _push(self, id_: str, status: str, at: int, side: str = "PAYER", **fields: str | UnsetType) -> None:
        self._due.push(at, line("pix-outcomes", OutcomeData(id_, side, status, instant(at), **fields)))
        self.counts[status] += 1


def _delays(rng: Generator, count: int) -> Ints:
    """Draw the milliseconds from Pix to settlement: mostly one to a few seconds, at most ten."""
    delays: Ints = (rng.lognormal(np.log(1.9), 0.45, count).clip(0.7, 10) * 1000).astype(np.int64)
    return delays


def _return_columns(rows: Payments) -> tuple[Floats, list[str]]:
    shares, reasons = np.zeros(len(Kind)), np.full(len(Kind), "MD06")
    for kind, (share, reason) in _RETURNS.items():
        shares[kind], reasons[kind] = share, reason
    change = rows.purpose == PurposeCode.GSCB
    drawn = np.where(change, _RETURNS[Kind.WITHDRAWAL][0], shares[rows.kind])
    return drawn, np.where(change, "SL02", reasons[rows.kind]).tolist()
