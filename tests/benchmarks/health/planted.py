"""Ten causes of a change of scores, planted into the events of a day of a simulated world."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from shared.learning.monitoring.causes.ranking import Kind

Message = dict[str, Any]
"""The data of a message of pix-transactions."""
Change = Callable[[list[Message], np.random.Generator], list[Message]]
LARGE, MIDDLE, WITH_STATISTICS = "41872903", "58031946", "07315628"
"""Publishers of the simulator: a fifth and a tenth of the accounts, and one that sends the payee's statistics."""
SCAM = "8CAM"
"""The part of the ids of a planted scam that no simulated id has."""
_HOURS = 6.0
"""Hours of the day (UTC) before a fault begins."""
_DOUBLE_OFFSET = dt.timedelta(hours=3)
_STALE = dt.timedelta(days=12)
_SCAM_PIX, _MULES = 60, 5
_OPEN_SHARE = 0.25


class Planted(NamedTuple):
    """A cause, and the truth about it: kind, source (None: any) and publisher (None: all)."""

    title: str
    kind: Kind
    source: str | None
    publisher: str | None
    change: Change


def _at(message: Message) -> dt.datetime:
    return dt.datetime.fromisoformat(message["initiated_at"])


def _of(publisher: str | None, change: Callable[[Message], None]) -> Change:
    """Return the change of each message of a publisher from the hour on at which faults begin."""

    def changed(messages: list[Message], _: np.random.Generator) -> list[Message]:
        for message in messages:
            if publisher in (None, message["payer"]["ispb"]) and _at(message).hour >= _HOURS:
                change(message)
        return messages

    return changed


def _no_device(message: Message) -> None:
    message.pop("device", None)


def _new_device(message: Message) -> None:
    if "device" in message:
        message["device"]["id"] = f"app2-{message['device']['id']}"


def _in_centavos(message: Message) -> None:
    message["amount"] = f"{100 * float(message['amount']):.2f}"


def _manual(message: Message) -> None:
    message["initiation_form"] = "MANU"


def _opened_by_migration(message: Message) -> None:
    message["payer"]["opened_at"] = f"{_at(message) - dt.timedelta(days=2):%Y-%m-%d}"


def _no_statistics(message: Message) -> None:
    message.pop("payee_statistics", None)


def _stale(message: Message) -> None:
    """Set the statistics to those of a feed that stopped: old, without what was marked since."""
    if statistics := message.get("payee_statistics"):
        statistics["watermark"] = (dt.datetime.fromisoformat(statistics["watermark"]) - _STALE).isoformat()
        for name in ("fraud_markers", "infraction_reports"):
            statistics.pop(name, None)


def _offset_twice(message: Message) -> None:
    message["initiated_at"] = (_at(message) - _DOUBLE_OFFSET).isoformat()


def _holiday(messages: list[Message], rng: np.random.Generator) -> list[Message]:
    """Leave few of the Pix to companies: shops are closed and no bills are due."""
    return [one for one in messages if len(one["payee"].get("tax_id", "")) != 14 or rng.random() < _OPEN_SHARE]


def _scam(messages: list[Message], rng: np.random.Generator) -> list[Message]:
    """Add a wave of Pix by deceived persons to a few accounts that were opened for it."""
    persons = [one for one in messages if len(one["payer"]["tax_id"]) == 11]
    owners = [one["payee"] for one in messages if len(one["payee"].get("tax_id", "")) == 11]
    mules = [_mule(owners[int(rng.integers(len(owners)))], _at(messages[0]), rng) for _ in range(_MULES)]
    added = []
    for number in range(_SCAM_PIX):
        victim = json.loads(json.dumps(persons[int(rng.integers(len(persons)))]))
        at = _at(victim).replace(hour=int(rng.integers(13, 20)), minute=int(rng.integers(60)))
        victim |= {
            "end_to_end_id": f"E{victim['payer']['ispb']}{at:%Y%m%d%H%M}{SCAM}{number:07d}",
            "initiated_at": at.isoformat(),
            "amount": f"{rng.uniform(700, 2_900):.2f}",
            "initiation_form": "DICT",
            "payee": mules[int(rng.integers(_MULES))],
        }
        victim.pop("initiator", None)
        victim.pop("payee_statistics", None)
        added.append(victim)
    return [*messages, *added]


def _mule(owner: Message, at: dt.datetime, rng: np.random.Generator) -> Message:
    opened = f"{at - dt.timedelta(days=3):%Y-%m-%d}"
    key = f"{rng.integers(16**8):08x}-0000-4000-8000-{rng.integers(16**12):012x}"
    account = {"account": str(rng.integers(10**8, 10**9)), "account_type": "TRAN", "opened_at": opened}
    return owner | account | {"key": key, "key_type": "EVP", "key_owned_since": opened}


PLANTED: Sequence[Planted] = (
    Planted("a publisher drops the device", "CONTRACT", "device", LARGE, _of(LARGE, _no_device)),
    Planted("a publisher sends reais for centavos", "CONTRACT", "amount", MIDDLE, _of(MIDDLE, _in_centavos)),
    Planted("a new scam", "TRAFFIC", None, None, _scam),
    Planted("the DICT feed is stale", "CONTRACT", "payee_statistics", None, _of(None, _stale)),
    Planted("a time zone is applied twice", "CODE", "initiated_at", None, _of(None, _offset_twice)),
    Planted("a holiday", "TRAFFIC", None, None, _holiday),
    Planted("a publisher maps every form to one", "CONTRACT", "initiation_form", LARGE, _of(LARGE, _manual)),
    Planted(
        "a migration sets the opening of accounts",
        "CONTRACT",
        "payer.opened_at",
        LARGE,
        _of(LARGE, _opened_by_migration),
    ),
    Planted(
        "a publisher drops the statistics",
        "CONTRACT",
        "payee_statistics",
        WITH_STATISTICS,
        _of(WITH_STATISTICS, _no_statistics),
    ),
    Planted("an app gives every device a new id", "CONTRACT", "device", LARGE, _of(LARGE, _new_device)),
)


def planted_day(lines: Sequence[bytes], planted: Planted, seed: int) -> list[bytes]:
    """Return the lines of a day with a cause in its Pix, in order of time; outcomes follow their Pix."""
    events = [json.loads(line) for line in lines]
    asked = [one["data"] for one in events if one["topic"] == "pix-transactions"]
    known = {one["end_to_end_id"] for one in asked}
    changed = planted.change(asked, np.random.default_rng(seed))
    left = {one["end_to_end_id"] for one in changed}
    others = [
        one
        for one in events
        if one["topic"] != "pix-transactions" and one["data"].get("end_to_end_id") not in known - left
    ]
    told = [_settled(one) for one in changed if one["end_to_end_id"] not in known]
    found = [*others, *({"topic": "pix-transactions", "data": one} for one in changed), *told]
    return [json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in sorted(found, key=_moment)]


def _settled(message: Message) -> Message:
    at = (_at(message) + dt.timedelta(seconds=2)).isoformat()
    data = {"end_to_end_id": message["end_to_end_id"], "side": "PAYER", "status": "SETTLED", "at": at}
    return {"topic": "pix-outcomes", "data": data}


def _moment(event: Message) -> tuple[dt.datetime, bool]:
    data = event["data"]
    at = data.get("initiated_at") or data.get("at") or data["reported_at"]
    return dt.datetime.fromisoformat(at), event["topic"] != "pix-transactions"
