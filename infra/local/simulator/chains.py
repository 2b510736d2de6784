"""The way of stolen money from account to account, as DICT tracks it from a contested Pix (MED 2.0)."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from infra.local.simulator import fates
from infra.local.simulator.clock import HOUR_MS
from infra.local.simulator.payments import NO_LINK, Payments

MAX_HOPS, MAX_TRANSACTIONS, HOP_WINDOW_MS, MIN_CENTS = 5, 10, 24 * HOUR_MS, 1_000
"""Parameters of a tracking graph (TrackingGraphParameters, Manual Operacional do DICT 8.0, section 20).

The values are assumptions; five hops are those of the press.
"""


class Tracked(NamedTuple):
    """A Pix in a tracking graph, at `hop` 1 the contested one."""

    end_to_end_id: str
    payee: int
    at: int
    infraction_cents: int
    """The stolen part of its amount."""
    hop: int


class _Passed(NamedTuple):
    link: int
    end_to_end_id: str
    payee: int
    at: int
    cents: int


class Chains:
    """Settled Pix by the Pix whose money they pass on."""

    def __init__(self) -> None:
        self._onward: defaultdict[int, list[_Passed]] = defaultdict(list)

    def add(self, rows: Payments, ids: list[str]) -> None:
        """Add the payments of a day that pass stolen money on."""
        for row in np.flatnonzero((rows.source != NO_LINK) & fates.settled(rows)).tolist():
            columns = (rows.link, rows.payee, rows.at, rows.cents)
            link, payee, at, cents = (int(column[row]) for column in columns)
            self._onward[int(rows.source[row])].append(_Passed(link, ids[row], payee, at, cents))

    def graph(self, root: Tracked, link: int, now: int) -> list[Tracked]:
        """Return the graph from a root as of a moment, by hop; an infraction amount is at most its parent's."""
        found, layer = [root], [(link, root)]
        while layer and layer[0][1].hop < MAX_HOPS:
            layer = [each for source, parent in layer for each in self._next(source, parent, now)]
            found += [tracked for _, tracked in layer]
        return found[:MAX_TRANSACTIONS]

    def _next(self, source: int, parent: Tracked, now: int) -> list[tuple[int, Tracked]]:
        found, left = [], parent.infraction_cents
        for passed in self._onward.get(source, ()):
            stolen = min(passed.cents, left)
            if passed.at < min(now, parent.at + HOP_WINDOW_MS) and stolen >= MIN_CENTS:
                left -= stolen
                tracked = Tracked(passed.end_to_end_id, passed.payee, passed.at, stolen, parent.hop + 1)
                found.append((passed.link, tracked))
        return found
