"""The draw of the control group in a batch, between its decisions and the changes of history by them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.life import UNCOUNTED
from shared.ports.history import Observations
from shared.scoring.control import CONTROL_GROUP, Budget, Ticket, chances
from shared.scoring.control_switch import ControlSwitch
from shared.scoring.policy import Decisions, ModelScores, hold_until
from shared.scoring.purse import Caps, Paid, Purse, Spend
from shared.scoring.rules import Decision, FiredRules, Side
from shared.telemetry.metrics import CONTROL_DRAWN, CONTROL_SPENT, Metrics

LEFT_SECONDS = 5.0
"""Time for which the answer of the purse counts as the rest."""

_APPROVE = Decision.APPROVE.name
_PAYEE = "PAYEE"


class Batch(NamedTuple):
    """A batch that is decided: its events and scores, the rules that fired, and its history.

    `due` [n] are the times in microseconds at which the Pix were to be sent; `errors` holds the indexes of those that
    are not decided.
    """

    events: Events
    scored: Sequence[ModelScores]
    fired: FiredRules
    history: Observations
    due: NDArray[np.int64]
    errors: Container[int]


class _Candidate(NamedTuple):
    row: int
    side: Side
    chance: float
    milder: Decision
    spend: Spend
    is_drawn: bool


class GroupDraw(NamedTuple):
    """Decisions after a draw, and the rows that were drawn again and whose first draw is not paid.

    It was not to be paid, or whoever claimed the Pix first has not asked for it yet.
    """

    decisions: Decisions
    unpaid: Sequence[int] = ()


class ControlGroup:
    """Decide some Pix one step milder, as far as switch and purse allow.

    A Pix has a chance only while the purse could pay it. Where the purse is empty, does not answer, or a drawn Pix is
    one more than it can pay, the decision is that of the policy, and the row has no chance (NULL), just as if the
    control group were off. So an hour of the day in which the budget was spent is not taken for one in which the
    chance was had and lost: NULL says that the row tells nothing of Pix that the policy hides, and learning counts it
    with a chance of 0, by the share of stopped Pix that get their label from a reviewer. The rest is known as of
    LEFT_SECONDS ago at most; for as long, rows of Pix that were not drawn may have a chance that another instance had
    just used up.

    A delivery of a Pix that was asked for before is drawn only if it was drawn and paid then.
    """

    def __init__(
        self,
        switch: ControlSwitch,
        purse: Purse,
        lottery: Callable[[str, str], Ticket],
        now: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        """Draw by `lottery`, which gives the ticket of an EndToEndId and side (`shared.scoring.control.Lottery`)."""
        self._switch = switch
        self._purse = purse
        self._lottery = lottery
        self._now = now
        self._metrics = metrics
        self._left = 0
        self._asked_at = -float("inf")

    async def apply(self, decisions: Decisions, batch: Batch) -> GroupDraw:
        """Draw in a batch: those that are drawn and paid are decided one step milder."""
        budget = self._switch.budget()
        if budget is None or decisions.decisions.count(_APPROVE) == len(decisions.decisions):
            return GroupDraw(decisions)
        stopped = [i for i, name in enumerate(decisions.decisions) if name != _APPROVE and _is_open(batch, i)]
        if not stopped:
            return GroupDraw(decisions)
        found = list(self._candidates(budget, batch, stopped))
        if self._now() - self._asked_at > LEFT_SECONDS * 1e6:
            await self._pay(budget, [])
        found = list(self._affordable(budget, found))
        drawn = [each for each in found if each.is_drawn]
        answer = await self._pay(budget, drawn) if drawn else []
        paid = [each for each, is_paid in zip(drawn, answer, strict=True) if is_paid]
        self._count([each for each in paid if not each.spend.again])
        unpaid = [each.row for each in drawn if each.spend.again and each not in paid]
        return GroupDraw(_applied(decisions, batch, [each for each in found if not each.is_drawn], paid), unpaid)

    def _candidates(self, budget: Budget, batch: Batch, stopped: Sequence[int]) -> Iterator[_Candidate]:
        """Yield the Pix with a chance among those that are stopped by the model alone."""
        for bundle, indexes, values, _ in batch.scored:
            known = dict(zip(indexes.tolist(), values.tolist(), strict=True))
            rows = [i for i in stopped if i in known]
            scores = np.array([known[i] for i in rows], dtype=np.float64)
            payees = np.array([batch.events[i].side == _PAYEE for i in rows], dtype=bool)
            amounts = np.array([batch.events[i].amount for i in rows], dtype=np.int64)
            found = chances(budget, bundle.thresholds, scores, payees, amounts)
            severity = bundle.thresholds.reached(scores, payees)
            for at in np.flatnonzero(found > 0).tolist():
                yield self._candidate(budget, batch, rows[at], float(found[at]), Decision(int(severity[at]) - 1))

    def _affordable(self, budget: Budget, found: Sequence[_Candidate]) -> Iterator[_Candidate]:
        """Yield the candidates that the purse could pay, by its rest; rejected Pix come first.

        The others have only the unreserved part. A Pix that was asked for before is paid if it was paid then.
        """
        left = self._left
        for each in sorted(found, key=lambda one: one.milder is Decision.APPROVE):
            reserved = budget.reserved if each.milder is Decision.APPROVE else 0
            if not each.spend.again:
                if each.spend.cost + reserved > left:
                    continue
                left -= each.spend.cost if each.is_drawn else 0
            yield each

    def _candidate(self, budget: Budget, batch: Batch, index: int, chance: float, milder: Decision) -> _Candidate:
        event = batch.events[index]
        ticket = self._lottery(event.end_to_end_id, event.side)
        cost = event.amount if milder is Decision.APPROVE else budget.review
        spend = Spend(ticket.name, cost, batch.history.numbers[index] != 1)
        side: Side = "PAYEE" if event.side == _PAYEE else "PAYER"
        return _Candidate(index, side, chance, milder, spend, ticket.number < chance)

    async def _pay(self, budget: Budget, drawn: Sequence[_Candidate]) -> list[bool]:
        """Return which are paid, and note the rest: nothing, if the purse does not answer."""
        self._asked_at = self._now()
        caps = Caps(budget.day, budget.month)
        try:
            answer = await self._purse.spend([each.spend for each in drawn], caps, int(self._asked_at))
        except Unavailable:
            answer = Paid([False] * len(drawn), 0)
        self._left = answer.left
        return answer.paid

    def _count(self, paid: Sequence[_Candidate]) -> None:
        for each in paid:
            self._metrics.add(CONTROL_DRAWN, 1, each.milder.name_of(each.side))
            self._metrics.add(CONTROL_SPENT, each.spend.cost / 100)


def _is_open(batch: Batch, index: int) -> bool:
    """Return whether a stopped Pix may be drawn: history counted it, no rule fired, no decision is known already."""
    history = batch.history
    if history.sequence[index] == UNCOUNTED or history.answers[index] is not None:
        return False
    return not batch.fired.codes[index] and index not in batch.errors


def _applied(
    decisions: Decisions, batch: Batch, spared: Sequence[_Candidate], paid: Sequence[_Candidate]
) -> Decisions:
    """Return decisions with the chances of Pix that were not drawn (`spared`) and `paid`; the latter are milder."""
    chances = list(decisions.chances)
    for each in (*spared, *paid):
        chances[each.row] = each.chance
    if not paid:
        return decisions._replace(chances=chances)
    names, policy, until = list(decisions.decisions), list(decisions.policy), list(decisions.hold_until)
    severity = np.array([each.milder for each in paid], dtype=np.int8)
    payees = np.array([each.side == _PAYEE for each in paid], dtype=bool)
    ends = hold_until(severity, payees, batch.due[[each.row for each in paid]])
    reasons = list(decisions.reasons)
    for each, end in zip(paid, ends, strict=True):
        i = each.row
        names[i], policy[i], until[i] = each.milder.name_of(each.side), names[i], end
        reasons[i] = [*reasons[i], CONTROL_GROUP]
    return decisions._replace(decisions=names, policy=policy, hold_until=until, reasons=reasons, chances=chances)
