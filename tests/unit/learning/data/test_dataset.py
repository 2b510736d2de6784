"""Training sets: order, content hash and sampling."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shared.adapters.memory.learning import MemoryExports, MemoryQueries
from shared.contract.rows import FEATURE_PREFIX
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data import dataset
from shared.learning.data.dataset import (
    Dataset,
    SampledRows,
    SampleRows,
    TrainingSource,
    read_parquet,
    row_counts,
    sampled_by_tables,
    usable_rows,
)
from shared.learning.data.label_chance import LabelRates, Representation
from shared.learning.data.row_counts import RowCounts
from shared.learning.data.split import DAY, folds, split_in_time
from shared.learning.data.training_query import SEGMENT_FACTS, TrainingQuery
from shared.learning.errors import BadDataset
from shared.learning.judging.bootstrap import time_blocks
from shared.learning.specs.data import SplitSpec
from shared.ports.tables import RowExports
from tests.unit.learning.data.tables import LATEST, SPEC, changed, on_both_sides, put, read
from tests.unit.learning.synthetic import AS_OF, START, examples


def test_rows_are_in_order_of_time_and_null_is_nan(tmp_path: Path) -> None:
    table = examples(500)
    data = read(table, tmp_path)
    expected = table.sort_by("initiated_at").to_pandas()
    assert np.all(np.diff(data.initiated_at) >= 0)
    assert data.features.dtype == np.float32
    assert data.features.flags.f_contiguous
    columns = [FEATURE_PREFIX + name for name in FEATURE_NAMES]
    np.testing.assert_array_equal(data.features, expected[columns].to_numpy(np.float32))
    np.testing.assert_array_equal(data.fraud, expected["verdict"] == "FRAUD")
    np.testing.assert_array_equal(data.amount, expected["amount"])
    for name in SEGMENT_FACTS:
        fact = data.facts[name]
        assert [fact.values[code] for code in fact.codes] == expected[name].fillna("").tolist()


def test_frauds_of_one_account_have_one_number_and_no_id(tmp_path: Path) -> None:
    table = examples(500)
    fact = read(table, tmp_path).facts["payee_id"]
    expected = table.sort_by("initiated_at").to_pandas()["payee_id"].fillna("")
    assert len(set(expected)) > 5
    assert len(set(zip(expected, fact.codes.tolist(), strict=True))) == len(set(expected)) == len(fact.values)
    assert all(value == "" or value.isdigit() for value in fact.values)


def test_rows_of_the_same_time_are_in_order_of_id(tmp_path: Path) -> None:
    table = examples(200)
    table = put(table, "initiated_at", pa.array([table["initiated_at"][0]] * 200, table["initiated_at"].type))
    np.testing.assert_array_equal(read(table, tmp_path).amount, table.sort_by("end_to_end_id")["amount"])


def test_both_sides_of_a_pix_are_adjacent_and_have_its_number_and_time(tmp_path: Path) -> None:
    table = examples(200)
    data = read(on_both_sides(table, later=DAY), tmp_path, parts=3, until=LATEST + DAY)
    np.testing.assert_array_equal(data.pix, np.repeat(np.arange(200), 2))
    expected = table.sort_by("initiated_at")["initiated_at"].to_numpy().astype("datetime64[us]").astype(np.int64)
    np.testing.assert_array_equal(data.initiated_at, np.repeat(expected, 2))
    side = data.facts["side"]
    assert [side.values[code] for code in side.codes] == ["PAYEE", "PAYER"] * 200
    assert (data.quality.rows, data.quality.payees) == (400, 200)


@pytest.mark.parametrize("seed", range(5))
def test_no_division_in_time_separates_the_sides_of_a_pix(tmp_path: Path, seed: int) -> None:
    data = read(on_both_sides(examples(999, seed=seed), later=DAY), tmp_path, until=LATEST + DAY)
    spec = SplitSpec(2, 3, 90, 0, embargo_hours_min=0, whole_days=40, span_days_min=1, frauds_min=2)
    periods = [*split_in_time(data.initiated_at, spec)]
    for fold in folds(data.initiated_at, 4, embargo=0):
        periods += [fold.train, fold.validation]
    for period in periods:
        assert np.all(np.unique(data.pix[period], return_counts=True)[1] == 2)
    blocks = time_blocks(data.initiated_at)
    np.testing.assert_array_equal(blocks[0::2], blocks[1::2])


def test_hash_does_not_depend_on_files_or_the_order_of_rows(tmp_path: Path) -> None:
    table = examples(300)
    whole = read(table, tmp_path / "whole").content_hash
    assert read(table.take(np.arange(300)[::-1]), tmp_path / "parts", parts=4).content_hash == whole


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verdict", None),
        ("amount", 12.34),
        ("payer_ispb", "99999999"),
        ("fraud_type", "OTHER"),
        (FEATURE_PREFIX + "amount", 12.34),
        ("initiated_at", START),
    ],
)
def test_hash_changes_with_any_value(name: str, value: object, tmp_path: Path) -> None:
    table = examples(100)
    flipped = "LEGITIMATE" if table["verdict"][7].as_py() == "FRAUD" else "FRAUD"
    other = changed(table, name, 7, value or flipped)
    assert read(other, tmp_path / "other").content_hash != read(table, tmp_path / "one").content_hash


def test_hash_is_the_same_for_null_and_nan(tmp_path: Path) -> None:
    table = examples(100)
    name = FEATURE_PREFIX + FEATURE_NAMES[3]
    nan = put(table, name, pc.fill_null(table[name], float("nan")).combine_chunks())
    assert nan[name].null_count < table[name].null_count
    assert read(nan, tmp_path / "nan").content_hash == read(table, tmp_path / "null").content_hash


def test_no_rows_give_an_empty_dataset(tmp_path: Path) -> None:
    assert len(read(examples(50).slice(0, 0), tmp_path)) == 0
    assert len(read_parquet([], FEATURE_NAMES, LATEST, SPEC, None, LabelRates())) == 0


def test_sampled_legitimate_rows_weigh_for_those_left_out(tmp_path: Path) -> None:
    table = examples(2_000)
    rate = pc.if_else(pc.equal(table["verdict"], "FRAUD"), 1.0, 0.25)
    data = read(put(table, "sampling_rate", rate.combine_chunks()), tmp_path)
    np.testing.assert_array_equal(data.weight, np.where(data.fraud, 1.0, 4.0))
    pix = data.weight.sum()
    assert data.quality.fraud_share == pytest.approx(data.fraud.sum() / pix)
    assert data.quality.sampled == 0.25


class RecordedSource:
    """A source of rows that records its last query."""

    def __init__(self, labels: int, frauds: int, folder: Path) -> None:
        self.sql = ""
        self.exports = MemoryExports(examples(200))
        self.counted = {"rows": labels, "labels": labels, "kept": frauds, "first_at": START}
        self.folder = folder

    def read(self, maturity_days: float = 0, sample: SampleRows = sampled_by_tables) -> Dataset:
        source = TrainingSource(
            self,
            MemoryQueries(lambda sql, _: [] if "AS reason" in sql else [self.counted]),
            "p",
            "pix",
            maturity_days,
        )
        return dataset.read(source, AS_OF, FEATURE_NAMES, SPEC, None, sample)

    def export(self, sql: str, folder: Path) -> list[Path]:
        self.sql = sql
        return self.exports.export(sql, folder)


def test_counts_of_all_rows_are_reported_and_refused_beside_the_sample(tmp_path: Path) -> None:
    every = read(examples(400), tmp_path / "all").quality
    keys, matrix = usable_rows(sorted((tmp_path / "all").iterdir()), FEATURE_NAMES, LATEST)
    counts = row_counts(keys, matrix, FEATURE_NAMES)
    recorded = RecordedSource(200, 10, tmp_path)

    def taken(found: RowCounts) -> Dataset:
        def sample(
            exports: RowExports, query: TrainingQuery, names: Sequence[str], legitimate: int, folder: Path
        ) -> SampledRows:
            return SampledRows(exports.export(query.rows(names, legitimate), folder), found)

        return recorded.read(sample=sample)

    quality = taken(counts).quality
    assert quality.all_rows == quality.widest == msgspec.structs.replace(every, representation=Representation())
    assert (quality.rows, every.rows) == (200, 400)
    amounts = [msgspec.structs.replace(each, rows=9) if each.name == "amounts" else each for each in counts.defects]
    with pytest.raises(BadDataset, match="amounts: 9 rows"):
        taken(msgspec.structs.replace(counts, defects=amounts))


def test_only_a_table_above_rows_max_is_sampled(tmp_path: Path) -> None:
    fits = RecordedSource(SPEC.rows_max, 100, tmp_path)
    assert set(fits.read().weight) == {1.0}
    assert "LEAST(sampling_rate, 1.0)" in fits.sql
    larger = RecordedSource(10 * SPEC.rows_max, SPEC.rows_max // 2, tmp_path)
    larger.read()
    (rate,) = set(re.findall(r"LEAST\(sampling_rate, ([0-9.]+)\)", larger.sql))
    assert float(rate) == pytest.approx(0.5 / 9.5, rel=0.01)
    assert "policy_decision IS NOT NULL) OR ABS(MOD(FARM_FINGERPRINT(end_to_end_id), 1000000)) < ROUND" in larger.sql


def test_more_frauds_than_rows_max_are_misconfigured(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="rows_max"):
        RecordedSource(3 * SPEC.rows_max, 2 * SPEC.rows_max, tmp_path).read()
