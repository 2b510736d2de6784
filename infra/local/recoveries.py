"""Reports under MED 2.0 on the later hops of simulated frauds, as a funds recovery opens them.

Once the payee's institution agrees with the report on a Pix, the money is followed: a Pix that its payee sent within
two hours, of a large part of what came in, is a hop, and so is what the next account sent. Each is reported, and the
account that received it agreed to be a fraudster's.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from infra.local.fates import Timed, between, with_outcomes
from infra.local.outcomes import Message
from shared.contract.topics import FEEDBACK, TRANSACTIONS

HOPS_MAX = 5
WINDOW = dt.timedelta(hours=2)
"""MaxHops and HopWindow of the tracking graph, as `jobs.trace` has them."""
PART_MIN, AMOUNT_MIN = 0.3, 200.0
"""Least part of what came in, and least amount in BRL, that is followed; assumptions."""
ANALYSED_AFTER = dt.timedelta(days=1)
"""From the report on the root to those on its hops."""
_FUNDS_RECOVERY = uuid.UUID("5b0f2bb0-5c0f-4a62-9a0a-0f1c7d3c3a11")


class Moved(NamedTuple):
    """A Pix: its id, time, receiving account, and amount in BRL."""

    end_to_end_id: str
    at: dt.datetime
    payee: tuple[str, str]
    amount: float


class _Money:
    """The Pix so far by id and by paying account."""

    def __init__(self) -> None:
        self._asked: dict[str, Moved] = {}
        self._sent: defaultdict[tuple[str, str], list[Moved]] = defaultdict(list)

    def reports(self, topic: str, message: Message, at: dt.datetime) -> Iterator[Timed]:
        """Yield the reports on the hops behind an agreed one."""
        if topic == TRANSACTIONS:
            moved = Moved(message["end_to_end_id"], at, _account(message["payee"]), float(message["amount"]))
            self._asked[moved.end_to_end_id] = moved
            self._sent[_account(message["payer"])].append(moved)
        elif message.get("analysis_result") == "AGREED" and message["end_to_end_id"] in self._asked:
            root = self._asked[message["end_to_end_id"]]
            yield from ((at + ANALYSED_AFTER, _report(root, hop, moved)) for hop, moved in self._hops(root))

    def _hops(self, root: Moved) -> Iterator[tuple[int, Moved]]:
        reached, layer = {root.end_to_end_id}, [root]
        for hop in range(2, HOPS_MAX + 1):
            layer = [each for moved in layer for each in self._passed_on(moved) if each.end_to_end_id not in reached]
            reached.update(each.end_to_end_id for each in layer)
            yield from ((hop, each) for each in layer)

    def _passed_on(self, before: Moved) -> Iterator[Moved]:
        least = max(AMOUNT_MIN, PART_MIN * before.amount)
        for each in self._sent.get(before.payee, ()):
            if before.at < each.at <= before.at + WINDOW and each.amount >= least:
                yield each


def with_recoveries(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield simulated lines, and reports on the hops behind agreed ones, in time order."""
    return between(lines, FEEDBACK, _Money().reports)


def with_aftermath(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield simulated lines, their outcomes, and reports on later hops, in time order."""
    return with_outcomes(with_recoveries(lines))


def _report(root: Moved, hop: int, moved: Moved) -> Message:
    recovery = uuid.uuid5(_FUNDS_RECOVERY, root.end_to_end_id)
    return {
        "source": "MED",
        "report_id": str(uuid.uuid5(recovery, moved.end_to_end_id)),
        "end_to_end_id": moved.end_to_end_id,
        "status": "CLOSED",
        "analysis_result": "AGREED",
        "situation_type": "SCAM",
        "fraud_type": "MULE_ACCOUNT",
        "funds_recovery_id": str(recovery),
        "root_end_to_end_id": root.end_to_end_id,
        "hop": hop,
        "infraction_amount": f"{min(moved.amount, root.amount):.2f}",
    }


def _account(holder: Message) -> tuple[str, str]:
    return holder["ispb"], holder["account"]
