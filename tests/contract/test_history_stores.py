"""Every store of history gives the same exact counts: each Pix once, each verdict once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.adapters.valkey.history import server_url
from shared.adapters.valkey.store import ValkeyStore
from shared.adapters.valkey.wire import CLAIM_LETTER, SEQUENCE_KEY
from shared.contract.event import Event
from shared.contract.fields import Verdict
from shared.errors import Misconfigured, Unavailable
from shared.features.columns import Events
from shared.features.facts import VerdictCount
from shared.features.history import READ_NAMES, READ_WIDTH
from shared.features.layout import HOP
from shared.features.verdicts import ReportedVerdict, VerdictLog
from shared.ports import STORED, UNCOUNTED, Claim, Observations, Parties, PixVerdict
from tests.contract.history_stores import SERVERS, Store, store
from tests.unit.reference_history import ReferenceHistory
from tests.unit.streams import ACCOUNTS, DEVICES, MORNING, event, events

FIRST, LATER = Claim("v1", 1), Claim(None, 2)
HOUR = 3_600_000_000
ONCE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module", params=["memory", *SERVERS])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


def reported(verdict: Verdict, hours: float) -> ReportedVerdict:
    return ReportedVerdict(verdict, MORNING + round(hours * HOUR))


def about(pix: Event, verdict: Verdict, hours: float) -> PixVerdict:
    return PixVerdict(pix.end_to_end_id, Parties(pix.payer_id, pix.payee_id, pix.device_id), reported(verdict, hours))


def assert_same(one: Observations, other: Observations) -> None:
    np.testing.assert_array_equal(one.reads, other.reads)
    np.testing.assert_array_equal(one.sequence, other.sequence)
    assert one.claims == other.claims
    np.testing.assert_array_equal(one.taken, other.taken)


_verdicts = st.sampled_from(list(Verdict))
_hours = st.sampled_from([0, 1, 1, 2, 30, 2000])
_steps = st.one_of(
    st.lists(events(), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 50), _verdicts, _hours), min_size=1, max_size=4),
    st.integers(0, 50),
)


@ONCE
@given(st.lists(_steps, max_size=12))
def test_store_equals_the_plain_python_reference(bench: Store, steps: list[Any]) -> None:
    """Reads agree to one unit in the last place of float32; sums that cancel, to 1e-7."""
    history, reference, log = bench.fresh(), ReferenceHistory(), VerdictLog()
    seen: list[Event] = []
    first: dict[str, tuple[list[float], int]] = {}
    for step in steps:
        if isinstance(step, list) and isinstance(step[0], tuple):
            statements = [about(seen[i % len(seen)], verdict, hours) for i, verdict, hours in step if seen]
            assert bench.run(history.apply(statements)) == apply_to_reference(reference, log, statements, len(seen))
            continue
        batch = seen[step : step + 3] if isinstance(step, int) else [*step, step[0]]
        for pix in batch:
            if pix.end_to_end_id not in first:
                first[pix.end_to_end_id] = (reference.observe(pix), len(first) + 1)
                seen.append(pix)
        found = bench.run(history.observe(Events(batch), FIRST))
        expected = np.array([first[pix.end_to_end_id][0] for pix in batch], dtype=np.float32)
        np.testing.assert_allclose(found.reads, expected.reshape(-1, READ_WIDTH), rtol=1.2e-7, atol=1e-7)
        assert found.sequence.tolist() == [first[pix.end_to_end_id][1] for pix in batch]


def apply_to_reference(
    reference: ReferenceHistory, log: VerdictLog, statements: list[PixVerdict], sequence: int
) -> list[int | None]:
    for id_, parties, now in statements:
        for change in log.apply(id_, now, sequence):
            reference.report(VerdictCount(*parties, change.reported_at, change.fraud, change.sign))
    return [log.counted_at(id_, now) for id_, _, now in statements]


def test_a_redelivery_after_a_crash_gets_the_first_answer(bench: Store) -> None:
    history, batch = bench.fresh(), [event(i % 3, i % 4, i, device_id=DEVICES[i % 3]) for i in range(20)]
    first = bench.run(history.observe(Events(batch), FIRST))
    bench.run(history.observe(Events([event(0, 1, 30)]), FIRST))
    again = bench.run((bench.client() if bench.server else history).observe(Events(batch), LATER))
    assert_same(again, first)
    after = bench.run(history.observe(Events([event(0, 1, 40)]), LATER))
    assert (after.sequence.tolist(), after.claims) == ([22], [LATER])


@pytest.mark.parametrize("apart", [1, 0], ids=["another batch", "one batch"])
def test_another_message_with_a_taken_id_is_not_a_redelivery(bench: Store, apart: int) -> None:
    pix = event(0, 1, device_id=DEVICES[1])
    again = msgspec.structs.replace(pix, payee_statistics='{"registered_accounts":2}')
    changes = (
        {"payee_id": ACCOUNTS[2]},
        {"amount": pix.amount + 1},
        {"initiated_at": pix.initiated_at + 1},
        {"device_id": None},
    )
    others = [msgspec.structs.replace(pix, **change) for change in changes]
    history = bench.fresh()
    before = [pix][:apart]
    bench.run(history.observe(Events(before), FIRST))
    batch = [pix, again, *others]
    seen = bench.run(history.observe(Events(batch), FIRST))
    assert seen.taken.tolist() == [False] * 2 + [True] * 4
    assert set(seen.sequence.tolist()) == {1}
    rotated = bench.run(history.observe(Events(batch), FIRST._replace(key_version=2)))
    assert not rotated.taken.any(), "under another key the same message names other accounts"
    assert rotated.claims == [FIRST] * len(batch)


def test_empty_batches_change_nothing(bench: Store) -> None:
    history = bench.fresh()
    seen = bench.run(history.observe(Events([]), FIRST))
    assert (seen.reads.shape, seen.claims) == ((0, READ_WIDTH), [])
    assert bench.run(history.apply([])) == []


def test_a_verdict_counts_once_until_it_is_overridden(bench: Store) -> None:
    history, pix = bench.fresh(), event(0, 1, device_id=DEVICES[1])
    bench.run(history.observe(Events([pix]), FIRST))

    def frauds() -> list[float]:
        reads = bench.run(history.observe(Events([event(2, 1, 7200, device_id=DEVICES[1])]), FIRST)).reads[0]
        names = ("payee_frauds_received_30d", "device_frauds_30d", "payee_cleared_received_30d")
        return [round(float(reads[READ_NAMES.index(name)]), 1) + 0.0 for name in names]

    fraud, late = about(pix, Verdict.FRAUD, 1), about(pix, Verdict.LEGITIMATE, 0.5)
    assert bench.run(history.apply([about(pix, Verdict.PENDING, 0.1)])) == [None]
    assert bench.run(history.apply([fraud, fraud])) == [1, 1]
    assert frauds() == [1.0, 1.0, 0.0]
    assert bench.run(history.apply([fraud, late])) == [1, None]
    assert frauds() == [1.0, 1.0, 0.0]
    assert bench.run(history.apply([about(pix, Verdict.LEGITIMATE, 2)])) == [3]
    assert frauds() == [0.0, 0.0, 1.0]
    assert bench.run(history.apply([about(pix, Verdict.PENDING, 3)])) == [4]
    assert frauds() == [0.0, 0.0, 0.0]
    assert bench.run(history.apply([fraud])) == [1]  # an old delivery again: its first answer
    assert frauds() == [0.0, 0.0, 0.0]


def test_a_repeated_verdict_outranks_older_reports_and_keeps_its_first_time(
    bench: Store,
) -> None:
    history, pix = bench.fresh(), event(0, 1)
    bench.run(history.observe(Events([pix]), FIRST))
    fraud, again = about(pix, Verdict.FRAUD, 1), about(pix, Verdict.FRAUD, 30)
    verdicts = [fraud, again, about(pix, Verdict.LEGITIMATE, 20), again]
    assert bench.run(history.apply(verdicts)) == [1, None, None, None]
    names = ("payee_frauds_received_30d", "payee_cleared_received_30d")

    def frauds() -> list[float]:
        reads = bench.run(history.observe(Events([event(2, 1, 31 * 3600)]), FIRST)).reads[0]
        return [float(reads[READ_NAMES.index(name)]) for name in names]

    assert frauds()[0] > 0.9
    assert frauds()[1] == 0
    assert bench.run(history.apply([about(pix, Verdict.LEGITIMATE, 30.5)])) == [3]
    assert frauds() == pytest.approx([0, 1], abs=0.01)
    assert abs(frauds()[0]) < 1e-9  # nothing is left of it


def test_an_emptied_store_claims_without_counting_until_it_is_filled(served: Store) -> None:
    history, lost, missed, later = served.fresh(), event(0, 1), event(0, 1, 5), event(0, 1, 10)
    assert served.server
    served.run(history.observe(Events([lost]), FIRST))
    served.empty()
    blind = served.run(history.observe(Events([missed, missed]), FIRST))
    assert (blind.sequence.tolist(), bool(np.isnan(blind.reads).all())) == ([UNCOUNTED] * 2, True)
    with pytest.raises(Unavailable):
        served.run(history.apply([about(lost, Verdict.FRAUD, 1)]))

    before, load = MemoryHistoryAdapter(), ValkeyStore.connect(served.server.url, 86_400)
    served.run(before.observe(Events([lost]), FIRST))
    load.mark_stored([lost.end_to_end_id], 900)
    load.load(before.history.state(), {}, lambda _: None)
    load.close()
    assert_same(served.run(history.observe(Events([missed, missed]), LATER)), blind)
    seen = served.run(history.observe(Events([lost, later]), LATER))
    assert seen.sequence.tolist() == [STORED, 2]
    expected = served.run(before.observe(Events([later]), LATER)).reads[0]
    np.testing.assert_allclose(seen.reads[1], expected, rtol=1.2e-7, atol=1e-7)


def test_an_account_of_many_frauds_passes_on_the_taint_of_one(bench: Store) -> None:
    history, scams = bench.fresh(), [event(0, 1, i) for i in range(3)]
    bench.run(history.observe(Events(scams), FIRST))
    bench.run(history.apply([about(pix, Verdict.FRAUD, 1) for pix in scams]))
    bench.run(history.observe(Events([event(1, 2, 7200)]), FIRST))
    reads = bench.run(history.observe(Events([event(2, 3, 7200)]), FIRST)).reads[0]
    assert reads[READ_NAMES.index("payer_taint_30d")] == pytest.approx(HOP, rel=1e-6)


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

    outcomes: dict[str, set[tuple[bytes, int, Claim]]] = {}
    for part, seen in itertools.chain(*(zip(parts, found, strict=True) for found in served.run(both()))):
        for pix, reads, place, claim in zip(part, seen.reads, seen.sequence.tolist(), seen.claims, strict=True):
            outcomes.setdefault(pix.end_to_end_id, set()).add((reads.tobytes(), place, claim))
    assert all(len(each) == 1 for each in outcomes.values())
    assert sorted(place for each in outcomes.values() for _, place, _ in each) == list(range(1, 61))


def test_each_redelivery_extends_the_claim(served: Store) -> None:
    served.fresh()
    pix = event()
    for seconds in (100, 1000):
        served.run(served.client(claim_seconds=seconds).observe(Events([pix]), FIRST))
        key = SEQUENCE_KEY[:-1] + CLAIM_LETTER + pix.end_to_end_id
        assert seconds - 90 < served.run(served.client().redis.ttl(key)) <= seconds


def test_a_loaded_history_equals_its_original(served: Store) -> None:
    history, past = MemoryHistoryAdapter(), [event(i % 3, i % 4, i, device_id=DEVICES[i % 3]) for i in range(50)]
    later, verdict = [event(1, 2, 90), event(3, 3, 95)], about(past[1], Verdict.FRAUD, 1)
    log = VerdictLog()
    served.run(history.observe(Events(past), FIRST))
    served.run(history.apply([verdict]))
    log.apply(verdict.end_to_end_id, verdict.reported, 50)

    store = served.fresh()
    assert served.server
    load, rows = ValkeyStore.connect(served.server.url, 86_400), list[int]()
    load.load(history.history.state(), log.applied, rows.append)
    assert sum(rows) == sum(len(table.keys) for table in history.history.state().tables) + 1
    back = about(past[1], Verdict.LEGITIMATE, 2)
    assert served.run(store.apply([verdict, back])) == served.run(history.apply([verdict, back])) == [50, 50]
    found, expected = (
        served.run(store.observe(Events(later), FIRST)),
        served.run(history.observe(Events(later), FIRST)),
    )
    np.testing.assert_allclose(found.reads, expected.reads, rtol=1.2e-7, atol=1e-7)
    assert found.sequence.tolist() == expected.sequence.tolist() == [51, 52]
    with pytest.raises(Misconfigured, match="empty it"):
        load.load(history.history.state(), {}, rows.append)
    load.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis", "redis://127.0.0.1:port", ""])
def test_an_invalid_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(
        Misconfigured, match=r"^the address of a store of history is redis://, [a-z:/, ]+://host:port$"
    ):
        server_url(url)
