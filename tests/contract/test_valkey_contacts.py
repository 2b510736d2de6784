"""Contacts in Valkey: the hash of a payer, and what stays of those that are forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.store import PREFIX, ValkeyStore
from shared.adapters.valkey.wire import LETTERS
from shared.contract.event import Event
from shared.features.columns import Events
from shared.features.history import READ_NAMES
from shared.features.keys import Keys, keys_of, pair_of
from shared.features.layout import CONTACT, SEEN
from shared.features.outcomes import Outcome
from shared.ports.history import Claim
from tests.contract.history_changes import tell
from tests.contract.history_stores import SERVERS, SharedHistory, Store, store
from tests.unit.streams import ACCOUNTS, MORNING, event, pseudonym

FIRST, DAY, SECOND = Claim("v1", 1), 86_400, 1_000_000
PAYER = keys_of([ACCOUNTS[0]])
HASH = PREFIX + LETTERS[CONTACT.kind].encode() + PAYER.tobytes()
PAIR = [READ_NAMES.index(f"pair_{name}") for name in CONTACT.names]
EARLY, LATE = 30, 130
"""Days, between which a contact is forgotten."""


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


def pay(served: Store, history: SharedHistory, payees: list[str], day: float) -> np.ndarray:
    """Pay each payee on a day; return the reads of the asks."""
    pix = [event(0, payee, day * DAY, device_id=None) for payee in payees]
    reads = served.run(history.observe(Events(pix), FIRST)).reads
    served.run(tell(history, [(each, Outcome("SETTLED", each.initiated_at)) for each in pix]))
    return reads


def pair_of_payer(payee: str) -> Keys:
    return pair_of(PAYER, keys_of([payee]))


def looking(count: int) -> list[str]:
    """Return payees whose first Pix makes the script look for forgotten contacts."""
    names = (pseudonym(f"l{i}") for i in itertools.count())
    return list(itertools.islice((each for each in names if pair_of_payer(each).tobytes()[1] < 32), count))


def fields(served: Store) -> dict[bytes, bytes]:
    found = served.run(served.redis.hgetall(HASH))
    return {bytes(name): bytes(value) for name, value in found.items()}  # type: ignore[arg-type]  # bytes by default


def asked_again(payees: list[str], day: float) -> list[Event]:
    return [event(0, payee, day * DAY, device_id=None) for payee in payees]


def test_of_a_forgotten_contact_four_bytes_stay(served: Store) -> None:
    history, memory = served.fresh(), MemoryHistoryAdapter()
    old, recent = [pseudonym(f"p{i}") for i in range(20)], [pseudonym(f"r{i}") for i in range(5)]
    for each in (history, memory):
        pay(served, each, old, 0)
        pay(served, each, recent, LATE - EARLY)
    assert len(fields(served)) == len(old) + len(recent)
    for each in (history, memory):
        pay(served, each, looking(1), LATE)
    left = fields(served)
    assert len(left.pop(b"")) == 4 * len(old)
    assert len(left) == len(recent) + 1
    again = Events(asked_again([*old, *recent, pseudonym("new")], LATE))
    found, expected = (served.run(each.observe(again, FIRST)).reads[:, PAIR] for each in (history, memory))
    np.testing.assert_array_equal(found, expected)
    count = CONTACT.names.index("count_30d")
    assert found[: len(old), count].tolist() == [SEEN] * len(old)
    assert np.isnan(found[: len(old), 0]).all()
    assert found[-1, count] == 0


def test_a_forgotten_contact_starts_again(served: Store) -> None:
    history, payee = served.fresh(), pseudonym("again")
    pay(served, history, [payee], 0)
    pay(served, history, looking(1), LATE)
    pay(served, history, [payee], LATE)
    reads = dict(zip(CONTACT.names, pay(served, history, [payee], LATE + 1)[0, PAIR].tolist(), strict=True))
    assert reads["first"] == DAY
    assert reads["count_30d"] == pytest.approx(2 ** (-1 / 30))


def test_a_contact_whose_pix_was_taken_back_is_not_remembered(served: Store) -> None:
    history, payee = served.fresh(), pseudonym("back")
    pix = event(0, payee, 0, device_id=None)
    served.run(history.observe(Events([pix]), FIRST))
    served.run(tell(history, [(pix, Outcome("SETTLED", MORNING))]))
    returned = Outcome("RETURNED", MORNING + SECOND, "D1", pix.amount)
    assert len(served.run(tell(history, [(pix, returned)]))) == 1
    pay(served, history, looking(1), LATE)
    assert b"" not in fields(served)
    assert pay(served, history, [payee], LATE)[0, PAIR[CONTACT.names.index("count_30d")]] == 0


def test_a_payer_of_thousands_forgets_as_well(served: Store) -> None:
    """The hash is a table then, of which each new contact looks at a part."""
    history, payees = served.fresh(), [pseudonym(f"m{i}") for i in range(1_500)]
    for start in range(0, len(payees), 250):
        pay(served, history, payees[start : start + 250], 0)
    for payee in looking(60):
        pay(served, history, [payee], LATE)
    left = fields(served)
    remembered = len(left.pop(b"")) // 4
    assert remembered + len(left) == len(payees) + 60, "none is lost"
    assert remembered > len(payees) // 2


def test_an_erasure_takes_a_forgotten_contact(served: Store) -> None:
    history, payee = served.fresh(), pseudonym("erased")
    pay(served, history, [payee, pseudonym("kept")], 0)
    pay(served, history, looking(1), LATE)
    assert served.server
    with closing(ValkeyStore.connect(served.server.url, DAY)) as load:
        assert load.erase({CONTACT.kind: pair_of_payer(payee)}, PAYER, []) == 1
    assert len(fields(served)[b""]) == 4
    assert pay(served, history, [payee], LATE)[0, PAIR[CONTACT.names.index("count_30d")]] == 0
