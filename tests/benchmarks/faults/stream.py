"""The published stream: simulated Pix, outcomes and reports, some of them late, duplicated or malformed."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from infra.local.simulator import SimulationConfig, simulate
from shared.contract.payload_hash import PayloadHash
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.contract.transaction import EXAMPLE, decode_transaction
from shared.errors import Malformed
from shared.settings import LOCAL_HMAC_KEY

END = dt.datetime(2026, 10, 20, tzinfo=dt.UTC)
LABELLED = END + dt.timedelta(days=14)
"""End of the reports, in the past of any run; those after the last Pix are published at once."""
PER_DAY, DAYS_MIN = 10_000, 8
DUPLICATES, LATE, MALFORMED = 0.10, 0.05, 0.02
LATEST_MINUTES = 30.0
FRAUD_RATE = 0.03
SIDES = 0.10
"""Share of Pix about which the payee's side asks, too."""
REFUSED, REFUSED_MOST = (0.62, 0.72), 20
"""Shares of the live messages between which are the Pix whose rows are refused, and their number at most."""
CUT_BYTES_MAX = 200
"""Most bytes cut from the end of a message."""


class Message(NamedTuple):
    """A message and its topic."""

    topic: str
    data: bytes


Asked = tuple[str, str]
"""EndToEndId and side of a question about a Pix."""


class Stream(NamedTuple):
    """Messages in the order of publishing, and their expected outcome."""

    messages: list[Message]
    asked: set[Asked]
    """The sides of each Pix that ask about it."""
    outcomes: int
    """Number of distinct outcomes."""
    reports: int
    """Number of distinct reports."""
    malformed: list[str]
    """SHA-256 of each malformed message; each is published once."""
    refused: frozenset[str]
    """EndToEndIds whose rows are to be refused for a day."""
    duplicates: int
    """Number of transactions published twice."""
    late: int
    """Number of transactions published late."""
    live: int
    """Number of messages until the last Pix."""
    middle: float
    """Event time at half of the live messages, in seconds since the epoch."""


class _Line(Struct):
    topic: str
    data: Raw


class _When(Struct):
    end_to_end_id: str = ""
    side: str = "PAYER"
    initiated_at: dt.datetime | None = None
    at: dt.datetime | None = None
    reported_at: dt.datetime | None = None


_line, _when = msgspec.json.Decoder(_Line).decode, msgspec.json.Decoder(_When).decode
_MARKER = b'"FRAUD_MARKER"'


def stream(transactions: int, seed: int) -> Stream:
    """Build a stream; the same arguments give the same bytes."""
    chance = random.Random(seed)
    placed: list[tuple[float, Message]] = []
    asked: dict[Message, Asked] = {}
    counts = {OUTCOMES: 0, FEEDBACK: 0, "duplicates": 0, "late": 0}
    for message, at, asks in _simulated(transactions, seed):
        late = message.topic == TRANSACTIONS and chance.random() < LATE
        comes = at + (_minutes(chance) if late else 0.0)
        placed.append((comes, message))
        counts["late"] += late
        if chance.random() < DUPLICATES:
            placed.append((comes + chance.choice([0.0, _minutes(chance)]), message))
            counts["duplicates"] += message.topic == TRANSACTIONS
        if message.topic == TRANSACTIONS:
            asked[message] = asks
        else:
            counts[message.topic] += 1
    malformed = [_malformed(chance, number) for number in range(round(MALFORMED * transactions))]
    first, last = placed[0][0], END.timestamp()
    placed += [(chance.uniform(first, last), Message(TRANSACTIONS, data)) for data in malformed]
    placed.sort(key=lambda each: each[0])
    live = sum(at <= last for at, _ in placed)
    digests = list(map(PayloadHash(LOCAL_HMAC_KEY.encode()), malformed))
    messages = [message for _, message in placed]
    middle = placed[live // 2][0]
    return Stream(
        messages,
        set(asked.values()),
        counts[OUTCOMES],
        counts[FEEDBACK],
        digests,
        _refused(messages[:live], asked),
        counts["duplicates"],
        counts["late"],
        live,
        middle,
    )


def _simulated(transactions: int, seed: int) -> Iterator[tuple[Message, float, Asked]]:
    config = SimulationConfig(
        end=END,
        transactions=transactions,
        days=max(DAYS_MIN, transactions // PER_DAY),
        seed=seed,
        fraud_rate=FRAUD_RATE,
        labels_until=LABELLED,
        med2=0.0,
        both_sides=SIDES,
    )
    for text in simulate(config):
        if _MARKER in text:  # takes a place for each holder, and its row names the last: places could not be counted
            continue
        line = _line(text)
        when = _when(line.data)
        at = when.initiated_at or when.at or when.reported_at
        assert at is not None
        yield Message(line.topic, bytes(line.data)), at.timestamp(), (when.end_to_end_id, when.side)


def _refused(live: list[Message], asked: dict[Message, Asked]) -> frozenset[str]:
    first, last = (round(share * len(live)) for share in REFUSED)
    ids = [asked[message][0] for message in live[first:last] if message in asked]
    return frozenset(ids[:: max(1, len(ids) // REFUSED_MOST)][:REFUSED_MOST])


def _minutes(chance: random.Random) -> float:
    return 60.0 * chance.uniform(1.0, LATEST_MINUTES)


def _malformed(chance: random.Random, number: int) -> bytes:
    """Return a distinct message that the decoder refuses."""
    while True:
        data = chance.choice(_WAYS)(chance, number)
        try:
            decode_transaction(data)
        except Malformed:
            return data


def _changed(number: int, **changes: Any) -> bytes:
    return json.dumps({**json.loads(EXAMPLE), "n": number, **changes}).encode()


_WAYS: list[Callable[[random.Random, int], bytes]] = [
    lambda chance, number: b"%d" % number + chance.randbytes(40),
    lambda chance, number: _changed(number)[: -chance.randrange(1, CUT_BYTES_MAX)] + b" %d" % number,
    lambda _, number: _changed(number, amount="0.00"),
    lambda _, number: _changed(number, amount=None),
    lambda _, number: _changed(number, payer={"tax_id": "12345678909"}),
    lambda _, number: _changed(number, end_to_end_id="E12345678202613401432a1b2c3d4e5f"),
    lambda _, number: _changed(number, initiated_at="yesterday"),
    lambda _, number: _changed(number, initiated_at="2999-01-01T00:00:00Z", amount=-1),
    lambda _, number: _changed(number, device=[]),
    lambda _, number: b'{"n":%d,"a":' % number + b'{"a":' * 2_000,
    lambda _, number: _changed(number, note="x" * 70_000),
]
