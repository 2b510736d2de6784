"""The tracking graph of a Pix, as in a funds recovery of MED 2.0.

Layer 1 is the root. Layer 2 holds the Pix that its payee sent within the hop window after the money came in, layer 3
those of the payees of layer 2, and so on. A Pix that pays an account on its own path back is kept and marked, but not
followed, so the graph of accounts has no cycle.
Source: DICT, Manual Operacional 8.0, section 20 (TrackingGraphParameters) and 20.1.3 (acyclic, connected).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

SECOND = 1_000_000
"""Microseconds."""


class TraceLimits(Struct, frozen=True):
    """The parameters of a tracking graph.

    DICT names them without values: these are a sample of a vendor's client (Celcoin). The press also says five hops.
    """

    hops_max: int = 5
    """MaxHops: layers, the root's included."""
    hop_window: dt.timedelta = dt.timedelta(hours=2)
    """HopWindow: longest time between the Pix into an account and a Pix out of it."""
    amount_min: int = 20_000
    """MinTransactionAmount, in centavos; the root may be smaller."""
    transactions_max: int = 10
    """MaxTransactions: Pix in the graph, the root included; of a layer, the largest are taken first."""


class Pix(Struct, frozen=True):
    """A Pix that settled: amounts in centavos, `moved_at` is its settlement in microseconds since the epoch."""

    end_to_end_id: str
    payer_id: str
    payee_id: str
    amount: int
    returned: int
    moved_at: int
    decision: str | None = None
    verdict: str | None = None

    @property
    def net(self) -> int:
        """Return the amount that was not returned, in centavos."""
        return max(self.amount - self.returned, 0)


class Span(Struct, frozen=True, order=True):
    """A period in microseconds since the epoch, both ends included."""

    since: int
    until: int

    def holds(self, moment: int) -> bool:
        """Return whether the moment is in the period."""
        return self.since <= moment <= self.until


Spans = Mapping[str, Sequence[Span]]
"""Periods by account."""
Sent = Callable[[Spans], Sequence[Pix]]
"""Return the settled Pix that accounts sent in their periods; others may be among them, such as returned ones."""


class Member(Struct, frozen=True):
    """A Pix of the graph and its layer; `returns` marks one that pays an account on its own path back."""

    pix: Pix
    layer: int
    returns: bool


class Graph(Struct, frozen=True):
    """The members of a tracking graph, the root first, by layer; `left_out` Pix exceeded `transactions_max`."""

    members: list[Member]
    left_out: int


def grow(root: Pix, sent: Sent, limits: TraceLimits) -> Graph:
    """Return the tracking graph of a root; `sent` is asked once for each further layer.

    >>> passed_on = Pix("E2", "b", "c", 90_000, 0, 60 * SECOND)
    >>> root = Pix("E1", "a", "b", 100_000, 0, 0)
    >>> graph = grow(root, lambda spans: [passed_on] if "b" in spans else [], TraceLimits())
    >>> [(member.pix.end_to_end_id, member.layer) for member in graph.members]
    [('E1', 1), ('E2', 2)]
    """
    growing = _Growing(root, limits)
    while growing.spans and growing.layer < limits.hops_max:
        growing.add_layer(sent(growing.spans))
    return Graph(growing.members, growing.left_out)


class _Growing:
    """A graph under construction: `layer` is the last one, `spans` the periods of its payees."""

    def __init__(self, root: Pix, limits: TraceLimits) -> None:
        self.members: list[Member] = []
        self.left_out = 0
        self.layer = 1
        self._limits = limits
        self._known = {root.end_to_end_id}
        self._paid: dict[str, set[str]] = {}
        self.spans = self._add([root])

    def add_layer(self, found: Sequence[Pix]) -> None:
        """Add the Pix among `found` that follow the last layer, the largest first."""
        following = {pix.end_to_end_id: pix for pix in found if self._follows(pix)}
        ordered = sorted(following.values(), key=lambda pix: (-pix.net, pix.moved_at, pix.end_to_end_id))
        room = self._limits.transactions_max - len(self.members)
        self.left_out += len(ordered[room:])
        self.layer += 1
        self.spans = self._add(ordered[:room])

    def _follows(self, pix: Pix) -> bool:
        return (
            pix.end_to_end_id not in self._known
            and pix.net >= max(self._limits.amount_min, 1)
            and any(span.holds(pix.moved_at) for span in self.spans.get(pix.payer_id, ()))
        )

    def _add(self, layer: Sequence[Pix]) -> dict[str, list[Span]]:
        """Add a layer in the order of time; return the periods in which its payees may have passed the money on."""
        spans: dict[str, list[Span]] = {}
        window = round(self._limits.hop_window.total_seconds() * SECOND)
        for pix in sorted(layer, key=lambda pix: (pix.moved_at, pix.end_to_end_id)):
            returns = self._leads(pix.payee_id, pix.payer_id)
            self._known.add(pix.end_to_end_id)
            self.members.append(Member(pix, self.layer, returns))
            if not returns and pix.net:
                self._paid.setdefault(pix.payer_id, set()).add(pix.payee_id)
                spans.setdefault(pix.payee_id, []).append(Span(pix.moved_at, pix.moved_at + window))
        return spans

    def _leads(self, source: str, target: str) -> bool:
        """Return whether money of `source` reaches `target` in the graph so far."""
        reached, open_ = {source}, [source]
        while open_:
            new = self._paid.get(open_.pop(), set()) - reached
            reached |= new
            open_.extend(new)
        return target in reached
