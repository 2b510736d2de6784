"""Small streams of events and reports in which everything collides: for tests of history."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from hypothesis import strategies as st

from shared.contract.event import Event
from shared.features.facts import VerdictCount

MORNING = 1_795_000_000_000_000
_SECOND = 1_000_000
_ids = itertools.count()


def pseudonym(name: str) -> str:
    """Return 32 hexadecimal characters that are like no other name's."""
    return name.encode().hex().ljust(32, "0")


ACCOUNTS = [pseudonym(f"account-{i}") for i in range(5)]
DEVICES = [None, pseudonym("device-0"), pseudonym("device-1")]


def event(payer: int | str = 0, payee: int | str = 1, seconds: float = 0, amount: int = 10_000, **more: Any) -> Event:
    """Return a Pix of `amount` centavos, `seconds` after a morning in November 2026."""
    values: dict[str, Any] = {
        "end_to_end_id": f"E{next(_ids):031d}",
        "initiated_at": MORNING + round(seconds * _SECOND),
        "amount": amount,
        "initiation_form": "DICT",
        "purpose": "IPAY",
        "payer_id": ACCOUNTS[payer] if isinstance(payer, int) else payer,
        "payer_person_id": pseudonym("payer"),
        "payer_ispb": "12345678",
        "payee_id": ACCOUNTS[payee] if isinstance(payee, int) else payee,
        "payee_ispb": "87654321",
    }
    return Event(**values | more)


def report(
    payer: int = 0,
    payee: int = 1,
    seconds: float = 0,
    fraud: bool = True,
    sign: int = 1,
    device: int = 0,
    hop: int = 1,
) -> VerdictCount:
    """Return a verdict `seconds` after that morning."""
    at = MORNING + round(seconds * _SECOND)
    return VerdictCount(ACCOUNTS[payer], ACCOUNTS[payee], DEVICES[device], at, fraud, sign, hop)


class Attempt(NamedTuple):
    """A Pix that was asked for and never settles."""

    event: Event


Item = Event | Attempt | VerdictCount
"""An event of a stream; a bare one settles as soon as it was asked for."""

_places = st.integers(0, len(ACCOUNTS) - 1)
# Many events share a second or arrive late, by seconds or by months.
_seconds = st.sampled_from([0, 0, 1, 2, 1.5, 60, 3600, 36_000, 50_000, 86_400, 90_000, 700_000, 3_000_000, 9_000_000])


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Draw an event; one account of the five is hot, and payer and payee may be the same."""
    payee = draw(st.one_of(st.just(1), _places))
    amount = draw(st.one_of(st.integers(1, 100), st.integers(1, 10_000_000)))
    more = {
        "device_id": draw(st.sampled_from(DEVICES)),
        "device_registered": draw(st.sampled_from([None, True, False])),
        "payee_person_id": draw(st.sampled_from([None, pseudonym("payer"), pseudonym("payee")])),
        "payee_key_id": draw(st.sampled_from([None, pseudonym("key")])),
        "payee_kind": draw(st.sampled_from([None, "PERSON", "COMPANY"])),
        "night_from": draw(st.sampled_from([None, 22 * 60])),
    }
    return event(draw(_places), payee, draw(_seconds), amount, **more)


reports = st.builds(
    report,
    *(_places, _places, _seconds, st.booleans(), st.sampled_from([1, 1, -1]), st.integers(0, 2)),
    hop=st.sampled_from([1, 1, 2, 5]),
)
streams = st.lists(st.one_of(events(), events(), events(), st.builds(Attempt, events()), reports), max_size=60)
"""Events, attempts and reports in the order in which they arrive."""
