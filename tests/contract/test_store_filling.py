"""A store is filled by one job at a time, and never half."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from shared.adapters.valkey.store import ValkeyStore
from shared.errors import Misconfigured, PreconditionFailed
from shared.features.columns import Events
from shared.features.layout import LAYOUTS
from shared.features.places import Epoch, Place
from shared.features.state import Records, State
from shared.ports.history import Claim
from tests.contract.history_stores import SERVERS, Store, store
from tests.unit.streams import event

CLAIM = Claim(None, 1)
COUNT = 20_000
"""More records than several calls take."""


@pytest.fixture(params=SERVERS, scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def jobs(served: Store) -> Iterator[tuple[ValkeyStore, ValkeyStore]]:
    """Two jobs with clients of their own, over an emptied store."""
    served.empty()
    assert served.server
    with (
        closing(ValkeyStore.connect(served.server.url, 86_400)) as one,
        closing(ValkeyStore.connect(served.server.url, 86_400)) as other,
    ):
        yield one, other


def state() -> State:
    chance = np.random.default_rng(7)
    first = Records(chance.integers(1, 1 << 62, COUNT, dtype=np.uint64), chance.random((COUNT, LAYOUTS[0].width)))
    empty = State.empty()
    return State((first, *empty.tables[1:]), int(Place(3, 70)), empty.payers)


def test_a_store_is_reserved_for_one_job(jobs: tuple[ValkeyStore, ValkeyStore]) -> None:
    one, other = jobs
    assert one.is_empty()
    one.hold()
    one.hold()
    with pytest.raises(PreconditionFailed):
        other.hold()
    with pytest.raises(PreconditionFailed):
        other.load(state(), {}, lambda _: None)
    with pytest.raises(PreconditionFailed):
        other.mark_stored([("E1", "PAYER")], 60)
    told: list[int] = []
    one.load(state(), {"sE1": b"\0" * 8}, told.append)
    assert sum(told) == COUNT + 1
    assert not one.is_empty()
    for each in jobs:
        with pytest.raises(Misconfigured, match="counted"):
            each.hold()


def test_a_store_that_was_opened_and_has_counted_nothing_is_closed_while_it_is_filled(
    served: Store, jobs: tuple[ValkeyStore, ValkeyStore]
) -> None:
    one, _ = jobs
    one.open()
    one.hold()
    seen = served.run(served.history.observe(Events([event(0, 1)]), CLAIM))
    assert seen.sequence.tolist() == [-1], "it counts nothing meanwhile"
    one.load(state(), {}, lambda _: None)
    seen = served.run(served.history.observe(Events([event(0, 1, 5)]), CLAIM))
    assert Place.of(int(seen.sequence[0])).epoch > Place.of(state().sequence).epoch


def test_a_load_ends_if_the_store_is_emptied_meanwhile(served: Store, jobs: tuple[ValkeyStore, ValkeyStore]) -> None:
    one, other = jobs
    told: list[int] = []

    def advance(count: int) -> None:
        if not told:
            served.empty()
        told.append(count)

    with pytest.raises(PreconditionFailed, match="emptied"):
        one.load(state(), {}, advance)
    assert one.is_empty()
    other.load(state(), {}, lambda _: None)
    assert not other.is_empty()
    assert other.epochs() == [Epoch(3, 70)]
