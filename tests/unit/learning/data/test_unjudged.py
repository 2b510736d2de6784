"""Decisions without a label: read with their weights, and stored beside a snapshot."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shared.adapters.memory.learning import MemoryArchive, MemoryExports, MemoryQueries
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data import unjudged
from shared.learning.data.dataset import TrainingSource
from shared.learning.data.label_chance import LabelRates
from shared.learning.data.unjudged import Unjudged
from tests.unit.learning.data.tables import SPEC, changed, put
from tests.unit.learning.synthetic import AS_OF, stopped

HASH = "ab" * 32


def read(table: pa.Table, rates: LabelRates = LabelRates(1.0, 1.0), weight_max: float = 20.0) -> Unjudged:  # noqa: B008
    spec = msgspec.structs.replace(SPEC, label_weight_max=weight_max)
    source = TrainingSource(MemoryExports(table, 3), MemoryQueries(lambda *_: []), "p", "pix", 87)
    return unjudged.read(source, AS_OF, 0, FEATURE_NAMES, spec, rates)


def test_a_sample_stands_for_all_that_were_found() -> None:
    found = read(stopped(60))
    assert len(found) == 60
    assert set(found.weight) == {2.0}
    assert found.features.shape == (60, len(FEATURE_NAMES))


@pytest.mark.parametrize(
    ("chance", "reviewed", "decision", "part"),
    [
        (0.5, 1.0, "REJECT", 0.0),  # the control group stands for all of it
        (0.01, 1.0, "REJECT", 0.8),  # a weight of 100 is cut to 20
        (0.02, 0.5, "REJECT", 0.8),  # of ten that were drawn, reviewers label five
        (0.02, 0.0, "HOLD", 0.6),
        (None, 1.0, "HOLD", 1.0),  # no chance of the control group, whoever reviews
    ],
)
def test_the_control_group_stands_for_its_part(
    chance: float | None, reviewed: float, decision: str, part: float
) -> None:
    table = put(put(stopped(60), "decision", [decision] * 60), "side", ["PAYER"] * 60)
    found = read(put(table, "control_probability", pa.array([chance] * 60, pa.float64())), LabelRates(reviewed, 0.0))
    assert found.weight.sum() == pytest.approx(120 * part)


def test_the_chance_of_one_side_counts_for_both() -> None:
    table = put(stopped(2), "pix", [7, 7])
    table = put(put(table, "side", ["PAYER", "PAYEE"]), "decision", ["APPROVE", "REJECT"])
    found = read(put(table, "control_probability", pa.array([None, 0.01], pa.float64())))
    assert found.weight.tolist() == pytest.approx([1.6, 1.6])


def test_rows_that_cannot_be_scored_are_left_out_and_none_is_no_failure() -> None:
    assert len(read(changed(stopped(30), f"f_{FEATURE_NAMES[0]}", 3, float("inf")))) == 29
    assert len(read(changed(stopped(30), "amount", 3, None))) == 29
    assert len(read(stopped(0))) == 0


def test_they_are_stored_beside_a_snapshot_without_ids() -> None:
    archive, found = MemoryArchive(), read(stopped(40))
    unjudged.save(archive, found, HASH, since=5)
    assert list(archive.objects) == [f"datasets/{HASH}.unjudged-5.parquet"]
    assert b"end_to_end_id" not in archive.objects[f"datasets/{HASH}.unjudged-5.parquet"]
    loaded = unjudged.load(archive, HASH, 5, FEATURE_NAMES)
    assert loaded is not None
    assert loaded.names == found.names
    for field in dataclasses.fields(Unjudged)[1:]:
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(found, field.name))
    later = unjudged.load(archive, HASH, 5, ("a_new_one", *FEATURE_NAMES))
    assert later is not None
    assert np.isnan(later.features[:, 0]).all()
    np.testing.assert_array_equal(later.features[:, 1:], found.features)


def test_those_of_another_test_period_are_not_known() -> None:
    archive = MemoryArchive()
    unjudged.save(archive, read(stopped(40)), HASH, since=5)
    assert unjudged.load(archive, HASH, 4, FEATURE_NAMES) is None
