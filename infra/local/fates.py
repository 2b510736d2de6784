"""The fates of simulated Pix, as messages of `pix-outcomes` between the lines of a simulation.

Nearly all settle within seconds; the SPI or an institution rejects a few, and some money is returned days later. A
report under the MED that the payee's institution agrees with brings a part of the money back.
"""

from __future__ import annotations

import datetime as dt
import heapq
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS

REJECTED, RETURNED, RECOVERED = 0.008, 0.006, 0.35
"""Shares of Pix that are rejected and returned, and of agreed reports that bring money back; assumptions."""
SETTLED_SECONDS, RETURNED_HOURS, RECOVERED_HOURS = 2.0, 40.0, 6.0
"""Delays after the Pix, or after the report."""
PART = 0.4
"""Share of a reported amount that is still there; an assumption."""


def with_outcomes(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield simulated lines, and their outcomes, in time order."""
    due: list[tuple[dt.datetime, int, bytes]] = []
    amounts: dict[str, str] = {}
    for number, text in enumerate(lines):
        topic, message = msgspec.json.decode(text).values()
        at = dt.datetime.fromisoformat(message["initiated_at" if topic == TRANSACTIONS else "reported_at"])
        while due and due[0][0] < at:
            yield heapq.heappop(due)[2]
        yield text
        outcome = None
        if topic == TRANSACTIONS and message["end_to_end_id"].startswith("E"):
            amounts[message["end_to_end_id"]] = message["amount"]
            outcome = list(_asked(message, at))
        elif topic == FEEDBACK and message.get("analysis_result") == "AGREED":
            outcome = list(_recovered(message, at, amounts.get(message["end_to_end_id"])))
        for place, (moment, told) in enumerate(outcome or ()):
            data = told | {"at": moment.isoformat().replace("+00:00", "Z")}
            line = msgspec.json.encode({"topic": OUTCOMES, "data": data}) + b"\n"
            heapq.heappush(due, (moment, 2 * number + place, line))
    while due:
        yield heapq.heappop(due)[2]


def _asked(message: dict[str, Any], at: dt.datetime) -> Iterator[tuple[dt.datetime, dict[str, Any]]]:
    """Yield the outcomes of a Pix with their times."""
    id_, settled_at = message["end_to_end_id"], at + dt.timedelta(seconds=SETTLED_SECONDS)
    if _chance("rejected", id_) < REJECTED:
        yield settled_at, _of(id_, "REJECTED", reason="AB03")
        return
    yield settled_at, _of(id_, "SETTLED")
    if _chance("returned", id_) < RETURNED:
        delay = dt.timedelta(hours=RETURNED_HOURS * _chance("hours", id_))
        yield settled_at + delay, _returned(id_, settled_at + delay, message["amount"], "MD06")


def _recovered(
    report: dict[str, Any], at: dt.datetime, amount: str | None
) -> Iterator[tuple[dt.datetime, dict[str, Any]]]:
    """Yield the return of money behind an agreed report, with its time."""
    id_, moment = report["end_to_end_id"], at + dt.timedelta(hours=RECOVERED_HOURS)
    if amount is not None and _chance("recovered", id_) < RECOVERED:
        yield moment, _returned(id_, moment, f"{max(0.01, PART * float(amount)):.2f}", "FR01")


def _returned(id_: str, at: dt.datetime, amount: str, reason: str) -> dict[str, Any]:
    return_id = f"D{id_[1:9]}{at:%Y%m%d%H%M}{id_[21:]}"
    return _of(id_, "RETURNED", return_id=return_id, amount=amount, reason=reason)


def _of(id_: str, status: str, **fields: str) -> dict[str, Any]:
    return {"end_to_end_id": id_, "side": "PAYER", "status": status, **fields}


def _chance(event: str, id_: str) -> float:
    """Return a number from 0 to 1 that is the same in each run."""
    return zlib.crc32(f"{event} {id_}".encode()) / 2**32
