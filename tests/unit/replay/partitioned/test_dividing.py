"""Facts are divided by the records that they name, and stored without loss."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.facts import EXTRAS, Facts
from shared.features.layout import ROLES
from shared.replay.partitioned.dividing import FED, PartitionFacts, divided
from shared.replay.recurrence import in_order
from tests.unit.lives import chunk_of
from tests.unit.streams import Item, streams


def test_only_payee_and_device_take_weights_from_the_partition_of_the_payer() -> None:
    taken = {ROLES[fed.role].name: {EXTRAS[extra] for extra in fed.extras} for fed in FED}
    assert taken == {"payee": {"new_payee", "taint_7d", "taint_30d"}, "device": {"new_device"}}


@settings(max_examples=30)
@given(streams, st.integers(1, 6))
def test_each_key_is_in_one_partition_and_survives_storage(stream: list[Item], partitions: int) -> None:
    ordered = in_order(chunk_of(stream))
    parts = divided(ordered, partitions)
    named = [part.facts.keys[part.facts.keys > 0] for part in parts]
    every = ordered.facts.keys[ordered.facts.keys > 0]
    assert np.array_equal(np.sort(np.concatenate(named)), np.sort(every))
    for part in parts:
        stored = PartitionFacts.of(part.arrays())
        for one, other in zip(part[1:], stored[1:], strict=True):
            assert np.array_equal(one, other)
        for field in fields(Facts):
            assert np.array_equal(getattr(part.facts, field.name), getattr(stored.facts, field.name))
