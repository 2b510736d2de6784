"""Lines of a file of events in which taint goes down chains of mules within seconds."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from tests.builders import encoded, med_report, outcome, transaction

NOON = dt.datetime(2026, 11, 15, 12, tzinfo=dt.UTC)
MULES, LATE = 6, 3
"""The accounts of a chain, and the step of the Pix that settles hours later."""
_ids = itertools.count()


def chain(number: int, chains: int = 8) -> Iterator[bytes]:
    """Yield the lines of stolen money that goes down a chain of mules within a second, after the first was reported.

    One Pix of the chain is returned within the same second, both sides ask about another, one settles hours later and
    is returned in two parts on the next days, and the chains share mules.
    """
    start = NOON + dt.timedelta(hours=number)
    mules = [f"{(number + step) % (chains + 2):07d}" for step in range(MULES)]
    stolen = pix(f"9{number:06d}", mules[0], start - dt.timedelta(days=2))
    yield line(TRANSACTIONS, stolen)
    yield line(OUTCOMES, settled(stolen, 1))
    about, at = stolen["end_to_end_id"], (start - dt.timedelta(days=1)).isoformat()
    yield line(FEEDBACK, med_report(about, report_id=f"chain-{number}", reported_at=at))
    for step, (payer, payee) in enumerate(pairwise(mules)):
        moved = pix(payer, payee, start + dt.timedelta(milliseconds=150 * step))
        yield line(TRANSACTIONS, moved)
        if step == 1:
            yield line(TRANSACTIONS, moved | {"side": "PAYEE"})
        yield line(OUTCOMES, settled(moved, 5 * 3600 if step == LATE else 0.1))
        if step == LATE:
            yield from (line(OUTCOMES, returned(moved, days, share)) for days, share in ((1, "13.37"), (2, "7.03")))
        if step == 2:
            at = (start + dt.timedelta(milliseconds=500)).isoformat()
            back = "D" + moved["end_to_end_id"][1:]
            yield line(
                OUTCOMES, outcome(moved["end_to_end_id"], "RETURNED", at=at, return_id=back, amount=moved["amount"])
            )


def pix(payer: str, payee: str, at: dt.datetime) -> dict[str, Any]:
    """Return a Pix between two accounts of one person's name at one institution."""
    accounts = {"payer__account": payer, "payee__account": payee, "payee__tax_id": "12345678909"}
    return transaction(
        end_to_end_id=f"E12345678{at:%Y%m%d%H%M}{next(_ids):011d}",
        initiated_at=at.isoformat(),
        payee__ispb="12345678",
        device__id=f"d-{payer}",
        **accounts,
    )


def settled(of: dict[str, Any], after: float) -> dict[str, Any]:
    at = dt.datetime.fromisoformat(of["initiated_at"]) + dt.timedelta(seconds=after)
    return outcome(of["end_to_end_id"], at=at.isoformat())


def returned(of: dict[str, Any], days: int, amount: str) -> dict[str, Any]:
    """Return the return of a part of a Pix."""
    at = (dt.datetime.fromisoformat(of["initiated_at"]) + dt.timedelta(days=days)).isoformat()
    back = f"D{of['end_to_end_id'][1:-1]}{days}"
    return outcome(of["end_to_end_id"], "RETURNED", at=at, return_id=back, amount=amount)


def line(topic: str, message: dict[str, Any]) -> bytes:
    return encoded({"topic": topic, "data": message}) + b"\n"
