"""A replay in partitions equals the one in one process, in every bit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.event import Event
from shared.contract.rows import FEATURE_PREFIX
from shared.features.facts import VerdictCount
from shared.features.keys import keys_of
from shared.features.layout import HOP
from shared.features.shards import shard_of
from shared.replay.partitioned.run import SliceTally, Spread
from tests.unit.replay.partitioned.worlds import Items, assert_same, replayed, replayed_in_partitions
from tests.unit.streams import ACCOUNTS, MORNING, Item, event, pseudonym, streams

PARTITIONS = 4


def accounts(*partitions: int) -> list[str]:
    """Return an account in each of some partitions, all different."""
    found: list[str] = []
    for partition in partitions:
        names = (pseudonym(f"{len(found)}-{i}") for i in range(1_000))
        found.append(next(each for each in names if shard_of(keys_of([each]), PARTITIONS)[0] == partition))
    return found


def chain(names: Sequence[str]) -> list[Item]:
    """Return Pix from each account to the next one, all within a second, on the device of the first."""
    device = pseudonym("device-0")
    return [
        event(payer, payee, 10 + i / 100, amount=50_000 - i, device_id=device)
        for i, (payer, payee) in enumerate(pairwise(names))
    ]


def fraud(payee: str, seconds: float = 5, sign: int = 1) -> list[Item]:
    """Return the verdict that an account received stolen money, or that it did not after all."""
    return [VerdictCount(ACCOUNTS[0], payee, None, MORNING + round(seconds * 1e6), True, sign)]


def refunded(pix: Item) -> list[Item]:
    """Return the return of a Pix by its payee."""
    assert isinstance(pix, Event)
    return [event(pix.payee_id, pix.payer_id, 10.5, pix.amount, end_to_end_id="D" + pix.end_to_end_id[1:])]


def compared(items: Sequence[Item], spread: Spread, size: int = 64) -> SliceTally:
    """Replay a stream in both ways, compare, and return the counts of the one in partitions."""
    with TemporaryDirectory() as folder:
        one, other = (Path(folder) / name for name in ("one", "other"))
        *found, tally = replayed_in_partitions(Items(items, size), other, spread)
        assert_same(replayed(Items(items, size), one), (found[0], found[1]))
        return tally


@settings(max_examples=25)
@given(streams, st.integers(1, 30), st.integers(1, 60), st.integers(1, 5))
def test_any_stream_gives_the_same_features_and_records(
    stream: list[Item], size: int, rows: int, partitions: int
) -> None:
    compared(stream, Spread(partitions, rows), size)


@given(st.permutations(range(24)), st.integers(2, 5))
@settings(max_examples=10)
def test_chains_that_cross_each_other_within_a_second_are_exact(order: list[int], partitions: int) -> None:
    names = [*ACCOUNTS, *accounts(0, 1, 2)]
    mules = [event(names[i % 8], names[(i * 3 + 1) % 8], 10 + i / 50, amount=10_000 + i) for i in range(24)]
    compared([*fraud(names[1]), *(mules[i] for i in order), *fraud(names[1], 30, -1)], Spread(partitions, 100))


def test_taint_goes_down_a_chain_of_mules_through_partitions_within_a_slice() -> None:
    names = accounts(0, 1, 2, 3, 0, 1)
    pix = chain(names)
    tally = compared([*fraud(names[0]), *pix[:2], *refunded(pix[0]), *pix[2:]], Spread(PARTITIONS, 100))
    # Contacts, all others, and each of the Pix, through another partition, that hands on taint.
    assert tally.rounds == [2 + len(pix)]


def test_rounds_are_of_the_longest_chain_whose_taint_another_report_does_not_cover() -> None:
    names = accounts(0, 1, 2, 3, 0, 1)
    pix = chain(names)
    # The report about the third account raises its taint to the most that is handed on, whatever came from before.
    tally = compared([*fraud(names[0]), *pix[:2], *fraud(names[2], 10.1), *pix[2:]], Spread(PARTITIONS, 100))
    assert tally.rounds == [2 + len(pix[2:])]


def test_the_taint_at_the_end_of_a_chain_is_that_of_its_length(tmp_path: Path) -> None:
    names = accounts(0, 1, 2, 3, 0)
    stream = [*fraud(names[0]), *chain(names), event(names[-1], names[0], 10.9)]
    rows, *_ = replayed_in_partitions(Items(stream, 64), tmp_path, Spread(PARTITIONS, 100))
    assert rows is not None
    assert rows[FEATURE_PREFIX + "payer_taint_30d"].to_pylist()[-1] == pytest.approx(HOP**4, rel=1e-4)


def test_a_chain_within_one_partition_needs_no_round_of_its_own() -> None:
    names = accounts(2, 2, 2, 2)
    assert compared([*fraud(names[0]), *chain(names)], Spread(PARTITIONS, 100)).rounds == [2]


def test_a_chain_over_slices_needs_one_more_round_in_each() -> None:
    names = accounts(0, 1, 2, 3)
    assert compared([*fraud(names[0]), *chain(names)], Spread(PARTITIONS, 1), 1).rounds == [3, 3, 3]


def test_clean_accounts_hand_on_nothing_but_that_contacts_are_new() -> None:
    names = accounts(0, 1, 2, 3)
    tally = compared(chain(names), Spread(PARTITIONS, 100))
    assert tally.rounds == [2]
    assert tally.counted_again == 0
    assert 0 < tally.handed <= 2 * (len(names) - 1)


def test_a_stream_without_pix_has_a_state() -> None:
    assert compared(fraud(ACCOUNTS[1]), Spread(PARTITIONS, 100)).rows == 0
    assert compared([], Spread(PARTITIONS, 100)).rows == 0
