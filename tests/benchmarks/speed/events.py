"""Deterministic simulated Pix and their settlements, as HTTP push requests of Pub/Sub."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec import Raw, Struct

from infra.local.pubsub.body import push_body
from infra.local.simulator.config import SimulationConfig
from infra.local.simulator.run import simulate
from shared.contract.envelope import decode_envelope
from shared.contract.topics import TRANSACTIONS
from tests.benchmarks.speed.load import Requests, http_request

ACCOUNTS = 100_000
END = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_CUSTOMERS = 70_000  # a person of the simulator has 1.4 accounts
_SUBSCRIPTION = "projects/pix-bench/subscriptions/{}"


class EventLine(Struct):
    """One line of the simulator."""

    topic: str
    data: Raw


class Prepared(Struct):
    """The prepared requests in `path`, and their counts."""

    path: Path
    transactions: int
    accounts: int
    message_bytes: float


def lines(transactions: int, seed: int, days: int, customers: int | None) -> Iterator[EventLine]:
    """Yield simulated events in time order; the same arguments give the same bytes."""
    config = SimulationConfig(end=END, transactions=transactions, days=days, customers=customers, seed=seed)
    return map(msgspec.json.Decoder(EventLine).decode, simulate(config))


def prepare(path: Path, transactions: int) -> Prepared:
    """Write push requests for this many transactions."""
    accounts: set[bytes] = set()
    sizes = 0

    def requests() -> Iterator[bytes]:
        nonlocal sizes
        days = max(2, round(transactions / _CUSTOMERS / 0.8))
        events = (line for line in lines(transactions, 7, days, _CUSTOMERS) if line.topic == TRANSACTIONS)
        for number, event in enumerate(events):
            data = bytes(event.data)
            sizes += len(data)
            accounts.update(_accounts(data))
            yield _push(number, data, "score")

    Requests.write(path, requests())
    return Prepared(path, len(Requests(path)), len(accounts), sizes / transactions)


def settle(path: Path, requests: Path, count: int) -> None:
    """Write push requests of outcomes: the first `count` transactions of `requests` settle, in the same order."""
    prepared = Requests(requests)
    asked = (_asked(decode_envelope(prepared[i].partition(b"\r\n\r\n")[2]).data) for i in range(count))
    Requests.write(
        path, (_push(number, msgspec.json.encode(_settled(each)), "outcome") for number, each in enumerate(asked))
    )


class _Asked(Struct):
    end_to_end_id: str
    initiated_at: str


_asked = msgspec.json.Decoder(_Asked).decode


def _settled(asked: _Asked) -> dict[str, str]:
    return {"end_to_end_id": asked.end_to_end_id, "status": "SETTLED", "at": asked.initiated_at}


class _Party(Struct):
    ispb: str
    account: str


class _Parties(Struct):
    payer: _Party
    payee: _Party


_parties = msgspec.json.Decoder(_Parties).decode


def _accounts(data: bytes) -> tuple[bytes, bytes]:
    found = _parties(data)
    return f"{found.payer.ispb}{found.payer.account}".encode(), f"{found.payee.ispb}{found.payee.account}".encode()


def _push(number: int, data: bytes, subscription: str) -> bytes:
    return http_request(push_body(_message(number, data), _SUBSCRIPTION.format(subscription), None))


def _message(number: int, data: bytes) -> Any:
    published = SimpleNamespace(seconds=int(END.timestamp()), nanos=0)
    message_id = str(10**16 + number)
    return SimpleNamespace(publish_time=published, attributes={}, ordering_key="", data=data, message_id=message_id)
