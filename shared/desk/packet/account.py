"""The facts of the record of suspicions about an account, which the supervisor may ask for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct

from shared.contract.rows import SuspicionRow
from shared.contract.suspicion import Suspicion, SuspicionState, suspicions
from shared.desk.errors import NoSuchCase
from shared.desk.ports import Surroundings
from shared.desk.records import Payment, moment


class AccountPacket(Struct, frozen=True):
    """The suspicions about an account in the order of their opening, and its Pix stopped while one was in force."""

    account_id: str
    suspicions: Sequence[Suspicion]
    stopped: Sequence[Payment]
    made_at: dt.datetime

    @property
    def standing(self) -> SuspicionState:
        """Return the standing of the latest suspicion."""
        return self.suspicions[-1].standing(self.made_at)


async def account_packet(
    account_id: str, rows: Sequence[SuspicionRow], past: Surroundings, now: dt.datetime
) -> AccountPacket:
    """Return the record of an account by its rows. Raises NoSuchCase, Unavailable, Misconfigured."""
    found = suspicions(rows)
    if not found:
        raise NoSuchCase("the register has no suspicion of this account")
    received = await past.received(account_id, moment(found[0].opened.at), now)
    stopped = [each for each in received if each.decision != "APPROVE" and _in_force(found, each.initiated_at)]
    return AccountPacket(account_id, found, stopped, now)


def _in_force(found: Sequence[Suspicion], at: dt.datetime) -> bool:
    """Return whether a suspicion was in force at a time, by all that its rows say now."""
    return any(moment(each.opened.at) <= at < _end(each) for each in found)


def _end(suspicion: Suspicion) -> dt.datetime:
    return suspicion.expires_at if suspicion.lifted is None else moment(suspicion.lifted.at)
