"""Values in Valkey: their time to live, damage, a store that is emptied, filled again, or erased from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import msgspec
import numpy as np
import pytest

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.history import ValkeyHistory
from shared.adapters.valkey.store import PREFIX, ValkeyStore
from shared.adapters.valkey.wire import LETTERS, SEQUENCE_KEY, name_of
from shared.contract.event import Event
from shared.errors import Misconfigured, Unavailable
from shared.features.columns import Events
from shared.features.facts import handsets
from shared.features.history import READ_NAMES
from shared.features.keys import keys_of, pair_of
from shared.features.layout import CONTACT
from shared.features.life import STORED, UNCOUNTED, asked, life_of
from shared.features.outcomes import Outcome
from shared.features.places import Epoch, Place
from shared.features.verdicts import VerdictLog, marker_key, pix_key
from shared.ports.history import CONFLICT, LOST, Claim
from tests.contract.history_changes import life_key, marker, outcome_changes, tell, verdict
from tests.contract.history_stores import SERVERS, Store, numbers, store
from tests.unit import report_states
from tests.unit.log_records import fields
from tests.unit.report_states import med, row
from tests.unit.streams import ACCOUNTS, DEVICES, MORNING, event, pseudonym

FIRST, LATER = Claim("v1", 1), Claim(None, 2)
DAY = 86_400
SETTLED = Outcome("SETTLED", MORNING)


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def loader(served: Store) -> Iterator[ValkeyStore]:
    assert served.server
    with closing(ValkeyStore.connect(served.server.url, DAY)) as load:
        yield load


def record_name(kind: str, key: str) -> bytes:
    return PREFIX + LETTERS[kind].encode() + keys_of([key]).tobytes()


def contacts_name(pix: Event) -> bytes:
    return record_name("contact", pix.payer_id)


def pair_field(pix: Event) -> bytes:
    return pair_of(keys_of([pix.payer_id]), keys_of([pix.payee_id])).tobytes()[1:6]


def life_name(pix: Event) -> bytes:
    return PREFIX + name_of(life_key(pix)).encode()


def stored_names(served: Store) -> list[bytes]:
    return [name for name in served.run(served.redis.keys()) if isinstance(name, bytes)]


def seconds_left(served: Store, name: bytes) -> int:
    return int(served.run(served.redis.ttl(name)))


def note(served: Store, history: ValkeyHistory, *stored: Event) -> None:
    """Tell the store that rows are stored, with the next call."""

    async def tell_later() -> None:
        history.stored((pix.end_to_end_id, pix.side) for pix in stored)
        await history.observe(Events([event(2, 3, 60)]), LATER)

    served.run(tell_later())


def test_a_claim_is_kept_for_as_long_as_its_message_may_come_back(served: Store) -> None:
    served.fresh()
    pix, history = event(), served.client(life_seconds=100, message_seconds=9_000)
    payee = msgspec.structs.replace(pix, side="PAYEE")
    served.run(history.observe(Events([pix, payee]), FIRST))
    assert 8_900 < seconds_left(served, life_name(pix)) <= 9_000
    note(served, history, pix)
    assert 8_900 < seconds_left(served, life_name(pix)) <= 9_000, "the row of the other side is not stored"
    note(served, history, payee)
    assert 10 < seconds_left(served, life_name(pix)) <= 100


def test_each_redelivery_and_each_change_extends_a_life(served: Store) -> None:
    served.fresh()
    pix = event()
    for seconds in (100, 1000):
        history = served.client(life_seconds=seconds)
        served.run(history.observe(Events([pix]), FIRST))
        note(served, history, pix)
        assert seconds - 90 < seconds_left(served, life_name(pix)) <= seconds
    assert served.run(tell(served.client(life_seconds=3000), [(pix, SETTLED)])) == [4]
    assert 2900 < seconds_left(served, life_name(pix)) <= 3000


def test_stored_rows_are_told_without_another_call_too(served: Store) -> None:
    pix, history = event(), served.fresh()
    served.run(history.observe(Events([pix]), FIRST))

    async def told() -> None:
        history.stored([(pix.end_to_end_id, pix.side), (event(1, 2).end_to_end_id, "PAYER")])
        while await served.redis.ttl(life_name(pix)) > 900:
            await asyncio.sleep(0.01)

    served.run(told())


def test_another_process_counts_in_an_epoch_of_its_own(served: Store, loader: ValkeyStore) -> None:
    history = served.fresh()
    first = int(served.run(history.observe(Events([event(0, 1)]), FIRST)).sequence[0])
    before = served.run(served.redis.get(SEQUENCE_KEY))
    served.run(history.observe(Events([event(0, 1, 1)]), FIRST))
    # A replica that takes over without the last change.
    assert isinstance(before, bytes)
    epoch, number, process = before.split()
    served.run(served.redis.set(SEQUENCE_KEY, b" ".join((epoch, number, process[::-1]))))
    assert loader.epochs() == []
    places = [int(served.run(history.observe(Events([event(0, 1, 2 + i)]), FIRST)).sequence[0]) for i in range(2)]
    assert numbers(places) == [1, 2]
    assert Place.of(places[0]).epoch == Place.of(places[1]).epoch > Place.of(first).epoch
    assert loader.epochs() == [Epoch(int(epoch), 1)]


def test_a_life_whose_ask_was_lost_is_not_made_again_by_an_outcome(served: Store, loader: ValkeyStore) -> None:
    history, redis, (kept, lost, later) = served.fresh(), served.redis, [event(0, 1, i) for i in range(3)]
    served.run(history.observe(Events([kept]), FIRST))
    before = served.run(redis.get(SEQUENCE_KEY))
    seen = served.run(history.observe(Events([lost]), FIRST))
    # A replica that takes over without the last change; by its row, the Pix was counted.
    assert isinstance(before, bytes)
    epoch, number, process = before.split()
    served.run(redis.set(SEQUENCE_KEY, b" ".join((epoch, number, process[::-1]))))
    served.run(redis.delete(life_name(lost)))
    told = outcome_changes([seen.lives.tobytes()], [(lost, SETTLED)])._replace(expected=[0])
    assert served.run(history.change(told)).places.tolist() == [LOST]
    assert served.run(history.find([life_key(lost)])) == [None]
    served.run(history.observe(Events([later]), FIRST))
    assert loader.epochs() == [Epoch(int(epoch), 1)]
    assert served.run(history.change(told)).places.tolist() == [LOST]
    assert served.run(tell(history, [(kept, SETTLED)])) == [2]
    served.run(history.observe(Events([lost]), FIRST))
    assert served.run(tell(history, [(lost, SETTLED)])) == [4]


def test_records_and_reports_are_kept_longer_than_lives(served: Store) -> None:
    history, holder = served.fresh(), pseudonym("holder")
    pix = event(0, 1, device_id=DEVICES[1], device_registered=False)
    served.run(history.observe(Events([pix]), FIRST))
    served.run(tell(history, [(pix, SETTLED)]))
    served.run(history.change(verdict(pix, True, 1)))
    served.run(history.change(marker(holder, "r1")))
    names = {name: seconds_left(served, name) for name in stored_names(served)}
    assert names.pop(SEQUENCE_KEY.encode()) == -1, "the sequence stays"
    assert 8_900 < names.pop(life_name(pix)) <= 9_000
    assert all(DAY - 90 < seconds <= DAY for seconds in names.values())
    letters = sorted(name[len(PREFIX) :][:1] for name in names)
    assert letters == sorted([b"a", b"a", b"c", b"d", b"p", b"h", b"s", b"m"])
    fields = served.run(served.redis.hgetall(contacts_name(pix)))
    assert sorted(map(len, fields)) == [5, 5], "the payee and the device"
    assert {len(value) for value in fields.values()} == {CONTACT.packed.itemsize}


def test_an_ask_reads_contacts_and_holders_and_creates_none(served: Store) -> None:
    history = served.fresh()
    pix = event(0, 1, device_id=DEVICES[1], payee_person_id=pseudonym("holder"), payee_key_id=pseudonym("key"))
    reads = served.run(history.observe(Events([pix]), FIRST)).reads[0]
    assert {name[len(PREFIX) :][:1] for name in stored_names(served)} == {b"n", b"l", b"a", b"d"}
    assert reads[READ_NAMES.index("owner_markers_ever")] == 0
    assert np.isnan(reads[READ_NAMES.index("pair_first")])
    assert np.isnan(reads[READ_NAMES.index("customer_touched")])


@pytest.mark.parametrize("left", [0, 1, 100])
def test_a_damaged_record_counts_as_missing_and_is_reported(
    served: Store, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    served.fresh()
    history, batch = served.client(), [event(0, 1, i) for i in range(3)]
    served.run(history.observe(Events(batch[:1]), FIRST))
    served.run(served.redis.set(record_name("account", ACCOUNTS[0]), b"x" * left))
    served.run(served.redis.hset(contacts_name(batch[1]), pair_field(batch[1]), b"x" * left))
    with caplog.at_level(logging.ERROR):
        reads = served.run(history.observe(Events(batch[1:]), FIRST)).reads
    asked = reads[:, READ_NAMES.index("payer_asked_out_1h")]
    assert asked == pytest.approx([0, 1], abs=0.01)
    assert np.isnan(reads[:, READ_NAMES.index("pair_first")]).all()
    assert [(record.message, fields(record)["reason"][:13]) for record in caplog.records] == [
        ("history damaged", "stored values")
    ]


@pytest.mark.parametrize("left", [0, 3, 300, -1])
def test_a_damaged_life_counts_as_missing(served: Store, left: int) -> None:
    history, pix = served.fresh(), event(0, 1)
    served.run(history.observe(Events([pix]), FIRST))
    (life,) = served.run(history.find([life_key(pix)]))
    assert life
    served.run(served.redis.set(life_name(pix), life[:left]))
    assert served.run(history.find([life_key(pix)])) == [None]
    changes = outcome_changes([life], [(pix, SETTLED)])
    assert numbers(served.run(history.change(changes)).places) == [CONFLICT]
    again = served.run(history.observe(Events([pix]), LATER))
    assert (numbers(again.sequence), again.claims) == ([2], [LATER])


def test_an_emptied_store_claims_without_counting_until_it_is_filled(served: Store, loader: ValkeyStore) -> None:
    history, lost, missed, later = served.fresh(), event(0, 1), event(0, 1, 5), event(0, 1, 10)
    served.run(history.observe(Events([lost]), FIRST))
    served.empty()
    blind = served.run(history.observe(Events([missed, missed]), FIRST))
    assert (numbers(blind.sequence), bool(np.isnan(blind.reads).all())) == ([UNCOUNTED] * 2, True)
    with pytest.raises(Unavailable):
        served.run(history.change(verdict(lost, True, 1)))
    with pytest.raises(Unavailable):
        served.run(history.find([life_key(missed)]))

    before = MemoryHistoryAdapter()
    served.run(before.observe(Events([lost]), FIRST))
    loader.mark_stored([(lost.end_to_end_id, "PAYER")], 900)
    loader.load(before.history.state(), {}, lambda _: None)
    seen = served.run(history.observe(Events([lost, later]), LATER))
    assert numbers(seen.sequence) == [STORED, 1]
    expected = served.run(before.observe(Events([later]), LATER)).reads[0]
    np.testing.assert_allclose(seen.reads[1], expected, rtol=1.2e-7, atol=1e-7)
    again = served.run(history.observe(Events([missed, missed]), LATER))
    assert (numbers(again.sequence), again.claims) == ([2] * 2, [FIRST] * 2), "it is counted when it is asked again"
    expected = served.run(before.observe(Events([missed]), LATER)).reads[0]
    np.testing.assert_allclose(again.reads[1], expected, rtol=1.2e-7, atol=1e-7)
    assert served.run(tell(history, [(missed, SETTLED)])) == [3]


def test_a_row_of_one_side_is_stored_and_the_other_side_is_to_be_decided(served: Store, loader: ValkeyStore) -> None:
    history, payer, both = served.fresh(), event(0, 1), event(2, 3)
    rows = [(payer.end_to_end_id, "PAYER"), (both.end_to_end_id, "PAYER"), (both.end_to_end_id, "PAYEE")]
    loader.mark_stored(rows, 900)
    batch = [msgspec.structs.replace(pix, side=side) for pix in (payer, both) for side in ("PAYER", "PAYEE")]
    seen = served.run(history.observe(Events(batch), FIRST))
    assert numbers(seen.sequence) == [STORED, UNCOUNTED, STORED, STORED]
    assert seen.claims[1] == FIRST
    assert not seen.taken.any()
    assert np.isnan(seen.reads).all()


def test_a_stored_row_stays_one_when_an_outcome_rebuilds_its_life(served: Store, loader: ValkeyStore) -> None:
    history, pix = served.fresh(), event(0, 1)
    loader.mark_stored([(pix.end_to_end_id, "PAYER")], 900)
    loader.open()
    life = asked(Events([pix]).columns, MORNING)
    life["place"], life["version"] = 1, 1
    changes = outcome_changes([life.tobytes()], [(pix, SETTLED)])
    assert numbers(served.run(history.change(changes)).places) == [1]
    assert numbers(served.run(history.observe(Events([pix]), FIRST)).sequence) == [STORED]


def test_a_loaded_history_equals_its_original(served: Store, loader: ValkeyStore) -> None:
    history, past = MemoryHistoryAdapter(), [event(i % 3, i % 4, i, device_id=DEVICES[i % 3]) for i in range(50)]
    later = [event(1, 2, 90), event(3, 3, 95)]
    served.run(history.observe(Events(past), FIRST))
    served.run(tell(history, [(pix, SETTLED) for pix in past[:9]]))
    log = VerdictLog()
    log.tell(row(med("AGREED", 0)), {past[1].end_to_end_id: ("payer", "payee", None)}, 60)
    log.tell(row(report_states.marker("REGISTERED", 0)), {}, 61)

    target, rows = served.fresh(), list[int]()
    loader.load(history.history.state(), log.encoded(), rows.append)
    assert sum(rows) == sum(len(table.keys) for table in history.history.state().tables) + 2
    reports = log.encoded()
    keys = [pix_key(past[1].end_to_end_id), marker_key("f-1")]
    assert served.run(target.find([*keys, pix_key("E0")])) == [*(reports[key] for key in keys), None]
    found, expected = (served.run(each.observe(Events(later), FIRST)) for each in (target, history))
    np.testing.assert_allclose(found.reads, expected.reads, rtol=1.2e-7, atol=1e-7)
    assert (numbers(found.sequence), expected.sequence.tolist()) == ([1, 2], [60, 61])
    with pytest.raises(Misconfigured, match="empty it"):
        loader.load(history.history.state(), {}, rows.append)


def test_an_erasure_takes_records_lives_and_verdicts(served: Store, loader: ValkeyStore) -> None:
    history, theirs, other = served.fresh(), event(0, 1, device_registered=False, device_id=DEVICES[1]), event(2, 3)
    served.run(history.observe(Events([theirs, other]), FIRST))
    served.run(tell(history, [(theirs, SETTLED), (other, SETTLED)]))
    served.run(history.change(verdict(theirs, True, 1)))
    payer, payee, device = (keys_of([id_ or ""]) for id_ in (theirs.payer_id, theirs.payee_id, DEVICES[1]))
    contacts = np.concatenate((pair_of(payer, payee), handsets(device, payer)))
    records = {"account": payer, "person": keys_of([theirs.payer_person_id]), "contact": contacts}
    erase = partial(loader.erase, records, np.repeat(payer, 2), [theirs.end_to_end_id])
    assert erase() == len(("account", "person", "pair", "handset", "life", "verdict"))
    assert erase() == 0
    assert contacts_name(theirs) not in stored_names(served)
    assert contacts_name(other) in stored_names(served)
    lives = served.run(history.find([life_key(theirs), life_key(other)]))
    assert lives[0] is None
    assert lives[1] is not None
    assert numbers(life_of(lives[1])["place"]) == [2]
