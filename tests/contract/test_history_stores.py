"""Every store of history gives the same exact counts: each ask once, each outcome once, each verdict once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from shared.adapters.valkey.clients import server_url
from shared.contract.event import Event
from shared.errors import Misconfigured
from shared.features.columns import Events
from shared.features.history import READ_NAMES, READ_WIDTH
from shared.features.layout import HOP
from shared.features.life import STORED, asked, claims_of
from shared.features.outcomes import Outcome
from shared.ports.history import CONFLICT, UNPLACED, Answer, Changes, Claim, Observations
from tests.contract.history_changes import life_key, marker, outcome_changes, tell, verdict
from tests.contract.history_stores import SERVERS, SharedHistory, Store, numbers, opened, store
from tests.unit.streams import ACCOUNTS, DEVICES, MORNING, event, pseudonym

FIRST, LATER = Claim("v1", 1), Claim(None, 2)
HOUR = 3600
NOON, MIDNIGHT = 14_000, 57_200  # seconds from the morning to those of the clock in Brasília
SETTLED = Outcome("SETTLED", MORNING)


@pytest.fixture(scope="module", params=["memory", *SERVERS])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


def assert_same(one: Observations, other: Observations) -> None:
    np.testing.assert_array_equal(one.reads, other.reads)
    np.testing.assert_array_equal(one.sequence, other.sequence)
    assert one.claims == other.claims
    np.testing.assert_array_equal(one.taken, other.taken)
    assert one.lives.tobytes() == other.lives.tobytes()
    assert one.answers == other.answers


def note(bench: Store, history: SharedHistory, *stored: Event) -> None:
    """Tell history that rows are stored."""

    async def tell_all() -> None:
        history.stored((pix.end_to_end_id, pix.side) for pix in stored)
        await history.settle()

    bench.run(tell_all())


def read(bench: Store, history: SharedHistory, pix: Event, *names: str) -> list[float]:
    """Ask for a Pix; return some of its reads."""
    reads = bench.run(history.observe(Events([pix]), FIRST)).reads[0]
    return [float(reads[READ_NAMES.index(name)]) for name in names]


def change(bench: Store, history: SharedHistory, changes: Changes) -> list[int]:
    return numbers(bench.run(history.change(changes)).places)


def test_a_redelivery_after_a_crash_gets_the_first_answer(bench: Store) -> None:
    history, batch = bench.fresh(), [event(i % 3, i % 4, i, device_id=DEVICES[i % 3]) for i in range(20)]
    first = bench.run(history.observe(Events(batch), FIRST))
    bench.run(history.observe(Events([event(0, 1, 30)]), FIRST))
    again = bench.run((bench.client() if bench.server else history).observe(Events(batch), LATER))
    assert_same(again, first)
    after = bench.run(history.observe(Events([event(0, 1, 40)]), LATER))
    assert (numbers(after.sequence), after.claims) == ([22], [LATER])


@pytest.mark.parametrize("apart", [1, 0], ids=["another batch", "one batch"])
def test_another_message_with_a_taken_id_is_not_a_redelivery(bench: Store, apart: int) -> None:
    pix = event(0, 1, device_id=DEVICES[1])
    changes = (
        {"payee_statistics": '{"registered_accounts":2}'},
        {"payee_id": ACCOUNTS[2]},
        {"amount": pix.amount + 1},
        {"initiated_at": pix.initiated_at + 1},
        {"device_id": None},
    )
    others = [msgspec.structs.replace(pix, **change) for change in changes]
    history = bench.fresh()
    bench.run(history.observe(Events([pix][:apart]), FIRST))
    batch = [pix, pix, *others]
    seen = bench.run(history.observe(Events(batch), FIRST))
    assert seen.taken.tolist() == [False] * 2 + [True] * 5
    assert set(numbers(seen.sequence)) == {1}
    rotated = bench.run(history.observe(Events(batch), FIRST._replace(key_version=2)))
    assert not rotated.taken.any(), "under another key the same message names other accounts"
    assert rotated.claims == [FIRST] * len(batch)


def test_a_stored_row_answers_every_message_that_names_the_pix(bench: Store) -> None:
    history, pix = bench.fresh(), event(0, 1)
    retried = msgspec.structs.replace(pix, payee_statistics='{"registered_accounts":2}', purpose="OTHR")
    bench.run(history.observe(Events([pix]), FIRST))
    note(bench, history, pix)
    seen = bench.run(history.observe(Events([pix, retried, msgspec.structs.replace(pix, amount=1)]), LATER))
    assert seen.sequence.tolist() == [STORED] * 3
    assert seen.taken.tolist() == [False, False, True]
    other = bench.run(history.observe(Events([msgspec.structs.replace(pix, side="PAYEE")]), LATER))
    assert numbers(other.sequence) == [1], "the row of the other side is still to be decided"


def test_a_decision_without_a_row_answers_a_redelivery(bench: Store) -> None:
    history, pix = bench.fresh(), event(0, 1)
    payee = msgspec.structs.replace(pix, side="PAYEE")
    bench.run(history.observe(Events([pix, payee]), FIRST))
    for decision in (b"first", b"second"):
        bench.run(history.answer([Answer(pix.end_to_end_id, "PAYER", decision)]))
    bench.run(history.answer([Answer(event(3, 1).end_to_end_id, "PAYER", b"of an unknown Pix")]))
    bench.run(history.answer([Answer(pix.end_to_end_id, "PAYEE", b"other side")]))
    seen = bench.run(history.observe(Events([pix, payee]), LATER))
    assert (seen.answers, numbers(seen.sequence)) == ([b"first", b"other side"], [1, 1])
    note(bench, history, pix)
    seen = bench.run(history.observe(Events([pix, payee]), LATER))
    assert numbers(seen.sequence) == [STORED, 1]


def test_claims_are_numbered_by_side(bench: Store) -> None:
    history, pix = bench.fresh(), event(0, 1)
    batch = Events([pix, msgspec.structs.replace(pix, side="PAYEE"), pix])
    assert [list(bench.run(history.observe(batch, FIRST)).numbers) for _ in range(2)] == [[1, 1, 2], [3, 2, 4]]


@pytest.mark.parametrize("together", [False, True], ids=["two batches", "one batch"])
def test_both_sides_of_a_pix_share_its_life_and_claim_it_each(bench: Store, together: bool) -> None:
    history, payer = bench.fresh(), event(0, 1, device_id=DEVICES[1])
    payee = msgspec.structs.replace(payer, side="PAYEE", device_id=None)
    if together:
        seen = bench.run(history.observe(Events([payer, payee]), FIRST))
        claims = [FIRST, Claim("v1", 2)]
    else:
        bench.run(history.observe(Events([payer]), FIRST))
        bench.run(history.observe(Events([payee]), LATER))
        seen = bench.run(history.observe(Events([payer, payee]), Claim("v3", 3)))
        claims = [FIRST, LATER]
    assert seen.claims == claims
    assert numbers(seen.sequence) == [1, 1]
    assert not seen.taken.any(), "the messages of two sides may differ"
    np.testing.assert_array_equal(seen.reads[0], seen.reads[1])
    assert read(bench, history, event(0, 1, 1), "payer_asked_out_1h") == [pytest.approx(1, abs=0.01)]


def test_a_side_is_scored_after_the_one_that_asked_before_whatever_the_clocks(bench: Store) -> None:
    history, payer = bench.fresh(), event(0, 1)
    payee = msgspec.structs.replace(payer, side="PAYEE")
    bench.run(history.observe(Events([payee]), Claim("v1", 2_000_000)))
    behind = bench.run(history.observe(Events([payer]), Claim("v1", 5)))
    assert behind.claims == [Claim("v1", 2_000_001)]
    again = bench.run(history.observe(Events([payer, payee]), Claim("v1", 9_000_000)))
    assert again.claims == [Claim("v1", 2_000_001), Claim("v1", 2_000_000)]


def test_a_pix_claimed_by_an_empty_store_is_counted_with_the_facts_of_its_next_message(served: Store) -> None:
    history, payer = served.empty(), event(0, 1, device_id=DEVICES[1])
    payee = msgspec.structs.replace(payer, side="PAYEE", device_id=None)
    served.run(history.observe(Events([payee]), FIRST))
    assert served.server
    opened(served.server)
    seen = served.run(history.observe(Events([payer]), LATER))
    assert numbers(seen.sequence) == [1]
    np.testing.assert_array_equal(seen.lives["keys"], asked(Events([payer]).columns, 2)["keys"])


def test_a_claim_that_comes_while_a_life_changes_stays(bench: Store) -> None:
    history, payer = bench.fresh(), event(0, 1)
    bench.run(history.observe(Events([payer]), FIRST))
    values = bench.run(history.find([life_key(payer)]))
    bench.run(history.observe(Events([msgspec.structs.replace(payer, side="PAYEE")]), LATER))
    assert change(bench, history, outcome_changes(values, [(payer, SETTLED)])) == [2]
    (life,) = bench.run(history.find([life_key(payer)]))
    assert life
    assert set(claims_of(life)) == {"PAYER", "PAYEE"}


def test_empty_batches_change_nothing(bench: Store) -> None:
    history = bench.fresh()
    seen = bench.run(history.observe(Events([]), FIRST))
    assert (seen.reads.shape, seen.claims, len(seen.lives)) == ((0, READ_WIDTH), [], 0)
    none = verdict(event(), True, 1)
    nothing = Changes([], [], [], [], none.facts[:0], none.of[:0])
    assert (bench.run(history.find([])), change(bench, history, nothing)) == ([], [])


def test_an_outcome_counts_once_however_often_it_is_told(bench: Store) -> None:
    history, pix = bench.fresh(), event(0, 1, amount=5_000)
    bench.run(history.observe(Events([pix]), FIRST))
    back = Outcome("RETURNED", MORNING, "D1", 5_000)
    told = [bench.run(tell(history, [(pix, outcome)])) for outcome in (SETTLED, SETTLED, back, back, SETTLED)]
    assert told == [[2], [], [3], [], []]
    names = ("pair_count_30d", "payer_sent_amount_30d", "payer_asked_out_7d", "payee_returned_30d")
    assert read(bench, history, event(0, 1, 1), *names) == pytest.approx([0, 0, 1, 50], abs=1e-4)


def test_of_two_changes_of_one_version_the_second_is_a_conflict(bench: Store) -> None:
    history, pix = bench.fresh(), event(0, 1)
    bench.run(history.observe(Events([pix]), FIRST))
    values = bench.run(history.find([life_key(pix)])) * 2
    refused = Outcome("REJECTED", MORNING)
    assert change(bench, history, outcome_changes(values, [(pix, SETTLED), (pix, refused)])) == [2, CONFLICT]
    assert change(bench, history, outcome_changes(values[:1], [(pix, refused)])) == [CONFLICT]
    counted = ("payer_sent_count_30d", "payer_limit_day")
    assert read(bench, history, event(0, 2, 1), *counted) == pytest.approx([1, 10_000], abs=1e-4)
    assert numbers(bench.run(history.observe(Events([event()]), FIRST)).sequence) == [4], "a conflict has no place"


def test_a_verdict_counts_until_it_is_taken_back(bench: Store) -> None:
    history, pix = bench.fresh(), event(0, 1, device_id=DEVICES[1])
    bench.run(history.observe(Events([pix]), FIRST))

    def counted() -> list[float]:
        names = ("payee_frauds_received_30d", "device_frauds_30d", "payee_cleared_received_30d")
        return read(bench, history, event(2, 1, 2 * HOUR, device_id=DEVICES[1]), *names)

    assert change(bench, history, verdict(pix, True, 1)) == [2]
    assert change(bench, history, verdict(pix, True, 1)) == [CONFLICT]
    assert counted() == pytest.approx([1, 1, 0], abs=0.01)
    assert change(bench, history, verdict(pix, True, 1, expected=1, sign=-1)) == [4]
    assert change(bench, history, verdict(pix, False, 2, expected=2)) == [5]
    assert counted() == pytest.approx([0, 0, 1], abs=1e-6)


def test_a_change_without_facts_is_stored_without_a_place(bench: Store) -> None:
    history, pix = bench.fresh(), event(0, 1)
    full = verdict(pix, True, 1)
    assert change(bench, history, full._replace(facts=full.facts[:0], of=full.of[:0])) == [UNPLACED]
    assert change(bench, history, verdict(pix, True, 1, expected=1)) == [1]


def test_a_marker_counts_for_its_holder_until_it_ends(bench: Store) -> None:
    history, holder, key = bench.fresh(), pseudonym("holder"), pseudonym("key")
    names = ("owner_markers_ever", "key_markers_ever")

    def paid(seconds: float) -> Event:
        return event(0, 1, seconds, payee_person_id=holder, payee_key_id=key)

    assert change(bench, history, marker(holder, "r1")) == [1]
    assert change(bench, history, marker(key, "r2")) == [2]
    assert read(bench, history, paid(400 * 24 * HOUR), *names) == [1, 1]
    assert change(bench, history, marker(holder, "r1", expected=1, sign=-1)) == [4]
    assert read(bench, history, paid(0), *names) == [0, 1]


def test_sums_of_limits_end_with_the_day_and_the_night(bench: Store) -> None:
    history, names = bench.fresh(), ("payer_limit_day", "payer_limit_night_night", "customer_unregistered_day")

    def sums(seconds: float) -> list[float]:
        pix = event(0, 1, seconds, 100, device_id=DEVICES[1], device_registered=False)
        return read(bench, history, pix, *names)

    evening, night = MIDNIGHT - HOUR, MIDNIGHT + HOUR
    assert sums(evening)[:2] == [0, 0]
    assert sums(evening + 60) == [100, 100, 100]
    assert sums(night) == [0, 200, 0]
    after = sums(evening + 120)
    assert (np.isnan(after).tolist(), after[1]) == ([True, False, True], 300), "the sum of that day is lost"
    assert sums(night + 60) == [100, 400, 100], "a late ask adds to its own night, and not to a later day"
    assert sums(NOON + 24 * HOUR - 1)[1] == 500
    assert sums(NOON + 24 * HOUR)[1] == 0


def test_an_account_of_many_frauds_passes_on_the_taint_of_one(bench: Store) -> None:
    history, scams = bench.fresh(), [event(0, 1, i) for i in range(3)]
    bench.run(history.observe(Events(scams), FIRST))
    for pix in scams:
        bench.run(history.change(verdict(pix, True, 1)))
    passed_on = event(1, 2, 2 * HOUR)
    bench.run(history.observe(Events([passed_on]), FIRST))
    bench.run(tell(history, [(passed_on, Outcome("SETTLED", passed_on.initiated_at))]))
    assert read(bench, history, event(2, 3, 2 * HOUR), "payer_taint_30d") == [pytest.approx(HOP, rel=1e-6)]


def test_concurrent_clients_count_each_pix_once(served: Store) -> None:
    served.fresh()
    one, other = served.client(), served.client()
    batch = [event(i % 5, (i + 1) % 5, i) for i in range(60)]
    parts = [batch[i : i + 6] for i in range(0, 60, 4)]

    async def both() -> list[list[Observations]]:
        work = [
            [client.observe(Events(part), claim) for part in parts]
            for client, claim in ((one, FIRST), (other, LATER))
        ]
        return list(await asyncio.gather(*(asyncio.gather(*calls) for calls in work)))

    found: dict[str, set[tuple[bytes, int, Claim]]] = {}
    for part, seen in itertools.chain(*(zip(parts, each, strict=True) for each in served.run(both()))):
        for pix, reads, place, claim in zip(part, seen.reads, numbers(seen.sequence), seen.claims, strict=True):
            found.setdefault(pix.end_to_end_id, set()).add((reads.tobytes(), place, claim))
    assert all(len(each) == 1 for each in found.values())
    assert sorted(place for each in found.values() for _, place, _ in each) == list(range(1, 61))


def test_concurrent_clients_count_each_outcome_once(served: Store) -> None:
    history, batch = served.fresh(), [event(i % 5, (i + 1) % 5, i) for i in range(30)]
    served.run(history.observe(Events(batch), FIRST))
    clients = [served.client() for _ in range(4)]

    async def settled(client: SharedHistory, pix: Event) -> list[int]:
        return await tell(client, [(pix, Outcome("SETTLED", pix.initiated_at))])

    async def every() -> list[list[int]]:
        return list(await asyncio.gather(*(settled(client, pix) for pix in batch for client in clients)))

    places = [place for each in served.run(every()) for place in each if place != CONFLICT]
    assert sorted(places) == list(range(31, 61))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis", "redis://127.0.0.1:port", ""])
def test_an_invalid_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(
        Misconfigured, match=r"^the address of a store of history is redis://, [-a-z:/, ]+://host:port$"
    ):
        server_url(url)
